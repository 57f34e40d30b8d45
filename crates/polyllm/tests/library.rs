//! The library against the simulated upstreams, as a program would use it.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use llm_sim::{Sim, SimOptions};
use polyllm::types::Message;
use polyllm::types::embeddings::{EncodingFormat, Vector};
use polyllm::{ApiKey, Client, CompletionBuilder, CustomTemplate, ErrorKind, Settings, registry};
use serde_json::json;

async fn setup() -> (Sim, Client) {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let settings = |base: &str| {
        Settings::new()
            .with_api_key(ApiKey::new("k"))
            .with_api_base(base)
    };
    let client = Client::new(registry())
        .with_settings("together_ai", settings(sim.together_url()))
        .unwrap()
        .with_settings("replicate", settings(sim.replicate_url()))
        .unwrap();
    (sim, client)
}

#[test]
fn the_registry_has_all_providers() {
    assert_eq!(
        registry().names().collect::<Vec<_>>(),
        ["openai", "replicate", "together_ai"]
    );
}

#[tokio::test]
async fn every_form_of_a_model_name_works_plain_and_streamed() {
    let (_sim, client) = setup().await;
    for model in [
        "together_ai/togethercomputer/Llama-2-7B-32K-Instruct",
        "replicate/meta/meta-llama-3-8b-instruct",
        "replicate/llama-2-70b-chat:2796ee9483c3fd7aa2e171d38f4ca12251a30609463dcfd4cd76703f22e96cdf",
        "replicate/deployments/ishaan-jaff/ishaan-mistral",
    ] {
        let chat = || {
            client
                .chat(model)
                .with_user("Write me a poem about the blue sky")
        };
        let response = chat().send().await.unwrap();
        let said = response.text().unwrap();
        assert!(said.contains("blue sky"), "{model}: {said}");
        let mut stream = chat().stream().await.unwrap();
        let mut streamed = String::new();
        while let Some(text) = stream.next_text().await.unwrap() {
            streamed.push_str(&text);
        }
        assert_eq!(streamed, said, "{model}");
    }
}

#[tokio::test]
async fn a_registered_template_renders_the_prompt() {
    let (sim, client) = setup().await;
    let template: CustomTemplate = serde_json::from_value(json!({
        "initial_prompt_value": "You are a good assistant",
        "roles": {
            "system": { "pre_message": "[INST] <<SYS>>\n", "post_message": "\n<</SYS>>\n [/INST]\n" },
            "user": { "pre_message": "[INST] ", "post_message": " [/INST]" },
            "assistant": { "pre_message": "\n", "post_message": "\n" },
        },
        "final_prompt_value": "Now answer as best you can:",
    }))
    .unwrap();
    let client = client
        .with_template("togethercomputer/LLaMA-2-7B-32K", template)
        .unwrap();
    let messages = [Message::system("Be kind."), Message::user("Hi")];
    let chat = client
        .chat("replicate/togethercomputer/LLaMA-2-7B-32K")
        .with_messages(messages);
    chat.send().await.unwrap();
    assert_eq!(
        sim.replicate().predictions()[0].input["prompt"],
        "You are a good assistant[INST] <<SYS>>\nBe kind.\n<</SYS>>\n [/INST]\n\
         [INST] Hi [/INST]Now answer as best you can:"
    );
}

#[tokio::test]
async fn provider_parameters_are_forwarded() {
    let (sim, client) = setup().await;
    let chat = client
        .chat("replicate/meta/meta-llama-3-8b-instruct")
        .with_user("Hi");
    let chat = chat.with_max_tokens(20).with_temperature(0.5);
    chat.with_param("min_tokens", 2)
        .with_param("top_k", 20)
        .send()
        .await
        .unwrap();
    let input = &sim.replicate().predictions()[0].input;
    assert_eq!(
        (
            &input["max_tokens"],
            &input["temperature"],
            &input["min_tokens"],
            &input["top_k"]
        ),
        (&json!(20), &json!(0.5), &json!(2), &json!(20)),
    );
}

#[tokio::test]
async fn a_model_without_a_provider_lists_the_providers() {
    let (_sim, client) = setup().await;
    let error = client
        .chat("gpt-4")
        .with_user("Hi")
        .send()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        error
            .message()
            .contains("openai/…, replicate/…, together_ai/…"),
        "{error}"
    );
}

