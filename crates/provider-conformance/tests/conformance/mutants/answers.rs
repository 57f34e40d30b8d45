//! Plain answers.

use serde_json::Value;

use super::{Mutant, ascii, cut, each, each_list, each_text, finish, remove, rename};
use crate::mutant::Mutation::{Cached, Reply};

pub(super) const MUTANTS: &[Mutant] = &[
    (
        "trims",
        "answers",
        Reply(|body| each_text(body, |text| text.replace("\n\n ", " "))),
    ),
    ("no id", "answers", Reply(|body| body["id"] = "".into())),
    (
        "no finish reason",
        "answers",
        Reply(|body| finish(body, Value::Null)),
    ),
    (
        "length is stop",
        "token_limit",
        Reply(|body| rename(body, "length", "stop")),
    ),
    (
        "tool_calls is stop",
        "finish_reasons",
        Reply(|body| rename(body, "tool_calls", "stop")),
    ),
    (
        "content_filter is stop",
        "finish_reasons",
        Reply(|body| {
            rename(body, "content_filter", "stop");
        }),
    ),
    (
        "answers in ASCII",
        "unicode",
        Reply(|body| each_text(body, |text| ascii(&text))),
    ),
    (
        "answers of 64 KiB",
        "big_bodies",
        Reply(|body| each_text(body, |text| cut(&text))),
    ),
    (
        "one choice",
        "choices",
        Reply(|body| each_list(body, "choices", |all| all.truncate(1))),
    ),
    ("no usage", "usage", Reply(|body| remove(body, "usage"))),
    (
        "no usage details",
        "upstream_usage",
        Reply(|body| {
            remove(&mut body["usage"], "completion_tokens_details");
        }),
    ),
    (
        "one tool call",
        "tool_calls",
        Reply(|body| {
            each(body, "choices", |choice| {
                each_list(&mut choice["message"], "tool_calls", |calls| {
                    calls.truncate(1)
                });
            });
        }),
    ),
    (
        "only known members",
        "unknown_members",
        Reply(|body| remove(body, "x_answer")),
    ),
    ("the first answer for everybody", "concurrency", Cached),
    (
        "completions have no finish reason",
        "completions",
        Reply(|body| {
            finish(body, Value::Null);
        }),
    ),
    (
        "vectors in reverse",
        "embeddings",
        Reply(|body| {
            each_list(body, "data", |data| data.reverse());
        }),
    ),
    (
        "results in the order of the documents",
        "rerank",
        Reply(|body| {
            each_list(body, "results", |results| {
                results.sort_by_key(|result| result["index"].as_u64());
            });
        }),
    ),
    (
        "indices of the results",
        "rerank",
        Reply(|body| {
            let mut next = 0;
            each(body, "results", |result| {
                result["index"] = next.into();
                next += 1;
            });
        }),
    ),
];
