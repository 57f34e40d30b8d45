//! YAML to a tree with positions. Only this file uses the YAML library.

use std::collections::HashMap;
use std::fmt;
use std::thread;

use llm_provider::text::excerpt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Location, Spanned};

use super::names::quoted;
use super::problem::{Position, Problem};

/// A value and its position.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Yaml,
    /// The byte of the text where it starts.
    offset: usize,
}

#[derive(Clone)]
pub(super) enum Yaml {
    Null,
    Bool(bool),
    Number(Number),
    /// A number such as `017`, which is 15 in YAML 1.1 and 17 in YAML 1.2.
    Ambiguous,
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
    /// A value with an error that has been reported.
    Broken,
}

/// A key, its position, and its value.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Position,
    pub(super) value: Node,
}

/// Reads a text of one YAML document. If a mapping has a key more than once, the tree has the first
/// one, and the others are in the list of problems.
pub(super) fn parse(text: &str) -> Result<(Node, Vec<Problem>), Problem> {
    // Editors do not count the byte order mark as a column.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // The library recurses, with frames that are too large for the stacks of some callers.
    let parsed = thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(STACK);
        thread
            .spawn_scoped(scope, || parse_here(text))
            .map(|parsing| parsing.join())
    });
    match parsed {
        Ok(Ok(parsed)) => parsed,
        Ok(Err(_)) | Err(_) => Err(Problem::error(Position::START, "the YAML cannot be parsed")),
    }
}

fn parse_here(text: &str) -> Result<(Node, Vec<Problem>), Problem> {
    // With this policy the library yields every pair of equal keys.
    let root: Spanned<Yaml> = read(text, DuplicateKeyPolicy::LastWins)?;
    let mut root = Node::from(root);
    let mut duplicates = Vec::new();
    root.check(text, &mut duplicates);
    if duplicates.is_empty() {
        // Only the library compares keys that are numbers.
        read::<IgnoredAny>(text, DuplicateKeyPolicy::Error)?;
    }
    Ok((root, duplicates))
}

impl Entry {
    /// Whether there is no value.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self.value.value, Yaml::Null)
    }
}

impl Node {
    /// Its type, in words.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Yaml::Null => "nothing",
            Yaml::Bool(_) => "true or false",
            Yaml::Number(number) => kind_of_number(number),
            Yaml::Ambiguous => "a number that begins with 0",
            Yaml::Text(_) => "text",
            Yaml::List(_) => "a list",
            Yaml::Map(_) => "a mapping",
            Yaml::Broken => "a value with an error",
        }
    }

    /// The value as JSON.
    pub(super) fn into_json(self) -> Value {
        match self.value {
            Yaml::Null | Yaml::Ambiguous | Yaml::Broken => Value::Null,
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

    /// Whether an error has been reported for it or for a value inside it.
    pub(super) fn is_broken(&self) -> bool {
        match &self.value {
            Yaml::Broken => true,
            Yaml::List(items) => items.iter().any(Self::is_broken),
            Yaml::Map(entries) => entries.iter().any(|entry| entry.value.is_broken()),
            _ => false,
        }
    }

    /// Removes repeated keys, and marks ambiguous numbers.
    fn check(&mut self, text: &str, duplicates: &mut Vec<Problem>) {
        match &mut self.value {
            Yaml::Number(_) if begins_with_0(text, self.offset) => self.value = Yaml::Ambiguous,
            Yaml::List(items) => items
                .iter_mut()
                .for_each(|item| item.check(text, duplicates)),
            Yaml::Map(entries) => {
                let mut first: HashMap<String, Position> = HashMap::with_capacity(entries.len());
                entries.retain_mut(|entry| {
                    if let Some(at) = first.get(&entry.key) {
                        let message = format!("{} is already at {at}", quoted(&entry.key));
                        let help = "remove one of the two".to_owned();
                        duplicates.push(Problem::error(entry.at, message).with_help(help));
                        return false;
                    }
                    first.insert(entry.key.clone(), entry.at);
                    entry.value.check(text, duplicates);
                    true
                });
            }
            _ => {}
        }
    }
}

fn kind_of_number(number: &Number) -> &'static str {
    let value = number.as_f64().unwrap_or(f64::INFINITY);
    if !number.is_f64() {
        if value < 0.0 {
            "a negative number"
        } else {
            "a number"
        }
    } else if value.abs() >= LARGEST {
        "a number that is too large"
    } else if value < 0.0 {
        "a negative number"
    } else if value.fract() == 0.0 {
        "a number with a decimal point or an exponent"
    } else {
        "a fraction"
    }
}

