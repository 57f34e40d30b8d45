//! The endpoints other than chats.

use std::time::Duration;

use futures_util::StreamExt;
use llm_types::embeddings::{EmbeddingResponse, EncodingFormat};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::harness::{Harness, PROMPT, TEXT, assert_named};
use crate::tap::Fault;
use crate::{Scenario, Simulation};
use llm_provider::{Capability, Error, ErrorKind, Result};

pub(crate) async fn capabilities(simulation: &dyn Simulation) {
    let harness = Harness::new(simulation, Scenario::Echo).await;
    let all = harness.provider.capabilities();
    assert!(all.iter().count() > 0, "the provider has no capability");
    for capability in ALL {
        harness.tap.forget_requests();
        let outcomes = attempts(&harness, capability, None).await;
        for (what, outcome) in outcomes {
            if all.has(capability) {
                if let Err(error) = outcome {
                    panic!("{what} is in the capabilities, and failed: {error:?}");
                }
            } else {
                let kind = outcome.map_err(|error| error.kind());
                assert_eq!(kind, Err(ErrorKind::Unsupported), "{what}");
                assert!(
                    harness.tap.requests().is_empty(),
                    "{what} was sent though it is not supported"
                );
            }
        }
    }
}

pub(crate) async fn operation_errors(simulation: &dyn Simulation) {
    let refusing = Harness::new(simulation, Scenario::Refuse(429)).await;
    for capability in refusing.provider.capabilities().iter() {
        for (what, outcome) in attempts(&refusing, capability, None).await {
            let error = failed(&what, outcome);
            let status = error.status().map(|status| status.as_u16());
            assert_eq!(status, Some(429), "{what}: {error:?}");
            assert_eq!(error.kind(), simulation.kind(429), "{what}: {error:?}");
            assert_named_for(&refusing, capability, &error);
        }
    }
    let limit = Duration::from_secs(3);
    let silent = Harness::with(simulation, Scenario::Echo, |settings| {
        settings.with_timeout(limit)
    });
    let silent = silent.await;
    silent.tap.play(Fault::Stall(0));
    for capability in silent.provider.capabilities().iter() {
        for own in [None, Some(limit)] {
            let begin = Instant::now();
            for (what, outcome) in attempts(&silent, capability, own).await {
                let error = failed(&what, outcome);
                assert_eq!(error.kind(), ErrorKind::Timeout, "{what}: {error:?}");
                assert_named_for(&silent, capability, &error);
            }
            let took = begin.elapsed();
            assert!(took < limit * 10, "{capability}: 3 s took {took:?}");
        }
    }
}

pub(crate) async fn completions(simulation: &dyn Simulation) {
    let harness = Harness::new(simulation, Scenario::Reply(TEXT.to_owned())).await;
    if !harness.has(Capability::Completions) {
        return;
    }
    let call = harness.request(Capability::Completions, json!({ "prompt": PROMPT }));
    for (how, answer) in harness.answers(&call).await {
        assert_eq!(answer.text(), TEXT, "{how}");
        assert_eq!(answer.finish(), "stop", "{how}");
        assert_eq!(answer.metadata.provider, harness.provider.name(), "{how}");
        let model = harness.model(Capability::Completions);
        assert_eq!(answer.metadata.model, model, "{how}");
        let sent = harness.sent();
        assert_eq!(sent["prompt"], PROMPT, "{how}: another prompt arrived");
    }
    let body = json!({ "prompt": PROMPT, "max_tokens": 2 });
    let limited = harness.request(Capability::Completions, body);
    for (how, answer) in harness.both(&limited).await {
        match answer {
            Ok(answer) => assert_eq!(answer.finish(), "length", "{how}, max_tokens: 2"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported, "{how}: {error:?}"),
        }
    }

    let endless = Harness::new(simulation, Scenario::Endless).await;
    match call.stream(&*endless.provider).await {
        Ok((_, mut stream)) => {
            assert!(stream.next().await.is_some_and(|event| event.is_ok()));
            endless.until_running(true).await;
        }
        Err(error) => panic!("an endless completion did not begin: {error:?}"),
    }
    endless.until_running(false).await;
}

