//! Text completions, embeddings, rerank and models.

use llm_provider::endpoint::Request;
use llm_provider::{Error, ErrorKind, Provider};
use llm_sim::SimOptions;
use llm_types::ChatRequest;
use llm_types::completions::CompletionRequest;
use llm_types::embeddings::EmbeddingRequest;
use llm_types::rerank::RerankRequest;
use serde_json::{Value, json};

use crate::support::{TURBO, call, completion_chunks, send, sent, sim};

#[tokio::test]
async fn a_completion_returns_the_same_plain_and_streamed() {
    let (sim, together) = sim(SimOptions::default()).await;
    let body = json!({ "model": TURBO, "prompt": ["Grüß Gott 🌍"], "max_tokens": 30, "stop": "END",
        "logprobs": 1, "top_k": 5, "best_of": null, "user": "u-1" });
    let plain = send::<CompletionRequest>(&together, &body).await.unwrap();
    insta::assert_json_snapshot!("completion_sent", sent(&sim));
    assert_eq!(plain["object"], "text_completion");
    let choice = &plain["choices"][0];
    assert_eq!(choice["index"], 0);
    let tokens = choice["logprobs"]["tokens"].as_array().unwrap();

    let chunks = completion_chunks(&together, &body).await.unwrap();
    let choices: Vec<_> = chunks.iter().flat_map(|chunk| &chunk.choices).collect();
    let text: String = choices.iter().map(|choice| choice.text.as_str()).collect();
    assert_eq!(choice["text"], text);
    assert!(chunks.iter().all(|chunk| chunk.object == "text_completion"));
    let streamed = serde_json::to_value(&chunks).unwrap();
    let pieces = streamed.as_array().unwrap().iter();
    let streamed: Vec<&Value> = pieces
        .filter_map(|chunk| chunk.pointer("/choices/0/logprobs/tokens/0"))
        .collect();
    assert_eq!(streamed, tokens.iter().collect::<Vec<_>>());
    assert_eq!(
        chunks.last().unwrap().usage.value().unwrap().total(),
        plain["usage"]["total_tokens"].as_u64().unwrap()
    );
}

async fn refused<R: Request>(members: Value) -> Error {
    let (sim, together) = sim(SimOptions::default()).await;
    let error = send::<R>(&together, &members).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert_eq!(error.model(), Some("acme/one"));
    assert_eq!(sim.together().request_count(), 0);
    error
}

#[tokio::test]
async fn unsupported_completion_parameters_are_rejected_by_name() {
    for prompt in [
        json!(["a", "b"]),
        json!([1, 2]),
        json!([[1], [2]]),
        json!([]),
    ] {
        let body = json!({ "model": "acme/one", "prompt": prompt });
        let error = refused::<CompletionRequest>(body).await;
        assert_eq!(error.param(), Some("prompt"));
    }
    for key in ["suffix", "best_of"] {
        let body = json!({ "model": "acme/one", "prompt": "a", key: 2 });
        let error = refused::<CompletionRequest>(body).await;
        assert_eq!(error.param(), Some(key));
    }
}

#[tokio::test]
async fn parameters_with_their_default_effect_are_left_out() {
    let (sim, together) = sim(SimOptions::default()).await;
    let body = json!({ "model": TURBO, "prompt": "a", "best_of": 1, "suffix": "" });
    let reply = together
        .send(call::<CompletionRequest>(&body))
        .await
        .unwrap();
    assert!(reply.metadata.dropped_params.is_empty());
    assert_eq!(sent(&sim), json!({ "model": TURBO, "prompt": "a" }));
    let messages = json!([{ "role": "user", "content": "Hi" }]);
    let body = json!({ "model": TURBO, "messages": messages, "functions": [] });
    together.send(call::<ChatRequest>(&body)).await.unwrap();
    assert_eq!(sent(&sim), json!({ "model": TURBO, "messages": messages }));
}

