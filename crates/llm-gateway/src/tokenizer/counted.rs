//! Counts the tokens of texts by a `tokenizer.json`.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::{Mutex, PoisonError, RwLock};

use tokenizers::Model;

use super::TokenizerError;
use super::pieces::{Pieces, Splitter};

/// A tokenizer, and the counts of texts and of pieces that it saw: agents send the same texts at every
/// turn, and all texts consist of the same words.
pub(super) struct Tokenizer {
    inner: tokenizers::Tokenizer,
    hasher: RandomState,
    /// By the hash and the length of a text.
    texts: Mutex<HashMap<(u64, usize), u64>>,
    /// Counts texts by their pieces, some 30 times as fast as the whole tokenizer.
    splitter: Option<Splitter>,
    pieces: RwLock<HashMap<Box<str>, u64>>,
}

impl Tokenizer {
    pub(super) fn read(file: &Path) -> Result<Self, TokenizerError> {
        Self::parse(&std::fs::read(file)?)
    }

    fn parse(json: &[u8]) -> Result<Self, TokenizerError> {
        let inner = tokenizers::Tokenizer::from_bytes(json)
            .map_err(|error| TokenizerError::Invalid(error.to_string()))?;
        Ok(Self {
            inner,
            hasher: RandomState::new(),
            texts: Mutex::default(),
            splitter: Splitter::read(json),
            pieces: RwLock::default(),
        })
    }

    /// The tokens of a text. Beyond [`MAX_TEXT`], they are extrapolated from its beginning.
    pub(super) fn count(&self, text: &str) -> u64 {
        if text.len() < MIN_KEPT {
            return self.count_new(text);
        }
        let key = (self.hasher.hash_one(text), text.len());
        let texts = || self.texts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = texts().get(&key) {
            return *count;
        }
        let begin = &text[..text.floor_char_boundary(MAX_TEXT)];
        let (length, begin_length) = (text.len() as u64, begin.len() as u64);
        let count = (self.count_new(begin) * length).div_ceil(begin_length.max(1));
        let mut texts = texts();
        if texts.len() >= MAX_TEXTS {
            texts.clear();
        }
        texts.insert(key, count);
        count
    }

    fn count_new(&self, text: &str) -> u64 {
        let splitter = self.splitter.as_ref();
        match splitter.and_then(|splitter| splitter.split(text)) {
            Some(pieces) => self.sum(pieces),
            None => self.encode(text),
        }
    }

    /// The tokens of all pieces.
    fn sum(&self, pieces: Pieces<'_, '_>) -> u64 {
        let mut sum = 0;
        let mut unknown = Vec::new();
        let known = self.pieces.read().unwrap_or_else(PoisonError::into_inner);
        for piece in pieces {
            match known.get(piece) {
                Some(count) => sum += count,
                None => unknown.push(piece),
            }
        }
        drop(known);
        if unknown.is_empty() {
            return sum;
        }
        let mut counted = HashMap::new();
        for piece in unknown {
            let count = counted.entry(piece);
            sum += *count.or_insert_with(|| self.count_piece(piece));
        }
        let mut known = self.pieces.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_PIECES {
            known.clear();
        }
        let short = counted.iter().filter(|(piece, _)| piece.len() <= MAX_PIECE);
        known.extend(short.map(|(piece, count)| ((*piece).into(), *count)));
        sum
    }

    fn count_piece(&self, piece: &str) -> u64 {
        let characters: String = piece.bytes().map(character).collect();
        let tokens = self.inner.get_model().tokenize(&characters);
        tokens.map_or(0, |tokens| tokens.len() as u64)
    }

    /// The tokens of a text by all steps of the tokenizer.
    fn encode(&self, text: &str) -> u64 {
        let encoding = self.inner.encode_fast(text, false);
        encoding.map_or(0, |encoding| encoding.len() as u64)
    }
}

/// The character that stands for a byte in a byte-level vocabulary: itself if it is visible, else one
/// from U+0100 on.
fn character(byte: u8) -> char {
    let hidden = match byte {
        0..=0x20 => u32::from(byte),
        0x7f..=0xa0 => u32::from(byte) - 0x7f + 0x21,
        0xad => 0x43,
        _ => return char::from(byte),
    };
    char::from_u32(0x100 + hidden).unwrap_or_default()
}