/// Whether a number has a leading 0.
fn begins_with_0(text: &str, offset: usize) -> bool {
    let number = text.as_bytes().get(offset..).unwrap_or_default();
    let digits = match number {
        [b'+' | b'-', digits @ ..] => digits,
        digits => digits,
    };
    matches!(digits, [b'0', b'0'..=b'9', ..])
}

impl From<Spanned<Yaml>> for Node {
    fn from(spanned: Spanned<Yaml>) -> Self {
        // The value of an alias has the position of its anchor.
        let offset = spanned.defined.span().byte_offset().unwrap_or(u64::MAX);
        Self {
            at: position(spanned.defined),
            value: spanned.value,
            offset: usize::try_from(offset).unwrap_or(usize::MAX),
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
            let at = position(key.defined);
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

/// The library's error as a problem.
///
/// The library's message is used for syntax errors only: others name types of the program or quote
/// values, which may be secrets.
fn problem(error: &serde_saphyr::Error) -> Problem {
    use serde_saphyr::Error as E;

    if let E::AliasError {
        error, locations, ..
    } = error
    {
        let mut problem = problem(error);
        let defined = locations.defined_location;
        if defined != Location::UNKNOWN {
            problem.at = Some(position(defined));
        }
        return problem;
    }
    let at = error.location().map_or(Position::START, position);
    let message = match error {
        E::Budget { .. }
        | E::AliasReplayCounterOverflow { .. }
        | E::AliasReplayLimitExceeded { .. }
        | E::AliasExpansionLimitExceeded { .. }
        | E::AliasReplayStackDepthExceeded { .. } => {
            "there are too many values, or they are nested too deeply".to_owned()
        }
        E::DuplicateMappingKey { .. } => "this key is already in the mapping".to_owned(),
        E::MultipleDocuments { .. } => "the file has more than one document".to_owned(),
        E::NonFiniteFloat { .. } => "a number has to be finite".to_owned(),
        E::RecursiveReferencesRequireWeakTypes { .. } => {
            "this alias is inside its own anchor".to_owned()
        }
        E::UnknownAnchor { .. } => "this alias has no anchor".to_owned(),
        E::MergeValueNotMapOrSeqOfMaps { .. } => {
            "the value of `<<` has to be a mapping or a list of mappings".to_owned()
        }
        E::Eof { .. } => "invalid YAML: unexpected end of the file".to_owned(),
        E::InvalidScalar { .. }
        | E::InvalidBinaryBase64 { .. }
        | E::BinaryNotUtf8 { .. }
        | E::TaggedScalarCannotDeserializeIntoString { .. } => {
            "this value does not fit its tag".to_owned()
        }
        // A value of any type can be read, so the error is about a key.
        E::Unexpected { .. } | E::NullIntoString { .. } | E::SerdeInvalidType { .. } => {
            "a key has to be text".to_owned()
        }
        E::ExternalMessage { .. } => {
            let message = error.to_string();
            let place = format!(" at line {}, column {}", at.line, at.column);
            let message = message.strip_suffix(&place).unwrap_or(&message);
            format!("invalid YAML: {}", excerpt(message))
        }
        _ => "invalid YAML".to_owned(),
    };
    Problem::error(at, message)
}

fn position(location: Location) -> Position {
    let number = |count: u64| usize::try_from(count).unwrap_or(usize::MAX).max(1);
    Position {
        line: number(location.line()),
        column: number(location.column()),
    }
}

/// Larger whole numbers do not fit into 64 bits.
const LARGEST: f64 = 9_223_372_036_854_775_808.0;
/// How deep values may be nested, aliases included.
const MAX_DEPTH: usize = 64;
/// In bytes. Enough for that depth: a level takes about 50 kB in a debug build.
const STACK: usize = 16 * 1024 * 1024;
/// How many values aliases may repeat in total, and how deep they may be nested.
const MAX_REPLAYED: usize = 100_000;
const MAX_REPLAY_DEPTH: usize = 4;
