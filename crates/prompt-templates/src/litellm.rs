//! Registered templates in LiteLLM's keys.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use core::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

use crate::custom::{CustomTemplate, RoleMarkers};

/// A template as it is written; a key that is absent or null is an empty text.
#[derive(serde::Deserialize)]
pub(crate) struct Template {
    roles: Option<BTreeMap<String, Role>>,
    initial_prompt_value: Option<String>,
    final_prompt_value: Option<String>,
    bos_token: Option<String>,
    eos_token: Option<String>,
    pre_message_sep: Option<String>,
    post_message_sep: Option<String>,
}

impl TryFrom<Template> for CustomTemplate {
    type Error = &'static str;

    fn try_from(template: Template) -> Result<Self, &'static str> {
        let is_text = |role: &Role| matches!(role, Role::Text(_));
        let has_separators =
            template.pre_message_sep.is_some() || template.post_message_sep.is_some();
        if has_separators
            && !template
                .roles
                .iter()
                .flat_map(BTreeMap::values)
                .any(is_text)
        {
            return Err("pre_message_sep and post_message_sep go with roles that are texts");
        }
        let before = template.pre_message_sep.unwrap_or_default();
        let after = template.post_message_sep.unwrap_or_default();
        let markers = |role| match role {
            Role::Markers(markers) => markers,
            Role::Text(text) => RoleMarkers::new(format!("{text}{before}"), after.clone()),
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
enum Role {
    Markers(RoleMarkers),
    Text(String),
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RoleVisitor)
    }
}

struct RoleVisitor;

impl<'de> Visitor<'de> for RoleVisitor {
    type Value = Role;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("`pre_message` and `post_message`, or the text before a message")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Role, E> {
        Ok(Role::Text(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Role, A::Error> {
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
        Ok(Role::Markers(markers))
    }
}
