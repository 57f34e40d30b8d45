//! OpenAI's parameters, translated to those of the model.

use llm_provider::{Call, ErrorKind, Provider, Settings};
use llm_types::{ChatRequest, Content, ContentPart, Message};
use prompt_templates::{CustomTemplate, Family, RoleMarkers};
use provider_replicate::Replicate;
use serde_json::{Map, Value, json};

use crate::support::*;

/// The input that is sent to a model with these properties, for a request with these members.
pub(crate) async fn input(properties: Value, members: Value) -> Value {
    sent(properties, members, false).await.unwrap().0
}

pub(crate) async fn sent(
    properties: Value,
    members: Value,
    drop_params: bool,
) -> Result<(Value, Vec<String>), llm_provider::Error> {
    let server = server(properties).await;
    let call = Call::of(&request(members)).with_drop_params(drop_params);
    let reply = server.provider().send(call).await?;
    Ok((
        server.first(CREATE).body["input"].clone(),
        reply.metadata.dropped_params,
    ))
}

pub(crate) async fn server(properties: Value) -> Server {
    Server::start(move |url, seen, _| match seen.line().as_str() {
        LOOK_UP => Response::json(200, official(properties.clone())),
        CREATE => Response::json(201, succeeded(url, json!("ok"))),
        _ => Response::not_found(),
    })
    .await
}

fn request(members: Value) -> ChatRequest {
    let mut body: Map<String, Value> = serde_json::from_value(members).unwrap();
    body.insert("model".to_owned(), MODEL.into());
    if !body.contains_key("messages") {
        body.insert(
            "messages".to_owned(),
            json!([{"role": "user", "content": "Hi"}]),
        );
    }
    serde_json::from_value(body.into()).unwrap()
}

pub(crate) fn properties(names: &[&str]) -> Value {
    names
        .iter()
        .map(|name| ((*name).to_owned(), json!({"type": "string"})))
        .collect()
}

#[tokio::test]
async fn a_prompt_does_not_replace_the_messages() {
    let schema = properties(&["prompt", "prompt_template"]);
    let members = json!({"prompt": "<|eot_id|>"});
    let error = sent(schema.clone(), members.clone(), false)
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.param()),
        (ErrorKind::Unsupported, Some("prompt"))
    );
    let (input, dropped) = sent(schema, members, true).await.unwrap();
    assert_eq!(dropped, ["prompt"]);
    assert_ne!(input["prompt"], "<|eot_id|>");
}

#[test]
fn a_parameter_has_the_names_of_all_models() {
    let provider = Replicate::new(Settings::new().with_api_key("r8_test")).unwrap();
    for (one, other) in [
        ("max_tokens", "max_new_tokens"),
        ("max_length", "max_completion_tokens"),
        ("stop_sequences", "stop"),
    ] {
        assert!(provider.synonyms(one).contains(&other), "{one}");
        assert!(provider.synonyms(other).contains(&one), "{other}");
    }
    assert!(provider.synonyms("temperature").is_empty());
}

#[tokio::test]
async fn a_prefill_is_left_open() {
    let server = server(properties(&["prompt", "prompt_template"])).await;
    let messages =
        json!([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Once"}]);
    let call = Call::of(&request(json!({ "messages": messages }))).with_prefill(true);
    server.provider().send(call).await.unwrap();
    let prompt = server.first(CREATE).body["input"]["prompt"].clone();
    assert!(
        prompt
            .as_str()
            .unwrap()
            .ends_with("<|end_header_id|>\n\nOnce"),
        "{prompt}"
    );
}

#[tokio::test]
async fn parameters_take_the_models_names() {
    let all = json!({
        "max_tokens": 20, "temperature": 0.5, "top_p": 0.9, "stop": ["\n", "END"], "seed": -1,
        "presence_penalty": 0.5, "min_tokens": 2, "top_k": 20, "user": "x", "n": 1, "tools": []
    });
    insta::assert_json_snapshot!("all_params", sent(llama_3(), all, false).await.unwrap());
    for name in [
        "max_tokens",
        "max_new_tokens",
        "max_length",
        "max_completion_tokens",
    ] {
        let input = input(properties(&["prompt", name]), json!({"max_tokens": 7})).await;
        assert_eq!(input[name], 7, "{name}");
    }
    let both = json!({"max_tokens": 7, "max_completion_tokens": 8});
    assert_eq!(input(llama_3(), both).await["max_tokens"], 8);
    let alias = input(
        properties(&["prompt", "min_new_tokens"]),
        json!({"min_tokens": 2}),
    )
    .await;
    assert_eq!(alias["min_new_tokens"], 2);
}

#[tokio::test]
async fn the_temperature_is_raised_only_where_it_must_be() {
    let with_minimum =
        |minimum: f64| json!({"prompt": {}, "temperature": {"type": "number", "minimum": minimum}});
    for (minimum, asked, sent) in [(0.01, 0.0, 0.01), (0.01, 0.5, 0.5), (0.0, 0.0, 0.0)] {
        let input = input(with_minimum(minimum), json!({"temperature": asked})).await;
        assert_eq!(input["temperature"].as_f64(), Some(sent));
    }
}

#[tokio::test]
async fn unsupported_parameters_are_rejected_or_reported() {
    let cases = [
        ("stop", json!(["a,b"])),
        (
            "tools",
            json!([{"type": "function", "function": {"name": "f"}}]),
        ),
        ("response_format", json!({"type": "json_object"})),
        ("n", json!(2)),
        ("logprobs", json!(true)),
        ("logit_bias", json!({"1": 2})),
        ("reasoning_effort", json!("high")),
    ];
    for (name, value) in cases {
        let members = json!({ name: value });
        let error = sent(llama_3(), members.clone(), false).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.param()),
            (ErrorKind::Unsupported, Some(name))
        );
        assert!(error.message().contains(name), "{error}");
        let (input, dropped) = sent(llama_3(), members, true).await.unwrap();
        assert_eq!((input.get(name), dropped), (None, vec![name.to_owned()]));
    }
    let plain = properties(&["prompt"]);
    let neutral = json!({"stop": [], "n": 1, "temperature": 1, "logprobs": false, "tools": []});
    assert_eq!(
        input(plain.clone(), neutral)
            .await
            .as_object()
            .unwrap()
            .len(),
        1
    );
    for name in ["max_tokens", "seed", "temperature"] {
        let error = sent(plain.clone(), json!({ name: 5 }), false)
            .await
            .unwrap_err();
        assert_eq!(error.param(), Some(name));
    }
}

