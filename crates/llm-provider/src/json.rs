use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;
use llm_types::RawObject;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Error, ErrorKind, Result};

/// A JSON document that is parsed, or written, only when somebody asks.
///
/// What came from a socket keeps its bytes, so that a body which nobody changes leaves byte for
/// byte as it came; what a program built is written once.
///
/// ```
/// use llm_provider::Json;
/// use llm_types::ChatRequest;
///
/// let body = br#"{"model":"llama","messages":[],"top_k":20}"#;
/// let request: Json<ChatRequest> = Json::from_bytes(body.as_slice());
/// let renamed = request.edit([("model", "meta/llama-3".into())], &Default::default())?;
/// assert_eq!(&renamed.bytes()[..], br#"{"model":"meta/llama-3","messages":[],"top_k":20}"#);
/// assert_eq!(renamed.value()?.model, "meta/llama-3");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Json<T> {
    // At least one of the two is set: the constructors see to it.
    bytes: OnceLock<Bytes>,
    // Boxed, since most documents travel as bytes and a chat request is large.
    value: OnceLock<Box<T>>,
}

impl<T> Json<T> {
    /// Takes a document as it came. It is not looked at until somebody asks.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: OnceLock::from(bytes.into()),
            value: OnceLock::new(),
        }
    }

    /// Takes a value that a program built.
    pub fn from_value(value: T) -> Self {
        Self {
            bytes: OnceLock::new(),
            value: OnceLock::from(Box::new(value)),
        }
    }

    /// The bytes, if there are any yet.
    pub fn raw(&self) -> Option<&Bytes> {
        self.bytes.get()
    }
}

impl<T: DeserializeOwned> Json<T> {
    /// The value; parsed at the first call.
    ///
    /// # Errors
    /// When the bytes are not a `T`.
    pub fn value(&self) -> Result<&T, serde_json::Error> {
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        let value = Box::new(self.parse()?);
        Ok(self.value.get_or_init(|| value))
    }

    /// The value, without keeping the bytes.
    ///
    /// # Errors
    /// When the bytes are not a `T`.
    pub fn into_value(mut self) -> Result<T, serde_json::Error> {
        self.value
            .take()
            .map_or_else(|| self.parse(), |value| Ok(*value))
    }

    fn parse(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(self.bytes.get().map_or(&[][..], |bytes| bytes))
    }
}

impl<T: Serialize> Json<T> {
    /// The bytes; written at the first call when there were none.
    pub fn bytes(&self) -> &Bytes {
        self.bytes.get_or_init(|| {
            // Writing can only fail for maps whose keys are not strings; no type here has one.
            let written = self
                .value
                .get()
                .map(serde_json::to_vec)
                .and_then(Result::ok);
            Bytes::from(written.unwrap_or_default())
        })
    }

    /// Whether there is a top-level field of that name, with whatever value.
    pub fn has_field(&self, key: &str) -> bool {
        RawObject::parse(self.bytes()).is_ok_and(|object| object.contains_key(key))
    }

    /// A top-level field that is a string, read without parsing the rest.
    pub fn str_field(&self, key: &str) -> Option<String> {
        RawObject::parse(self.bytes())
            .ok()?
            .str(key)
            .map(std::borrow::Cow::into_owned)
    }

    /// A top-level field that is a whole number, read without parsing the rest.
    pub fn u64_field(&self, key: &str) -> Option<u64> {
        RawObject::parse(self.bytes()).ok()?.get(key)?.parse().ok()
    }

    /// A document in which the top-level fields of `set` stand, and those of `defaults` where
    /// the document had none; all else is copied byte for byte.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when the document is not a JSON object.
    pub fn edit<const N: usize>(
        &self,
        set: [(&str, Value); N],
        defaults: &Map<String, Value>,
    ) -> Result<Self> {
        let object = RawObject::parse(self.bytes()).map_err(|error| {
            Error::new(ErrorKind::InvalidRequest, error.to_string()).with_source(error)
        })?;
        let mut edit = object.edit();
        for (key, value) in &set {
            edit = edit.set(key, value);
        }
        for (key, value) in defaults {
            edit = edit.set_default(key, value);
        }
        Ok(Self::from_bytes(edit.finish()))
    }
}

impl<T: Clone> Clone for Json<T> {
    fn clone(&self) -> Self {
        Self {
            bytes: self.bytes.clone(),
            value: self.value.clone(),
        }
    }
}

/// Shows the length only: a body holds a prompt or an answer.
impl<T> fmt::Debug for Json<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Json")
            .field("bytes", &self.bytes.get().map(Bytes::len))
            .field("parsed", &self.value.get().is_some())
            .finish()
    }
}
