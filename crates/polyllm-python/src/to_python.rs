//! JSON as Python objects of the classes in `polyllm.responses`.

use std::fmt;

use llm_provider::{Document, Endpoint, Error, ErrorKind};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyType};
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::errors;

/// Converts a reply, or a chunk of a streamed one.
pub(crate) fn document<'py>(
    py: Python<'py>,
    endpoint: &'static dyn Endpoint,
    is_chunk: bool,
    document: &Document,
) -> PyResult<Bound<'py, PyAny>> {
    let classes = Classes::get(py)?;
    let shape = classes.of(endpoint.path(), is_chunk);
    let mut text = serde_json::Deserializer::from_slice(document.bytes());
    let seed = Seed {
        py,
        shape,
        default: &classes.default,
    };
    seed.deserialize(&mut text).map_err(|error| {
        let message = "the reply cannot be read";
        let error = Error::new(ErrorKind::UnexpectedBody, message).with_source(error);
        errors::raise(py, &error, None)
    })
}

/// Converts any JSON value to plain Python objects.
pub(crate) fn plain<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Null => Ok(py.None().into_bound(py)),
        Value::Bool(flag) => flag.into_bound_py_any(py),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => number.into_bound_py_any(py),
            (None, Some(number)) => number.into_bound_py_any(py),
            (None, None) => number.as_f64().into_bound_py_any(py),
        },
        Value::String(text) => text.into_bound_py_any(py),
        Value::Array(items) => {
            let items = items.iter().map(|item| plain(py, item));
            PyList::new(py, items.collect::<PyResult<Vec<_>>>()?)?.into_bound_py_any(py)
        }
        Value::Object(members) => {
            let dict = PyDict::new(py);
            for (key, value) in members {
                dict.set_item(key, plain(py, value)?)?;
            }
            dict.into_bound_py_any(py)
        }
    }
}

/// The classes of `polyllm.responses`, by the path of the endpoint.
struct Classes {
    default: Shape,
    replies: Vec<(String, Shape)>,
    chunks: Vec<(String, Shape)>,
}

/// A class, and the classes of its members that are objects or lists of objects.
struct Shape {
    class: Py<PyType>,
    members: Vec<(String, Self)>,
}

impl Classes {
    fn get(py: Python<'_>) -> PyResult<&Self> {
        static CLASSES: PyOnceLock<Classes> = PyOnceLock::new();
        CLASSES.get_or_try_init(py, || {
            let module = py.import("polyllm.responses")?;
            Ok(Self {
                default: Shape::of(&module.getattr("Object")?)?,
                replies: Shape::table(&module.getattr("_REPLIES")?)?,
                chunks: Shape::table(&module.getattr("_CHUNKS")?)?,
            })
        })
    }

    fn of(&self, path: &str, is_chunk: bool) -> &Shape {
        let table = if is_chunk {
            &self.chunks
        } else {
            &self.replies
        };
        let found = table.iter().find(|(known, _)| known == path);
        found.map_or(&self.default, |(_, shape)| shape)
    }
}

impl Shape {
    fn of(class: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(Self {
            members: Self::table(&class.getattr("_members")?)?,
            class: class.cast::<PyType>()?.clone().unbind(),
        })
    }

    fn table(table: &Bound<'_, PyAny>) -> PyResult<Vec<(String, Self)>> {
        let entries = table.cast::<PyDict>()?.iter();
        entries
            .map(|(name, class)| Ok((name.extract()?, Self::of(&class)?)))
            .collect()
    }

    fn member(&self, name: &str) -> Option<&Self> {
        let found = self.members.iter().find(|(known, _)| known == name);
        found.map(|(_, shape)| shape)
    }
}

/// Reads a value; an object becomes an instance of the shape's class.
#[derive(Clone, Copy)]
struct Seed<'a, 'py> {
    py: Python<'py>,
    shape: &'a Shape,
    default: &'a Shape,
}

impl<'de, 'py> DeserializeSeed<'de> for Seed<'_, 'py> {
    type Value = Bound<'py, PyAny>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, 'py> Visitor<'de> for Seed<'_, 'py> {
    type Value = Bound<'py, PyAny>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(self.py.None().into_bound(self.py))
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Self::Value, E> {
        value.into_bound_py_any(self.py).map_err(E::custom)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
        value.into_bound_py_any(self.py).map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
        value.into_bound_py_any(self.py).map_err(E::custom)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        value.into_bound_py_any(self.py).map_err(E::custom)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Self::Value, E> {
        value.into_bound_py_any(self.py).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        use serde::de::Error as _;
        let list = PyList::empty(self.py);
        while let Some(item) = items.next_element_seed(self)? {
            list.append(item).map_err(A::Error::custom)?;
        }
        Ok(list.into_any())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        use serde::de::Error as _;
        let object = self.shape.class.bind(self.py).call0();
        let object = object.map_err(A::Error::custom)?;
        let dict = object.cast::<PyDict>().map_err(A::Error::custom)?;
        while let Some(key) = members.next_key::<std::borrow::Cow<'de, str>>()? {
            let shape = self.shape.member(&key).unwrap_or(self.default);
            let value = members.next_value_seed(Self { shape, ..self })?;
            dict.set_item(&*key, value).map_err(A::Error::custom)?;
        }
        Ok(object)
    }
}
