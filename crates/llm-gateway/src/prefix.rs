//! The prefix that the chunks of a stream share.

use bytes::Bytes;
use llm_types::RawObject;
use memchr::memmem::Finder;
use serde_json::Value;

/// The text of a chunk up to the end of the model's name, and its replacement.
///
/// The chunks of a stream share it: id, time and model precede the choices. The name is replaced in
/// one chunk, and the result is written before the rest of each other chunk.
#[derive(Debug)]
pub(crate) struct Prefix {
    /// The upstream's text.
    upstream: Vec<u8>,
    /// The replacement, as the start of a frame.
    frame: Vec<u8>,
    model: Finder<'static>,
    usage: Finder<'static>,
}

impl Prefix {
    /// The prefix of `chunk`, with the model's name replaced by `model`.
    pub(crate) fn new(chunk: &RawObject<'_>, model: &Value) -> Option<Self> {
        let json = chunk.as_bytes();
        let name = chunk.span("model")?;
        let before = json.get(..name.start)?;
        let frame = [b"data: ", before, model.to_string().as_bytes()].concat();
        Some(Self {
            upstream: json.get(..name.end)?.to_vec(),
            frame,
            model: Finder::new("\"model\""),
            usage: Finder::new("\"usage\""),
        })
        .filter(|prefix| is_one_line(&prefix.upstream))
    }

    /// The frame of a chunk with this prefix; `None` if the chunk needs other changes.
    pub(crate) fn frame(&self, chunk: &[u8]) -> Option<Bytes> {
        let rest = chunk.strip_prefix(&*self.upstream)?;
        // This finds keys only: inside a string, quotes are escaped.
        let plain = self.model.find(rest).is_none() && self.usage.find(rest).is_none();
        if !plain || !is_one_line(rest) {
            return None;
        }
        Some([&*self.frame, rest, b"\n\n"].concat().into())
    }
}

/// Whether a frame can contain it: a line break would end the line of the frame.
fn is_one_line(json: &[u8]) -> bool {
    memchr::memchr2(b'\n', b'\r', json).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: &str, next: &str) -> Option<String> {
        let chunk = RawObject::parse(first.as_bytes()).unwrap();
        let prefix = Prefix::new(&chunk, &Value::from("alias"))?;
        let frame = prefix.frame(next.as_bytes())?;
        Some(String::from_utf8(frame.to_vec()).unwrap())
    }

    #[test]
    fn chunks_with_the_same_prefix_are_renamed() {
        let first = r#"{"id":"1","model":"up/m","choices":[{"delta":{"role":"assistant"}}]}"#;
        let next = r#"{"id":"1","model":"up/m","choices":[{"delta":{"content":"\"model\" é"}}]}"#;
        assert_eq!(
            frame(first, next).as_deref(),
            Some(
                "data: {\"id\":\"1\",\"model\":\"alias\",\
                 \"choices\":[{\"delta\":{\"content\":\"\\\"model\\\" é\"}}]}\n\n"
            )
        );
    }

    #[test]
    fn a_chunk_that_needs_other_changes_has_no_frame() {
        let first = r#"{"id":"1","model":"up/m","choices":[]}"#;
        for next in [
            r#"{"id":"2","model":"up/m","choices":[]}"#,
            r#"{"id":"1","model":"up/m2","choices":[]}"#,
            r#"{"id":"1","model":"up/m","choices":[],"usage":{}}"#,
            r#"{"id":"1","model":"up/m","choices":[],"model":"x"}"#,
            "{\"id\":\"1\",\"model\":\"up/m\",\n\"choices\":[]}",
        ] {
            assert_eq!(frame(first, next), None, "{next}");
        }
        let spread = "{\n\"model\":\"up/m\"}";
        assert_eq!(frame(spread, spread), None);
        assert_eq!(frame("{}", "{}"), None);
    }
}
