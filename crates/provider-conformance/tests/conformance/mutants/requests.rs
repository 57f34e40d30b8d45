//! What is sent.

use serde_json::{Value, json};

use super::{Mutant, ascii, cut, each, each_list, edit, forge_turns, key, remove};
use crate::mutant::Mutation::{Call, Metadata, Request};

pub(super) const MUTANTS: &[Mutant] = &[
    (
        "only the last message",
        "messages",
        Request(|body, _| {
            each_list(body, "messages", |messages| {
                drop(messages.drain(..messages.len() - 1))
            });
        }),
    ),
    (
        "no system message",
        "messages",
        Request(|body, _| {
            each_list(body, "messages", |messages| {
                messages.retain(|m| m["role"] != "system")
            });
        }),
    ),
    (
        "every role is user",
        "messages",
        Request(|body, _| {
            each(body, "messages", |message| message["role"] = "user".into());
        }),
    ),
    (
        "messages in reverse",
        "messages",
        Request(|body, _| {
            each_list(body, "messages", |messages| messages.reverse());
        }),
    ),
    (
        "only the first part of a message",
        "messages",
        Request(|body, _| {
            each(body, "messages", |message| {
                each_list(message, "content", |parts| parts.truncate(1))
            });
        }),
    ),
    (
        "no token limit",
        "parameters",
        Request(|body, _| {
            remove(body, "max_tokens");
            remove(body, "max_completion_tokens");
        }),
    ),
    (
        "no max_completion_tokens",
        "parameters",
        Request(|body, _| {
            remove(body, "max_completion_tokens");
        }),
    ),
    (
        "no temperature",
        "parameters",
        Request(|body, _| remove(body, "temperature")),
    ),
    (
        "no stop",
        "parameters",
        Request(|body, _| remove(body, "stop")),
    ),
    (
        "only the first stop",
        "parameters",
        Request(|body, _| {
            each_list(body, "stop", |stops| stops.truncate(1));
        }),
    ),
    (
        "another seed",
        "parameters",
        Request(|body, _| {
            if body["seed"].is_number() {
                body["seed"] = 0.into();
            }
        }),
    ),
    (
        "no tools",
        "parameters",
        Request(|body, _| remove(body, "tools")),
    ),
    (
        "no unknown parameters",
        "parameters",
        Request(|body, _| remove(body, "x_conformance")),
    ),
    (
        "no dimensions",
        "parameters",
        Request(|body, _| remove(body, "dimensions")),
    ),
    (
        "drops what is refused",
        "parameters",
        Request(|body, _| remove(body, "logit_bias")),
    ),
    (
        "ignores drop_params",
        "dropped_params",
        Call(|drop_params, _| *drop_params = false),
    ),
    (
        "always drops",
        "dropped_params",
        Call(|drop_params, _| *drop_params = true),
    ),
    (
        "does not report what it drops",
        "dropped_params",
        Metadata(|metadata| {
            metadata.dropped_params.clear();
        }),
    ),
    (
        "sends the provider's prefix",
        "model_name",
        Request(|body, _| {
            let name = body["model"].as_str().unwrap_or_default();
            body["model"] = format!("acme/{name}").into();
        }),
    ),
    (
        "prompts in ASCII",
        "unicode",
        Request(|body, _| {
            each(body, "messages", |message| {
                edit(&mut message["content"], ascii)
            });
        }),
    ),
    (
        "prompts of 64 KiB",
        "big_bodies",
        Request(|body, _| {
            each(body, "messages", |message| {
                edit(&mut message["content"], cut)
            });
        }),
    ),
    (
        "control tokens kept",
        "control_tokens",
        Request(|body, _| forge_turns(body)),
    ),
    (
        "obeys `stream` of the request",
        "stream_flag",
        Request(|body, _| {
            if body["stream"] == true {
                *body = Value::Null;
            }
        }),
    ),
    (
        "guesses what a bad request means",
        "bad_requests",
        Request(|body, _| {
            if !body.is_object() {
                *body = json!({ "messages": [] });
            }
        }),
    ),
    (
        "the key in the body",
        "secrets",
        Request(|body, settings| {
            body["user"] = key(settings).into();
        }),
    ),
    (
        "another prompt",
        "completions",
        Request(|body, _| {
            if body["prompt"].is_string() {
                body["prompt"] = "Hello".into();
            }
        }),
    ),
    (
        "no token limit of completions",
        "completions",
        Request(|body, _| {
            if body["prompt"].is_string() {
                remove(body, "max_tokens");
            }
        }),
    ),
    (
        "only the first input",
        "embeddings",
        Request(|body, _| {
            each_list(body, "input", |inputs| inputs.truncate(1));
        }),
    ),
    (
        "ignores encoding_format",
        "embeddings",
        Request(|body, _| remove(body, "encoding_format")),
    ),
    (
        "no top_n",
        "rerank",
        Request(|body, _| remove(body, "top_n")),
    ),
    (
        "no return_documents",
        "rerank",
        Request(|body, _| remove(body, "return_documents")),
    ),
];
