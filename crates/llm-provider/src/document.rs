use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use llm_types::{Edit, ParseError, Piece, RawIndex, RawObject, RawObjects, parse};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A JSON document that is read and changed member by member, and otherwise stays bytes.
///
/// - The bytes that arrived are kept. An unchanged document is written byte for byte as it was read;
///   in a changed one, all other bytes stay the same.
/// - The first access to a member scans the text once and indexes the top-level members. Clones
///   share the text and the index.
/// - [`set`](Self::set), [`remove`](Self::remove) and [`rename`](Self::rename) are recorded, and
///   later accesses see them. The text is written once, when [`bytes`](Self::bytes) or
///   [`pieces`](Self::pieces) is called.
/// - Only an object has members. Any other text has none, and changes to it have no effect: check
///   text from outside with [`require_object`](Self::require_object).
///
/// ```
/// use llm_provider::Document;
///
/// let mut body = Document::from_bytes(r#"{"model":"llama","messages":[],"top_k":20}"#);
/// body.set("model", "meta/llama-3");
/// body.remove("messages");
/// assert_eq!(body.str("model").as_deref(), Some("meta/llama-3"));
/// assert_eq!(&body.bytes()[..], br#"{"model":"meta/llama-3","top_k":20}"#);
/// ```
#[derive(Clone)]
pub struct Document {
    text: Bytes,
    index: OnceLock<Option<Arc<RawIndex>>>,
    /// The changes in the order in which they apply.
    changes: Vec<Change>,
    /// The text with all changes; unset until it is needed.
    written: OnceLock<Bytes>,
}

