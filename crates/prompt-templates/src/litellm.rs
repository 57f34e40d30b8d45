//! Reads registered templates from LiteLLM's keys.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use crate::custom::{CustomTemplate, RoleMarkers};

/// A template as written in a configuration. An absent or null key means an empty text. An unknown
/// key is an error if `STRICT` is true, and ignored otherwise: a configuration has other keys too.
#[derive(Default)]
pub(crate) struct Keys<const STRICT: bool> {
    roles: Option<BTreeMap<String, RoleValue>>,
    initial_prompt_value: Option<String>,
    final_prompt_value: Option<String>,
    bos_token: Option<String>,
    eos_token: Option<String>,
    pre_message_sep: Option<String>,
    post_message_sep: Option<String>,
}

const NAMES: &[&str] = &[
    "roles",
    "initial_prompt_value",
    "final_prompt_value",
    "bos_token",
    "eos_token",
    "pre_message_sep",
    "post_message_sep",
];

impl<'de, const STRICT: bool> Deserialize<'de> for Keys<STRICT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KeysVisitor)
    }
}

struct KeysVisitor<const STRICT: bool>;

impl<'de, const STRICT: bool> Visitor<'de> for KeysVisitor<STRICT> {
    type Value = Keys<STRICT>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the keys of a template")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys<STRICT>, A::Error> {
        let mut keys = Keys::default();
        while let Some(key) = map.next_key::<String>()? {
            let text = match &*key {
                "roles" => {
                    keys.roles = map.next_value()?;
                    continue;
                }
                "initial_prompt_value" => &mut keys.initial_prompt_value,
                "final_prompt_value" => &mut keys.final_prompt_value,
                "bos_token" => &mut keys.bos_token,
                "eos_token" => &mut keys.eos_token,
                "pre_message_sep" => &mut keys.pre_message_sep,
                "post_message_sep" => &mut keys.post_message_sep,
                unknown if STRICT => {
                    let nearest = nearest(unknown);
                    return Err(A::Error::custom(format_args!(
                        "unknown key `{}` in a template; did you mean `{nearest}`?",
                        start(unknown).escape_debug()
                    )));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *text = map.next_value()?;
        }
        Ok(keys)
    }
}

/// The known key that starts like this one, or has the smallest edit distance to it.
fn nearest(unknown: &str) -> &'static str {
    let unknown = start(unknown);
    let edits = |name: &str| {
        // The row of the edit distances from a prefix of `unknown` to each prefix of `name`.
        let mut row: Vec<usize> = (0..=name.len()).collect();
        for (index, a) in unknown.bytes().enumerate() {
            let mut diagonal = core::mem::replace(&mut row[0], index + 1);
            for (at, b) in name.bytes().enumerate() {
                let changed = diagonal + usize::from(a != b);
                diagonal = row[at + 1];
                row[at + 1] = changed.min(diagonal + 1).min(row[at] + 1);
            }
        }
        row[name.len()]
    };
    let distance = |name: &&str| (!name.starts_with(unknown), edits(name));
    let nearest = NAMES.iter().copied().min_by_key(distance);
    nearest.unwrap_or_default()
}

fn start(key: &str) -> &str {
    &key[..key.floor_char_boundary(MAX_KEY)]
}

/// The rest of a longer unknown key is neither compared nor quoted.
const MAX_KEY: usize = 64;

impl<const STRICT: bool> TryFrom<Keys<STRICT>> for CustomTemplate {
    type Error = &'static str;

    fn try_from(template: Keys<STRICT>) -> Result<Self, &'static str> {
        let is_text = |role: &RoleValue| matches!(role, RoleValue::Text(_));
        let has_separators =
            template.pre_message_sep.is_some() || template.post_message_sep.is_some();
        if has_separators
            && !template
                .roles
                .iter()
                .flat_map(BTreeMap::values)
                .any(is_text)
        {
            return Err("pre_message_sep and post_message_sep require roles that are texts");
        }
        let before = template.pre_message_sep.unwrap_or_default();
        let after = template.post_message_sep.unwrap_or_default();
        let markers = |role| match role {
            RoleValue::Markers(markers) => markers,
            RoleValue::Text(text) => RoleMarkers::new(format!("{text}{before}"), after.clone()),
        };
        let mut this = Self::new();
        let roles = template.roles.unwrap_or_default();
        this.roles = roles
            .into_iter()
            .map(|(name, role)| (name, markers(role)))
            .collect();
        this.initial_prompt_value = template.initial_prompt_value.unwrap_or_default();
        this.final_prompt_value = template.final_prompt_value.unwrap_or_default();
        this.bos_token = template.bos_token.unwrap_or_default();
        this.eos_token = template.eos_token.unwrap_or_default();
        Ok(this)
    }
}

/// A role in either form.
enum RoleValue {
    Markers(RoleMarkers),
    Text(String),
}

impl<'de> Deserialize<'de> for RoleValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RoleVisitor)
    }
}

struct RoleVisitor;

impl<'de> Visitor<'de> for RoleVisitor {
    type Value = RoleValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`pre_message` and `post_message`, or the text before a message")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<RoleValue, E> {
        Ok(RoleValue::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RoleValue, A::Error> {
        let mut markers = RoleMarkers::default();
        while let Some(key) = map.next_key::<String>()? {
            let marker = match &*key {
                "pre_message" => &mut markers.pre_message,
                "post_message" => &mut markers.post_message,
                key => {
                    return Err(A::Error::unknown_field(
                        key,
                        &["pre_message", "post_message"],
                    ));
                }
            };
            *marker = map.next_value::<Option<String>>()?.unwrap_or_default();
        }
        Ok(RoleValue::Markers(markers))
    }
}
