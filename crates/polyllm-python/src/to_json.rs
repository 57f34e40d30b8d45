//! Python values as JSON. An error names the place in the value, and never quotes it.

use pyo3::exceptions::PyUnicodeEncodeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyMapping, PyString, PyTuple, PyType};
use serde_json::{Map, Number, Value, json};

use crate::errors;

/// Converts a value; `name` is its name in errors.
///
/// Mappings, sequences, texts, numbers, booleans and `None` are supported, and objects with
/// `model_dump`, such as pydantic's. A class with `model_json_schema` becomes a `response_format`.
pub(crate) fn value(name: &str, object: &Bound<'_, PyAny>) -> PyResult<Value> {
    convert(object, 0).map_err(|failure| failure.into_error(object.py(), name))
}

/// Converts the members of a dictionary, without those that are `None`.
pub(crate) fn members(dict: &Bound<'_, PyDict>) -> PyResult<Map<String, Value>> {
    let mut members = Map::new();
    for (key, object) in dict.iter() {
        if !object.is_none() {
            let key = key.str()?.to_cow()?.into_owned();
            let value = value(&key, &object)?;
            members.insert(key, value);
        }
    }
    Ok(members)
}

/// A value that cannot be converted.
enum Failure {
    /// The path of the value, from the inside out, and what is wrong.
    Invalid(Vec<String>, String),
    /// Python code of the value failed.
    Raised(PyErr),
}

impl Failure {
    fn new(what: impl Into<String>) -> Self {
        Self::Invalid(Vec::new(), what.into())
    }

    fn within(mut self, segment: impl FnOnce() -> String) -> Self {
        if let Self::Invalid(path, _) = &mut self {
            path.push(segment());
        }
        self
    }

    fn into_error(self, py: Python<'_>, name: &str) -> PyErr {
        match self {
            Self::Raised(error) => error,
            Self::Invalid(path, what) => {
                let path: String = path.into_iter().rev().collect();
                errors::bad_request(py, &format!("{name}{path}: {what}"), name)
            }
        }
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self::Raised(error)
    }
}

fn convert(object: &Bound<'_, PyAny>, depth: usize) -> Result<Value, Failure> {
    if depth > MAX_DEPTH {
        return Err(Failure::new(
            "the value is nested too deeply, or contains itself",
        ));
    }
    if object.is_none() {
        Ok(Value::Null)
    } else if let Ok(text) = object.cast::<PyString>() {
        string(text).map(Value::String)
    } else if let Ok(flag) = object.cast::<PyBool>() {
        Ok(Value::Bool(flag.is_true()))
    } else if let Ok(number) = object.cast::<PyInt>() {
        integer(number)
    } else if let Ok(number) = object.cast::<PyFloat>() {
        float(number.value())
    } else if let Ok(list) = object.cast::<PyList>() {
        array(list.iter(), depth)
    } else if let Ok(tuple) = object.cast::<PyTuple>() {
        array(tuple.iter(), depth)
    } else if let Ok(dict) = object.cast::<PyDict>() {
        let mut map = Map::new();
        for (key, value) in dict.iter() {
            insert(&mut map, &key, &value, depth)?;
        }
        Ok(Value::Object(map))
    } else {
        other(object, depth)
    }
}

fn other(object: &Bound<'_, PyAny>, depth: usize) -> Result<Value, Failure> {
    if let Ok(class) = object.cast::<PyType>() {
        return schema(class, depth);
    }
    if let Ok(mapping) = object.cast::<PyMapping>() {
        let mut map = Map::new();
        for item in mapping.items()?.iter() {
            let (key, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
            insert(&mut map, &key, &value, depth)?;
        }
        return Ok(Value::Object(map));
    }
    if object.hasattr("model_dump")? {
        let options = PyDict::new(object.py());
        options.set_item("exclude_none", true)?;
        let members = object.call_method("model_dump", (), Some(&options))?;
        return convert(&members, depth + 1);
    }
    // Numbers of other libraries, such as NumPy's.
    if object.hasattr("__index__")? {
        return convert(&object.call_method0("__index__")?, depth + 1);
    }
    if object.hasattr("__float__")? {
        return convert(&object.call_method0("__float__")?, depth + 1);
    }
    Err(unsupported(object))
}

/// A class that describes the reply, as pydantic's models do.
fn schema(class: &Bound<'_, PyType>, depth: usize) -> Result<Value, Failure> {
    if !class.hasattr("model_json_schema")? {
        return Err(unsupported(class.as_any()));
    }
    let name = class.name()?.to_cow()?.into_owned();
    let schema = convert(&class.call_method0("model_json_schema")?, depth + 1)?;
    Ok(json!({
        "type": "json_schema",
        "json_schema": { "name": name, "schema": schema, "strict": true },
    }))
}

fn unsupported(object: &Bound<'_, PyAny>) -> Failure {
    let class = object.get_type();
    let class = class.name().map(|name| name.to_string_lossy().into_owned());
    let class = class.unwrap_or_else(|_| "unknown".to_owned());
    Failure::new(format!("a value of type {class} cannot be sent as JSON"))
}

fn insert(
    map: &mut Map<String, Value>,
    key: &Bound<'_, PyAny>,
    value: &Bound<'_, PyAny>,
    depth: usize,
) -> Result<(), Failure> {
    let Ok(key) = key.cast::<PyString>() else {
        return Err(Failure::new("the keys of a mapping must be strings"));
    };
    let key = string(key)?;
    let value =
        convert(value, depth + 1).map_err(|failure| failure.within(|| format!(".{key}")))?;
    map.insert(key, value);
    Ok(())
}

fn array<'py>(
    items: impl Iterator<Item = Bound<'py, PyAny>>,
    depth: usize,
) -> Result<Value, Failure> {
    let items = items.enumerate().map(|(index, item)| {
        convert(&item, depth + 1).map_err(|failure| failure.within(|| format!("[{index}]")))
    });
    items.collect::<Result<_, _>>().map(Value::Array)
}

fn string(text: &Bound<'_, PyString>) -> Result<String, Failure> {
    match text.to_cow() {
        Ok(text) => Ok(text.into_owned()),
        Err(error) if error.is_instance_of::<PyUnicodeEncodeError>(text.py()) => {
            Err(Failure::new("the text has a surrogate that is not paired"))
        }
        Err(error) => Err(error.into()),
    }
}

fn integer(number: &Bound<'_, PyInt>) -> Result<Value, Failure> {
    if let Ok(number) = number.extract::<i64>() {
        return Ok(number.into());
    }
    let unsigned = number.extract::<u64>();
    unsigned
        .map(Value::from)
        .map_err(|_| Failure::new("an integer of more than 64 bits cannot be sent"))
}

fn float(number: f64) -> Result<Value, Failure> {
    let number = Number::from_f64(number);
    number
        .map(Value::Number)
        .ok_or_else(|| Failure::new("NaN and infinity cannot be sent as JSON"))
}

/// As deep as `serde_json` reads.
const MAX_DEPTH: usize = 127;
