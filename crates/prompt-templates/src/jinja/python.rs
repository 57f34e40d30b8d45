//! Prints values like Python: `str`, `repr` and `json.dumps`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::budget::{BoundedText, Budget, MAX_DEPTH, exhausted};
use super::generator::Generator;
use crate::python::{write_float, write_json_string, write_quoted};

/// `str(value)`, which must not be longer than `room`.
pub(super) fn str(value: &Value, room: usize) -> Result<String, Error> {
    let mut text = BoundedText::new(room);
    write_str(&mut text, value)?;
    Ok(text.out)
}

/// Appends `str(value)`.
pub(super) fn write_str(text: &mut BoundedText, value: &Value) -> Result<(), Error> {
    match value.as_str() {
        Some(string) => text.push(string),
        None => write_repr(text, value, 0),
    }
}

/// `repr(value)`, which must not be longer than `room`.
pub(super) fn repr(value: &Value, room: usize) -> Result<String, Error> {
    let mut text = BoundedText::new(room);
    write_repr(&mut text, value, 0)?;
    Ok(text.out)
}

/// The filter `tojson`, which is `json.dumps` with its keywords.
pub(super) fn tojson(
    state: &mut State<'_, '_>,
    value: &Value,
    kwargs: Kwargs,
) -> Result<String, Error> {
    let budget = Budget::of(state);
    for name in kwargs.args() {
        budget.walk(&kwargs.peek(name)?)?;
    }
    let mut json = Json::new(&kwargs, budget.room())?;
    kwargs.assert_all_used()?;
    json.write(value, 0)?;
    budget.allocate(json.text.out.len())?;
    Ok(json.text.out)
}

struct Json {
    text: BoundedText,
    ensure_ascii: bool,
    sort_keys: bool,
    indent: Option<String>,
    item_separator: String,
    key_separator: String,
}

impl Json {
    fn new(kwargs: &Kwargs, room: usize) -> Result<Self, Error> {
        let indent: Option<Value> = kwargs.get("indent")?;
        let indent = match indent.filter(|indent| !indent.is_none()) {
            None => None,
            Some(indent) => Some(match indent.as_str() {
                Some(text) => text.into(),
                None => " ".repeat(i64::try_from(indent)?.clamp(0, 64) as usize),
            }),
        };
        let separators: Option<Vec<String>> = kwargs.get("separators")?;
        let [item_separator, key_separator] = match separators {
            Some(separators) => separators.try_into().map_err(|_| {
                Error::new(
                    ErrorKind::InvalidOperation,
                    "separators must be a pair of strings",
                )
            })?,
            None if indent.is_some() => [",".into(), ": ".into()],
            None => [", ".into(), ": ".into()],
        };
        Ok(Self {
            text: BoundedText::new(room),
            ensure_ascii: kwargs.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
            sort_keys: kwargs.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
            indent,
            item_separator,
            key_separator,
        })
    }