/// A member and the JSON text of its new value; `None` removes it.
type Change = (Cow<'static, str>, Option<Bytes>);

impl Document {
    /// Creates a document from its text, which is not parsed yet.
    pub fn from_bytes(text: impl Into<Bytes>) -> Self {
        Self {
            text: text.into(),
            index: OnceLock::new(),
            changes: Vec::new(),
            written: OnceLock::new(),
        }
    }

    /// Creates a document from a value.
    ///
    /// A value that JSON cannot express, such as a map whose keys are not strings, becomes `null`.
    /// The types of `llm_types` contain no such value.
    pub fn new(value: &(impl Serialize + ?Sized)) -> Self {
        Self::from_bytes(to_json(value))
    }

    /// The text.
    pub fn bytes(&self) -> &Bytes {
        if self.changes.is_empty() {
            return &self.text;
        }
        self.written.get_or_init(|| {
            let edited = self.edit(|edit| Bytes::from(edit.finish()));
            edited.unwrap_or_else(|| self.text.clone())
        })
    }

    /// The text as it arrived, without the changes.
    pub(crate) fn original(&self) -> &Bytes {
        &self.text
    }

    /// The text in one or more pieces, for a sender that can write several. A long text is not
    /// copied because of a short change.
    pub fn pieces(&self) -> Vec<Bytes> {
        let is_written = self.changes.is_empty() || self.written.get().is_some();
        if is_written || self.text.len() <= COPIED {
            return vec![self.bytes().clone()];
        }
        let pieces = self.edit(|edit| {
            let pieces = edit.into_pieces().into_iter().map(|piece| match piece {
                Piece::Kept(range) => self.text.slice(range),
                Piece::New(text) => text.into(),
            });
            pieces.collect()
        });
        pieces.unwrap_or_else(|| vec![self.text.clone()])
    }

    /// Reads the whole document.
    ///
    /// # Errors
    /// If it is not a `T`. The error has line and column, and quotes nothing.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ParseError> {
        parse(self.bytes())
    }

    /// Checks that the text is a JSON object. Changes to members do not affect the result.
    ///
    /// # Errors
    /// If it is not; the error has line and column.
    pub fn require_object(&self) -> Result<(), ParseError> {
        match self.members() {
            Some(_) => Ok(()),
            None => RawObject::parse(&self.text).map(drop),
        }
    }

    /// All members. After changes, the text is written and scanned again; otherwise the index is
    /// used.
    ///
    /// # Errors
    /// If the text is not a JSON object; the error has line and column.
    pub fn object(&self) -> Result<RawObject<'_>, ParseError> {
        match self.members() {
            Some(object) if self.changes.is_empty() => Ok(object),
            _ => RawObject::parse(self.bytes()),
        }
    }

    /// The names of the members, in their order.
    pub fn keys(&self) -> Vec<String> {
        let object = self.members();
        let keys = object.iter().flat_map(RawObject::keys);
        let mut keys: Vec<String> = keys.map(str::to_owned).collect();
        for (key, value) in &self.changes {
            match value {
                None => keys.retain(|kept| kept != key),
                Some(_) if keys.iter().any(|kept| kept == key) => {}
                Some(_) => keys.push(key.clone().into_owned()),
            }
        }
        keys
    }

    /// The JSON text of a member.
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        match self.changed(key) {
            Some(value) => value.map(|value| &value[..]),
            None => self.members()?.bytes(key),
        }
    }

    /// The items of a member that is an array: objects, and other items as their text.
    pub fn objects(&self, key: &str) -> Option<RawObjects<'_>> {
        match self.changed(key) {
            Some(value) => RawObjects::of(std::str::from_utf8(value?).ok()?),
            None => self.members()?.objects(key),
        }
    }

    /// Whether a member exists, with any value.
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Whether a member exists and is not null.
    pub fn has_value(&self, key: &str) -> bool {
        self.get(key).is_some_and(|value| value != b"null")
    }

    /// A member that is a string.
    pub fn str(&self, key: &str) -> Option<Cow<'_, str>> {
        match self.changed(key) {
            Some(value) => serde_json::from_slice(value?).ok().map(Cow::Owned),
            None => self.members()?.str(key),
        }
    }

    /// A member that is a whole number and not negative.
    pub fn u64(&self, key: &str) -> Option<u64> {
        serde_json::from_slice(self.get(key)?).ok()
    }

    /// Reads a member; `None` if it is absent or null.
    ///
    /// # Errors
    /// If it is not a `T`; line and column count from the beginning of the member's value.
    pub fn read_member<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>, ParseError> {
        let value = self.get(key).filter(|value| *value != b"null");
        value.map(parse).transpose()
    }

    /// Sets a member; a new one is added at the end.
    pub fn set(&mut self, key: impl Into<Cow<'static, str>>, value: impl Serialize) {
        // Most values are short, and are written without a buffer that grows.
        let mut short = [0; SHORT];
        let mut rest = &mut short[..];
        let value = match serde_json::to_writer(&mut rest, &value) {
            Ok(()) => {
                let len = SHORT - rest.len();
                Bytes::copy_from_slice(&short[..len])
            }
            Err(_) => to_json(&value),
        };
        self.change(key.into(), Some(value));
    }

    /// Sets a member unless it exists.
    pub fn set_default(&mut self, key: impl Into<Cow<'static, str>>, value: impl Serialize) {
        let key = key.into();
        if !self.has(&key) {
            self.set(key, value);
        }
    }

    /// Removes a member, if it exists.
    pub fn remove(&mut self, key: &str) {
        if self.has(key) {
            self.change(Cow::Owned(key.to_owned()), None);
        }
    }

    /// Renames a member, and replaces an existing member of the new name. A member that is null is
    /// removed.
    pub fn rename(&mut self, key: &str, name: impl Into<Cow<'static, str>>) {
        let value = match self.changed(key) {
            Some(value) => value.cloned(),
            None => self.members().and_then(|object| {
                let span = object.span(key)?;
                Some(self.text.slice(span))
            }),
        };
        self.remove(key);
        if let Some(value) = value.filter(|value| &value[..] != b"null") {
            self.change(name.into(), Some(value));
        }
    }

    /// Removes members that are null, which many upstreams reject (TGI#3155, kalosm#354).
    pub fn remove_nulls(&mut self) {
        let object = self.members();
        let members = object.iter().flat_map(RawObject::members);
        let members = members.filter(|(_, value)| *value == b"null");
        let members = members.map(|(key, _)| Cow::Owned(key.to_owned()));
        let changed = self.changes.iter().map(|(key, _)| key.clone());
        let mut nulls: Vec<Cow<'static, str>> = members.chain(changed).collect();
        nulls.retain(|key| self.get(key) == Some(b"null"));
        for key in nulls {
            self.change(key, None);
        }
    }

    fn change(&mut self, key: Cow<'static, str>, value: Option<Bytes>) {
        self.changes.push((key, value));
        self.written = OnceLock::new();
    }

    /// The value of a member after its last change; the outer `None` if it is unchanged.
    fn changed(&self, key: &str) -> Option<Option<&Bytes>> {
        let mut changes = self.changes.iter().rev();
        let (_, value) = changes.find(|(changed, _)| changed == key)?;
        Some(value.as_ref())
    }

    /// The members of the text, without the changes.
    fn members(&self) -> Option<RawObject<'_>> {
        let index = self.index.get_or_init(|| {
            let index = RawIndex::parse(&self.text).ok();
            index.map(Arc::new)
        });
        index.as_deref()?.object(&self.text)
    }

    fn edit<T>(&self, finish: impl FnOnce(Edit<'_>) -> T) -> Option<T> {
        let object = self.members()?;
        let mut edit = object.edit();
        for (key, value) in &self.changes {
            edit = match value {
                Some(value) => edit.set_raw(key, String::from_utf8_lossy(value)),
                None => edit.remove(key),
            };
        }
        Some(finish(edit))
    }
}

