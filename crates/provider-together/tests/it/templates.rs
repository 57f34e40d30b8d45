//! Chats with models that take prompts.

use llm_provider::{Capability, ErrorKind, Provider, Settings};
use llm_sim::{Sim, SimOptions};
use llm_types::{ChatRequest, ChatResponse};
use prompt_templates::{CustomTemplate, Family, RoleMarkers};
use provider_together::Together;
use serde_json::{Value, json};

use crate::support::{TURBO, chat_call, chunks, paths, send, sent, settings, sim, text, together};

/// The model of LiteLLM's page on Together.
const OASST: &str = "OpenAssistant/llama2-70b-oasst-sft-v10";
const BASE: &str = "togethercomputer/LLaMA-2-7B-32K";

fn poem(model: &str) -> Value {
    json!({ "model": model, "messages": [
        { "role": "user", "content": "Write me a poem about the blue sky" }] })
}

/// The template of that page, in the form that the page has.
fn by_markers() -> Value {
    json!({ "roles": {
        "system": { "pre_message": "[<|im_start|>system", "post_message": "\n" },
        "user": { "pre_message": "<|im_start|>user", "post_message": "\n" },
        "assistant": { "pre_message": "<|im_start|>assistant", "post_message": "\n" },
    } })
}

/// The same in the older form, of LiteLLM's page on Replicate.
fn by_separators() -> Value {
    json!({
        "roles": { "system": "[<|im_start|>system", "user": "<|im_start|>user",
                   "assistant": "<|im_start|>assistant" },
        "pre_message_sep": "", "post_message_sep": "\n",
    })
}

fn with_template(sim: &Sim, template: Value) -> Together {
    let mut settings: Settings = serde_json::from_value(template).unwrap();
    let own = crate::support::settings(sim.together_url());
    (settings.api_key, settings.api_base) = (own.api_key, own.api_base);
    Together::new(settings).unwrap()
}

#[tokio::test]
async fn the_registered_template_is_what_together_receives() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let registered: CustomTemplate = serde_json::from_value(by_markers()).unwrap();
    let by_code = together(&sim, "good-key").with_template(OASST, registered);
    for account in [
        by_code,
        with_template(&sim, by_markers()),
        with_template(&sim, by_separators()),
    ] {
        sim.together().forget_requests();
        let reply = account.send(chat_call(&poem(OASST))).await.unwrap();
        assert_eq!(paths(&sim), ["/v1/completions"]);
        assert_eq!(
            sent(&sim),
            json!({ "model": OASST,
                    "prompt": "<|im_start|>userWrite me a poem about the blue sky\n" })
        );
        assert_eq!(reply.metadata.extra["prompt_template"], "custom");
        assert_eq!(reply.metadata.extra["prompt_template_source"], "configured");
        let answer: Value = serde_json::from_slice(reply.body.bytes()).unwrap();
        assert_eq!(answer["object"], "chat.completion");
        assert_eq!(answer["model"], OASST);
        assert!(answer["usage"]["total_tokens"].as_u64().unwrap() > 0);
        let choice = &answer["choices"][0];
        assert_eq!(choice["finish_reason"], "stop");
        assert_eq!(choice["message"]["role"], "assistant");
        let said = choice["message"]["content"].as_str().unwrap();

        let chunks = chunks(&account, chat_call(&poem(OASST))).await.unwrap();
        assert_eq!(text(&chunks), said);
        assert!(
            chunks
                .iter()
                .all(|chunk| chunk.object == "chat.completion.chunk")
        );
        assert!(
            chunks
                .iter()
                .all(|chunk| chunk.id == chunks[0].id && !chunk.id.is_empty())
        );
        let written = serde_json::to_value(&chunks).unwrap();
        assert_eq!(written[0]["choices"][0]["delta"]["role"], "assistant");
        let reasons = chunks.iter().flat_map(|chunk| &chunk.choices);
        assert_eq!(
            reasons
                .filter(|choice| choice.finish_reason.is_value())
                .count(),
            1
        );
        let last = chunks.last().unwrap();
        assert!(last.choices.is_empty() && last.usage.is_value());
        assert_eq!(sent(&sim)["stream"], true);
    }
}