/// The longest text that is tokenized, in bytes.
const MAX_TEXT: usize = 256 << 10;
/// Shorter texts take less time than remembering them.
const MIN_KEPT: usize = 256;
/// How many counts of texts are kept.
const MAX_TEXTS: usize = 8192;
/// How many counts of pieces are kept, save those of one more text.
const MAX_PIECES: usize = 65_536;
/// The longest piece that is kept.
const MAX_PIECE: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::tokenizer::pieces::PATTERNS;

    /// A byte-level tokenizer with some merges, and this pattern.
    fn tokenizer(pattern: &str, normalizer: Value) -> Tokenizer {
        let mut vocab: Map<String, Value> = (0..=255_u8)
            .map(|byte| (character(byte).to_string(), Value::from(byte)))
            .collect();
        let merges = [
            "t h",
            "th e",
            "\u{120} the",
            "e e",
            "\u{120} \u{120}",
            "\u{10a} \u{10a}",
            "' s",
        ];
        for merge in merges {
            vocab.insert(merge.replace(' ', ""), Value::from(vocab.len()));
        }
        let bytes = |use_regex| {
            json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                    "use_regex": use_regex })
        };
        let split = json!({ "type": "Split", "pattern": { "Regex": pattern },
                            "behavior": "Isolated", "invert": false });
        let pre_tokenizer = match pattern == PATTERNS[0] {
            true => bytes(true),
            false => json!({ "type": "Sequence", "pretokenizers": [split, bytes(false)] }),
        };
        let added = json!({ "id": 1000, "content": "<|end|>", "special": true, "single_word": false,
                            "lstrip": false, "rstrip": false, "normalized": false });
        let file = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [added],
            "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "post_processor": null,
            "decoder": null,
            "model": { "type": "BPE", "dropout": null, "unk_token": null,
                       "continuing_subword_prefix": null, "end_of_word_suffix": null,
                       "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": merges },
        });
        Tokenizer::parse(file.to_string().as_bytes()).unwrap()
    }

    fn all() -> Vec<Tokenizer> {
        let plain = PATTERNS.map(|pattern| tokenizer(pattern, Value::Null));
        let composed = tokenizer(PATTERNS[2], json!({ "type": "NFC" }));
        plain.into_iter().chain([composed]).collect()
    }

    fn check(tokenizers: &[Tokenizer], text: &str) {
        for (at, tokenizer) in tokenizers.iter().enumerate() {
            assert_eq!(
                tokenizer.count_new(text),
                tokenizer.encode(text),
                "{at}: {text:?}"
            );
        }
    }

    #[test]
    fn common_tokenizers_are_counted_by_pieces() {
        let texts = [
            "The  the\n\n  the\t the's THE'S don't camelCase HTTPServer2024 x=12345;\r\n \n",
            "\u{a0}\u{3000} e\u{301}e\u{301} \u{1c5}a \u{4e2d}\u{6587} \u{1f600}  ",
            "the<|end|> the",
            "'s 'S ' s'the 1234567 ... \n/ // the/\n",
            "",
        ];
        let all = all();
        for tokenizer in &all {
            assert!(
                tokenizer
                    .splitter
                    .as_ref()
                    .unwrap()
                    .split(texts[0])
                    .is_some()
            );
            assert!(
                tokenizer
                    .splitter
                    .as_ref()
                    .unwrap()
                    .split(texts[2])
                    .is_none()
            );
        }
        assert!(all[5].splitter.as_ref().unwrap().split(texts[1]).is_none());
        texts.iter().for_each(|text| check(&all, text));
    }

    #[test]
    fn the_counts_of_pieces_are_those_of_the_tokenizer() {
        let all = all();
        let text = prop_oneof![
            "\\PC{0,40}",
            "[ \t\n\r'a-cA-C0-2the\u{e9}\u{f1}\u{1c5}\u{2b0}\u{301}\u{4e2d}.,!/\u{a0}\u{3000}]{0,60}",
            "( |\n|\r|\t|the|'s|'LL|1|\\.|/|A|<\\|end\\|>){0,30}",
        ];
        proptest!(ProptestConfig::with_cases(2_000), |(text in text)| check(&all, &text));
    }
}
