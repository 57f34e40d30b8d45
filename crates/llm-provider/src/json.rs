use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use llm_types::{Edit, ParseError, Piece, RawIndex, RawObject};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Error, ErrorKind, Result};

/// A JSON document that is parsed, or written, only when somebody asks.
///
/// What came from a socket keeps its bytes, so that a body which nobody changes leaves byte for
/// byte as it came; what a program built is written once. However many layers look at its members
/// or change them, its text is searched once, and copied once, when it is sent.
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
    /// The text, without the changes. It or the value is set: the constructors see to it.
    text: OnceLock<Text>,
    /// Changes to the text, each after those before it.
    changes: Vec<Change>,
    /// The text with the changes, if there are any.
    changed: OnceLock<Bytes>,
    // Boxed, since most documents travel as bytes and a chat request is large.
    value: OnceLock<Box<T>>,
}

/// A text, and where its members are once somebody has asked.
#[derive(Clone)]
struct Text {
    bytes: Bytes,
    index: OnceLock<Arc<RawIndex>>,
}

/// A member and its new value; `None` when it is to go.
type Change = (Cow<'static, str>, Option<Value>);

impl<T> Json<T> {
    /// Takes a document as it came. It is not looked at until somebody asks.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Self {
        Self::new(OnceLock::from(Text::from(bytes.into())), OnceLock::new())
    }

    /// Takes a value that a program built.
    pub fn from_value(value: T) -> Self {
        Self::new(OnceLock::new(), OnceLock::from(Box::new(value)))
    }

    fn new(text: OnceLock<Text>, value: OnceLock<Box<T>>) -> Self {
        Self {
            text,
            changes: Vec::new(),
            changed: OnceLock::new(),
            value,
        }
    }
}

impl<T: Serialize + DeserializeOwned> Json<T> {
    /// The value; parsed at the first call.
    ///
    /// # Errors
    /// When the bytes are not a `T`.
    pub fn value(&self) -> Result<&T, serde_json::Error> {
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        let value = Box::new(serde_json::from_slice(self.bytes())?);
        Ok(self.value.get_or_init(|| value))
    }

    /// The value, without keeping the bytes.
    ///
    /// # Errors
    /// When the bytes are not a `T`.
    pub fn into_value(mut self) -> Result<T, serde_json::Error> {
        self.value
            .take()
            .map_or_else(|| serde_json::from_slice(self.bytes()), |value| Ok(*value))
    }
}

impl<T: Serialize> Json<T> {
    /// The bytes; written at the first call when there were none, or others.
    pub fn bytes(&self) -> &Bytes {
        let text = self.text();
        if self.changes.is_empty() {
            return &text.bytes;
        }
        self.changed.get_or_init(|| {
            // Changes are only taken once the object has been found.
            let object = text.object().ok();
            object.map_or_else(
                || text.bytes.clone(),
                |object| self.edit_of(&object).finish().into(),
            )
        })
    }

    /// The text in pieces, for who sends it: a long one that was changed is not copied for that.
    pub fn pieces(&self) -> Vec<Bytes> {
        let text = self.text();
        let is_written = self.changes.is_empty() || self.changed.get().is_some();
        if !is_written
            && text.bytes.len() > COPIED
            && let Ok(object) = text.object()
        {
            let piece = |piece| match piece {
                Piece::Kept(range) => text.bytes.slice(range),
                Piece::New(new) => new.into(),
            };
            let pieces = self.edit_of(&object).into_pieces();
            return pieces.into_iter().map(piece).collect();
        }
        vec![self.bytes().clone()]
    }

