//! Chat chunks, and scripts of replies that can be cut into chunks in any way.

use llm_types::{ChatChunk, ChatResponse, parse};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

pub(crate) fn chunk(value: &Value) -> ChatChunk {
    parse(value.to_string().as_bytes()).unwrap()
}

/// A chunk whose first choice has this delta.
pub(crate) fn delta(delta: Value) -> ChatChunk {
    chunk(
        &json!({"id": "c-1", "created": 5, "model": "upstream", "choices": [{"index": 0, "delta": delta}]}),
    )
}

/// The end of the first choice.
pub(crate) fn finish(reason: &str) -> ChatChunk {
    chunk(&json!({"id": "c-1", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}))
}

pub(crate) fn usage(usage: Value) -> ChatChunk {
    chunk(&json!({"id": "c-1", "choices": [], "usage": usage}))
}

pub(crate) fn call(index: u32, id: &str, name: &str, arguments: &str) -> ChatChunk {
    delta(
        json!({"tool_calls": [{"index": index, "id": id, "type": "function",
        "function": {"name": name, "arguments": arguments}}]}),
    )
}

pub(crate) fn arguments(index: u32, arguments: &str) -> ChatChunk {
    delta(json!({"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}))
}

/// A reply in one piece with this message.
pub(crate) fn response(message: &Value, finish_reason: &str) -> ChatResponse {
    let body = json!({"id": "c-1", "created": 5, "model": "upstream",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}});
    parse(body.to_string().as_bytes()).unwrap()
}

/// A piece of a reply, in the order in which a model writes it.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Reasoning(String),
    Content(String),
    Call(u32),
    Arguments(u32, String),
}

/// A reply as pieces: reasoning, text, calls whose arguments may alternate, and text between them.
pub(crate) fn script() -> impl Strategy<Value = Vec<Piece>> {
    let text = "[ab\n é😀]{1,6}";
    let arguments = prop_oneof![
        Just("{\"path\": \"/etc\", \"n\": [1, 2.5, null]}".to_owned()),
        Just("{\"text\": \"a \\\"b\\\" \\u00e9\\ud83d\\ude00\", \"deep\": {\"x\": {}}}".to_owned()),
        Just("{}".to_owned()),
        Just(String::new()),
        Just("{\"cut\": \"in the mid".to_owned()),
        Just("not json".to_owned()),
    ];
    let reasoning = proptest::collection::vec(text.prop_map(Piece::Reasoning), 0..3);
    let content = proptest::collection::vec(text.prop_map(Piece::Content), 0..3);
    let calls = proptest::collection::vec(arguments, 0..4);
    let order = proptest::collection::vec((any::<Index>(), any::<Index>()), 0..12);
    let between = proptest::option::of(text);
    (reasoning, content, calls, order, between).prop_map(
        |(reasoning, content, calls, order, between)| {
            let mut pieces = [reasoning, content].concat();
            pieces.extend(alternate(&calls, &order));
            if let (Some(text), false) = (between, pieces.is_empty()) {
                let at = pieces.len() / 2 + 1;
                pieces.insert(at.min(pieces.len()), Piece::Content(text));
            }
            pieces
        },
    )
}

/// The calls, whose arguments are cut and interleaved as `order` says.
fn alternate(calls: &[String], order: &[(Index, Index)]) -> Vec<Piece> {
    let mut rests: Vec<&str> = calls.iter().map(String::as_str).collect();
    let mut pieces = Vec::new();
    for at in 0..calls.len() {
        pieces.push(Piece::Call(u32::try_from(at).unwrap()));
    }
    for (call, cut) in order {
        if calls.is_empty() {
            break;
        }
        let call = call.index(calls.len());
        let (piece, rest) = split(rests[call], *cut);
        rests[call] = rest;
        let index = u32::try_from(call).unwrap();
        pieces.push(Piece::Arguments(index, piece.to_owned()));
    }
    for (at, rest) in rests.into_iter().enumerate() {
        let index = u32::try_from(at).unwrap();
        pieces.push(Piece::Arguments(index, rest.to_owned()));
    }
    pieces
}

/// Cuts a text at a character.
pub(crate) fn split(text: &str, cut: Index) -> (&str, &str) {
    let mut at = cut.index(text.len() + 1);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    text.split_at(at)
}

/// One chunk per piece.
pub(crate) fn one_by_one(pieces: &[Piece], finish_reason: &str) -> Vec<ChatChunk> {
    let mut chunks = vec![delta(json!({"role": "assistant", "content": ""}))];
    chunks.extend(pieces.iter().map(|piece| delta(json_of(piece))));
    chunks.push(finish(finish_reason));
    chunks.push(usage(
        json!({"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}),
    ));
    chunks
}

/// The same pieces in other chunks: texts are cut, and neighbours are put into one chunk.
pub(crate) fn otherwise(pieces: &[Piece], cuts: &[Index], finish_reason: &str) -> Vec<ChatChunk> {
    let mut cuts = cuts.iter().cycle().copied();
    let mut small = Vec::new();
    for piece in pieces {
        let cut = cuts.next().unwrap();
        match piece {
            Piece::Reasoning(text) => {
                let (a, b) = split(text, cut);
                small.extend([a, b].map(|text| Piece::Reasoning(text.to_owned())));
            }
            Piece::Content(text) => {
                let (a, b) = split(text, cut);
                small.extend([a, b].map(|text| Piece::Content(text.to_owned())));
            }
            Piece::Call(index) => small.push(Piece::Call(*index)),
            Piece::Arguments(index, text) => {
                let (a, b) = split(text, cut);
                small.extend([a, b].map(|text| Piece::Arguments(*index, text.to_owned())));
            }
        }
    }
    let mut groups: Vec<Vec<Piece>> = Vec::new();
    for piece in small {
        let joins = cuts.next().unwrap().index(2) == 0;
        match groups.last_mut() {
            Some(group) if joins && group.last().is_some_and(|last| follows(last, &piece)) => {
                group.push(piece);
            }
            _ => groups.push(vec![piece]),
        }
    }
    let mut chunks: Vec<_> = groups.iter().map(|group| delta(joined(group))).collect();
    // The usage may be in the chunk with the finish reason.
    chunks.push(chunk(&json!({"id": "c-1",
        "choices": [{"index": 0, "delta": {}, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}})));
    chunks
}

/// Whether a delta can have both: it is read in the order reasoning, content, calls.
fn follows(last: &Piece, next: &Piece) -> bool {
    let rank = |piece: &Piece| match piece {
        Piece::Reasoning(_) => 0,
        Piece::Content(_) => 1,
        Piece::Call(_) | Piece::Arguments(..) => 2,
    };
    rank(last) < rank(next) || rank(last) == 2 && rank(next) == 2
}

fn joined(group: &[Piece]) -> Value {
    let mut joined = json!({});
    for piece in group {
        let members = json_of(piece);
        for (key, value) in members.as_object().unwrap() {
            match joined.get_mut(key).and_then(Value::as_array_mut) {
                Some(list) => list.extend(value.as_array().unwrap().iter().cloned()),
                None => joined[key] = value.clone(),
            }
        }
    }
    joined
}

fn json_of(piece: &Piece) -> Value {
    match piece {
        Piece::Reasoning(text) => json!({"reasoning_content": text}),
        Piece::Content(text) => json!({"content": text}),
        Piece::Call(index) => json!({"tool_calls": [{"index": index, "type": "function",
            "id": format!("call_{index}"), "function": {"name": format!("tool_{index}"), "arguments": ""}}]}),
        Piece::Arguments(index, text) => {
            json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]})
        }
    }
}

/// A delta of a broken engine: any members with any values.
pub(crate) fn odd_delta() -> impl Strategy<Value = String> {
    let text = || {
        prop_oneof![
            Just("null".to_owned()),
            Just("\"\"".to_owned()),
            Just("\"{\\\"a\\\":\"".to_owned()),
            Just("\"{\\\"input\\\":\"".to_owned()),
            Just("\" \\\"1\"".to_owned()),
            Just("\"tool_1\"".to_owned()),
            Just("\" 1}\"".to_owned()),
            Just("\"\\n\"".to_owned()),
            Just("\"x\"".to_owned()),
        ]
    };
    let call = (0..3_u32, text(), text(), text()).prop_map(|(index, id, name, arguments)| {
        format!(
            "{{\"index\": {index}, \"id\": {id}, \"function\": {{\"name\": {name}, \"arguments\": {arguments}}}}}"
        )
    });
    (text(), text(), text(), proptest::collection::vec(call, 0..3)).prop_map(
        |(reasoning, content, refusal, calls)| {
            format!(
                "{{\"reasoning\": {reasoning}, \"content\": {content}, \"refusal\": {refusal}, \"tool_calls\": [{}]}}",
                calls.join(",")
            )
        },
    )
}