#[tokio::test]
async fn embeddings_have_the_requested_encoding_and_a_usage() {
    let (sim, together) = sim(SimOptions::default()).await;
    // As OpenAI's clients ask, unless told otherwise.
    let body = json!({ "model": "BAAI/bge-large-en-v1.5", "input": ["Good morning"],
                       "encoding_format": "base64" });
    let encoded = send::<EmbeddingRequest>(&together, &body).await.unwrap();
    insta::assert_json_snapshot!("embedding_sent", sent(&sim));
    let text = encoded["data"][0]["embedding"].as_str().unwrap();
    assert_eq!(text.len(), (1024_usize * 4).div_ceil(3) * 4);
    // 12 characters.
    let expected = json!({ "prompt_tokens": 3, "total_tokens": 3, "estimated": true });
    assert_eq!(encoded["usage"], expected);

    let body = json!({ "model": "intfloat/multilingual-e5-large-instruct", "input": "Good" });
    let floats = send::<EmbeddingRequest>(&together, &body).await.unwrap();
    assert_eq!(
        floats["data"][0]["embedding"].as_array().unwrap().len(),
        1024
    );
    assert_eq!(floats["usage"].get("estimated"), None);

    let body = json!({ "model": "BAAI/bge-large-en-v1.5", "input": "a", "dimensions": 8 });
    let call = call::<EmbeddingRequest>(&body).with_drop_params(true);
    let reply = together.send(call).await.unwrap();
    assert_eq!(reply.metadata.dropped_params, ["dimensions"]);
    assert_eq!(reply.metadata.extra["usage_estimated"], true);
}

#[tokio::test]
async fn unsupported_embedding_parameters_are_rejected_by_name() {
    for (key, value) in [
        ("input", json!([1, 2])),
        ("input", json!([[1], [2]])),
        ("dimensions", json!(8)),
    ] {
        let mut body = json!({ "model": "acme/one", "input": "a" });
        body[key] = value;
        let error = refused::<EmbeddingRequest>(body).await;
        assert_eq!(error.param(), Some(key));
    }
}

/// The call of LiteLLM's page on Together.
fn capitals() -> Value {
    json!({
        "model": "Salesforce/Llama-Rank-V1",
        "query": "What is the capital of the United States?",
        "documents": [
            "Carson City is the capital city of the American state of Nevada.",
            "The Commonwealth of the Northern Mariana Islands is a group of islands in the \
             Pacific Ocean. Its capital is Saipan.",
            "Washington, D.C. is the capital of the United States.",
            "Capital punishment has existed in the United States since before it was a country.",
        ],
        "top_n": 3,
    })
}

#[tokio::test]
async fn the_documented_rerank_has_the_documented_shape() {
    let (sim, together) = sim(SimOptions::default()).await;
    let answer = send::<RerankRequest>(&together, &capitals()).await.unwrap();
    let mut expected = capitals();
    expected["return_documents"] = true.into();
    assert_eq!(sent(&sim), expected);
    insta::assert_json_snapshot!("rerank", answer);
    assert_eq!(answer["results"][0]["index"], 2);
}

#[tokio::test]
async fn objects_are_ranked_and_documents_left_out_when_not_wanted() {
    let (sim, together) = sim(SimOptions::default()).await;
    let body = json!({ "model": "Salesforce/Llama-Rank-V1", "query": "a camelid",
        "documents": [{ "title": "Llama", "text": "a camelid" }, { "title": "Panda", "text": "a bear" }],
        "rank_fields": ["text"], "return_documents": false });
    let answer = send::<RerankRequest>(&together, &body).await.unwrap();
    assert_eq!(sent(&sim), body);
    assert_eq!(answer["results"][0]["index"], 0);
    assert!(answer["results"][0].get("document").is_none());
    let mut body = body;
    body["return_documents"] = true.into();
    let answer = send::<RerankRequest>(&together, &body).await.unwrap();
    let document = answer["results"][0]["document"]["text"].as_str().unwrap();
    let document: Value = serde_json::from_str(document).unwrap();
    assert_eq!(document, json!({ "title": "Llama", "text": "a camelid" }));
}

#[tokio::test]
async fn models_are_a_list_with_all_members_that_together_sends() {
    let (_sim, together) = sim(SimOptions::default()).await;
    let list = together.models().await.unwrap();
    assert_eq!(list.object, "list");
    let oasst = "OpenAssistant/llama2-70b-oasst-sft-v10";
    let model = list.data.iter().find(|model| model.id == oasst).unwrap();
    insta::assert_json_snapshot!("model", model);
}
