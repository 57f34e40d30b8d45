//! Estimates token counts without a tokenizer.

use std::io;

use llm_types::{ChatRequest, Content, ContentPart, Field, Message};
use serde::Serialize;

/// Estimates the number of prompt tokens of a chat request.
///
/// Messages with their roles, reasoning, tool calls and names count, and so do tools, the required
/// format of the response, and images. It takes one pass, allocates nothing, and grows with every
/// word, message, tool and image. To count a request of another API, convert it first.
///
/// The estimate is made for byte-pair vocabularies of 100,000 to 200,000 tokens. A caller that sees
/// the usage of its models should correct the estimate by it.
pub fn estimate_tokens(request: &ChatRequest) -> u64 {
    let mut estimate = TokenEstimate::default();
    add_request(&mut estimate, request);
    estimate.tokens()
}

/// Counts the prompt tokens of a chat request: those of texts with `count`, such as by a tokenizer.
/// What templates add, and images, are estimated as by [`estimate_tokens`].
pub fn count_tokens(request: &ChatRequest, count: impl FnMut(&str) -> u64) -> u64 {
    let mut counted = Counted { count, tokens: 0 };
    add_request(&mut counted, request);
    counted.tokens
}

/// Counts the parts of a request.
trait Count {
    /// Adds tokens that are not in a text.
    fn add_tokens(&mut self, tokens: u64);

    /// Adds a text of its own.
    fn add_text(&mut self, text: &str);

    /// Adds a value as JSON.
    fn add_json(&mut self, value: &impl Serialize);
}

struct Counted<F> {
    count: F,
    tokens: u64,
}

impl<F: FnMut(&str) -> u64> Count for Counted<F> {
    fn add_tokens(&mut self, tokens: u64) {
        self.tokens = self.tokens.saturating_add(tokens);
    }

    fn add_text(&mut self, text: &str) {
        let tokens = (self.count)(text);
        self.add_tokens(tokens);
    }

    fn add_json(&mut self, value: &impl Serialize) {
        // Serialization fails only for maps whose keys are not strings.
        let text = serde_json::to_string(value).unwrap_or_default();
        self.add_text(&text);
    }
}

impl Count for TokenEstimate {
    fn add_tokens(&mut self, tokens: u64) {
        self.eighths = self.eighths.saturating_add(tokens.saturating_mul(8));
        self.class = Class::None;
    }

    fn add_text(&mut self, text: &str) {
        self.class = Class::None;
        self.add(text);
    }

    fn add_json(&mut self, value: &impl Serialize) {
        self.class = Class::None;
        // Writing fails only if the writer does, and a counter does not.
        let _ = serde_json::to_writer(Counter(self), value);
    }
}

fn add_request(count: &mut impl Count, request: &ChatRequest) {
    count.add_tokens(PER_REQUEST);
    for message in &request.messages {
        add_message(count, message);
    }
    for tool in request.tools.iter().flatten() {
        count.add_tokens(PER_TOOL);
        count.add_json(tool);
    }
    if let Some(format) = &request.response_format {
        count.add_json(format);
    }
}

/// An estimate of the tokens of a text that arrives in pieces.
///
/// It does not depend on where the text is cut.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenEstimate {
    /// In eighths of a token.
    eighths: u64,
    class: Class,
    /// The length of the current run of letters or digits.
    run: u32,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Class {
    #[default]
    None,
    Digit,
    Letter,
    Line,
    Space,
}

impl TokenEstimate {
    /// Adds a piece of text.
    pub(crate) fn add(&mut self, text: &str) {
        self.add_bytes(text.as_bytes());
    }

    /// The number of tokens, rounded up.
    pub(crate) fn tokens(&self) -> u64 {
        self.eighths.div_ceil(8)
    }

    fn add_bytes(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.eighths = self.eighths.saturating_add(self.cost(byte));
        }
    }

    /// What a byte adds, in eighths.
    fn cost(&mut self, byte: u8) -> u64 {
        let class = match byte {
            b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            b' ' | b'\t' => Class::Space,
            b'\n' | b'\r' => Class::Line,
            _ => Class::None,
        };
        let continues = class == self.class && class != Class::None;
        self.run = if continues {
            self.run.saturating_add(1)
        } else {
            0
        };
        self.class = class;
        match class {
            // A word is one token, and one more for every four letters beyond eight.
            Class::Letter if self.run == 0 => 8,
            Class::Letter => u64::from(self.run >= 8) * 2,
            // Up to three digits are one token.
            Class::Digit => u64::from(self.run.is_multiple_of(3)) * 8,
            // One space belongs to the next word; indentation is one token.
            Class::Space => u64::from(self.run == 1) * 8,
            Class::Line => u64::from(self.run == 0) * 8,
            Class::None => other(byte),
        }
    }
}

/// What a byte adds that is neither ASCII letter, digit nor white space.
fn other(byte: u8) -> u64 {
    match byte {
        // ASCII punctuation: often merged with its neighbours.
        0..0x80 => 6,
        // Continuation bytes: their character has been counted.
        0x80..0xc0 => 0,
        // Two bytes: accented Latin, Greek, Cyrillic, Arabic ...
        0xc0..0xe0 => 4,
        // Three bytes: mostly Chinese, Japanese and Korean.
        0xe0..0xf0 => 7,
        // Four bytes: emoji.
        0xf0.. => 16,
    }
}

fn add_message(count: &mut impl Count, message: &Message) {
    count.add_tokens(PER_MESSAGE);
    count.add_text(message.role.as_str());
    let texts = [
        &message.name,
        &message.refusal,
        &message.reasoning,
        &message.reasoning_content,
    ];
    for text in texts.into_iter().filter_map(Field::as_str) {
        count.add_text(text);
    }
    match message.content.value() {
        Some(Content::Text(text)) => {
            count.add_text(text);
        }
        Some(Content::Parts(parts)) => parts.iter().for_each(|part| add_part(count, part)),
        None => {}
    }
    for call in message.tool_calls.value().into_iter().flatten() {
        count.add_tokens(PER_CALL);
        count.add_text(call.name().unwrap_or_default());
        count.add_text(call.arguments().unwrap_or_default());
    }
}

fn add_part(count: &mut impl Count, part: &ContentPart) {
    match part {
        ContentPart::ImageUrl(_) => count.add_tokens(PER_IMAGE),
        ContentPart::InputAudio(audio) => {
            count.add_tokens(1 + decoded_len(&audio.input_audio.data) / BYTES_PER_AUDIO_TOKEN);
        }
        ContentPart::File(file) => {
            let data = file.file.get("file_data").and_then(|data| data.as_str());
            let len = data.map_or(0, decoded_len);
            count.add_tokens(PER_IMAGE + len / BYTES_PER_FILE_TOKEN);
        }
        ContentPart::Text(part) => {
            count.add_text(&part.text);
        }
        other => count.add_json(other),
    }
}

/// The number of bytes that base64 text stands for.
fn decoded_len(base64: &str) -> u64 {
    base64.len() as u64 / 4 * 3
}

struct Counter<'a>(&'a mut TokenEstimate);

impl io::Write for Counter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.add_bytes(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a template adds once: the beginning of the text and of the reply.
const PER_REQUEST: u64 = 3;
/// What a template adds to a message.
const PER_MESSAGE: u64 = 3;
const PER_CALL: u64 = 4;
const PER_TOOL: u64 = 4;
/// An image of about 1,000 by 1,000 pixels.
const PER_IMAGE: u64 = 1024;
const BYTES_PER_AUDIO_TOKEN: u64 = 3200;
const BYTES_PER_FILE_TOKEN: u64 = 48;