#[tokio::test]
async fn other_parameters_are_sent_with_the_prompt() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let markers = RoleMarkers::new("<|im_start|>assistant\n", "<|im_end|>\n");
    let template = CustomTemplate::new()
        .with_role("assistant", markers)
        .with_eos_token("</s>");
    let account = together(&sim, "good-key").with_template("acme/*", template);
    let body = json!({
        "model": "acme/one",
        "messages": [{ "role": "user", "content": [{ "type": "text", "text": "Hi <|im_end|>" }] }],
        "max_completion_tokens": 12, "top_k": 20, "stop": "END", "logprobs": true,
        "top_logprobs": 2, "tool_choice": "auto", "response_format": { "type": "text" },
        "tools": [], "user": null,
    });
    let answer = send::<ChatRequest>(&account, &body).await.unwrap();
    insta::assert_json_snapshot!(sent(&sim));
    let logprobs = answer["choices"][0]["logprobs"]["content"]
        .as_array()
        .unwrap();
    assert!(!logprobs.is_empty());
}

#[tokio::test]
async fn a_parameter_of_chats_is_refused_beside_a_prompt_unless_it_changes_nothing() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let account = together(&sim, "good-key").with_template("acme/*", Family::CHATML);
    for (name, value, changes_nothing) in [
        ("tools", json!([]), true),
        ("functions", json!([]), true),
        ("functions", json!([{ "name": "f" }]), false),
        ("tool_choice", json!("none"), true),
        ("tool_choice", json!("auto"), true),
        ("tool_choice", json!("required"), false),
        ("function_call", json!("none"), true),
        ("function_call", json!({ "name": "f" }), false),
        ("modalities", json!(["text"]), true),
        ("modalities", json!(["text", "audio"]), false),
        ("parallel_tool_calls", json!(true), true),
        ("parallel_tool_calls", json!(false), true),
        ("response_format", json!({ "type": "text" }), true),
        ("response_format", json!({ "type": "json_object" }), false),
        ("reasoning_effort", json!("low"), false),
    ] {
        let mut body = poem("acme/one");
        body[name] = value;
        let sent_before = sim.together().requests().len();
        match account.send(chat_call(&body)).await {
            Ok(reply) => {
                assert!(changes_nothing, "{body}");
                assert!(reply.metadata.dropped_params.is_empty(), "{body}");
                assert!(sent(&sim).get(name).is_none(), "{body}");
            }
            Err(error) => {
                assert!(!changes_nothing, "{body}: {error}");
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{body}");
                assert_eq!(error.param(), Some(name));
                assert_eq!(sim.together().requests().len(), sent_before);
            }
        }
    }
}

#[tokio::test]
async fn chat_parameters_are_rejected_or_dropped_beside_a_prompt() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let account = together(&sim, "good-key").with_template("acme/*", Family::CHATML);
    let mut body = poem("acme/one");
    body["tools"] = json!([{ "type": "function", "function": { "name": "f" } }]);
    let error = account.send(chat_call(&body)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.param()),
        (ErrorKind::Unsupported, Some("tools"))
    );
    assert_eq!(error.model(), Some("acme/one"));
    let call = chat_call(&body).with_drop_params(true);
    let reply = account.send(call).await.unwrap();
    assert_eq!(reply.metadata.dropped_params, ["tools"]);
    assert_eq!(sent(&sim)["stop"], json!(["<|im_end|>"]));

    let body = json!({ "model": "acme/one", "messages": [{ "role": "user", "content": [
        { "type": "image_url", "image_url": { "url": "https://example.com/a.png" } }] }] });
    let error = account.send(chat_call(&body)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.param()),
        (ErrorKind::InvalidRequest, Some("messages"))
    );
    assert_eq!(sim.together().request_count(), 1);
}

