//! Reads a request's body strictly: a wrong type is named, `null` counts as absent.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::together::error::Refusal;

#[derive(Debug)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    pub(crate) fn read(body: &[u8]) -> Result<Self, Refusal> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(Refusal::body("Request body must be a JSON object")),
            Err(error) => Err(Refusal::body(format!(
                "Invalid JSON in request body: {error}"
            ))),
        }
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn any(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    pub(crate) fn required(&self, name: &'static str) -> Result<&Value, Refusal> {
        self.any(name)
            .ok_or_else(|| Refusal::invalid(name, format!("{name} is required")))
    }

    pub(crate) fn text(&self, name: &'static str) -> Result<&str, Refusal> {
        self.required(name)?
            .as_str()
            .ok_or_else(|| wrong(name, "a string"))
    }

    pub(crate) fn flag(&self, name: &'static str) -> Result<bool, Refusal> {
        let Some(value) = self.any(name) else {
            return Ok(false);
        };
        value.as_bool().ok_or_else(|| wrong(name, "a boolean"))
    }

    pub(crate) fn number(
        &self,
        name: &'static str,
        within: RangeInclusive<f64>,
    ) -> Result<Option<f64>, Refusal> {
        let Some(value) = self.any(name) else {
            return Ok(None);
        };
        let number = value.as_f64().ok_or_else(|| wrong(name, "a number"))?;
        if within.contains(&number) {
            Ok(Some(number))
        } else {
            Err(outside(name, &within))
        }
    }

    pub(crate) fn integer(
        &self,
        name: &'static str,
        within: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Refusal> {
        let Some(value) = self.any(name) else {
            return Ok(None);
        };
        match value.as_u64() {
            Some(number) if within.contains(&number) => Ok(Some(number)),
            // The wording that users of the API have reported.
            Some(number) if number > *within.end() => Err(Refusal::invalid(
                name,
                format!(
                    "{number} is greater than the maximum of {} - '{name}'",
                    within.end()
                ),
            )),
            _ if value.is_i64() || value.is_u64() => Err(outside(name, &within)),
            _ => Err(wrong(name, "an integer")),
        }
    }

    pub(crate) fn list(&self, name: &'static str) -> Result<&[Value], Refusal> {
        match self.any(name) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(wrong(name, "an array")),
        }
    }

    pub(crate) fn strings(&self, name: &'static str) -> Result<Vec<String>, Refusal> {
        let item = |item: &Value| item.as_str().map(str::to_owned);
        let strings = self.list(name)?.iter().map(item).collect::<Option<_>>();
        strings.ok_or_else(|| wrong(name, "an array of strings"))
    }
}

pub(crate) fn wrong(name: &'static str, wanted: &str) -> Refusal {
    Refusal::invalid(
        name,
        format!("Input validation error: `{name}` must be {wanted}"),
    )
}

fn outside<T: std::fmt::Display>(name: &'static str, within: &RangeInclusive<T>) -> Refusal {
    let (from, to) = (within.start(), within.end());
    Refusal::invalid(
        name,
        format!("Input validation error: `{name}` must be between {from} and {to}"),
    )
}