impl Default for Document {
    /// An empty object.
    fn default() -> Self {
        Self::from_bytes("{}")
    }
}

impl From<Bytes> for Document {
    fn from(text: Bytes) -> Self {
        Self::from_bytes(text)
    }
}

impl From<String> for Document {
    fn from(text: String) -> Self {
        Self::from_bytes(text)
    }
}

impl From<&'static str> for Document {
    fn from(text: &'static str) -> Self {
        Self::from_bytes(text)
    }
}

/// Shows only the length, since a document contains a prompt or a reply.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("bytes", &self.text.len())
            .field("changes", &self.changes.len())
            .finish()
    }
}

fn to_json(value: &(impl Serialize + ?Sized)) -> Bytes {
    serde_json::to_vec(value).map_or(Bytes::from_static(b"null"), Bytes::from)
}

/// Most new values have at most this length in bytes.
const SHORT: usize = 64;

/// Up to this length in bytes, copying a text costs less than sending it in pieces.
const COPIED: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn renamed(prompt: usize) -> Document {
        let prompt = "x".repeat(prompt);
        let mut body =
            Document::from_bytes(format!(r#"{{"model":"a","prompt":"{prompt}","n":1}}"#));
        body.set("model", "meta/a");
        body.set("top_k", 2);
        body
    }

    #[test]
    fn a_long_text_is_not_copied_for_a_change() {
        let body = renamed(COPIED);
        let original = body.text.as_ptr_range();
        let pieces = body.pieces();
        let shared = |piece: &&Bytes| original.contains(&piece.as_ptr());
        let kept: usize = pieces.iter().filter(shared).map(Bytes::len).sum();
        assert!(kept > COPIED, "{kept}");
        assert_eq!(pieces.concat(), body.bytes()[..]);
        // Once the text has been written, it is one piece.
        assert_eq!(body.pieces(), [body.bytes().clone()]);
    }

    #[test]
    fn a_short_text_is_one_piece() {
        assert_eq!(
            renamed(1).pieces(),
            [&br#"{"model":"meta/a","prompt":"x","n":1,"top_k":2}"#[..]]
        );
    }

    #[test]
    fn a_renamed_member_keeps_its_digits() {
        let mut body = Document::from_bytes(r#"{"a": 1.10, "b": null, "c": 0}"#);
        body.rename("a", "x");
        body.rename("b", "c");
        assert_eq!(&body.bytes()[..], br#"{"c": 0,"x":1.10}"#);
    }

    #[test]
    fn nulls_of_the_text_and_of_changes_are_removed() {
        let mut body = Document::from_bytes(r#"{"a":null,"b":1,"c":null,"d":null}"#);
        body.set("b", Value::Null);
        body.set("c", 2);
        body.set("e", Value::Null);
        body.remove_nulls();
        assert_eq!(&body.bytes()[..], br#"{"c":2}"#);
    }

    #[test]
    fn text_that_is_not_an_object_has_no_members_and_does_not_change() {
        for text in ["", "[1]", "{\"a\":", "nonsense"] {
            let mut body = Document::from_bytes(text);
            body.set("a", 1);
            assert!(body.object().is_err(), "{text}");
            assert_eq!(&body.bytes()[..], text.as_bytes());
            assert!(body.keys().len() <= 1);
        }
    }

    proptest! {
        /// Any sequence of changes has the effect that it has on a map.
        #[test]
        fn changes_equal_those_of_a_map(
            start in prop::collection::btree_map("[a-d]", 0..9_u64, 0..4),
            steps in prop::collection::vec((0..4_u8, "[a-e]", "[a-e]", 0..9_u64), 0..8),
        ) {
            let mut map: BTreeMap<String, u64> = start;
            let mut body = Document::new(&map);
            for (kind, key, other, value) in steps {
                match kind {
                    0 => {
                        body.set(key.clone(), value);
                        map.insert(key, value);
                    }
                    1 => {
                        body.set_default(key.clone(), value);
                        map.entry(key).or_insert(value);
                    }
                    2 => {
                        body.remove(&key);
                        map.remove(&key);
                    }
                    _ => {
                        body.rename(&key, other.clone());
                        if let Some(value) = map.remove(&key) {
                            map.insert(other, value);
                        }
                    }
                }
                for key in ["a", "b", "c", "d", "e"] {
                    prop_assert_eq!(body.u64(key), map.get(key).copied());
                }
            }
            let mut keys = body.keys();
            keys.sort();
            prop_assert_eq!(keys, map.keys().cloned().collect::<Vec<_>>());
            let read: Value = body.read().unwrap();
            prop_assert_eq!(read, json!(map));
        }
    }
}
