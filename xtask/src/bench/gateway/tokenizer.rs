//! A tokenizer in the format of Llama 3, with a small vocabulary, and a text for it.

use fastrand::Rng;
use serde_json::{Map, Value, json};

/// A `tokenizer.json`: bytes, and a few merges.
pub(super) fn json() -> String {
    let mut vocab: Map<String, Value> = Map::new();
    // The space and the end of a line have these names in a byte-level vocabulary.
    let characters = ('!'..='~').chain(['\u{120}', '\u{10a}']).map(String::from);
    let merges = MERGES.map(|merge| merge.replace(' ', ""));
    for token in characters.chain(merges) {
        vocab.insert(token, vocab.len().into());
    }
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                { "type": "Split", "pattern": { "Regex": LLAMA_3 }, "behavior": "Isolated",
                  "invert": false },
                { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
                  "use_regex": false },
            ],
        },
        "post_processor": null, "decoder": null,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "vocab": vocab, "merges": MERGES,
        },
    })
    .to_string()
}

/// A text of about this length, which begins with the place of a number: prose and code of 5,000 words.
pub(super) fn text(length: usize) -> String {
    let mut random = Rng::with_seed(1);
    let words: Vec<String> = (0..5_000)
        .map(|_| {
            (0..random.usize(2..10))
                .map(|_| random.lowercase())
                .collect()
        })
        .collect();
    let mut text = "{n}".to_owned();
    while text.len() < length {
        // As in a language, few words are most of the text.
        let at = random.f64().powi(3) * words.len() as f64;
        let word = words.get(at as usize).map_or("", String::as_str);
        text += match random.u8(0..20) {
            0 => ".\n\n    ",
            1 => ", ",
            2 => "(x_1) = 2024;\n  ",
            _ => " ",
        };
        text += word;
    }
    text
}

const MERGES: [&str; 6] = ["t h", "th e", "i n", "e r", "\u{120} a", "\u{120} s"];

const LLAMA_3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
