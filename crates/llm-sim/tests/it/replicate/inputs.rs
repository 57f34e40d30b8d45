//! Inputs and outputs of models.

use serde_json::json;

use super::{LLAMA3, VICUNA, create, refused, url};
use crate::common::{self, client, get, json, start};

#[tokio::test]
async fn inputs_are_checked_like_the_real_ones() {
    let sim = start().await;
    let official = "models/meta/llama-2-70b-chat/predictions";
    for (path, body, detail, fields) in [
        (
            LLAMA3,
            json!({"inptu": {}}),
            "- input is required\n- Additional property inptu is not allowed\n",
            json!([["required", ""], ["additional_property_not_allowed", ""]]),
        ),
        (
            "predictions",
            json!({"model": "meta/meta-llama-3-8b-instruct", "input": {}}),
            "- version is required\n- Additional property model is not allowed\n",
            json!([["required", ""], ["additional_property_not_allowed", ""]]),
        ),
        (
            LLAMA3,
            json!({"version": "meta/meta-llama-3-8b-instruct", "input": {}}),
            "- Additional property version is not allowed\n",
            json!([["additional_property_not_allowed", ""]]),
        ),
        (
            official,
            json!({"input": {"temperature": 0}}),
            "- input: prompt is required\n\
             - input.temperature: Must be greater than or equal to 0.01\n",
            json!([["required", "input"], ["number_gte", "input.temperature"]]),
        ),
        (
            official,
            json!({"input": {"prompt": 1, "top_p": 1.5, "max_new_tokens": 1.5}}),
            "- input.prompt: Invalid type. Expected: string, given: integer\n\
             - input.max_new_tokens: Invalid type. Expected: integer, given: number\n\
             - input.top_p: Must be less than or equal to 1\n",
            json!([
                ["invalid_type", "input.prompt"],
                ["invalid_type", "input.max_new_tokens"],
                ["number_lte", "input.top_p"],
            ]),
        ),
        (
            "predictions",
            json!({"version": VICUNA, "input": {"prompt": "x", "decoding": "magic"}}),
            "- input.decoding: decoding must be one of the following: \"beam_search\", \"top_p\", \
             \"top_k\"\n",
            json!([["enum", "input.decoding"]]),
        ),
        (
            LLAMA3,
            json!({"input": "text", "stream": 1, "webhook_events_filter": ["done"]}),
            "- input: Invalid type. Expected: object, given: string\n\
             - stream: Invalid type. Expected: boolean, given: integer\n\
             - webhook_events_filter: webhook_events_filter must be one of the following: \
             \"start\", \"output\", \"logs\", \"completed\"\n",
            json!([
                ["invalid_type", "input"],
                ["invalid_type", "stream"],
                ["enum", "webhook_events_filter"]
            ]),
        ),
    ] {
        let problem = refused(&sim, path, &body, 422).await;
        assert_eq!(problem["title"], "Input validation failed");
        assert_eq!(problem["detail"], detail);
        let told = problem["invalid_fields"].as_array().unwrap().iter();
        let told: Vec<_> = told.map(|one| json!([one["type"], one["field"]])).collect();
        assert_eq!(json!(told), fields);
    }
    for bad in ["", "[]", "{", "nonsense"] {
        let request = client().post(format!("{}/v1/{LLAMA3}", sim.replicate_url()));
        let (status, _) = json(request.bearer_auth(common::KEY).body(bad)).await;
        assert_eq!(status, 400);
    }
    // Unknown keys are accepted.
    create(
        &sim,
        LLAMA3,
        &json!({"input": {"prompt": "x", "unknown": [1]}}),
    )
    .await;
}

#[tokio::test]
async fn the_output_has_the_shape_of_the_model() {
    let sim = start().await;
    let hello = "5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa";
    let body = json!({"version": hello, "input": {"text": "Alice"}, "stream": true});
    let fresh = create(&sim, "predictions", &body).await;
    assert!(fresh["urls"].get("stream").is_none());
    let (_, body) = json(get(url(&fresh, "get"))).await;
    assert_eq!(body["output"], "hello Alice");
    assert!(body["metrics"].get("output_token_count").is_none());

    // Not official, and not requested: no stream.
    let fresh = create(
        &sim,
        "predictions",
        &json!({"version": VICUNA, "input": {"prompt": "x"}}),
    )
    .await;
    assert!(fresh["urls"].get("stream").is_none());

    // The models of other companies count in the logs.
    let body = json!({"input": {"messages": [{"role": "user", "content": "look"}], "max_completion_tokens": 4}});
    let fresh = create(&sim, "models/openai/gpt-5/predictions", &body).await;
    let (_, body) = json(get(url(&fresh, "get"))).await;
    assert!(
        body["logs"]
            .as_str()
            .unwrap()
            .contains("Output token count: 4")
    );
    assert!(body["metrics"].get("output_token_count").is_none());
    assert_eq!(body["output"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn output_is_limited_by_the_parameter_names_of_the_model() {
    let sim = start().await;
    for (version, input, tokens) in [
        (VICUNA, json!({"prompt": "x", "max_length": 3}), 3),
        (
            "sim/custom-llm:custom-llm-version-id",
            json!({"prompt": "x", "max_tokens": 3}),
            3,
        ),
        (
            "sim/custom-llm:custom-llm-version-id",
            json!({"prompt": "x", "max_new_tokens": 3}),
            0,
        ),
        (
            "meta/llama-2-70b-chat",
            json!({"prompt": "x", "max_new_tokens": 2}),
            2,
        ),
        (
            "meta/llama-2-70b-chat",
            json!({"prompt": "x", "stop_sequences": "nothing, simulated"}),
            3,
        ),
    ] {
        let body = create(
            &sim,
            "predictions",
            &json!({"version": version, "input": input}),
        )
        .await;
        let (_, body) = json(get(url(&body, "get"))).await;
        let output = body["output"].as_array().unwrap();
        assert!(
            output.len() == tokens || (tokens == 0 && output.len() > 3),
            "{input}"
        );
    }
    // The template is applied, unless the input replaces it.
    let logs = async |template: Option<&str>| {
        let mut input = json!({"prompt": "PROMPT", "system_prompt": "SYSTEM"});
        if let Some(template) = template {
            input["prompt_template"] = json!(template);
        }
        let fresh = create(&sim, LLAMA3, &json!({"input": input})).await;
        json(get(url(&fresh, "get"))).await.1["logs"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert!(logs(None).await.contains("SYSTEM<|eot_id|>"));
    assert!(
        logs(Some("{prompt}"))
            .await
            .ends_with("Formatted prompt: `PROMPT`")
    );
}