pub(crate) async fn embeddings(simulation: &dyn Simulation) {
    let harness = Harness::new(simulation, Scenario::Echo).await;
    if !harness.has(Capability::Embeddings) {
        return;
    }
    let texts = ["the first zebra", "an okapi", "rust and steel"];
    let mut alone = Vec::new();
    for text in texts {
        alone.extend(vectors(&harness, json!({ "input": text })).await);
    }
    let together = vectors(&harness, json!({ "input": texts })).await;
    assert_eq!(
        harness.sent()["input"],
        json!(texts),
        "other inputs arrived"
    );
    assert!(
        together == alone,
        "the vectors are not in the order of the inputs"
    );
    assert!(alone[0] != alone[1], "different texts have the same vector");

    for (format, is_base64) in [("float", false), ("base64", true)] {
        let body = json!({ "input": texts, "encoding_format": format });
        let sent = send(&harness, Capability::Embeddings, body.clone()).await;
        for item in sent["data"].as_array().into_iter().flatten() {
            let embedding = &item["embedding"];
            assert_eq!(
                embedding.is_string(),
                is_base64,
                "encoding_format: {format}"
            );
        }
        let decoded = vectors(&harness, body).await;
        assert!(decoded == together, "{format} vectors differ");
        let indices = sent["data"].as_array().into_iter().flatten();
        let indices: Vec<_> = indices.map(|item| item["index"].as_u64()).collect();
        assert_eq!(indices, [Some(0), Some(1), Some(2)], "{format}");
        let tokens = sent["usage"]["prompt_tokens"].as_u64();
        assert!(tokens.is_some_and(|tokens| tokens > 0), "no token count");
    }
}

pub(crate) async fn rerank(simulation: &dyn Simulation) {
    let harness = Harness::new(simulation, Scenario::Echo).await;
    if !harness.has(Capability::Rerank) {
        return;
    }
    let documents = ["rust and steel", "zebra stripes", "a zebra is a horse"];
    let query = "zebra stripes";
    let body = json!({ "query": query, "documents": documents });
    let answer = send(&harness, Capability::Rerank, body.clone()).await;
    let sent = harness.sent();
    assert_eq!(sent["query"], query, "another query arrived");
    assert_eq!(
        sent["documents"],
        json!(documents),
        "other documents arrived"
    );
    let results = answer["results"].as_array().cloned().unwrap_or_default();
    let mut places: Vec<_> = results
        .iter()
        .map(|result| result["index"].as_u64())
        .collect();
    let best = places.first().copied();
    places.sort_unstable();
    assert_eq!(
        places,
        [Some(0), Some(1), Some(2)],
        "not every document once"
    );
    assert_eq!(best, Some(Some(1)), "the best document is not first");
    let scores = |result: &Value| result["relevance_score"].as_f64();
    assert!(
        results.is_sorted_by(|one, other| scores(one) >= scores(other)),
        "the results are not sorted by score"
    );
    assert!(!answer["id"].is_null(), "the reply has no id");

    let mut limited = body.clone();
    limited["top_n"] = 1.into();
    let answer = send(&harness, Capability::Rerank, limited).await;
    let results = answer["results"].as_array().map_or(0, Vec::len);
    assert_eq!(results, 1, "top_n: 1");

    for wanted in [true, false] {
        let mut body = body.clone();
        body["return_documents"] = wanted.into();
        let answer = send(&harness, Capability::Rerank, body).await;
        for result in answer["results"].as_array().into_iter().flatten() {
            let place = result["index"].as_u64().unwrap_or_default() as usize;
            let text = result["document"]["text"].as_str();
            let expected = wanted.then(|| documents[place]);
            assert_eq!(text, expected, "return_documents: {wanted}");
        }
    }
}

