//! OpenAI's dialect as Together speaks it.

use std::error::Error as StdError;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use llm_provider::openai::{Dialect, Translated, Translation};
use llm_provider::{Call, Error, ErrorKind, Operation, Result};
use llm_types::completions::CompletionRequest;
use llm_types::embeddings::EmbeddingRequest;
use llm_types::rerank::RerankRequest;
use llm_types::{ChatRequest, Stop};
use serde_json::{Value, json};

use crate::config::NAME;
use crate::{error, messages};

/// What Together wants otherwise than OpenAI. Parameters that are not named here pass as they
/// are: Together's own, and OpenAI's that Together may learn any day.
#[derive(Debug)]
pub(crate) struct TogetherDialect;

impl Dialect for TogetherDialect {
    fn provider(&self) -> &'static str {
        NAME
    }

    fn chat_request(&self, call: &Call<ChatRequest>) -> Result<Translated<ChatRequest>> {
        let mut request = Translation::new(call)?;
        request.remove_nulls();
        // What would come back otherwise is not what was asked for.
        if request
            .get("modalities")
            .is_some_and(|list| list.contains("audio"))
        {
            request.refuse("modalities")?;
        }
        for key in ["audio", "functions", "web_search_options"] {
            request.refuse(key)?;
        }
        name_limit(&mut request);
        count_logprobs(&mut request)?;
        list_stops(&mut request)?;
        reasoning(&mut request);
        messages::translate(&mut request)?;
        request.finish()
    }

    fn completion_request(
        &self,
        call: &Call<CompletionRequest>,
    ) -> Result<Translated<CompletionRequest>> {
        let mut request = Translation::new(call)?;
        request.remove_nulls();
        for key in ["best_of", "suffix"] {
            request.refuse(key)?;
        }
        single_prompt(&mut request)?;
        name_limit(&mut request);
        count_logprobs(&mut request)?;
        list_stops(&mut request)?;
        request.finish()
    }

    fn embedding_request(
        &self,
        call: &Call<EmbeddingRequest>,
    ) -> Result<Translated<EmbeddingRequest>> {
        let mut request = Translation::new(call)?;
        request.remove_nulls();
        if request
            .get("input")
            .is_some_and(|input| is_token_ids(&input))
        {
            return Err(no_token_ids("input"));
        }
        request.refuse("dimensions")?;
        // Unknown to Together, and done with its answer instead.
        request.remove("encoding_format");
        request.finish()
    }

    fn rerank_request(&self, call: &Call<RerankRequest>) -> Result<Translated<RerankRequest>> {
        let mut request = Translation::new(call)?;
        request.remove_nulls();
        // Together refuses what is not in its schema, and says no more than that.
        for key in request.keys() {
            if !RERANK.contains(&&*key) {
                request.refuse(&key)?;
            }
        }
        if !request.has("return_documents") {
            request.set("return_documents", true); // LiteLLM's default
        }
        request.finish()
    }

    fn error(&self, status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
        error::read(status, headers, body)
    }
}

/// Gives the limit the name that Together knows.
pub(crate) fn name_limit<T: Operation>(request: &mut Translation<'_, T>) {
    request.rename("max_completion_tokens", "max_tokens");
}

/// Says how many log probabilities are wanted: `logprobs` is a number here.
pub(crate) fn count_logprobs<T: Operation>(request: &mut Translation<'_, T>) -> Result<()> {
    let top: Option<u64> = request
        .read("top_logprobs")
        .map_err(|error| unreadable("top_logprobs", error))?;
    let wanted: Option<Value> = request
        .read("logprobs")
        .map_err(|error| unreadable("logprobs", error))?;
    match wanted.as_ref().and_then(Value::as_bool) {
        Some(true) => request.set("logprobs", top.unwrap_or(1).max(1)),
        Some(false) => request.remove("logprobs"),
        None => {}
    }
    request.remove("top_logprobs");
    Ok(())
}

/// Makes of a single stop a list of one.
fn list_stops<T: Operation>(request: &mut Translation<'_, T>) -> Result<()> {
    if request
        .get("stop")
        .is_some_and(|stop| stop.starts_with('"'))
    {
        let stops = stops(request)?;
        request.set("stop", stops);
    }
    Ok(())
}

/// Where to stop, as a list.
pub(crate) fn stops<T: Operation>(request: &Translation<'_, T>) -> Result<Vec<String>> {
    let stop: Option<Stop> = request
        .read("stop")
        .map_err(|error| unreadable("stop", error))?;
    Ok(match stop {
        None => Vec::new(),
        Some(Stop::One(stop)) => vec![stop],
        Some(Stop::Many(stops)) => stops,
    })
}

/// Together knows three efforts, and another way to say none at all. Which models know which
/// efforts is as in LiteLLM.
fn reasoning(request: &mut Translation<'_, ChatRequest>) {
    let text = |key| request.read::<String>(key).ok().flatten();
    let Some(effort) = text("reasoning_effort") else {
        return;
    };
    let model = text("model").unwrap_or_default().to_ascii_lowercase();
    let (always_thinks, thinks_hard) =
        (model.contains("gpt-oss"), model.contains("deepseek-v4-pro"));
    let effort = match &*effort {
        "none" if always_thinks => "low",
        "none" => {
            if !request.has("reasoning") {
                request.set("reasoning", json!({ "enabled": false }));
            }
            return request.remove("reasoning_effort");
        }
        "default" => return request.remove("reasoning_effort"),
        "minimal" | "low" | "medium" if thinks_hard => "high",
        "xhigh" if thinks_hard => "max",
        "max" if thinks_hard => return,
        "minimal" => "low",
        "xhigh" | "max" => "high",
        _ => return,
    };
    request.set("reasoning_effort", effort);
}

/// Together takes one prompt, as text; a list of one is that, too.
fn single_prompt(request: &mut Translation<'_, CompletionRequest>) -> Result<()> {
    let Some(raw) = request.get("prompt").filter(|raw| raw.starts_with('[')) else {
        return Ok(());
    };
    if is_token_ids(&raw) {
        return Err(no_token_ids("prompt"));
    }
    let mut prompts: Vec<Value> =
        serde_json::from_str(&raw).map_err(|error| unreadable("prompt", error))?;
    match (prompts.pop(), prompts.is_empty()) {
        (Some(prompt @ Value::String(_)), true) => {
            request.set("prompt", prompt);
            Ok(())
        }
        _ => Err(refused(
            "prompt",
            "Together takes one prompt at a time, as a text",
        )),
    }
}

/// Whether a list is of numbers, or of lists.
fn is_token_ids(json: &str) -> bool {
    let first = json.strip_prefix('[').map(str::trim_start);
    first.is_some_and(|first| {
        first.starts_with(|c: char| c == '[' || c == '-' || c.is_ascii_digit())
    })
}

fn no_token_ids(key: &'static str) -> Error {
    refused(key, "Together takes texts only, no token ids")
}

fn refused(key: &'static str, message: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, message).with_param(key.to_owned())
}

/// The error for a parameter that has not the shape it should have.
pub(crate) fn unreadable(key: &'static str, error: impl StdError + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("{key}: {error}"))
        .with_param(key.to_owned())
        .with_source(error)
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
