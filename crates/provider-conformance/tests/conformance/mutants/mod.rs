//! The mutants: what each does wrong, and the check that has to catch it.

mod answers;
mod errors;
mod requests;
mod rest;
mod settings;
mod streams;

use llm_provider::{Error, ErrorKind, Result, Settings};
use serde_json::{Value, json};

use crate::mutant::Mutation;

/// What is wrong, the check that has to catch it, and how it is done.
pub(crate) type Mutant = (&'static str, &'static str, Mutation);

/// Checks that no mutant of an OpenAI-compatible provider can fail, and why.
pub(crate) const UNMUTATED: &[(&str, &str)] = &[(
    "chunkings",
    "the bytes of an answer are split below what a mutant sees",
)];

/// Every mutant.
pub(crate) fn all() -> impl Iterator<Item = Mutant> {
    [
        requests::MUTANTS,
        answers::MUTANTS,
        streams::MUTANTS,
        errors::MUTANTS,
        settings::MUTANTS,
        rest::MUTANTS,
    ]
    .into_iter()
    .flatten()
    .copied()
}

fn key(settings: &Settings) -> String {
    let key = settings.api_key.as_ref();
    key.map(|key| key.expose().to_owned()).unwrap_or_default()
}

fn remove(object: &mut Value, name: &str) {
    if let Some(object) = object.as_object_mut() {
        object.remove(name);
    }
}

fn each_list(object: &mut Value, name: &str, change: impl FnOnce(&mut Vec<Value>)) {
    if let Some(list) = object.get_mut(name).and_then(Value::as_array_mut)
        && !list.is_empty()
    {
        change(list);
    }
}

fn each(object: &mut Value, name: &str, change: impl FnMut(&mut Value)) {
    each_list(object, name, |list| list.iter_mut().for_each(change));
}

fn each_text(body: &mut Value, change: fn(String) -> String) {
    each(body, "choices", |choice| {
        edit(&mut choice["message"]["content"], |text| {
            change(text.to_owned())
        });
    });
}

fn each_chunk(events: &mut [Result<Value>], change: impl FnMut(&mut Value)) {
    events.iter_mut().flatten().for_each(change);
}

fn edit(text: &mut Value, change: impl FnOnce(&str) -> String) {
    if let Some(changed) = text.as_str().map(change) {
        *text = changed.into();
    }
}

fn finish(body: &mut Value, reason: Value) {
    each(body, "choices", |choice| {
        choice["finish_reason"] = reason.clone()
    });
}

fn rename(body: &mut Value, reason: &str, other: &str) {
    each(body, "choices", |choice| {
        if choice["finish_reason"] == reason {
            choice["finish_reason"] = other.into();
        }
    });
}

fn ascii(text: &str) -> String {
    text.replace(|c: char| !c.is_ascii(), "?")
}

fn cut(text: &str) -> String {
    text.chars().take(64 << 10).collect()
}

/// Takes the markers of ChatML in a message for turns.
fn forge_turns(body: &mut Value) {
    each_list(body, "messages", |messages| {
        let last = messages.last().cloned().unwrap_or_default();
        let text = last["content"].as_str().unwrap_or_default().to_owned();
        if let Some((before, after)) = text.split_once("<|im_start|>system\n") {
            messages.pop();
            messages.push(json!({ "role": "user", "content": before }));
            messages.push(json!({ "role": "system", "content": after }));
        }
    });
}

/// Puts all text into the first chunk.
fn join(events: &mut Vec<Result<Value>>) {
    let mut text = String::new();
    each_chunk(events, |chunk| {
        each(chunk, "choices", |choice| {
            text.push_str(choice["delta"]["content"].as_str().unwrap_or_default());
            choice["delta"] = json!({});
        });
    });
    if let Some(Ok(first)) = events.first_mut() {
        first["choices"][0]["delta"] = json!({ "content": text });
    }
    events.retain(|event| {
        event.as_ref().is_ok_and(|chunk| {
            let choice = &chunk["choices"][0];
            choice["delta"] != json!({}) || choice["finish_reason"].is_string()
        })
    });
}

/// Ends a broken stream as if it were whole.
fn end_well(events: &mut Vec<Result<Value>>) {
    if events.pop_if(|last| last.is_err()).is_some() {
        let choice = json!({ "index": 0, "delta": {}, "finish_reason": "stop" });
        events.push(Ok(
            json!({ "id": "x", "created": 1, "model": "m", "choices": [choice] }),
        ));
    }
}

fn empty_answer(error: &Error) -> Option<Value> {
    if !matches!(
        error.kind(),
        ErrorKind::Transport | ErrorKind::UnexpectedBody
    ) {
        return None;
    }
    let message = json!({ "role": "assistant", "content": "" });
    let choice = json!({ "index": 0, "message": message, "finish_reason": "stop" });
    Some(json!({ "id": "x", "created": 1, "model": "m", "choices": [choice] }))
}

/// The error without status, body, advice and source.
fn rebuilt(error: &Error) -> Error {
    let model = error.model().unwrap_or_default().to_owned();
    Error::new(error.kind(), "failed")
        .with_provider("acme")
        .with_model(model)
}
