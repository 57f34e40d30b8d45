//! Text completions and the list of models.

use llm_provider::{Call, Capability, Error, ErrorKind, Provider, Reply, ReplyEvent, ReplyStream};
use llm_sim::{Sim, SimOptions, SimReply};
use llm_types::TextInput;
use llm_types::completions::CompletionRequest;
use provider_replicate::Replicate;
use serde_json::{Value, json};

use crate::support::*;

async fn complete(provider: &Replicate, request: CompletionRequest) -> Result<Reply, Error> {
    provider.send(Call::of(&request)).await
}

fn completion_request(model: &str) -> CompletionRequest {
    CompletionRequest::new(model, "Once upon a time")
}

async fn sim() -> (Sim, Replicate) {
    let options = SimOptions::default().with_reply(SimReply::Text(", in  a land.\n".to_owned()));
    let sim = Sim::start(options).await.unwrap();
    let replicate = Replicate::new(settings(sim.replicate_url())).unwrap();
    (sim, replicate)
}

async fn chunks(mut stream: ReplyStream) -> Vec<Value> {
    let mut chunks = Vec::new();
    while let Some(event) = stream.next().await {
        if let ReplyEvent::Chunk(chunk) = event.unwrap() {
            chunks.push(serde_json::from_slice(chunk.bytes()).unwrap());
        }
    }
    chunks
}

/// The input that is sent to a model with these properties, and the format of its prompt.
async fn sent(properties: Value, request: CompletionRequest) -> Result<(Value, Value), Error> {
    let server = Server::start(move |url, seen, _| match seen.line().as_str() {
        LOOK_UP => Response::json(200, official(properties.clone())),
        CREATE => Response::json(201, succeeded(url, json!("ok"))),
        _ => Response::not_found(),
    })
    .await;
    let reply = complete(&server.provider(), request).await;
    if reply.is_err() {
        assert_eq!(server.count(CREATE), 0, "a rejected request was sent");
    }
    let metadata = |name: &str| {
        reply
            .as_ref()
            .map(|reply| reply.metadata.extra[name].clone())
    };
    let format = json!([
        metadata("prompt_template").ok(),
        metadata("prompt_template_source").ok()
    ]);
    reply.map(|_| (server.first(CREATE).body["input"].clone(), format))
}

#[tokio::test]
async fn a_text_is_completed_plain_and_streamed() {
    let (sim, replicate) = sim().await;
    let reply = complete(&replicate, completion_request(MODEL))
        .await
        .unwrap();
    let mut body: Value = serde_json::from_slice(reply.body.bytes()).unwrap();
    assert!(body["id"].as_str().unwrap().starts_with("cmpl-"));
    body["created"] = json!(0);
    body["id"] = json!("");
    insta::assert_json_snapshot!("completion", body);

    let call = Call::of(&completion_request(MODEL));
    let chunks = chunks(replicate.stream(call).await.unwrap()).await;
    let (last, pieces) = chunks.split_last().unwrap();
    assert_eq!(
        (&last["choices"], last["usage"].is_object()),
        (&json!([]), true)
    );
    let text: String = pieces
        .iter()
        .map(|chunk| chunk["choices"][0]["text"].as_str().unwrap())
        .collect();
    assert_eq!(text, ", in  a land.\n");
    let reasons: Vec<_> = pieces
        .iter()
        .map(|chunk| &chunk["choices"][0]["finish_reason"])
        .filter(|reason| !reason.is_null())
        .collect();
    assert_eq!(reasons, ["stop"]);
    for seen in sim.replicate().predictions() {
        assert_eq!(seen.input["prompt"], "Once upon a time");
        assert_eq!(seen.input["prompt_template"], "{prompt}");
        assert_eq!(seen.input.get("system_prompt"), None);
    }
}

#[tokio::test]
async fn the_prompt_is_kept_raw_as_far_as_the_model_allows() {
    let prompt = json!({"type": "string"});
    let system = |default: &str| json!({"type": "string", "default": default});
    for (properties, input, format) in [
        (
            json!({"prompt": prompt, "prompt_template": {}, "system_prompt": system("Be good!")}),
            json!({"prompt": "Once upon a time", "prompt_template": "{prompt}"}),
            json!(["none", "request"]),
        ),
        (
            json!({"prompt": prompt}),
            json!({"prompt": "Once upon a time"}),
            json!(["none", "request"]),
        ),
        (
            json!({"prompt": prompt, "system_prompt": system("Be good!")}),
            json!({"prompt": "Once upon a time", "system_prompt": ""}),
            json!(["model", "schema"]),
        ),
        (
            json!({"prompt": prompt, "system_prompt": system(""), "messages": {"type": "array"}}),
            json!({"prompt": "Once upon a time"}),
            json!(["model", "schema"]),
        ),
    ] {
        assert_eq!(
            sent(properties, completion_request(MODEL)).await.unwrap(),
            (input, format)
        );
    }
    let own = completion_request(MODEL).with_extra("prompt_template", "Q: {prompt} A:");
    let (input, format) = sent(llama_3(), own).await.unwrap();
    assert_eq!(input["prompt_template"], "Q: {prompt} A:");
    assert_eq!(format, json!(["custom", "request"]));
}

