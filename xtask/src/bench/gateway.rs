//! The instructions of a request through the gateway.

mod tokenizer;

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::json;

use super::callgrind::Counted;
use super::limits::{Count, report};
use super::load::{Client, KEY};
use super::{Options, upstream};
use crate::clients::polyllm;
use crate::tool;

/// A kind of request.
struct Case {
    name: &'static str,
    path: &'static str,
    /// `{n}` in it is the number of the request, so that no two are the same.
    body: String,
    /// How the reply ends.
    end: &'static str,
    /// How many are counted.
    requests: u64,
    /// Whether the gateway has a master key, so that it records usage in its database.
    has_spend: bool,
}

fn cases() -> [Case; 11] {
    let chat = |content: &str, stream: bool| {
        let messages = json!([{ "role": "user", "content": content }]);
        json!({ "model": "bench", "messages": messages, "stream": stream }).to_string()
    };
    let message = |model: &str, content: &str, stream: bool| {
        let messages = json!([{ "role": "user", "content": content }]);
        let body =
            json!({ "model": model, "max_tokens": 64, "messages": messages, "stream": stream });
        body.to_string()
    };
    let response =
        |stream: bool| json!({ "model": "bench", "input": "Hello!", "stream": stream }).to_string();
    let long = tokenizer::text(100_000);
    [
        Case {
            name: "request",
            path: "/v1/chat/completions",
            body: chat("Hello!", false),
            end: "}",
            requests: 200,
            has_spend: false,
        },
        Case {
            name: "stream of 64 chunks",
            path: "/v1/chat/completions",
            body: chat("Hello!", true),
            end: "[DONE]",
            requests: 100,
            has_spend: false,
        },
        Case {
            name: "prompt of 256 KiB",
            path: "/v1/chat/completions",
            body: chat(&"lorem ipsum ".repeat((256 << 10) / 12), false),
            end: "}",
            requests: 50,
            has_spend: false,
        },
        Case {
            name: "64 embeddings",
            path: "/v1/embeddings",
            body: json!({ "model": "bench", "input": vec!["word"; 64] }).to_string(),
            end: "}",
            requests: 50,
            has_spend: false,
        },
        Case {
            name: "translated message",
            path: "/v1/messages",
            body: message("bench", "Hello!", false),
            end: "}",
            requests: 200,
            has_spend: false,
        },
        Case {
            name: "translated response",
            path: "/v1/responses",
            body: response(false),
            end: "}",
            requests: 200,
            has_spend: false,
        },
        Case {
            name: "translated message of 64 chunks",
            path: "/v1/messages",
            body: message("bench", "Hello!", true),
            end: r#"{"type":"message_stop"}"#,
            requests: 100,
            has_spend: false,
        },
        Case {
            name: "translated response of 64 chunks",
            path: "/v1/responses",
            body: response(true),
            end: "[DONE]",
            requests: 100,
            has_spend: false,
        },
        Case {
            name: "count_tokens of 100 kB, estimated",
            path: "/v1/messages/count_tokens",
            body: message("bench", &long, false),
            end: "}",
            requests: 50,
            has_spend: false,
        },
        Case {
            name: "count_tokens of 100 kB, by tokenizer",
            path: "/v1/messages/count_tokens",
            body: message("counted", &long, false),
            end: "}",
            requests: 50,
            has_spend: false,
        },
        Case {
            name: "request with spend",
            path: "/v1/chat/completions",
            body: chat("Hello!", false),
            end: "}",
            requests: 200,
            has_spend: true,
        },
    ]
}

/// Counts, prints and compares.
pub(super) fn run(options: &Options) -> Result<()> {
    let ours = match &options.polyllm {
        Some(file) => fs::canonicalize(file)?,
        None => polyllm(true)?,
    };
    let ours = counts(&ours)?;
    let others = match &options.against {
        Some(file) => Some(counts(&fs::canonicalize(file)?)?),
        None => None,
    };
    let counts: Vec<_> = cases()
        .iter()
        .zip(&ours)
        .enumerate()
        .map(|(at, (case, count))| Count {
            subject: "gateway",
            case: case.name.to_owned(),
            count: *count,
            against: others.as_ref().and_then(|others| others.get(at).copied()),
        })
        .collect();
    report(&counts, options.json)
}

/// The instructions per request of each case.
fn counts(polyllm: &Path) -> Result<Vec<u64>> {
    let folder = tool::target()?.join("bench-gateway");
    let base = upstream::start()?;
    let cases = cases();
    let mut counts = Vec::new();
    for group in cases.chunk_by(|one, next| one.has_spend == next.has_spend) {
        // The database of an earlier run would be larger.
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let config = folder.join("config.yaml");
        let has_spend = group.iter().any(|case| case.has_spend);
        let tokenizer = folder.join("tokenizer.json");
        fs::write(&tokenizer, tokenizer::json())?;
        fs::write(&config, configuration(&base, &tokenizer, has_spend))?;
        let config = config.to_string_lossy();
        let args = ["serve", "--config", &*config, "--port", "0", "--json"];
        let gateway = Counted::start(polyllm, &args, &folder.join("callgrind"))?;
        let mut client = Client::connect(&gateway.address()?)?;
        for case in group {
            let mut number = 0_u64;
            let mut send = |requests| {
                (0..requests).try_for_each(|_| {
                    number += 1;
                    let body = case.body.replace("{n}", &number.to_string());
                    client.post(case.path, &body, case.end)
                })
            };
            // Connections and buffers are made by the first requests.
            send(5)?;
            counts.push(gateway.count(|| send(case.requests))? / case.requests);
        }
    }
    Ok(counts)
}

fn configuration(base: &str, tokenizer: &Path, has_spend: bool) -> String {
    let model = |name: &str| {
        format!(
            "  - model_name: {name}\n    litellm_params:\n      \
             model: together_ai/acme/model\n      api_key: upstream-key-1234\n      \
             api_base: {base}\n"
        )
    };
    let mut text = format!(
        "model_list:\n{}{}    model_info: {{tokenizer: {}}}\n",
        model("bench"),
        model("counted"),
        tokenizer.display()
    );
    if has_spend {
        text += &format!("general_settings:\n  master_key: {KEY}\n");
    }
    text
}