/// LiteLLM's page on Together, "Rerank": the call and the shape of its answer.
#[tokio::test]
async fn rerank_returns_the_documented_shape() {
    let (sim, client) = setup().await;
    let documents = [
        "Carson City is the capital city of the American state of Nevada.",
        "The Commonwealth of the Northern Mariana Islands is a group of islands in the Pacific Ocean. Its capital is Saipan.",
        "Washington, D.C. is the capital of the United States.",
        "Capital punishment has existed in the United States since before it was a country.",
    ];
    let query = "What is the capital of the United States?";
    let rerank = client.rerank("together_ai/rerank-english-v3.0", query, documents);
    let response = rerank.with_top_n(3).send().await.unwrap();
    let response = serde_json::to_value(response).unwrap();
    assert!(response["id"].is_string(), "{response}");
    let results = response["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    assert_eq!(results[0]["index"], 2);
    assert_eq!(results[0]["document"]["text"], documents[2]);
    let scores: Vec<f64> = results
        .iter()
        .map(|result| result["relevance_score"].as_f64().unwrap())
        .collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    assert!(response["meta"]["billed_units"].is_object(), "{response}");
    assert!(response["meta"]["tokens"].is_object(), "{response}");

    let sent = sim.together().requests()[0].json();
    assert_eq!(sent["model"], "rerank-english-v3.0");
    assert_eq!((&sent["query"], &sent["top_n"]), (&json!(query), &json!(3)));
    assert_eq!(sent["documents"], json!(documents));
}

#[tokio::test]
async fn embeddings_work_in_both_encodings() {
    let (_sim, client) = setup().await;
    let model = "together_ai/togethercomputer/m2-bert-80M-8k-retrieval";
    let embed = |texts| client.embed(model, texts);
    let floats = embed(vec!["a", "b"]).send().await.unwrap();
    let base64 = embed(vec!["a", "b"]).with_encoding_format(EncodingFormat::Base64);
    let base64 = base64.send().await.unwrap();
    assert_eq!(floats.data.len(), 2);
    assert!(floats.usage.value().unwrap().total_tokens > Some(0));
    for (float, base64) in floats.data.iter().zip(&base64.data) {
        assert!(matches!(float.embedding, Vector::Floats(_)));
        assert!(matches!(base64.embedding, Vector::Base64(_)));
        let numbers = float.embedding.to_f32s().unwrap();
        assert_eq!(numbers.len(), 768);
        assert_eq!(numbers, base64.embedding.to_f32s().unwrap());
    }
    assert_ne!(floats.data[0].embedding, floats.data[1].embedding);
}

async fn says_the_same_plain_and_streamed<'c>(complete: impl Fn() -> CompletionBuilder<'c>) {
    let response = complete().send().await.unwrap();
    let said = &response.choices[0].text;
    let mut stream = complete().stream().await.unwrap();
    let mut streamed = String::new();
    while let Some(text) = stream.next_text().await.unwrap() {
        streamed.push_str(&text);
    }
    assert!(!said.is_empty());
    assert_eq!(&streamed, said);
}

#[tokio::test]
async fn a_text_is_completed_plain_and_streamed() {
    let (sim, client) = setup().await;
    let complete = || {
        let model = "together_ai/togethercomputer/LLaMA-2-7B-32K";
        let completion = client.complete(model, "The sky is").with_max_tokens(20);
        completion.with_param("top_k", 20).with_stop("\n\n")
    };
    says_the_same_plain_and_streamed(complete).await;
    for request in sim.together().requests() {
        let sent = request.json();
        assert_eq!(request.path, "/v1/completions");
        assert_eq!(
            (&sent["prompt"], &sent["top_k"]),
            (&json!("The sky is"), &json!(20))
        );
    }
}

#[tokio::test]
async fn a_prompt_is_sent_to_replicate_unchanged() {
    let (sim, client) = setup().await;
    let model = "replicate/meta/meta-llama-3-8b-instruct";
    let complete = || client.complete(model, "The sky is").with_max_tokens(20);
    says_the_same_plain_and_streamed(complete).await;
    for prediction in sim.replicate().predictions() {
        assert_eq!(prediction.input["prompt"], "The sky is");
        assert_eq!(prediction.input["prompt_template"], "{prompt}");
    }
}

#[tokio::test]
async fn models_are_listed_with_all_their_members() {
    let (_sim, client) = setup().await;
    let models = client.models("replicate").await.unwrap().data;
    assert!(
        models
            .iter()
            .any(|model| model.id == "meta/meta-llama-3-8b-instruct")
    );
    let models = client.models("together_ai").await.unwrap().data;
    let of = |id: &str| models.iter().find(|model| model.id == id).unwrap();
    let chat = of("meta-llama/Llama-3.3-70B-Instruct-Turbo");
    assert_eq!(chat.extra["context_length"], 131_072);
    assert_eq!(chat.extra["pricing"]["input"], 0.88);
    assert_eq!(of("Salesforce/Llama-Rank-V1").extra["type"], "rerank");

    let error = client.models("togther").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(
        error.message().contains("openai, replicate, together_ai"),
        "{error}"
    );
}

#[tokio::test]
async fn an_unsupported_endpoint_is_an_error_before_anything_is_sent() {
    let (sim, client) = setup().await;
    let model = "replicate/meta/meta-llama-3-8b-instruct";
    let outcomes = [
        client.embed(model, "x").send().await.map(drop),
        client.rerank(model, "q", ["a"]).send().await.map(drop),
    ];
    for outcome in outcomes {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        let supported = "(supported: chat, text completions and models)";
        assert!(error.message().ends_with(supported), "{error}");
    }
    assert!(sim.replicate().requests().is_empty());
}
