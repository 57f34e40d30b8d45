//! Splits texts into the pieces that a byte-pair tokenizer counts one by one.

use regex::Regex;
use serde::Deserialize;
use serde::de::IgnoredAny;

/// Splits texts as a tokenizer does, without its overhead.
///
/// It knows the patterns of GPT-2, and of tokenizers like those of Llama 3, Qwen and gpt-oss.
#[derive(Debug)]
pub(super) struct Splitter {
    /// Matches a piece at the start of a text.
    pattern: Regex,
    /// Whether the pattern has a part for the ends of lines.
    has_lines: bool,
    /// Matches tokens that are found before a text is split.
    added: Option<Regex>,
    /// Whether the tokenizer normalizes texts to NFC.
    is_nfc: bool,
}

impl Splitter {
    /// The splitter of a `tokenizer.json`; `None` if the tokenizer works in another way.
    pub(super) fn read(json: &[u8]) -> Option<Self> {
        let file: File = serde_json::from_slice(json).ok()?;
        let is_plain = file.truncation.is_none()
            && file.padding.is_none()
            && file.model.kind == "BPE"
            && file.model.dropout.is_none();
        let is_nfc = match &file.normalizer {
            None => false,
            Some(normalizer) if normalizer.kind == "NFC" => true,
            Some(_) => return None,
        };
        let pattern = file.pre_tokenizer?.pattern()?;
        let known = PATTERNS.contains(&&*pattern);
        let head = pattern.strip_suffix(SPACES).filter(|_| is_plain && known)?;
        let added = file.added_tokens.iter();
        let added: Vec<_> = added.map(|token| regex::escape(&token.content)).collect();
        let added = (!added.is_empty()).then(|| Regex::new(&added.join("|")));
        Some(Self {
            pattern: Regex::new(&format!(r"\A(?:{head}|\s+)")).ok()?,
            has_lines: head.ends_with(LINES),
            added: added.transpose().ok()?,
            is_nfc,
        })
    }

    /// The pieces of a text; `None` if only the tokenizer itself can split it.
    pub(super) fn split<'t>(&self, text: &'t str) -> Option<Pieces<'_, 't>> {
        let is_normal = !self.is_nfc || text.bytes().all(|byte| byte < MARKS);
        let has_added = |added: &Regex| added.is_match(text);
        if !is_normal || self.added.as_ref().is_some_and(has_added) {
            return None;
        }
        Some(Pieces {
            splitter: self,
            text,
        })
    }
}

/// The pieces of a text; see [`Splitter::split`].
#[derive(Debug)]
pub(super) struct Pieces<'s, 't> {
    splitter: &'s Splitter,
    /// What is left of the text.
    text: &'t str,
}

impl<'t> Iterator for Pieces<'_, 't> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        if self.text.is_empty() {
            return None;
        }
        let length = word(self.text.as_bytes()).unwrap_or_else(|| self.length());
        let (piece, rest) = self.text.split_at(length);
        self.text = rest;
        Some(piece)
    }
}

impl Pieces<'_, '_> {
    /// The length of the next piece.
    fn length(&self) -> usize {
        let found = self.splitter.pattern.find(self.text);
        // The patterns match every character.
        let length = found.map_or(self.text.len(), |found| found.len());
        let (piece, rest) = self.text.split_at(length);
        // This is `\s+(?!\S)|\s+`, which the crate regex does not support: white space before a word
        // leaves its last character to the word.
        let is_line = self.splitter.has_lines && piece.ends_with(['\r', '\n']);
        if rest.is_empty() || is_line || !piece.chars().all(char::is_whitespace) {
            return length;
        }
        match piece.char_indices().next_back() {
            Some((last, _)) if last > 0 => last,
            _ => length,
        }
    }
}

/// The length of an ASCII word with the space before it, where every pattern finds it: the character
/// after it is neither a letter nor an apostrophe.
fn word(text: &[u8]) -> Option<usize> {
    let mut at = usize::from(text.first() == Some(&b' '));
    at += usize::from(text.get(at).is_some_and(u8::is_ascii_uppercase));
    let rest = text.get(at..)?;
    let letters = rest.iter().take_while(|byte| byte.is_ascii_lowercase());
    let letters = letters.count();
    let after = rest.get(letters);
    let ends =
        after.is_none_or(|next| next.is_ascii() && !next.is_ascii_alphabetic() && *next != b'\'');
    (letters > 0 && ends).then_some(at + letters)
}

/// The parts of a `tokenizer.json` that tell how it splits.
#[derive(Deserialize)]
struct File {
    truncation: Option<IgnoredAny>,
    padding: Option<IgnoredAny>,
    #[serde(default)]
    added_tokens: Vec<Added>,
    normalizer: Option<Typed>,
    pre_tokenizer: Option<PreTokenizer>,
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    content: String,
}

#[derive(Deserialize)]
struct Typed {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: String,
    dropout: Option<f32>,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum PreTokenizer {
    ByteLevel {
        #[serde(default = "yes")]
        add_prefix_space: bool,
        #[serde(default = "yes")]
        use_regex: bool,
    },
    Split {
        pattern: Pattern,
        behavior: String,
        #[serde(default)]
        invert: bool,
    },
    Sequence {
        pretokenizers: Vec<Self>,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
enum Pattern {
    Regex(String),
    String(IgnoredAny),
}

fn yes() -> bool {
    true
}

impl PreTokenizer {
    /// The pattern by which it splits, if it does only this.
    fn pattern(self) -> Option<String> {
        if let Self::ByteLevel {
            add_prefix_space: false,
            use_regex: true,
        } = self
        {
            return Some(GPT_2.to_owned());
        }
        let Self::Sequence { pretokenizers } = self else {
            return None;
        };
        let [split, bytes]: [Self; 2] = pretokenizers.try_into().ok()?;
        match (split, bytes) {
            (
                Self::Split {
                    pattern: Pattern::Regex(pattern),
                    behavior,
                    invert: false,
                },
                Self::ByteLevel {
                    add_prefix_space: false,
                    use_regex: false,
                },
            ) if behavior == "Isolated" => Some(pattern),
            _ => None,
        }
    }
}

/// The end of all patterns.
const SPACES: &str = r"|\s+(?!\S)|\s+";
/// The part of a pattern for the ends of lines.
const LINES: &str = r"|\s*[\r\n]+";
const GPT_2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
pub(super) const PATTERNS: [&str; 5] = [
    GPT_2,
    // Llama 3.
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    // Qwen 2 and 3.
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    // Qwen 3.5.
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    // gpt-oss.
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
];
/// The first byte of U+0300, the first character that NFC may change or join with another one.
const MARKS: u8 = 0xcc;