#[tokio::test]
async fn the_models_own_template_is_turned_off() {
    let system = json!({"messages": [
        {"role": "system", "content": "Be good!"}, {"role": "user", "content": "Hi"}
    ]});
    let with = input(llama_3(), system.clone()).await;
    assert_eq!(with["prompt_template"], "{prompt}");
    // Without `prompt_template`, the model applies its own template, so it gets the text alone.
    let own = input(properties(&["prompt", "system_prompt"]), system.clone()).await;
    assert_eq!(own, json!({"prompt": "Hi", "system_prompt": "Be good!"}));
    // Without both parameters, the model has no template.
    let bare = input(properties(&["prompt"]), system.clone()).await;
    assert_eq!(bare["prompt"], with["prompt"]);
    assert_eq!(bare.as_object().unwrap().len(), 1);
    // A template in the request is kept.
    let mut members = system;
    members["prompt_template"] = json!("Q: {prompt} A:");
    let own = input(llama_3(), members).await;
    insta::assert_json_snapshot!("own_prompt_template", own);
}

#[tokio::test]
async fn models_that_take_messages_get_them() {
    let messages = json!([
        {"role": "system", "content": "Be good!"},
        {"role": "user", "content": [
            {"type": "text", "text": "What is it?"},
            {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
        ]}
    ]);
    let names = json!({
        "prompt": {}, "messages": {"type": "array"}, "max_completion_tokens": {}, "verbosity": {}
    });
    let members = json!({"messages": messages, "max_tokens": 9, "verbosity": "low"});
    insta::assert_json_snapshot!("messages", input(names, members).await);
}

#[tokio::test]
async fn images_are_sent_in_the_models_parameter() {
    let picture = |url: &str| json!({"type": "image_url", "image_url": {"url": url}});
    let one = json!({"messages": [{"role": "user", "content": [
        {"type": "text", "text": "What is it?"}, picture("data:image/png;base64,AA==")
    ]}]});
    let input_of = properties(&["prompt", "system_prompt", "image"]);
    let sent_one = input(input_of.clone(), one.clone()).await;
    assert_eq!(sent_one["image"], "data:image/png;base64,AA==");
    let list = json!({"prompt": {}, "image_input": {"type": "array"}});
    assert_eq!(
        input(list, one.clone()).await["image_input"],
        json!(["data:image/png;base64,AA=="])
    );
    let two = json!({"messages": [{"role": "user", "content": [picture("a"), picture("b")]}]});
    for (properties, members) in [(input_of, two), (properties(&["prompt"]), one)] {
        let error = sent(properties, members, false).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.param()),
            (ErrorKind::Unsupported, Some("messages"))
        );
    }
}

#[tokio::test]
async fn tool_calls_in_the_conversation_are_rejected() {
    let function = json!({"name": "f", "arguments": "{}"});
    for message in [
        json!({"role": "assistant", "content": null,
            "tool_calls": [{"id": "c", "type": "function", "function": function}]}),
        json!({"role": "assistant", "content": null, "function_call": function}),
        json!({"role": "tool", "tool_call_id": "c", "content": "5"}),
        json!({"role": "function", "name": "f", "content": "5"}),
    ] {
        let members = json!({"messages": [{"role": "user", "content": "Hi"}, message]});
        let error = sent(llama_3(), members, false).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.param()),
            (ErrorKind::Unsupported, Some("messages"))
        );
    }
}

#[tokio::test]
async fn a_refusal_of_the_assistant_is_part_of_the_prompt() {
    let members = json!({"messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": null, "refusal": "I cannot help."},
        {"role": "user", "content": "Why?"},
    ]});
    let input = input(llama_3(), members).await;
    let prompt = input["prompt"].as_str().unwrap();
    assert!(prompt.contains("I cannot help.<|eot_id|>"), "{prompt}");
}

