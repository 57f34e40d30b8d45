//! Requests in flight by the simulation's own count, where prompts are expensive to make or slots are many.

use std::fs;
use std::process::Stdio;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::recorded::RecordedRequest;
use super::{Bench, PACE, SLOW_PACE, Table};
use crate::tool;

/// Rounds of each slot. The simulation remembers 4096 requests.
const ROUNDS: u32 = 4;

pub(super) fn flight(bench: &Bench, table: &mut Table) -> Result<()> {
    let tokenizer = bench.folder.join("tokenizer.json");
    fs::write(&tokenizer, byte_pairs().to_string()).context("cannot write the tokenizer")?;
    let tokenizer = tokenizer.to_string_lossy();
    let image = r#"{"max_tokens": 100}"#;
    for (scenario, slots, pace, options) in [
        (
            "I(1024,1024)",
            32,
            PACE,
            &[
                "--task",
                "image-text-to-text",
                "--additional-request-params",
                image,
            ][..],
        ),
        ("D(8000,100)", 64, PACE, &["--model-tokenizer", &tokenizer]),
        // As `many-streams`.
        ("D(100,100)", 1024, SLOW_PACE, &["--ramp-up", "4s"]),
    ] {
        let measured = in_flight(bench, scenario, slots, &pace, options)?;
        let what = format!("{scenario}, {slots}: requests in flight");
        table.require(&what, measured, f64::from(slots), 0.02);
    }
    Ok(())
}

fn in_flight(
    bench: &Bench,
    scenario: &str,
    slots: u32,
    pace: &[&str],
    options: &[&str],
) -> Result<f64> {
    let sim = bench.sim(pace)?;
    let mut command = bench.command(&sim, &format!("flight-{slots}"));
    command
        .args(["--traffic-scenario", scenario, "--no-calibration"])
        .args(["--num-concurrency", &slots.to_string()])
        .args(["--max-requests-per-run", &(ROUNDS * slots).to_string()])
        .args(options);
    tool::output(command.stdout(Stdio::piped()))?;
    let seen = RecordedRequest::all(&sim)?;
    RecordedRequest::in_flight(&seen).context("too few requests were seen")
}

/// A tokenizer of the usual kind: a regular expression, bytes as letters, and merges of pairs.
fn byte_pairs() -> Value {
    let letters = byte_letters();
    let mut tokens: Vec<String> = letters.iter().map(char::to_string).collect();
    let mut merges = Vec::new();
    for word in WORDS.split_whitespace() {
        for word in [word.to_owned(), format!("\u{120}{word}")] {
            let ends = word
                .char_indices()
                .map(|(at, letter)| at + letter.len_utf8());
            let ends: Vec<usize> = ends.collect();
            for pair in ends.windows(2) {
                let (left, right) = (&word[..pair[0]], &word[pair[0]..pair[1]]);
                let merged = word[..pair[1]].to_owned();
                if !tokens.contains(&merged) {
                    merges.push(json!([left, right]));
                    tokens.push(merged);
                }
            }
        }
    }
    let vocabulary: Map<String, Value> = (0..)
        .zip(tokens)
        .map(|(id, token): (u32, String)| (token, id.into()))
        .collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": true},
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
            "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null,
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
            "byte_fallback": false, "vocab": vocabulary, "merges": merges},
    })
}

/// The letter of each byte: itself if it is printable, else one from U+0100 on.
fn byte_letters() -> Vec<char> {
    let is_printable = |byte: u8| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let others = (0..=255_u8).filter(|byte| !is_printable(*byte));
    let others = others.zip('\u{100}'..).map(|(_, letter)| letter);
    let same = (0..=255_u8).filter(|byte| is_printable(*byte));
    same.map(char::from).chain(others).collect()
}

const WORDS: &str = "the of and to in that is was he for it with as his on be at by had not are but \
    from or have an they which one you were her all she there would their we him been has when who \
    will more no if out so said what up its about into than them can only other new some could time \
    these two may then do first any my now such like our over man me even most made after also did \
    many before must through years where much your way well down should because each just those \
    people state good very make world still own see men work long here get both between life being";