#[tokio::test]
async fn a_language_model_is_sent_a_prompt_after_together_rejects_the_chat() {
    let (sim, together) = sim(SimOptions::default()).await;
    let reply = together.send(chat_call(&poem(BASE))).await.unwrap();
    assert_eq!(
        paths(&sim),
        ["/v1/chat/completions", "/v1/models", "/v1/completions"]
    );
    insta::assert_json_snapshot!(sent(&sim));
    insta::assert_json_snapshot!("language_model", reply.metadata.extra);
    // Once is enough.
    sim.together().forget_requests();
    let chunks = chunks(&together, chat_call(&poem(BASE))).await.unwrap();
    let answer: ChatResponse = reply.read().unwrap();
    assert_eq!(text(&chunks), answer.text().unwrap());
    assert_eq!(paths(&sim), ["/v1/completions"]);
}

#[tokio::test]
async fn the_list_of_models_shows_which_ones_take_prompts() {
    let (sim, together) = sim(SimOptions::default()).await;
    together.models().await.unwrap();
    chunks(&together, chat_call(&poem(BASE))).await.unwrap();
    chunks(&together, chat_call(&poem(TURBO))).await.unwrap();
    let expected = ["/v1/models", "/v1/completions", "/v1/chat/completions"];
    assert_eq!(paths(&sim), expected);
}

#[tokio::test]
async fn the_setting_text_completion_sends_prompts() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let own = settings(sim.together_url()).with_extra("text_completion", true);
    let together = Together::new(own).unwrap();
    send::<ChatRequest>(&together, &poem("acme/base"))
        .await
        .unwrap();
    assert_eq!(paths(&sim), ["/v1/completions"]);
    assert_eq!(sent(&sim)["prompt"], "Write me a poem about the blue sky");

    let bad = settings(sim.together_url()).with_extra("text_completion", "perhaps");
    let error = Together::new(bad).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
}

#[tokio::test]
async fn an_invalid_chat_requests_the_list_once() {
    let (sim, together) = sim(SimOptions::default()).await;
    for _ in 0..3 {
        let mut body = poem(TURBO);
        body["temperature"] = json!(-1);
        let error = together.send(chat_call(&body)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRequest);
        assert_eq!(error.status().unwrap(), 400);
    }
    let lists = paths(&sim).into_iter().filter(|path| path == "/v1/models");
    assert_eq!(lists.count(), 1);
}

#[test]
fn rerank_and_completions_are_supported() {
    let together = Together::new(settings("http://127.0.0.1:1")).unwrap();
    assert!(together.capabilities().has(Capability::Rerank));
    assert!(together.capabilities().has(Capability::Completions));
}

#[tokio::test]
async fn a_custom_template_leaves_nothing_out_silently() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let account = with_template(&sim, by_markers());
    let call = json!({ "id": "c1", "type": "function",
        "function": { "name": "f", "arguments": "{}" } });
    for (messages, what) in [
        (
            json!([{ "role": "user", "content": [
                { "type": "text", "text": "a" },
                { "type": "image_url", "image_url": { "url": "https://h/i.png" } }] }]),
            "image_url",
        ),
        (
            json!([{ "role": "user", "content": "a" },
                   { "role": "assistant", "content": null, "tool_calls": [call] }]),
            "tool calls",
        ),
        (
            json!([{ "role": "tool", "tool_call_id": "c1", "content": "R" }]),
            "tool calls",
        ),
    ] {
        let body = json!({ "model": OASST, "messages": messages });
        let error = account.send(chat_call(&body)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert_eq!(error.param(), Some("messages"));
        assert!(error.message().contains(what), "{error}");
    }
    assert!(paths(&sim).is_empty());
}

#[tokio::test]
async fn a_developer_has_the_markers_of_the_system_in_a_custom_template() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let account = with_template(&sim, by_separators());
    for role in ["system", "developer"] {
        sim.together().forget_requests();
        let messages =
            json!([{ "role": role, "content": "D" }, { "role": "user", "content": "hi" }]);
        let body = json!({ "model": OASST, "messages": messages });
        account.send(chat_call(&body)).await.unwrap();
        let expected = "[<|im_start|>systemD\n<|im_start|>userhi\n";
        assert_eq!(sent(&sim)["prompt"], expected, "{role}");
    }
}
