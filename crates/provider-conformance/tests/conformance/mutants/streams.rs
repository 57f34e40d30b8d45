//! Streams.

use llm_provider::Result;
use serde_json::{Value, json};

use super::{Mutant, each, each_chunk, end_well, finish, join, remove, rename};
use crate::mutant::Mutation::Events;

pub(super) const MUTANTS: &[Mutant] = &[
    (
        "chunks out of order",
        "streams",
        Events(|events| events.swap(1, 2)),
    ),
    (
        "a chunk is lost",
        "streams",
        Events(|events| drop(events.remove(1))),
    ),
    ("all in one chunk", "streams", Events(join)),
    (
        "two finish reasons",
        "streams",
        Events(|events| {
            each_chunk(events, |chunk| finish(chunk, "stop".into()));
        }),
    ),
    (
        "no finish reason in streams",
        "streams",
        Events(|events| {
            each_chunk(events, |chunk| finish(chunk, Value::Null));
        }),
    ),
    (
        "goes on after the end",
        "streams",
        Events(|events| {
            let first = events[0].as_ref().ok().cloned();
            events.extend(first.map(Ok));
        }),
    ),
    (
        "length is stop in streams",
        "token_limit",
        Events(|events| {
            each_chunk(events, |chunk| rename(chunk, "length", "stop"));
        }),
    ),
    (
        "content_filter is stop in streams",
        "finish_reasons",
        Events(|events| {
            each_chunk(events, |chunk| rename(chunk, "content_filter", "stop"));
        }),
    ),
    (
        "no usage in streams",
        "usage",
        Events(|events| {
            each_chunk(events, |chunk| remove(chunk, "usage"));
        }),
    ),
    (
        "usage beside the choices",
        "usage",
        Events(|events| {
            if let Some(Ok(last)) = events.pop()
                && let Some(Ok(chunk)) = events.last_mut()
            {
                chunk["usage"] = last["usage"].clone();
            }
        }),
    ),
    (
        "usage first",
        "usage",
        Events(|events| events.rotate_right(1)),
    ),
    (
        "counts of its own",
        "upstream_usage",
        Events(|events| {
            each_chunk(events, |chunk| {
                if chunk["usage"].is_object() {
                    chunk["usage"]["prompt_tokens"] = 1.into();
                }
            });
        }),
    ),
    (
        "choices mixed up",
        "choices",
        Events(|events| {
            each_chunk(events, |chunk| {
                each(chunk, "choices", |choice| choice["index"] = 0.into())
            });
        }),
    ),
    (
        "tool calls without names",
        "tool_calls",
        Events(|events| {
            each_chunk(events, |chunk| {
                each(chunk, "choices", |choice| {
                    each(&mut choice["delta"], "tool_calls", |call| {
                        if call["function"]["name"].is_string() {
                            call["function"]["name"] = "".into();
                        }
                    });
                });
            });
        }),
    ),
    (
        "only known members in streams",
        "unknown_members",
        Events(|events| {
            each_chunk(events, |chunk| remove(&mut chunk["choices"][0], "x_choice"));
        }),
    ),
    (
        "ignores errors in mid-stream",
        "midstream_errors",
        Events(end_well),
    ),
    (
        "goes on after an error",
        "midstream_errors",
        Events(|events| {
            events.push(Ok(
                json!({ "id": "x", "created": 1, "model": "m", "choices": [] }),
            ));
        }),
    ),
    (
        "keeps the text before an error back",
        "midstream_errors",
        Events(|events| {
            if events.last().is_some_and(Result::is_err) {
                events.drain(..events.len() - 1);
            }
        }),
    ),
    ("cut streams end well", "cut_streams", Events(end_well)),
    (
        "completion streams without a finish",
        "completions",
        Events(|events| {
            each_chunk(events, |chunk| finish(chunk, Value::Null));
        }),
    ),
];