    /// The members of the document.
    ///
    /// # Errors
    /// When it is no JSON object.
    pub fn object(&self) -> Result<RawObject<'_>, ParseError> {
        if self.changes.is_empty() {
            return self.text().object();
        }
        RawObject::parse(self.bytes())
    }

    /// The JSON text of a top-level field, read without parsing the rest.
    pub fn field(&self, key: &str) -> Option<Cow<'_, str>> {
        match self.changed_to(key) {
            Some(value) => value.map(|value| Cow::Owned(value.to_string())),
            None => self.text().object().ok()?.get(key).map(Cow::Borrowed),
        }
    }

    /// The names of the top-level fields, in their order; none of what is no object.
    pub fn fields(&self) -> Vec<String> {
        let object = self.text().object().ok();
        let mut fields: Vec<String> = object
            .iter()
            .flat_map(RawObject::keys)
            .map(str::to_owned)
            .collect();
        for (key, value) in &self.changes {
            fields.retain(|field| value.is_some() || field != key);
            if value.is_some() && !fields.iter().any(|field| field == key) {
                fields.push(key.clone().into_owned());
            }
        }
        fields
    }

    /// The names of the top-level fields that are null.
    pub(crate) fn nulls(&self) -> Vec<String> {
        let object = self.text().object().ok();
        let members = object.iter().flat_map(RawObject::members);
        let nulls = members.filter(|(_, value)| *value == b"null");
        let mut nulls: Vec<String> = nulls.map(|(key, _)| key.to_owned()).collect();
        for (key, value) in &self.changes {
            nulls.retain(|null| null != key);
            if value.as_ref().is_some_and(Value::is_null) {
                nulls.push(key.clone().into_owned());
            }
        }
        nulls
    }

    /// Whether there is a top-level field of that name, and its value is null.
    pub fn is_null(&self, key: &str) -> bool {
        match self.changed_to(key) {
            Some(value) => value.is_some_and(Value::is_null),
            None => {
                let object = self.text().object();
                object.is_ok_and(|object| object.bytes(key) == Some(b"null"))
            }
        }
    }

    /// Whether there is a top-level field of that name, with whatever value.
    pub fn has_field(&self, key: &str) -> bool {
        match self.changed_to(key) {
            Some(value) => value.is_some(),
            None => self
                .text()
                .object()
                .is_ok_and(|object| object.contains_key(key)),
        }
    }

    /// A top-level field that is a string.
    pub fn str_field(&self, key: &str) -> Option<String> {
        match self.changed_to(key) {
            Some(value) => value?.as_str().map(str::to_owned),
            None => self.text().object().ok()?.str(key).map(Cow::into_owned),
        }
    }

    /// A top-level field that is a whole number.
    pub fn u64_field(&self, key: &str) -> Option<u64> {
        match self.changed_to(key) {
            Some(value) => value?.as_u64(),
            None => self.read_field(key),
        }
    }

    /// A top-level field that is there and can be read as a `V`.
    pub fn read_field<V: DeserializeOwned>(&self, key: &str) -> Option<V> {
        serde_json::from_str(&self.field(key)?).ok()
    }

    /// A document in which the top-level fields of `set` stand, and those of `defaults` where
    /// the document had none; all else stays as it is, byte for byte.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when the document is not a JSON object.
    pub fn edit<const N: usize>(
        &self,
        set: [(&'static str, Value); N],
        defaults: &Map<String, Value>,
    ) -> Result<Self> {
        let set = set.map(|(key, value)| (Cow::Borrowed(key), Some(value)));
        let mut edited = self.change(set)?;
        for (key, value) in defaults {
            if !edited.has_field(key) {
                edited
                    .changes
                    .push((key.clone().into(), Some(value.clone())));
            }
        }
        Ok(edited)
    }

    /// A document in which each of these top-level fields has that value, or is gone.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when the document is not a JSON object.
    pub fn change<K>(&self, changes: impl IntoIterator<Item = (K, Option<Value>)>) -> Result<Self>
    where
        K: Into<Cow<'static, str>>,
    {
        self.require_object()?;
        let mut changed = Self::new(self.text.clone(), OnceLock::new());
        changed.changes.clone_from(&self.changes);
        let changes = changes.into_iter().map(|(key, value)| (key.into(), value));
        changed.changes.extend(changes);
        Ok(changed)
    }

    /// Finds the members, or tells why there are none.
    pub(crate) fn require_object(&self) -> Result<()> {
        self.text().object().map(drop).map_err(|error| {
            Error::new(ErrorKind::InvalidRequest, error.to_string()).with_source(error)
        })
    }

    /// What the last change of a field has made of it, if there is any.
    fn changed_to(&self, key: &str) -> Option<Option<&Value>> {
        let mut changes = self.changes.iter().rev();
        let (_, value) = changes.find(|(changed, _)| changed == key)?;
        Some(value.as_ref())
    }

    fn text(&self) -> &Text {
        self.text.get_or_init(|| {
            // Writing can only fail for maps whose keys are not strings; no type here has one.
            let written = self.value.get().map(serde_json::to_vec);
            Text::from(Bytes::from(
                written.and_then(Result::ok).unwrap_or_default(),
            ))
        })
    }

    /// The changes to the text, whose members are `object`'s.
    fn edit_of<'o>(&self, object: &'o RawObject<'o>) -> Edit<'o> {
        let mut edit = object.edit();
        for (key, value) in &self.changes {
            edit = match value {
                Some(value) => edit.set(key, value),
                None => edit.remove(key),
            };
        }
        edit
    }
}

impl Text {
    /// The members, found at the first call.
    fn object(&self) -> Result<RawObject<'_>, ParseError> {
        let index = match self.index.get() {
            Some(index) => index,
            None => {
                let index = Arc::new(RawIndex::parse(&self.bytes)?);
                self.index.get_or_init(|| index)
            }
        };
        // The index is of these bytes, so it fits.
        index
            .object(&self.bytes)
            .map_or_else(|| RawObject::parse(&self.bytes), Ok)
    }
}