#[tokio::test]
async fn litellms_template_settings_are_honoured() {
    let server = server(llama_3()).await;
    let markers = |role: &str| json!({"pre_message": format!("<|im_start|>{role}\n"), "post_message": "<|im_end|>"});
    let settings = settings(&server.url)
        .with_extra("initial_prompt_value", "\n")
        .with_extra(
            "roles",
            json!({
                "system": markers("system"),
                "assistant": markers("assistant"),
                "user": markers("user"),
            }),
        )
        .with_extra("final_prompt_value", "\n")
        .with_extra("bos_token", "<s>")
        .with_extra("eos_token", "</s>");
    let replicate = Replicate::new(settings).unwrap();
    let messages = vec![Message::system("Be good!"), Message::user("Hi")];
    let reply = chat(&replicate, ChatRequest::new(MODEL, messages))
        .await
        .unwrap();
    insta::assert_json_snapshot!("custom_template", server.first(CREATE).body);
    assert_eq!(reply.metadata.extra["prompt_template"], "custom");
    assert_eq!(reply.metadata.extra["prompt_template_source"], "configured");
}

#[tokio::test]
async fn templates_registered_in_code_are_honoured_by_model() {
    let server = server(llama_3()).await;
    let custom = CustomTemplate::new().with_role("user", RoleMarkers::new("Q: ", " A:"));
    let replicate = server
        .provider()
        .with_template(MODEL, custom)
        .with_template("acme/other", Family::CHATML);
    chat(&replicate, chat_request(MODEL)).await.unwrap();
    assert_eq!(server.first(CREATE).body["input"]["prompt"], "Q: Hello! A:");
}

#[tokio::test]
async fn an_unknown_model_gets_plain_text_and_the_metadata_says_so() {
    let server = Server::start(|url, seen, _| match seen.method.as_str() {
        "POST" => Response::json(201, succeeded(url, json!("ok"))),
        _ => Response::not_found(),
    })
    .await;
    let reply = chat(&server.provider(), chat_request("custom-llm-version-id"))
        .await
        .unwrap();
    assert_eq!(reply.metadata.extra["prompt_template"], "plain");
    assert_eq!(reply.metadata.extra["prompt_template_source"], "fallback");
    let body = &server.first("POST /v1/predictions").body;
    assert_eq!(
        body,
        &json!({"version": "custom-llm-version-id", "input": {"prompt": "Hello!"}})
    );
}

#[tokio::test]
async fn a_longer_conversation_keeps_the_markers_between_its_turns() {
    let server = Server::start(|url, seen, _| match seen.method.as_str() {
        "POST" => Response::json(201, succeeded(url, json!("ok"))),
        _ => Response::not_found(),
    })
    .await;
    let messages = vec![
        Message::system("Be good!"),
        Message::user("One"),
        Message::assistant("Two"),
        Message::user(Content::Parts(vec![
            ContentPart::text("Thr"),
            ContentPart::text("ee"),
        ])),
    ];
    chat(
        &server.provider(),
        ChatRequest::new("llama-2-70b-chat:abc", messages),
    )
    .await
    .unwrap();
    insta::assert_json_snapshot!("llama_2_turns", server.first("POST /v1/predictions").body);
}

#[tokio::test]
async fn a_parameter_that_the_model_lacks_is_rejected_unless_it_changes_nothing() {
    for (name, value, changes_nothing) in [
        ("seed", Value::Null, true),
        ("tool_choice", json!("auto"), true),
        ("tool_choice", json!("none"), true),
        ("tool_choice", json!("required"), false),
        ("function_call", json!("none"), true),
        ("function_call", json!({"name": "f"}), false),
        ("modalities", json!(["text"]), true),
        ("modalities", json!(["text", "audio"]), false),
        ("functions", json!([]), true),
        ("functions", json!([{"name": "f"}]), false),
        ("logit_bias", json!({}), true),
        ("logit_bias", json!({"5": 1}), false),
        ("frequency_penalty", json!(0), true),
        ("frequency_penalty", json!(0.5), false),
        ("logprobs", json!(false), true),
        ("logprobs", json!(true), false),
        ("n", json!(2), false),
        ("top_p", json!(1), true),
        ("top_p", json!(0.5), false),
        ("parallel_tool_calls", json!(true), true),
        ("response_format", json!({"type": "text"}), true),
        ("response_format", json!({"type": "json_object"}), false),
    ] {
        let members = json!({ name: value });
        match sent(properties(&["prompt"]), members.clone(), false).await {
            Ok((input, dropped)) => {
                assert!(changes_nothing, "{members}");
                assert_eq!((input.get(name), dropped.len()), (None, 0), "{members}");
            }
            Err(error) => {
                assert!(!changes_nothing, "{members}: {error}");
                assert_eq!(error.kind(), ErrorKind::Unsupported, "{members}");
                assert_eq!(error.param(), Some(name));
            }
        }
    }
}
