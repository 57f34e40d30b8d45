//! The inputs of the benchmarks here and in `peers`.

use std::ops::Range;

/// One input, split into reads.
pub(crate) struct Case {
    pub(crate) key: &'static str,
    pub(crate) name: &'static str,
    pub(crate) input: Vec<u8>,
    pub(crate) events: usize,
    pub(crate) reads: Vec<Range<usize>>,
}

impl Case {
    pub(crate) fn new(key: &'static str, name: &'static str, input: Vec<u8>, read: usize) -> Self {
        let len = input.len();
        let reads = (0..len)
            .step_by(read)
            .map(|at| at..len.min(at + read))
            .collect();
        let events = memchr::memmem::find_iter(&input, b"\n\n").count()
            + memchr::memmem::find_iter(&input, b"\r\n\r\n").count();
        Self {
            key,
            name,
            input,
            events,
            reads,
        }
    }

    fn with_a_read_per_event(mut self) -> Self {
        let ends = memchr::memmem::find_iter(&self.input, b"\n\n").map(|at| at + 2);
        let mut start = 0;
        self.reads = ends
            .map(|end| std::mem::replace(&mut start, end)..end)
            .collect();
        self
    }
}

/// All cases; the keys are those of the table in the README.
pub(crate) fn all() -> Vec<Case> {
    vec![
        Case::new(
            "a",
            "272-byte events, 1 KiB reads",
            completions(4 << 20, "\n"),
            1 << 10,
        ),
        Case::new(
            "a2",
            "272-byte events, one per read",
            completions(4 << 20, "\n"),
            1,
        )
        .with_a_read_per_event(),
        Case::new(
            "a3",
            "272-byte events, 16 KiB reads",
            completions(4 << 20, "\n"),
            16 << 10,
        ),
        Case::new(
            "b0",
            "64 KiB of them in one read",
            completions(64 << 10, "\n"),
            usize::MAX,
        ),
        Case::new(
            "b",
            "16 MiB of them in one read",
            completions(16 << 20, "\n"),
            usize::MAX,
        ),
        Case::new(
            "c",
            "8-byte events, 1 KiB reads",
            b"data:x\n\n".repeat(1 << 18),
            1 << 10,
        ),
        Case::new(
            "d",
            "272-byte events, byte by byte",
            completions(1 << 20, "\n"),
            1,
        ),
        Case::new(
            "e",
            "the same with CRLF, 1 KiB reads",
            completions(4 << 20, "\r\n"),
            1 << 10,
        ),
        Case::new(
            "f0",
            "one 64 KiB line, 1460-byte reads",
            line(64 << 10),
            1460,
        ),
        Case::new("f", "one 8 MiB line, 1460-byte reads", line(8 << 20), 1460),
        Case::new(
            "g",
            "event, id and data, 1 KiB reads",
            predictions(50_000),
            1 << 10,
        ),
    ]
}

/// Chat completion chunks, 272 bytes each on average.
pub(crate) fn completions(total: usize, line_end: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(total + 512);
    for word in TOKENS.iter().cycle() {
        let event = format!(
            concat!(
                r#"data: {{"id":"oCqL7Zx-3NKUce-98d2f7b1c2aa41f0","object":"chat.completion.chunk","#,
                r#""created":1763700000,"model":"meta-llama/Llama-3.3-70B-Instruct-Turbo","#,
                r#""choices":[{{"index":0,"delta":{{"role":"assistant","content":"{}"}},"#,
                r#""logprobs":null,"finish_reason":null}}],"usage":null}}"#,
                "{}{}"
            ),
            word, line_end, line_end
        );
        out.extend_from_slice(event.as_bytes());
        if out.len() >= total {
            break;
        }
    }
    out
}

/// One event with a long line.
pub(crate) fn line(len: usize) -> Vec<u8> {
    [b"data: ".as_slice(), &vec![b'x'; len], b"\n\n"].concat()
}

/// The output of a model on Replicate.
pub(crate) fn predictions(events: usize) -> Vec<u8> {
    TOKENS
        .iter()
        .cycle()
        .take(events)
        .enumerate()
        .map(|(nth, token)| format!("event: output\nid: 1763700000:{nth}\ndata: {token}\n\n"))
        .collect::<String>()
        .into_bytes()
}

const TOKENS: &[&str] = &[
    " every",
    " token",
    "\\n\\n",
    " of",
    " a",
    "stream",
    " na\u{ef}ve",
    ",",
    " \\\"so\\\"",
    ".",
];
