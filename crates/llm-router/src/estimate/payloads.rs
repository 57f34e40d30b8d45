//! Images, sounds and files in base64, whose bytes say nothing about their tokens.

use memchr::{memchr, memmem};

/// What a prompt has in base64.
#[derive(Debug, Default)]
pub(super) struct Payloads {
    pub(super) count: u64,
    pub(super) bytes: usize,
}

impl Payloads {
    /// Adds those of a JSON text. A short text is not searched: it counts as few tokens anyway.
    pub(super) fn find(&mut self, json: &[u8]) {
        if json.len() >= SEARCHED {
            self.search(json);
        }
    }

    fn search(&mut self, json: &[u8]) {
        // The end of the last string and its content, which may be the key of the next one.
        let (mut at, mut last) = (0, &json[..0]);
        while let Some(start) = memchr(b'"', &json[at..]).map(|found| at + found) {
            let Some(end) = end_of(json, start + 1) else {
                return;
            };
            let content = &json[start + 1..end];
            if content.len() >= PAYLOAD
                && json[at..start].trim_ascii() == b":"
                && is_payload(last, content)
            {
                self.count += 1;
                self.bytes += content.len();
            }
            (at, last) = (end + 1, content);
        }
    }
}

/// The end of the string whose content begins at `start`.
fn end_of(json: &[u8], start: usize) -> Option<usize> {
    let mut at = start;
    loop {
        let quote = at + memchr(b'"', &json[at..])?;
        let before = json[start..quote].iter().rev();
        let escapes = before.take_while(|byte| **byte == b'\\').count();
        if escapes % 2 == 0 {
            return Some(quote);
        }
        at = quote + 1;
    }
}

/// Whether a member of this name has a content in base64.
fn is_payload(key: &[u8], content: &[u8]) -> bool {
    let head = &content[..content.len().min(HEAD)];
    let is_uri = head.starts_with(b"data:") && memmem::find(head, b";base64,").is_some();
    match key {
        b"url" | b"image_url" => is_uri,
        b"data" | b"file_data" => is_uri || head.iter().all(is_base64),
        _ => false,
    }
}

fn is_base64(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=')
}

/// The bytes from which a text is searched.
const SEARCHED: usize = 8 * 1024;
/// The bytes from which a string may be a payload: less counts as fewer tokens.
const PAYLOAD: usize = 4 * 1024;
/// The bytes of a payload that are looked at.
const HEAD: usize = 256;