    fn write(&mut self, value: &Value, depth: usize) -> Result<(), Error> {
        check_depth(depth)?;
        match value.kind() {
            ValueKind::None => self.text.push("null"),
            ValueKind::Bool => self
                .text
                .push(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => write_number(&mut self.text, value, ["NaN", "Infinity"]),
            ValueKind::String => self.string(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable if !Generator::is(value) => {
                self.text.push("[")?;
                let mut empty = true;
                for item in value.try_iter()?.checked() {
                    self.begin_item(empty, depth)?;
                    empty = false;
                    self.write(&item?, depth + 1)?;
                }
                self.end(empty, depth, "]")
            }
            ValueKind::Map => self.map(value, depth),
            kind => {
                let detail = format!("{kind} is not JSON serializable");
                Err(Error::new(ErrorKind::BadSerialization, detail))
            }
        }
    }

    fn map(&mut self, map: &Value, depth: usize) -> Result<(), Error> {
        let mut entries = Vec::new();
        for key in map.try_iter()?.checked() {
            let key = key?;
            entries.push((json_key(&key)?, map.get_item(&key)?));
        }
        if self.sort_keys {
            entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        self.text.push("{")?;
        for (index, (key, value)) in entries.iter().enumerate() {
            self.begin_item(index == 0, depth)?;
            self.string(key)?;
            self.text.push(&self.key_separator)?;
            self.write(value, depth + 1)?;
        }
        self.end(entries.is_empty(), depth, "}")
    }

    fn begin_item(&mut self, first: bool, depth: usize) -> Result<(), Error> {
        if !first {
            self.text.push(&self.item_separator)?;
        }
        self.line(depth + 1)
    }

    fn end(&mut self, empty: bool, depth: usize, bracket: &str) -> Result<(), Error> {
        if !empty {
            self.line(depth)?;
        }
        self.text.push(bracket)
    }

    fn line(&mut self, depth: usize) -> Result<(), Error> {
        if let Some(indent) = &self.indent {
            self.text.push("\n")?;
            for _ in 0..depth {
                self.text.push(indent)?;
            }
        }
        Ok(())
    }

    fn string(&mut self, text: &str) -> Result<(), Error> {
        let ensure_ascii = self.ensure_ascii;
        self.text
            .write(text.len(), |out| write_json_string(out, text, ensure_ascii))
    }
}

/// A key as the string that `json.dumps` writes for it.
fn json_key(key: &Value) -> Result<String, Error> {
    Ok(match key.kind() {
        ValueKind::String => key.as_str().unwrap_or_default().into(),
        ValueKind::None => "null".into(),
        ValueKind::Bool => (if key.is_true() { "true" } else { "false" }).into(),
        ValueKind::Number => {
            let mut text = BoundedText::new(usize::MAX);
            write_number(&mut text, key, ["NaN", "Infinity"])?;
            text.out
        }
        kind => {
            let detail = format!("{kind} cannot be a key in JSON");
            return Err(Error::new(ErrorKind::BadSerialization, detail));
        }
    })
}

fn write_repr(text: &mut BoundedText, value: &Value, depth: usize) -> Result<(), Error> {
    check_depth(depth)?;
    match value.kind() {
        ValueKind::None => text.push("None"),
        ValueKind::Bool => text.push(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number => write_number(text, value, ["nan", "inf"]),
        ValueKind::String => {
            let string = value.as_str().unwrap_or_default();
            text.write(string.len(), |out| write_quoted(out, string))
        }
        ValueKind::Seq | ValueKind::Iterable => {
            let [open, close] = if value.is_tuple() {
                ["(", ")"]
            } else {
                ["[", "]"]
            };
            text.push(open)?;
            let mut count = 0;
            for item in value.try_iter()?.checked() {
                if count > 0 {
                    text.push(", ")?;
                }
                count += 1;
                write_repr(text, &item?, depth + 1)?;
            }
            if value.is_tuple() && count == 1 {
                text.push(",")?;
            }
            text.push(close)
        }
        ValueKind::Map => {
            text.push("{")?;
            for (index, key) in value.try_iter()?.checked().enumerate() {
                let key = key?;
                if index > 0 {
                    text.push(", ")?;
                }
                write_repr(text, &key, depth + 1)?;
                text.push(": ")?;
                write_repr(text, &value.get_item(&key)?, depth + 1)?;
            }
            text.push("}")
        }
        ValueKind::Undefined => Ok(()),
        _ => text.push(&value.to_string()),
    }
}

fn write_number(text: &mut BoundedText, value: &Value, [nan, inf]: [&str; 2]) -> Result<(), Error> {
    if value.is_integer() {
        return text.push(&value.to_string());
    }
    match f64::try_from(value.clone()) {
        Ok(float) if float.is_nan() => text.push(nan),
        Ok(float) if float.is_infinite() => {
            if float < 0.0 {
                text.push("-")?;
            }
            text.push(inf)
        }
        Ok(float) => text.write(0, |out| write_float(out, float)),
        Err(_) => text.push(&value.to_string()),
    }
}

fn check_depth(depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(exhausted("a value is nested too deeply"));
    }
    Ok(())
}