pub(crate) async fn models(simulation: &dyn Simulation) {
    let harness = Harness::new(simulation, Scenario::Echo).await;
    if !harness.has(Capability::Models) {
        return;
    }
    let list = match harness.provider.models().await {
        Ok(list) => list,
        Err(error) => panic!("the models cannot be listed: {error:?}"),
    };
    let list = serde_json::to_value(list).unwrap_or_default();
    assert_eq!(list["object"], "list");
    let models = list["data"].as_array().cloned().unwrap_or_default();
    let mut ids: Vec<_> = models.iter().map(|model| &model["id"]).collect();
    for capability in [Capability::Chat, Capability::Completions] {
        let name = harness.model(capability);
        assert!(
            !harness.has(capability) || ids.contains(&&Value::from(name)),
            "{name} is not in the list of models"
        );
    }
    for model in &models {
        assert_eq!(model["object"], "model", "{model}");
        assert!(model["created"].is_u64(), "no time: {model}");
        assert!(model["owned_by"].is_string(), "no owner: {model}");
    }
    let count = ids.len();
    ids.sort_unstable_by_key(|id| id.to_string());
    ids.dedup();
    assert_eq!(ids.len(), count, "a model is listed twice");

    let refusing = Harness::new(simulation, Scenario::Refuse(401)).await;
    let error = failed("models", refusing.provider.models().await.map(drop));
    assert_eq!(error.kind(), ErrorKind::Auth, "{error:?}");
}

/// Every way to call an endpoint, and its result.
async fn attempts(
    harness: &Harness<'_>,
    capability: Capability,
    timeout: Option<Duration>,
) -> Vec<(String, Result<()>)> {
    let body = match capability {
        Capability::Chat => json!({ "messages": [{ "role": "user", "content": PROMPT }] }),
        Capability::Completions => json!({ "prompt": PROMPT }),
        Capability::Embeddings | Capability::Moderations => json!({ "input": PROMPT }),
        Capability::Rerank => json!({ "query": PROMPT, "documents": ["stripes", "rust"] }),
        Capability::Models => {
            let list = harness.provider.models().await;
            return vec![(capability.to_string(), list.map(drop))];
        }
        other => panic!("the suite has no request for {other}"),
    };
    let request = harness.request(capability, body).with_timeout(timeout);
    let plain = harness.plain(&request).await.map(drop);
    let mut outcomes = vec![(capability.to_string(), plain)];
    if request.streams() {
        let streamed = harness.streamed(&request).await.map(drop);
        outcomes.push((format!("streamed {capability}"), streamed));
    }
    outcomes
}

/// Fails for an error without a provider, or, where a model was asked, without the model.
#[track_caller]
fn assert_named_for(harness: &Harness<'_>, capability: Capability, error: &Error) {
    if capability == Capability::Models {
        let name = harness.provider.name();
        assert_eq!(error.provider(), Some(name), "{error:?}");
    } else {
        assert_named(harness, error);
    }
}

#[track_caller]
fn failed(what: &str, outcome: Result<()>) -> Error {
    match outcome {
        Err(error) => error,
        Ok(()) => panic!("{what} should have failed"),
    }
}

async fn send(harness: &Harness<'_>, capability: Capability, body: Value) -> Value {
    match harness.plain(&harness.request(capability, body)).await {
        Ok(answer) => answer.body,
        Err(error) => panic!("{capability} failed: {error:?}"),
    }
}

/// The vectors as numbers, in the order of the reply.
async fn vectors(harness: &Harness<'_>, body: Value) -> Vec<Value> {
    let answer = send(harness, Capability::Embeddings, body).await;
    let answer = serde_json::from_value::<EmbeddingResponse>(answer);
    let mut answer = answer.unwrap_or_else(|error| panic!("not embeddings: {error}"));
    // Converted through base64, so that numbers of both encodings have the same digits.
    for format in [EncodingFormat::Base64, EncodingFormat::Float] {
        if let Err(error) = answer.encode(&format) {
            panic!("a vector cannot be read: {error}");
        }
    }
    let answer = serde_json::to_value(answer).unwrap_or_default();
    let data = answer["data"].as_array().cloned().unwrap_or_default();
    data.into_iter()
        .map(|item| item["embedding"].clone())
        .collect()
}

const ALL: [Capability; 5] = [
    Capability::Chat,
    Capability::Completions,
    Capability::Embeddings,
    Capability::Rerank,
    Capability::Models,
];
