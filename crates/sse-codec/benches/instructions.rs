//! The work whose instructions `cargo xtask bench sse-codec` counts, in small inputs.
//!
//! Without arguments, it prints the name of each case and its number of events. With a name and a
//! number, it makes so many passes over the input of that case.
#![allow(clippy::print_stdout, reason = "a benchmark reports")]

#[allow(dead_code, reason = "the other benchmarks use all of it")]
mod cases;

use std::hint::black_box;
use std::process::ExitCode;

use cases::{Case, completions, line, predictions};
use sse_codec::{Decoder, encode_event};

fn main() -> ExitCode {
    // `cargo bench` adds options.
    let args: Vec<String> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .collect();
    let [name, passes] = &args[..] else {
        for case in decoded() {
            println!("{}\t{}", case.name, case.events);
        }
        println!("{ENCODE}\t{}", decoded()[0].events);
        return ExitCode::SUCCESS;
    };
    let Ok(passes) = passes.parse() else {
        return ExitCode::FAILURE;
    };
    if name == ENCODE {
        encode(&decoded()[0], passes);
        return ExitCode::SUCCESS;
    }
    match decoded().iter().find(|case| case.name == name) {
        Some(case) => decode(case, passes),
        None => return ExitCode::FAILURE,
    }
    ExitCode::SUCCESS
}

/// The inputs; the first is that of a streamed chat.
fn decoded() -> [Case; 5] {
    [
        Case::new(
            "",
            "decode 272-byte events",
            completions(64 << 10, "\n"),
            1 << 10,
        ),
        Case::new("", "decode byte by byte", completions(8 << 10, "\n"), 1),
        Case::new(
            "",
            "decode 8-byte events",
            b"data:x\n\n".repeat(4 << 10),
            1 << 10,
        ),
        Case::new("", "decode a line of 64 KiB", line(64 << 10), 1460),
        Case::new("", "decode event, id and data", predictions(1_000), 1 << 10),
    ]
}

fn decode(case: &Case, passes: u32) {
    for _ in 0..passes {
        let mut decoder = Decoder::new();
        for read in &case.reads {
            let _ = decoder.feed(&case.input[read.clone()], |event| {
                black_box((event.name(), &*event.text(), event.id()));
            });
        }
    }
}

fn encode(case: &Case, passes: u32) {
    let mut data = Vec::new();
    let _ = Decoder::new().feed(&case.input, |event| data.push(event.text().into_owned()));
    let mut out = Vec::new();
    for _ in 0..passes {
        out.clear();
        for data in &data {
            encode_event(&mut out, None, None, black_box(data));
        }
        black_box(&out);
    }
}

const ENCODE: &str = "encode 272-byte events";
