//! Parameters: honoured, rejected, or dropped and reported.

use serde_json::{Map, Value, json};

use crate::call::Request;
use crate::harness::{Harness, PROMPT};
use crate::{Scenario, Simulation};
use llm_provider::{Capability, ErrorKind};

pub(crate) async fn parameters(simulation: &dyn Simulation) {
    let harness = &Harness::new(simulation, Scenario::Echo).await;
    for (capability, body, parameters) in [
        (
            Capability::Chat,
            json!({ "messages": [{ "role": "user", "content": PROMPT }] }),
            chat_parameters(),
        ),
        (
            Capability::Completions,
            json!({ "prompt": PROMPT }),
            completion_parameters(),
        ),
        (
            Capability::Embeddings,
            json!({ "input": PROMPT }),
            json!({ "dimensions": 8, "user": "user-1" }),
        ),
        (
            Capability::Rerank,
            json!({ "query": PROMPT, "documents": ["zebra", "rust"] }),
            json!({ "top_n": 1, "return_documents": true, "max_tokens_per_doc": 64 }),
        ),
    ] {
        if !harness.has(capability) {
            continue;
        }
        for (name, value) in members(parameters) {
            let mut body = body.clone();
            body[&*name] = value.clone();
            let request = harness.request(capability, body);
            check(harness, (&name, &value), request.clone(), false).await;
            if request.streams() {
                check(harness, (&name, &value), request, true).await;
            }
        }
    }
}

pub(crate) async fn dropped_params(simulation: &dyn Simulation) {
    let Some((name, value)) = simulation.refused_param() else {
        return;
    };
    let harness = Harness::new(simulation, Scenario::Echo).await;
    let body = json!({ "messages": [{ "role": "user", "content": PROMPT }], name: value });
    let mut call = harness.request(Capability::Chat, body);
    for (how, error) in harness.failures(&call).await {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{how}: {error:?}");
        assert_eq!(error.param(), Some(name), "{how}: {error:?}");
    }
    assert_eq!(
        harness.tap.posts(),
        0,
        "{name} was refused after the call was sent"
    );
    call.drop_params = true;
    for (how, answer) in harness.both(&call).await {
        match answer {
            Ok(answer) => {
                let dropped = answer.metadata.dropped_params;
                assert!(
                    dropped.iter().any(|param| param == name),
                    "{how}: {name} was dropped without a report: {dropped:?}"
                );
                assert!(harness.sent()[name].is_null(), "{how}: {name} was sent");
            }
            Err(error) => panic!("{how}: {name} was not dropped: {error:?}"),
        }
    }
}

/// A call with one parameter, first as it is, then with `drop_params`.
async fn check(
    harness: &Harness<'_>,
    (name, value): (&str, &Value),
    mut request: Request,
    streamed: bool,
) {
    for drop_params in [false, true] {
        let what = format!(
            "{} with {name}: {value}, streamed: {streamed}, drop_params: {drop_params}",
            request.capability
        );
        harness.tap.forget_requests();
        request.drop_params = drop_params;
        match harness.send(&request, streamed).await {
            Ok(answer) => {
                let reported = answer.metadata.dropped_params;
                let reported = reported.iter().any(|param| param == name);
                let sent = harness.sent();
                assert!(
                    reported || arrived(&sent, name, value),
                    "{what}: neither sent nor reported; the upstream got {sent} (if it has another name \
                     there, convert it in Simulation::decode)"
                );
            }
            Err(error) => {
                assert!(!drop_params, "{what}: not dropped: {error:?}");
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{what}: {error:?}");
                assert_eq!(error.param(), Some(name), "{what}: {error:?}");
                assert_eq!(
                    harness.tap.posts(),
                    0,
                    "{what}: refused after the call was sent"
                );
            }
        }
    }
}

fn arrived(sent: &Value, name: &str, value: &Value) -> bool {
    match name {
        // Two names of one limit.
        "max_tokens" | "max_completion_tokens" => {
            [&sent["max_tokens"], &sent["max_completion_tokens"]].contains(&value)
        }
        "stop" => {
            let list = |stop: &Value| match stop {
                Value::Array(stops) => stops.clone(),
                stop => vec![stop.clone()],
            };
            list(&sent["stop"]) == list(value)
        }
        _ if value.is_number() => sent[name].as_f64() == value.as_f64(),
        _ => sent[name] == *value,
    }
}

/// In the order of the names; a suffix `#` distinguishes two values of one parameter.
fn members(parameters: Value) -> Vec<(String, Value)> {
    let members: Map<String, Value> = match parameters {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    let members = members.into_iter();
    members
        .map(|(name, value)| (name.trim_end_matches('#').to_owned(), value))
        .collect()
}

fn chat_parameters() -> Value {
    let parameters = json!({ "type": "object", "properties": { "city": { "type": "string" } } });
    let function = json!({ "name": "get_weather", "parameters": parameters });
    json!({
        "max_tokens": 7,
        "max_completion_tokens": 8,
        "temperature": 0.5,
        "top_p": 0.25,
        "stop": "quagga",
        "stop#": ["quagga", "okapi"],
        "seed": 42,
        "n": 2,
        "frequency_penalty": 0.5,
        "presence_penalty": -0.5,
        "logit_bias": { "50256": -100 },
        "user": "user-1",
        "tools": [{ "type": "function", "function": function }],
        "response_format": { "type": "json_object" },
        "x_conformance": { "kept": [1, 2.50, "three"] },
    })
}

fn completion_parameters() -> Value {
    json!({
        "max_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.25,
        "stop": "quagga",
        "stop#": ["quagga", "okapi"],
        "seed": 42,
        "n": 2,
        "frequency_penalty": 0.5,
        "suffix": "the end",
        "best_of": 2,
        "x_conformance": { "kept": [1, 2.50, "three"] },
    })
}
