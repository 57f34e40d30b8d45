//! Reads two members of a large body, and summarizes a chunk, compared with full parses.

#![allow(clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use llm_types::{ChatChunk, ChatRequest, ChunkSummary, RawObject, Value};
use serde_json::json;

criterion_group!(benches, prompt, chunk);
criterion_main!(benches);

/// 256 KiB of prompt: a single line; English prose with paragraphs, a quotation and a dash; source
/// code, with an escape every few bytes; JSON as tools return it, with many quotes; Chinese, in
/// which no byte is ASCII; and the same Chinese as written by Python's `json.dumps`.
fn prompt(criterion: &mut Criterion) {
    for (name, line) in [
        ("line", "the quick brown fox jumps over the lazy dog "),
        ("prose", PROSE),
        ("code", "    let name = \"value\";\n\tcall(name, \"x\");\n"),
        (
            "json",
            "{\"id\":17,\"name\":\"Anna\",\"tags\":[\"a\",\"b\"]},",
        ),
        ("chinese", CHINESE),
        ("chinese-ascii", CHINESE),
    ] {
        let text = line.repeat(PROMPT / line.len());
        let mut body = json!({
            "model": "meta-llama/Llama-3.3-70B-Instruct-Turbo",
            "messages": [{"role": "user", "content": text}],
            "stream": true,
            "max_tokens": 512,
        })
        .to_string();
        if name == "chinese-ascii" {
            body = escape_non_ascii(&body);
        }
        let mut group = criterion.benchmark_group(format!("prompt/{name}"));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function("raw", |bencher| {
            bencher.iter(|| {
                let object = RawObject::parse(black_box(body.as_bytes())).unwrap();
                black_box((object.str("model"), object.bool("stream")));
            });
        });
        group.bench_function("value", |bencher| {
            bencher.iter(|| serde_json::from_slice::<Value>(black_box(body.as_bytes())).unwrap());
        });
        group.bench_function("typed", |bencher| {
            bencher.iter(|| {
                serde_json::from_slice::<ChatRequest>(black_box(body.as_bytes())).unwrap()
            });
        });
    }
}

fn escape_non_ascii(json: &str) -> String {
    json.encode_utf16()
        .map(|unit| match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => char::from(byte).to_string(),
            _ => format!("\\u{unit:04x}"),
        })
        .collect()
}

fn chunk(criterion: &mut Criterion) {
    for (name, chunk) in [("content", CONTENT), ("usage", USAGE)] {
        let mut group = criterion.benchmark_group(format!("chunk/{name}"));
        group.throughput(Throughput::Bytes(chunk.len() as u64));
        group.bench_function("summary", |bencher| {
            bencher.iter(|| {
                let summary = ChunkSummary::parse(black_box(chunk.as_bytes())).unwrap();
                black_box((summary.content, summary.finish_reason, summary.usage));
            });
        });
        group.bench_function("typed", |bencher| {
            bencher
                .iter(|| serde_json::from_slice::<ChatChunk>(black_box(chunk.as_bytes())).unwrap());
        });
        group.bench_function("value", |bencher| {
            bencher.iter(|| serde_json::from_slice::<Value>(black_box(chunk.as_bytes())).unwrap());
        });
    }
}

const PROSE: &str = "The llama is a domesticated South American camelid, widely used as a meat and \
    pack animal by Andean cultures since the pre-Columbian era. Llamas are social animals and live \
    with others as a herd. Their wool is soft and contains only a small amount of lanolin. They can \
    learn simple tasks after a few repetitions. When using a pack, they can carry \"a quarter of \
    their body weight\" for eight to thirteen kilometres — or more.\n\n";

const CHINESE: &str = "大羊駝是南美洲的一種駱駝科動物，廣泛用作肉類和馱畜。\n";

const PROMPT: usize = 256 * 1024;

/// A chunk as Together's engines write it.
const CONTENT: &str = r#"{"id":"o1a2B3c-4dEf5G-a0b1c2d3e4f5a6b7","object":"chat.completion.chunk","created":1780000000,"choices":[{"index":0,"text":" llama","logprobs":null,"finish_reason":null,"delta":{"token_id":4321,"role":"assistant","content":" llama","reasoning":null}}],"model":"openai/gpt-oss-120b","usage":null}"#;

const USAGE: &str = r#"{"id":"o1a2B3c-4dEf5G-a0b1c2d3e4f5a6b7","object":"chat.completion.chunk","created":1780000000,"choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"stop","seed":9033012299842426000,"delta":{"token_id":128009,"role":"assistant","content":""}}],"model":"openai/gpt-oss-120b","usage":{"prompt_tokens":194,"completion_tokens":19,"total_tokens":213,"cached_tokens":0}}"#;