#[tokio::test]
async fn parameters_are_mapped_or_rejected_as_in_chats() {
    let request = completion_request(MODEL)
        .with_max_tokens(7)
        .with_temperature(0.5)
        .with_stop("\n")
        .with_extra("top_k", 3)
        .with_extra("echo", false)
        .with_extra("n", 1)
        .with_extra("best_of", 1)
        .with_extra("suffix", "");
    let (input, _) = sent(llama_3(), request).await.unwrap();
    insta::assert_json_snapshot!("completion_params", input);
    for (name, value) in [
        ("echo", json!(true)),
        ("n", json!(2)),
        ("best_of", json!(3)),
        ("logprobs", json!(0)),
        ("suffix", json!("The end.")),
        ("logit_bias", json!({"50256": -100})),
    ] {
        let body = json!({"model": MODEL, "prompt": "Once upon a time", name: value});
        let request: CompletionRequest = serde_json::from_value(body).unwrap();
        let error = sent(llama_3(), request.clone()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.param()),
            (ErrorKind::Unsupported, Some(name))
        );
        let (_sim, replicate) = sim().await;
        let call = Call::of(&request).with_drop_params(true);
        let reply = replicate.send(call).await.unwrap();
        assert_eq!(reply.metadata.dropped_params, [name]);
    }
}

#[tokio::test]
async fn only_a_single_text_prompt_is_accepted() {
    let texts = |texts: &[&str]| TextInput::Texts(texts.iter().map(|&text| text.into()).collect());
    let one = CompletionRequest::new(MODEL, texts(&["One"]));
    assert_eq!(sent(llama_3(), one).await.unwrap().0["prompt"], "One");
    for prompt in [
        texts(&["One", "Two"]),
        texts(&[]),
        TextInput::Tokens(vec![1, 2]),
        TextInput::TokenLists(vec![vec![1], vec![2]]),
    ] {
        let request = CompletionRequest::new(MODEL, prompt);
        let error = sent(llama_3(), request).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.param()),
            (ErrorKind::Unsupported, Some("prompt"))
        );
    }
    let none: CompletionRequest = serde_json::from_value(json!({"model": MODEL})).unwrap();
    let error = sent(llama_3(), none).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.param()),
        (ErrorKind::InvalidRequest, Some("prompt"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_dropped_completion_is_cancelled() {
    advance_in_small_steps();
    let server = Server::start(|url, seen, _| match seen.line().as_str() {
        CREATE => Response::json(201, prediction(url, "starting", Value::Null)),
        GET => Response::json(200, prediction(url, "processing", Value::Null)),
        CANCEL => Response::json(200, prediction(url, "canceled", Value::Null)),
        _ => Response::not_found(),
    })
    .await;
    let provider = server.provider();
    tokio::select! {
        reply = complete(&provider, completion_request(MODEL)) => panic!("{reply:?}"),
        () = server.wait_for(GET) => {}
    }
    server.wait_for(CANCEL).await;
}

#[tokio::test]
async fn the_list_has_the_deployments_and_the_language_models() {
    let (_sim, replicate) = sim().await;
    assert!(replicate.capabilities().has(Capability::Models));
    let list = replicate.models().await.unwrap();
    let ids: Vec<_> = list.data.iter().map(|model| model.id.as_str()).collect();
    assert!(ids[0].starts_with("deployments/"), "{ids:?}");
    assert!(ids.contains(&MODEL));
    assert!(
        !ids.contains(&"replicate/hello-world"),
        "it writes no tokens"
    );
    // Each id can be used as the model of a request.
    for id in ids {
        chat(&replicate, chat_request(id)).await.unwrap();
    }
    let model = list.data.iter().find(|model| model.id == MODEL).unwrap();
    assert_eq!(model.owned_by.value().unwrap(), "meta");
    assert_eq!(model.extra["is_official"], true);
    assert!(!model.extra.contains_key("latest_version"));
}

#[tokio::test]
async fn without_collections_the_first_public_models_are_listed() {
    let server = Server::start(|_, seen, _| match seen.path.as_str() {
        "/v1/deployments" => Response::json(200, json!({"results": []})),
        "/v1/models" => {
            let models = [json!({"owner": "acme", "name": "llama", "latest_version": null})];
            Response::json(200, json!({"results": models, "next": null}))
        }
        _ => Response::not_found(),
    })
    .await;
    let list = server.provider().models().await.unwrap();
    assert_eq!(list.data[0].id, "acme/llama");

    let refused = Server::start(|_, _, _| Response::json(401, json!({"detail": "no"}))).await;
    let error = refused.provider().models().await.unwrap_err();
    assert_eq!(
        (error.kind(), error.provider()),
        (ErrorKind::Auth, Some("replicate"))
    );
}
