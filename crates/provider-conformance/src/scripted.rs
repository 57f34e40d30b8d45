//! Replies in OpenAI's schema from the suite itself, for OpenAI-compatible upstreams.

use serde_json::{Value, json};

use crate::harness::{Answer, Both, Harness, PROMPT, TEXT};
use crate::tap::answer;
use crate::{Scenario, Simulation};
use llm_provider::Capability;

pub(crate) async fn finish_reasons(simulation: &dyn Simulation) {
    let Some(harness) = harness(simulation).await else {
        return;
    };
    for (native, expected) in [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("content_filter", "content_filter"),
        ("eos", "stop"), // an engine's own name
    ] {
        let script = Script::new(json!({ "role": "assistant", "content": "Hi" }), native);
        for (how, answer) in script.play(&harness).await {
            assert_eq!(answer.finish(), expected, "{how}, {native}");
        }
    }
}

pub(crate) async fn choices(simulation: &dyn Simulation) {
    let Some(harness) = harness(simulation).await else {
        return;
    };
    let message = |text: &str| json!({ "role": "assistant", "content": text });
    let choice = |index: u64, text: &str, finish: Value| json!({ "index": index, "message": message(text), "finish_reason": finish });
    let delta = |index: u64, text: &str, finish: Value| {
        let delta = json!({ "content": text });
        envelope(json!([{ "index": index, "delta": delta, "finish_reason": finish }]))
    };
    let script = Script {
        whole: envelope(json!([
            choice(0, "one one", "stop".into()),
            choice(1, "two two", "length".into()),
        ])),
        chunks: vec![
            delta(1, "two", Value::Null),
            delta(0, "one", Value::Null),
            delta(0, " one", "stop".into()),
            delta(1, " two", Value::Null),
            delta(1, "", "length".into()),
        ],
        n: 2,
    };
    for (how, answer) in script.play(&harness).await {
        let choices = answer.choices.iter();
        let choices: Vec<_> = choices
            .map(|(index, choice)| (*index, &*choice.text, choice.finish.as_deref()))
            .collect();
        let expected = [(0, "one one", Some("stop")), (1, "two two", Some("length"))];
        assert_eq!(choices, expected, "{how}");
    }
}

pub(crate) async fn upstream_usage(simulation: &dyn Simulation) {
    let Some(harness) = harness(simulation).await else {
        return;
    };
    let usage = json!({
        "prompt_tokens": 7, "completion_tokens": 11, "total_tokens": 18,
        "completion_tokens_details": { "reasoning_tokens": 5 },
    });
    let message = json!({ "role": "assistant", "content": "Hi" });
    let mut script = Script::new(message, "stop");
    script.whole["usage"] = usage.clone();
    let mut beside = script.clone();
    let mut alone = envelope(json!([]));
    alone["usage"] = usage.clone();
    script.chunks.push(alone);
    if let Some(last) = beside.chunks.last_mut() {
        last["usage"] = usage.clone();
    }
    for (place, script) in [("alone", script), ("beside the finish reason", beside)] {
        for (how, answer) in script.play(&harness).await {
            for (name, count) in usage.as_object().into_iter().flatten() {
                assert_eq!(&answer.usage[name], count, "{how}, {place}: {name}");
            }
        }
    }
}

