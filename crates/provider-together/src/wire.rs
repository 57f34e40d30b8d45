//! The differences between Together's API and OpenAI's.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use llm_provider::{Call, Capability, Error, ErrorKind, Result};
use llm_types::Stop;
use provider_openai::Dialect;
use serde_json::{Value, json};

use crate::config::NAME;
use crate::{error, messages};

/// Together's dialect. Parameters that are not named here are sent unchanged: Together's own, and
/// those of OpenAI that Together may add later.
#[derive(Debug)]
pub(crate) struct TogetherDialect;

impl Dialect for TogetherDialect {
    fn provider(&self) -> &'static str {
        NAME
    }

    fn request(&self, call: &mut Call) -> Result<()> {
        call.body.remove_nulls();
        match call.endpoint.capability() {
            Capability::Chat => chat(call),
            Capability::Completions => completion(call),
            Capability::Embeddings => embedding(call),
            Capability::Rerank => rerank(call),
            _ => Ok(()),
        }
    }

    fn error(&self, status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
        error::read(status, headers, body)
    }
}

fn chat(call: &mut Call) -> Result<()> {
    // Together returns text only: dropping this silently would return another reply than requested.
    let modalities: Option<Vec<Value>> = call.param("modalities")?;
    if modalities.is_some_and(|list| list.iter().any(|modality| modality == "audio")) {
        call.refuse("modalities")?;
    }
    for key in ["audio", "functions", "web_search_options"] {
        call.refuse(key)?;
    }
    rename_limit(call);
    count_logprobs(call)?;
    list_stops(call)?;
    reasoning(call);
    messages::rewrite(call)
}

fn completion(call: &mut Call) -> Result<()> {
    for key in ["best_of", "suffix"] {
        call.refuse(key)?;
    }
    single_prompt(call)?;
    rename_limit(call);
    count_logprobs(call)?;
    list_stops(call)
}

fn embedding(call: &mut Call) -> Result<()> {
    if call.body.get("input").is_some_and(is_token_ids) {
        return Err(no_token_ids("input"));
    }
    call.refuse("dimensions")?;
    // Together does not have it; the reply is encoded by the endpoint's normalizer instead.
    call.body.remove("encoding_format");
    Ok(())
}

fn rerank(call: &mut Call) -> Result<()> {
    // Together rejects members that are not in its schema without naming them.
    for key in call.body.keys() {
        if !RERANK.contains(&&*key) {
            call.refuse(&key)?;
        }
    }
    call.body.set_default("return_documents", true); // LiteLLM's default
    Ok(())
}

/// Renames the token limit to Together's name.
pub(crate) fn rename_limit(call: &mut Call) {
    call.body.rename("max_completion_tokens", "max_tokens");
}

/// Converts `logprobs` and `top_logprobs` to Together's `logprobs`, which is a number.
pub(crate) fn count_logprobs(call: &mut Call) -> Result<()> {
    let top: Option<u64> = call.param("top_logprobs")?;
    let wanted: Option<Value> = call.param("logprobs")?;
    match wanted.as_ref().and_then(Value::as_bool) {
        Some(true) => call.body.set("logprobs", top.unwrap_or(1).max(1)),
        Some(false) => call.body.remove("logprobs"),
        None => {}
    }
    // OpenAI rejects it, too.
    if !call.body.has("logprobs") && top.is_some_and(|top| top > 0) {
        let message = "`top_logprobs` requires `logprobs: true`";
        let error = Error::new(ErrorKind::InvalidRequest, message);
        return Err(error.with_param("top_logprobs".to_owned()));
    }
    call.body.remove("top_logprobs");
    Ok(())
}

/// Converts a single stop sequence to a list.
fn list_stops(call: &mut Call) -> Result<()> {
    let is_text = |stop: &[u8]| stop.starts_with(b"\"");
    if call.body.get("stop").is_some_and(is_text) {
        let stops = stops(call)?;
        call.body.set("stop", stops);
    }
    Ok(())
}

/// The stop sequences, as a list.
pub(crate) fn stops(call: &Call) -> Result<Vec<String>> {
    Ok(match call.param("stop")? {
        None => Vec::new(),
        Some(Stop::One(stop)) => vec![stop],
        Some(Stop::Many(stops)) => stops,
    })
}

/// Together has three efforts, and a separate member to turn reasoning off. The efforts of each
/// model are those in LiteLLM.
fn reasoning(call: &mut Call) {
    let body = &mut call.body;
    let Some(effort) = body.str("reasoning_effort") else {
        return;
    };
    let model = body.str("model").unwrap_or_default().to_ascii_lowercase();
    let (always_thinks, thinks_hard) =
        (model.contains("gpt-oss"), model.contains("deepseek-v4-pro"));
    let effort = match &*effort {
        "none" if always_thinks => "low",
        "none" => {
            body.set_default("reasoning", json!({ "enabled": false }));
            return body.remove("reasoning_effort");
        }
        "default" => return body.remove("reasoning_effort"),
        "minimal" | "low" | "medium" if thinks_hard => "high",
        "xhigh" if thinks_hard => "max",
        "max" if thinks_hard => return,
        "minimal" => "low",
        "xhigh" | "max" => "high",
        _ => return,
    };
    body.set("reasoning_effort", effort);
}

/// Together takes one prompt as text. A list of one text is converted to it.
fn single_prompt(call: &mut Call) -> Result<()> {
    let Some(raw) = call.body.get("prompt").filter(|raw| raw.starts_with(b"[")) else {
        return Ok(());
    };
    if is_token_ids(raw) {
        return Err(no_token_ids("prompt"));
    }
    let mut prompts: Vec<Value> = call.param("prompt")?.unwrap_or_default();
    match (prompts.pop(), prompts.is_empty()) {
        (Some(prompt @ Value::String(_)), true) => {
            call.body.set("prompt", prompt);
            Ok(())
        }
        _ => Err(unsupported(
            "prompt",
            "Together takes only one prompt per request, as text",
        )),
    }
}

/// Whether the items of a list are numbers or lists.
fn is_token_ids(json: &[u8]) -> bool {
    let first = json.strip_prefix(b"[").map(<[u8]>::trim_ascii_start);
    first.is_some_and(|first| matches!(first.first(), Some(b'[' | b'-' | b'0'..=b'9')))
}

fn no_token_ids(key: &'static str) -> Error {
    unsupported(key, "Together takes text only, not token ids")
}

fn unsupported(key: &'static str, message: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, message).with_param(key.to_owned())
}

/// Every member of Together's rerank requests.
const RERANK: &[&str] = &[
    "documents",
    "model",
    "query",
    "rank_fields",
    "return_documents",
    "top_n",
];