impl From<Bytes> for Text {
    fn from(bytes: Bytes) -> Self {
        Self {
            bytes,
            index: OnceLock::new(),
        }
    }
}

impl<T: Clone> Clone for Json<T> {
    fn clone(&self) -> Self {
        Self {
            text: self.text.clone(),
            changes: self.changes.clone(),
            changed: self.changed.clone(),
            value: self.value.clone(),
        }
    }
}

/// Shows the length only: a body holds a prompt or an answer.
impl<T> fmt::Debug for Json<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Json")
            .field("bytes", &self.text.get().map(|text| text.bytes.len()))
            .field("changes", &self.changes.len())
            .field("parsed", &self.value.get().is_some())
            .finish()
    }
}

/// Up to this length, copying a text costs less than sending it in pieces.
const COPIED: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(prompt: usize) -> Json<Value> {
        let prompt = "x".repeat(prompt);
        let body = format!(r#"{{"model":"a","prompt":"{prompt}","n":1}}"#);
        let changes = [("model", Some("meta/a".into())), ("top_k", Some(2.into()))];
        Json::from_bytes(body).change(changes).unwrap()
    }

    #[test]
    fn a_long_text_is_not_copied_for_a_change() {
        let json = renamed(COPIED);
        let original = json.text().bytes.as_ptr_range();
        let pieces = json.pieces();
        let shared = |piece: &&Bytes| original.contains(&piece.as_ptr());
        let kept: usize = pieces.iter().filter(shared).map(Bytes::len).sum();
        assert!(kept > COPIED, "{kept}");
        assert_eq!(pieces.concat(), json.bytes()[..]);
        // Once it has been written, it is sent so.
        assert_eq!(json.pieces(), [json.bytes().clone()]);
    }

    #[test]
    fn a_short_text_is_one_piece() {
        assert_eq!(
            renamed(1).pieces(),
            [&br#"{"model":"meta/a","prompt":"x","n":1,"top_k":2}"#[..]]
        );
    }
}
