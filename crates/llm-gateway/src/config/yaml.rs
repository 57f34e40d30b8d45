//! YAML to a tree that knows its places: all that this crate knows of the YAML library.

use std::fmt;
use std::thread;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Location, Spanned};

use super::problem::{Position, Problem};

/// A value and where it stands.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Yaml,
}

#[derive(Clone)]
pub(super) enum Yaml {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// Something that has been told to be a mistake already.
    Broken,
}

/// A key, where it stands, and its value. A key may occur more than once.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Position,
    pub(super) value: Node,
}

/// Reads a text of one YAML document.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    // The library recurses, with frames too large for the stacks of some callers.
    let parsed = thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK);
        thread
            .spawn_scoped(scope, || parse_here(text))
            .map(|parsing| parsing.join())
    });
    match parsed {
        Ok(Ok(parsed)) => parsed,
        Ok(Err(_)) | Err(_) => Err(Problem::mistake(
            Position { line: 1, column: 1 },
            "the YAML cannot be parsed",
        )),
    }
}

fn parse_here(text: &str) -> Result<Node, Problem> {
    // The last one wins here, so that the tree holds both and each duplicate can be told of.
    let root: Spanned<Yaml> = read(text, DuplicateKeyPolicy::LastWins)?;
    let root = Node::from(root);
    if !root.has_duplicates() {
        // Keys that are numbers are compared by the library alone.
        read::<IgnoredAny>(text, DuplicateKeyPolicy::Error)?;
    }
    Ok(root)
}

impl Node {
    /// What it is, in words.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Yaml::Null => "nothing",
            Yaml::Bool(_) => "true or false",
            Yaml::Number(number) if number.as_f64() < Some(0.0) => "a negative number",
            Yaml::Number(number) if number.is_f64() => "a fraction",
            Yaml::Number(_) => "a number",
            Yaml::Text(_) => "text",
            Yaml::List(_) => "a list",
            Yaml::Map(_) => "a mapping",
            Yaml::Broken => "broken",
        }
    }

    /// The value as JSON.
    pub(super) fn into_json(self) -> Value {
        match self.value {
            Yaml::Null | Yaml::Broken => Value::Null,
            Yaml::Bool(value) => Value::Bool(value),
            Yaml::Number(value) => Value::Number(value),
            Yaml::Text(value) => Value::String(value),
            Yaml::List(items) => items.into_iter().map(Self::into_json).collect(),
            Yaml::Map(entries) => {
                let members = entries
                    .into_iter()
                    .map(|entry| (entry.key, entry.value.into_json()));
                Value::Object(members.collect::<Map<_, _>>())
            }
        }
    }

    fn has_duplicates(&self) -> bool {
        match &self.value {
            Yaml::List(items) => items.iter().any(Self::has_duplicates),
            Yaml::Map(entries) => entries.iter().enumerate().any(|(index, entry)| {
                entry.value.has_duplicates()
                    || entries[..index]
                        .iter()
                        .any(|earlier| earlier.key == entry.key)
            }),
            _ => false,
        }
    }
}

impl From<Spanned<Yaml>> for Node {
    fn from(spanned: Spanned<Yaml>) -> Self {
        Self {
            at: position(spanned.referenced),
            value: spanned.value,
        }
    }
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(YamlVisitor)
    }
}

struct YamlVisitor;

impl<'de> Visitor<'de> for YamlVisitor {
    type Value = Yaml;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_none<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Yaml, D::Error> {
        Yaml::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Yaml, E> {
        Ok(Yaml::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Yaml, E> {
        Ok(Yaml::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Yaml, E> {
        Ok(Yaml::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Yaml, E> {
        Number::from_f64(value)
            .map(Yaml::Number)
            .ok_or_else(|| E::custom("a number has to be finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Yaml, E> {
        Ok(Yaml::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Yaml, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element::<Spanned<Yaml>>()? {
            items.push(item.into());
        }
        Ok(Yaml::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Yaml, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<Spanned<String>, Spanned<Yaml>>()? {
            let at = position(key.referenced);
            entries.push(Entry {
                key: key.value,
                at,
                value: value.into(),
            });
        }
        Ok(Yaml::Map(entries))
    }
}

fn read<'de, T: Deserialize<'de>>(text: &'de str, keys: DuplicateKeyPolicy) -> Result<T, Problem> {
    let options = serde_saphyr::options! {
        duplicate_keys: keys,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: MAX_REPLAYED,
            max_replay_stack_depth: MAX_REPLAY_DEPTH,
        },
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| problem(&error))
}

/// The library's error in words for somebody who does not know the library.
fn problem(error: &serde_saphyr::Error) -> Problem {
    use serde_saphyr::Error as E;

    let at = error
        .location()
        .map_or(Position { line: 1, column: 1 }, position);
    let message = match error {
        E::Budget { .. } | E::AliasReplayLimitExceeded { .. } => {
            "the values are too many, or nested too deeply".to_owned()
        }
        E::DuplicateMappingKey { .. } => "this key is here for the second time".to_owned(),
        E::MultipleDocuments { .. } => "only one document may be in the file".to_owned(),
        E::NonFiniteFloat { .. } => "a number has to be finite".to_owned(),
        E::RecursiveReferencesRequireWeakTypes { .. } => {
            "an alias inside its own anchor".to_owned()
        }
        _ => {
            let message = error.to_string();
            let place = format!(" at line {}, column {}", at.line, at.column);
            format!(
                "this is no YAML: {}",
                message.strip_suffix(&place).unwrap_or(&message)
            )
        }
    };
    Problem::mistake(at, message)
}

fn position(location: Location) -> Position {
    let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX).max(1);
    Position {
        line: number(location.line()),
        column: number(location.column()),
    }
}

/// How deep values may be nested, those that aliases stand for included.
const MAX_DEPTH: usize = 64;
/// Enough for that depth: a level takes some 50 kB in a debug build.
const STACK: usize = 16 * 1024 * 1024;
/// How many values aliases may stand for in all, and how many of them inside one another.
const MAX_REPLAYED: usize = 100_000;
const MAX_REPLAY_DEPTH: usize = 4;
