//! The cases in `fixtures/prompt-templates`.
#![allow(clippy::unwrap_used, dead_code, reason = "helpers of tests")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use prompt_templates::{
    Options, PromptContent, PromptMessage, PromptPart, PromptRole, PromptToolCall,
};
use serde_json::Value;

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/prompt-templates")
}

pub(crate) fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// The files of a kind in a folder, by their names without the extension.
pub(crate) fn files(folder: &Path, kind: &str) -> BTreeMap<String, PathBuf> {
    let paths = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == kind))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path))
        .collect()
}

/// All cases by name.
pub(crate) fn cases() -> BTreeMap<String, Value> {
    let files = files(&folder().join("cases"), "json");
    files
        .into_iter()
        .map(|(name, path)| (name, read(&path)))
        .collect()
}

/// The options of a case.
pub(crate) fn options(case: &Value) -> Options {
    let tools = case["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .map(Value::to_string)
        .collect();
    Options::new()
        .with_generation_prompt(case["add_generation_prompt"] != false)
        .with_tools(tools)
}

/// Messages in OpenAI's form.
pub(crate) fn messages(list: &Value) -> Vec<PromptMessage<'_>> {
    list.as_array().unwrap().iter().map(message).collect()
}

fn message(message: &Value) -> PromptMessage<'_> {
    let content = match &message["content"] {
        Value::String(text) => PromptContent::from(text),
        Value::Array(parts) => PromptContent::Parts(parts.iter().map(part).collect()),
        _ => PromptContent::None,
    };
    let calls = message["tool_calls"]
        .as_array()
        .into_iter()
        .flatten()
        .map(call);
    let mut out = PromptMessage::new(PromptRole::from(text(&message["role"])), content)
        .with_tool_calls(calls.collect());
    if let Some(id) = message["tool_call_id"].as_str() {
        out = out.with_tool_call_id(id);
    }
    if let Some(reasoning) = message["reasoning_content"].as_str() {
        out = out.with_reasoning(reasoning);
    }
    out
}

fn call(call: &Value) -> PromptToolCall<'_> {
    let function = &call["function"];
    let arguments = match &function["arguments"] {
        Value::String(text) => text.clone(),
        json => json.to_string(),
    };
    PromptToolCall::new(text(&call["id"]), text(&function["name"]), arguments)
}

fn part(part: &Value) -> PromptPart<'_> {
    match text(&part["type"]) {
        "text" => PromptPart::Text(text(&part["text"]).into()),
        "image_url" => PromptPart::Image(text(&part["image_url"]["url"]).into()),
        other => PromptPart::Other(other.into()),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
