//! Values as Python prints them: `str`, `repr` and `json.dumps`.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Error, ErrorKind};

use super::environment::is_generator;
use crate::python::{write_float, write_json_string, write_quoted};

/// `str(value)`.
pub(super) fn str(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.into()),
        None => {
            let mut out = String::new();
            write_repr(&mut out, value, 0)?;
            Ok(out)
        }
    }
}

/// The filter `tojson`, which is `json.dumps` with its keywords.
pub(super) fn tojson(value: &Value, kwargs: Kwargs) -> Result<String, Error> {
    let mut json = Json::new(&kwargs)?;
    kwargs.assert_all_used()?;
    json.write(value, 0)?;
    Ok(json.out)
}

struct Json {
    out: String,
    ensure_ascii: bool,
    sort_keys: bool,
    indent: Option<String>,
    item_separator: String,
    key_separator: String,
}

impl Json {
    fn new(kwargs: &Kwargs) -> Result<Self, Error> {
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
            out: String::new(),
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
            ValueKind::None => self.out.push_str("null"),
            ValueKind::Bool => self
                .out
                .push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => write_number(&mut self.out, value, ["NaN", "Infinity"]),
            ValueKind::String => self.string(value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable if !is_generator(value) => {
                self.out.push('[');
                let mut empty = true;
                for item in value.try_iter()?.checked() {
                    self.begin_item(empty, depth);
                    empty = false;
                    self.write(&item?, depth + 1)?;
                }
                self.end(empty, depth, ']');
            }
            ValueKind::Map => {
                let mut entries = Vec::new();
                for key in value.try_iter()?.checked() {
                    let key = key?;
                    entries.push((json_key(&key)?, value.get_item(&key)?));
                }
                if self.sort_keys {
                    entries.sort_by(|(a, _), (b, _)| a.cmp(b));
                }
                self.out.push('{');
                for (index, (key, value)) in entries.iter().enumerate() {
                    self.begin_item(index == 0, depth);
                    self.string(key);
                    self.out.push_str(&self.key_separator);
                    self.write(value, depth + 1)?;
                }
                self.end(entries.is_empty(), depth, '}');
            }
            kind => {
                let detail = format!("{kind} is not JSON serializable");
                return Err(Error::new(ErrorKind::BadSerialization, detail));
            }
        }
        Ok(())
    }

    fn begin_item(&mut self, first: bool, depth: usize) {
        if !first {
            self.out.push_str(&self.item_separator);
        }
        self.line(depth + 1);
    }

    fn end(&mut self, empty: bool, depth: usize, bracket: char) {
        if !empty {
            self.line(depth);
        }
        self.out.push(bracket);
    }

    fn line(&mut self, depth: usize) {
        if let Some(indent) = &self.indent {
            self.out.push('\n');
            for _ in 0..depth {
                self.out.push_str(indent);
            }
        }
    }

    fn string(&mut self, text: &str) {
        write_json_string(&mut self.out, text, self.ensure_ascii);
    }
}

/// A key as `json.dumps` makes a string of it.
fn json_key(key: &Value) -> Result<String, Error> {
    Ok(match key.kind() {
        ValueKind::String => key.as_str().unwrap_or_default().into(),
        ValueKind::None => "null".into(),
        ValueKind::Bool => (if key.is_true() { "true" } else { "false" }).into(),
        ValueKind::Number => {
            let mut out = String::new();
            write_number(&mut out, key, ["NaN", "Infinity"]);
            out
        }
        kind => {
            let detail = format!("{kind} cannot be a key in JSON");
            return Err(Error::new(ErrorKind::BadSerialization, detail));
        }
    })
}

fn write_repr(out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    check_depth(depth)?;
    match value.kind() {
        ValueKind::None => out.push_str("None"),
        ValueKind::Bool => out.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::Number => write_number(out, value, ["nan", "inf"]),
        ValueKind::String => write_quoted(out, value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            let [open, close] = if value.is_tuple() {
                ['(', ')']
            } else {
                ['[', ']']
            };
            out.push(open);
            let mut count = 0;
            for item in value.try_iter()?.checked() {
                if count > 0 {
                    out.push_str(", ");
                }
                count += 1;
                write_repr(out, &item?, depth + 1)?;
            }
            if value.is_tuple() && count == 1 {
                out.push(',');
            }
            out.push(close);
        }
        ValueKind::Map => {
            out.push('{');
            for (index, key) in value.try_iter()?.checked().enumerate() {
                let key = key?;
                if index > 0 {
                    out.push_str(", ");
                }
                write_repr(out, &key, depth + 1)?;
                out.push_str(": ");
                write_repr(out, &value.get_item(&key)?, depth + 1)?;
            }
            out.push('}');
        }
        ValueKind::Undefined => {}
        _ => out.push_str(&value.to_string()),
    }
    Ok(())
}

fn write_number(out: &mut String, value: &Value, [nan, inf]: [&str; 2]) {
    if value.is_integer() {
        out.push_str(&value.to_string());
        return;
    }
    match f64::try_from(value.clone()) {
        Ok(float) if float.is_nan() => out.push_str(nan),
        Ok(float) if float.is_infinite() => {
            if float < 0.0 {
                out.push('-');
            }
            out.push_str(inf);
        }
        Ok(float) => write_float(out, float),
        Err(_) => out.push_str(&value.to_string()),
    }
}

/// A value may hold itself, by way of a namespace.
fn check_depth(depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            "the value is nested too deeply",
        ));
    }
    Ok(())
}

const MAX_DEPTH: usize = 200;
