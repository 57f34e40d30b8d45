//! The stop sequences of the request, of the model's default and of the template.

use llm_provider::Call;
use prompt_templates::Family;
use serde_json::{Value, json};

use crate::params::{input, properties, sent, server};
use crate::support::*;

/// The inputs of a model whose stop sequences have this default.
fn with_default(default: Value) -> Value {
    let mut properties = llama_3();
    properties["stop_sequences"]["default"] = default;
    properties
}

#[tokio::test]
async fn stops_are_a_list_if_the_model_takes_one() {
    let text = json!({"stop": {"type": "string"}});
    let list = json!({"stop": {"type": "array", "items": {"type": "string"}}});
    let ends = ["<|eot_id|>", "<|end_of_text|>"];
    for (properties, stops, expected) in [
        (
            text,
            json!(["END", "", "\n"]),
            json!(format!("END,\n,{}", ends.join(","))),
        ),
        (
            list.clone(),
            json!(["END", "a,b"]),
            json!(["END", "a,b", ends[0], ends[1]]),
        ),
        (list, json!("END"), json!(["END", ends[0], ends[1]])),
    ] {
        let (input, dropped) = sent(properties, json!({"stop": stops}), false)
            .await
            .unwrap();
        assert_eq!(input["stop"], expected);
        assert!(dropped.is_empty(), "{dropped:?}");
    }
}

#[tokio::test]
async fn a_stop_of_the_request_does_not_replace_those_that_end_a_turn() {
    for (default, stop, expected) in [
        // The default has the template's stops: nothing has to be sent without a stop.
        (
            json!("<|end_of_text|>,<|eot_id|>"),
            Value::Null,
            Value::Null,
        ),
        (
            json!("<|end_of_text|>,<|eot_id|>"),
            json!("END"),
            json!("END,<|end_of_text|>,<|eot_id|>"),
        ),
        (
            json!("<|end_of_text|>,###"),
            json!(["###", "END"]),
            json!("###,END,<|end_of_text|>,<|eot_id|>"),
        ),
        (
            Value::Null,
            Value::Null,
            json!("<|eot_id|>,<|end_of_text|>"),
        ),
    ] {
        let input = input(with_default(default), json!({"stop": stop})).await;
        assert_eq!(
            input.get("stop_sequences").unwrap_or(&Value::Null),
            &expected
        );
    }
    // The model's own parameter is sent unchanged.
    let own = input(llama_3(), json!({"stop_sequences": "END"})).await;
    assert_eq!(own["stop_sequences"], "END");
}

#[tokio::test]
async fn the_stops_of_a_configured_template_are_sent() {
    let sent = async |properties: Value| {
        let server = server(properties).await;
        let replicate = server.provider().with_template(MODEL, Family::CHATML);
        chat(&replicate, chat_request(MODEL)).await.unwrap();
        server.first(CREATE).body["input"]["stop_sequences"].clone()
    };
    assert_eq!(
        sent(llama_3()).await,
        "<|end_of_text|>,<|eot_id|>,<|im_end|>"
    );
    assert_eq!(sent(with_default(Value::Null)).await, "<|im_end|>");
    assert_eq!(sent(properties(&["prompt"])).await, Value::Null);
}

#[tokio::test]
async fn a_model_that_wraps_the_prompt_itself_gets_no_stops_of_a_template() {
    let names = ["prompt", "system_prompt", "stop_sequences"];
    let own = input(properties(&names), json!({})).await;
    assert_eq!(own, json!({"prompt": "Hi"}));
    let stop = input(properties(&names), json!({"stop": "END"})).await;
    assert_eq!(stop["stop_sequences"], "END");
}

#[tokio::test]
async fn a_text_completion_keeps_the_models_default_stops() {
    let server = server(llama_3()).await;
    let request = llm_types::completions::CompletionRequest::new(MODEL, "Once")
        .with_extra("stop", json!("END"));
    let call = Call::of(&request);
    llm_provider::Provider::send(&server.provider(), call)
        .await
        .unwrap();
    let input = &server.first(CREATE).body["input"];
    assert_eq!(input["stop_sequences"], "END,<|end_of_text|>,<|eot_id|>");
}
