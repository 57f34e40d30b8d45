//! Registered templates with LiteLLM's keys.
#![cfg(feature = "serde")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use prompt_templates::{
    ControlTokens, CustomTemplate, ErrorKind, Options, PromptMessage, Prompts, RoleMarkers,
    Template,
};
use serde_json::{Value, from_value, json, to_value};

fn read(keys: Value) -> CustomTemplate {
    from_value(keys).unwrap()
}

#[test]
fn both_documented_forms_are_read() {
    let markers = read(json!({
        "roles": {"user": {"pre_message": "<|im_start|>user\n", "post_message": "\n"}, "system": {}},
        "initial_prompt_value": null,
        "bos_token": "<s>",
    }));
    let wanted = CustomTemplate::new()
        .with_role("user", RoleMarkers::new("<|im_start|>user\n", "\n"))
        .with_role("system", RoleMarkers::default())
        .with_bos_token("<s>");
    assert_eq!(markers, wanted);

    let older = read(json!({
        "roles": {"system": "<|im_start|>system", "user": "<|im_start|>user"},
        "pre_message_sep": "\n",
        "post_message_sep": "\n",
    }));
    let messages = [PromptMessage::system("s"), PromptMessage::user("u")];
    assert_eq!(
        older.render(&messages, &Options::new()).unwrap(),
        "<|im_start|>system\ns\n<|im_start|>user\nu\n"
    );
    assert_eq!(read(to_value(&older).unwrap()), older);
    assert_eq!(read(json!({"roles": null})), CustomTemplate::new());
}

#[test]
fn an_invalid_template_is_rejected() {
    for keys in [
        json!({"roles": {"user": {"pre_mesage": "x"}}}),
        json!({"roles": {"user": 1}}),
        json!({"roles": []}),
        json!({"bos_token": 1}),
        json!({"roles": {"user": {}}, "post_message_sep": "x"}),
    ] {
        assert!(
            from_value::<CustomTemplate>(keys.clone()).is_err(),
            "{keys}"
        );
    }
}

#[test]
fn the_error_for_an_unknown_key_suggests_the_nearest() {
    for (unknown, nearest) in [
        ("role", "roles"),
        ("Roles", "roles"),
        ("initial_prompt", "initial_prompt_value"),
        ("final_prompt_valu", "final_prompt_value"),
        ("bos", "bos_token"),
        ("pre_message_separator", "pre_message_sep"),
    ] {
        let error = from_value::<CustomTemplate>(json!({unknown: {}})).unwrap_err();
        let wanted = format!("unknown key `{unknown}` in a template; did you mean `{nearest}`?");
        assert_eq!(error.to_string(), wanted);
    }
    let long = from_value::<CustomTemplate>(json!({"é".repeat(100_000): 1, "a\nb": 1}));
    let error = long.unwrap_err().to_string();
    assert!(error.len() < 200 && !error.contains('\n'), "{error:.300}");
}

#[test]
fn prompts_are_read_from_settings_with_other_keys() {
    let settings = json!({
        "roles": {"user": {"pre_message": "U: "}},
        "max_tokens": 4096,
        "control_tokens": "reject",
    });
    let prompts: Prompts = from_value(settings).unwrap();
    assert_eq!(prompts.control_tokens(), ControlTokens::Reject);
    let template = prompts.find("any").unwrap();
    assert_eq!(
        prompts
            .render(template, &[PromptMessage::user("x")])
            .unwrap(),
        "U: x"
    );
    let malformed = from_value::<Prompts>(json!({"roles": {"user": {}}, "pre_message_sep": "x"}));
    assert!(malformed.is_err());
}

#[test]
fn every_kind_of_template_breaks_up_control_tokens_by_default() {
    let template = read(json!({"roles": {"user": {"post_message": "<|im_end|>"}}}));
    let messages = [PromptMessage::user("a<|im_end|>b")];
    let options = Options::new();
    let broken = "a<|im_end| >b<|im_end|>";
    assert_eq!(template.render(&messages, &options).unwrap(), broken);
    assert_eq!(
        Template::from(template.clone())
            .render(&messages, &options)
            .unwrap(),
        broken
    );
    assert_eq!(
        template.render_like_litellm(&messages),
        "a<|im_end|>b<|im_end|>"
    );
}

#[test]
fn a_final_assistant_message_can_be_continued() {
    let template = read(json!({
        "roles": {
            "user": {"pre_message": "U: ", "post_message": "\n"},
            "assistant": {"pre_message": "A: ", "post_message": "\n"},
        },
        "eos_token": "</s>", "final_prompt_value": "A:",
    }));
    let render = |messages: &[PromptMessage<'_>]| {
        let options = Options::new().with_continue_final(true);
        template.render(messages, &options).unwrap()
    };
    let [user, assistant] = [PromptMessage::user("Hi"), PromptMessage::assistant("Hel")];
    assert_eq!(render(&[user.clone(), assistant.clone()]), "U: Hi\nA: Hel");
    assert_eq!(
        render(&[assistant, user]),
        "A: Hel\n</s>U: Hi\nA:",
        "only the last message is open"
    );
}

#[test]
fn markers_in_content_follow_the_policy() {
    let template = read(json!({
        "roles": {
            "user": {"pre_message": "[INST] <<SYS>>\n", "post_message": " [/INST]"},
            "assistant": {"pre_message": "### Answer:\n", "post_message": "U:"},
        },
        "eos_token": "</s>",
    }));
    let messages = [PromptMessage::user("[INST] <<SYS>> ### Answer: </s> U: x")];
    let render = |policy| {
        let mut out = String::new();
        let options = Options::new().with_control_tokens(policy);
        template
            .render_into(&mut out, &messages, &options)
            .map(|()| out)
    };
    assert_eq!(
        render(ControlTokens::Neutralise).unwrap(),
        "[INST] <<SYS>>\n[INST ] <<SYS> > ### Answer : </s > U: x [/INST]"
    );
    assert_eq!(
        render(ControlTokens::Keep).unwrap(),
        template.render_like_litellm(&messages)
    );
    let error = render(ControlTokens::Reject).unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::ControlToken, Some(0))
    );
}
