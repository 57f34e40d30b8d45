//! The input schemas of the simulated models, and the validation of inputs.

use serde_json::{Map, Value, json};

use crate::replicate::problem::Invalid;

/// One property of an `Input` schema.
#[derive(Debug)]
pub(crate) struct Field {
    name: &'static str,
    kind: Kind,
    required: bool,
    default: Preset,
    least: Option<f64>,
    most: Option<f64>,
    one_of: &'static [&'static str],
    about: &'static str,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Boolean,
    Integer,
    Number,
    Objects,
    Text,
    Uris,
}

#[derive(Clone, Copy, Debug)]
enum Preset {
    None,
    Flag(bool),
    Number(f64),
    Text(&'static str),
}

/// A model's inputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema(pub(super) &'static [Field]);

impl Schema {
    /// `components.schemas.Input`.
    pub(crate) fn input(self) -> Value {
        let mut properties = Map::new();
        for (order, field) in (0_u64..).zip(self.0) {
            properties.insert(field.name.to_owned(), field.property(order));
        }
        let required: Vec<_> = self
            .0
            .iter()
            .filter(|field| field.required)
            .map(|field| field.name)
            .collect();
        let mut input = json!({"type": "object", "title": "Input", "properties": properties});
        if !required.is_empty() {
            input["required"] = json!(required);
        }
        input
    }

    /// The invalid fields. Keys that are not in the schema are ignored, as at Replicate.
    pub(crate) fn check(self, input: &Map<String, Value>) -> Vec<Invalid> {
        let missing = |field: &&Field| field.required && !input.contains_key(field.name);
        let mut invalid: Vec<_> = self
            .0
            .iter()
            .filter(missing)
            .map(|field| Invalid::required("input", field.name))
            .collect();
        let given = self
            .0
            .iter()
            .filter_map(|field| Some((field, input.get(field.name)?)));
        invalid.extend(given.filter_map(|(field, value)| field.check(value)));
        invalid
    }

    pub(crate) fn has(self, name: &str) -> bool {
        self.0.iter().any(|field| field.name == name)
    }

    pub(crate) fn default_text(self, name: &str) -> Option<&'static str> {
        self.0
            .iter()
            .find(|field| field.name == name)
            .and_then(|field| match field.default {
                Preset::Text(text) => Some(text),
                _ => None,
            })
    }

    pub(crate) fn default_number(self, name: &str) -> Option<f64> {
        self.0
            .iter()
            .find(|field| field.name == name)
            .and_then(|field| match field.default {
                Preset::Number(number) => Some(number),
                _ => None,
            })
    }
}

impl Field {
    pub(super) const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    pub(super) const fn preset(self, text: &'static str) -> Self {
        Self {
            default: Preset::Text(text),
            ..self
        }
    }

    pub(super) const fn flag(self, flag: bool) -> Self {
        Self {
            default: Preset::Flag(flag),
            ..self
        }
    }

    pub(super) const fn from(self, least: f64) -> Self {
        Self {
            least: Some(least),
            ..self
        }
    }

    pub(super) const fn to(self, most: f64) -> Self {
        Self {
            most: Some(most),
            ..self
        }
    }

    pub(super) const fn one_of(self, one_of: &'static [&'static str]) -> Self {
        Self { one_of, ..self }
    }

    fn property(&self, order: u64) -> Value {
        let mut property = json!({"title": title(self.name), "x-order": order});
        match self.kind {
            Kind::Boolean => property["type"] = json!("boolean"),
            Kind::Integer => property["type"] = json!("integer"),
            Kind::Number => property["type"] = json!("number"),
            Kind::Text => property["type"] = json!("string"),
            Kind::Objects => {
                property["type"] = json!("array");
                property["items"] = json!({"type": "object"});
            }
            Kind::Uris => {
                property["type"] = json!("array");
                property["items"] = json!({"type": "string", "format": "uri"});
            }
        }
        match self.default {
            Preset::None => {}
            Preset::Flag(flag) => property["default"] = json!(flag),
            Preset::Number(number) => property["default"] = self.number(number),
            Preset::Text(text) => property["default"] = json!(text),
        }
        if let Some(least) = self.least {
            property["minimum"] = self.number(least);
        }
        if let Some(most) = self.most {
            property["maximum"] = self.number(most);
        }
        if !self.one_of.is_empty() {
            property["enum"] = json!(self.one_of);
        }
        property["description"] = json!(self.about);
        property
    }

    fn number(&self, number: f64) -> Value {
        match self.kind {
            Kind::Integer => json!(number as i64),
            _ => json!(number),
        }
    }

    fn check(&self, value: &Value) -> Option<Invalid> {
        let path = format!("input.{}", self.name);
        let (fits, expected) = match self.kind {
            Kind::Boolean => (value.is_boolean(), "boolean"),
            Kind::Integer => (
                value.as_f64().is_some_and(|number| number.fract() == 0.0),
                "integer",
            ),
            Kind::Number => (value.is_number(), "number"),
            Kind::Text => (value.is_string(), "string"),
            Kind::Objects | Kind::Uris => (value.is_array(), "array"),
        };
        if !fits {
            return Some(Invalid::wrong_type(&path, expected, value));
        }
        let number = value.as_f64();
        if let (Some(number), Some(least)) = (number, self.least)
            && number < least
        {
            let text = format!("Must be greater than or equal to {least}");
            return Some(Invalid::new("number_gte", path, text));
        }
        if let (Some(number), Some(most)) = (number, self.most)
            && number > most
        {
            let text = format!("Must be less than or equal to {most}");
            return Some(Invalid::new("number_lte", path, text));
        }
        let text = value.as_str()?;
        if !self.one_of.is_empty() && !self.one_of.contains(&text) {
            let known: Vec<_> = self.one_of.iter().map(|one| format!("\"{one}\"")).collect();
            let text = format!(
                "{} must be one of the following: {}",
                self.name,
                known.join(", ")
            );
            return Some(Invalid::new("enum", path, text));
        }
        None
    }
}

/// `max_new_tokens` to `Max New Tokens`, like Cog.
fn title(name: &str) -> String {
    let words = name.split('_').map(|word| match word.chars().next() {
        Some(first) => format!(
            "{}{}",
            first.to_ascii_uppercase(),
            &word[first.len_utf8()..]
        ),
        None => String::new(),
    });
    words.collect::<Vec<_>>().join(" ")
}

pub(super) const fn field(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field {
        name,
        kind,
        required: false,
        default: Preset::None,
        least: None,
        most: None,
        one_of: &[],
        about,
    }
}

pub(super) const fn text(name: &'static str, about: &'static str) -> Field {
    field(name, Kind::Text, about)
}

pub(super) const fn integer(
    name: &'static str,
    default: f64,
    least: f64,
    about: &'static str,
) -> Field {
    let field = field(name, Kind::Integer, about);
    Field {
        default: Preset::Number(default),
        least: Some(least),
        ..field
    }
}

pub(super) const fn number(name: &'static str, default: f64, about: &'static str) -> Field {
    Field {
        default: Preset::Number(default),
        ..field(name, Kind::Number, about)
    }
}