pub(crate) async fn tool_calls(simulation: &dyn Simulation) {
    let Some(harness) = harness(simulation).await else {
        return;
    };
    let calls = [
        ["call_1", "get_weather", r#"{"city":"Zürich"}"#],
        ["call_2", "get_time", "{}"],
    ];
    let call = |[id, name, arguments]: [&str; 3]| {
        let function = json!({ "name": name, "arguments": arguments });
        json!({ "id": id, "type": "function", "function": function })
    };
    let message = json!({
        "role": "assistant", "content": null, "tool_calls": calls.map(call),
    });
    let delta = |index: u64, mut call: Value| {
        call["index"] = index.into();
        let delta = json!({ "tool_calls": [call] });
        envelope(json!([{ "index": 0, "delta": delta, "finish_reason": null }]))
    };
    let piece = |arguments: &str| json!({ "function": { "arguments": arguments } });
    let begin = |[id, name, _]: [&str; 3]| call([id, name, ""]);
    let mut script = Script::new(message, "tool_calls");
    let finish = script.chunks.pop();
    script.chunks = vec![
        delta(0, begin(calls[0])),
        delta(0, piece(r#"{"city":"#)),
        delta(0, piece(r#""Zürich"}"#)),
        delta(1, begin(calls[1])),
        delta(1, piece("{}")),
    ];
    script.chunks.extend(finish);
    for (how, answer) in script.play(&harness).await {
        assert_eq!(answer.finish(), "tool_calls", "{how}");
        let found = &answer.choices[&0].tool_calls;
        let expected = calls.map(|call| call.map(str::to_owned));
        assert_eq!(found, &expected, "{how}");
    }
}

pub(crate) async fn unknown_members(simulation: &dyn Simulation) {
    let Some(harness) = harness(simulation).await else {
        return;
    };
    let extra = json!({ "kept": [1, 2.50, "three"] });
    // A finish reason that has to be rewritten, so that the reply cannot pass as its bytes.
    for native in ["stop", "eos"] {
        let mut script = Script::new(json!({ "role": "assistant", "content": "Hi" }), native);
        script.whole["x_answer"] = extra.clone();
        script.whole["choices"][0]["x_choice"] = extra.clone();
        for chunk in &mut script.chunks {
            chunk["x_answer"] = extra.clone();
            chunk["choices"][0]["x_choice"] = extra.clone();
        }
        for (how, answer) in script.play(&harness).await {
            let documents = match &answer.body {
                Value::Array(chunks) => chunks.as_slice(),
                body => std::slice::from_ref(body),
            };
            for document in documents {
                assert_eq!(document["x_answer"], extra, "{how}, {native}: {document}");
                let choice = &document["choices"][0];
                assert_eq!(choice["x_choice"], extra, "{how}, {native}: {document}");
            }
        }
    }
}

/// The reply of the upstream.
#[derive(Clone)]
struct Script {
    whole: Value,
    chunks: Vec<Value>,
    /// The number of choices to ask for.
    n: u64,
}

impl Script {
    /// One choice, with its message in the first of two chunks.
    fn new(message: Value, finish: &str) -> Self {
        let choice = json!({ "index": 0, "message": message, "finish_reason": finish });
        let first = json!({ "index": 0, "delta": message, "finish_reason": null });
        let last = json!({ "index": 0, "delta": {}, "finish_reason": finish });
        Self {
            whole: envelope(json!([choice])),
            chunks: vec![envelope(json!([first])), envelope(json!([last]))],
            n: 1,
        }
    }

    /// Both replies of an upstream with this script.
    async fn play(&self, harness: &Harness<'_>) -> Both<Answer> {
        let mut body = json!({ "messages": [{ "role": "user", "content": PROMPT }] });
        if self.n > 1 {
            body["n"] = self.n.into();
        }
        let call = harness.request(Capability::Chat, body);
        let json = "content-type: application/json\r\n";
        harness
            .tap
            .play(answer("200 OK", json, &self.whole.to_string()));
        let plain = harness.plain(&call).await;
        let mut events: String = self
            .chunks
            .iter()
            .map(|chunk| format!("data: {chunk}\n\n"))
            .collect();
        events.push_str("data: [DONE]\n\n");
        let head = "content-type: text/event-stream\r\n";
        harness.tap.play(answer("200 OK", head, &events));
        let streamed = harness.streamed(&call).await;
        [("plain", plain), ("streamed", streamed)].map(|(how, answer)| match answer {
            Ok(answer) => (how, answer),
            Err(error) => panic!("a {how} call failed: {error:?}"),
        })
    }
}

async fn harness(simulation: &dyn Simulation) -> Option<Harness<'_>> {
    if !simulation.speaks_openai() {
        return None;
    }
    Some(Harness::new(simulation, Scenario::Reply(TEXT.to_owned())).await)
}

fn envelope(choices: Value) -> Value {
    json!({ "id": "scripted-1", "created": 1, "model": "scripted", "choices": choices })
}
