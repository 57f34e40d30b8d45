//! Rules of single families.

use allocation_counter::measure;
use prompt_templates::{
    ControlTokens, Error, ErrorKind, Family, Images, Now, Options, PromptContent, PromptMessage,
    PromptPart, PromptRole, PromptToolCall, Strictness,
};

#[test]
fn llama_3_without_bos_equals_the_prompt_on_the_page_at_replicate() {
    let messages = [
        PromptMessage::system("Be a good human!"),
        PromptMessage::user("What do you know about earth?"),
    ];
    assert_eq!(
        Family::LLAMA_3.render(&messages, &Options::new()).unwrap(),
        "<|start_header_id|>system<|end_header_id|>\n\nBe a good human!<|eot_id|>\
         <|start_header_id|>user<|end_header_id|>\n\nWhat do you know about earth?<|eot_id|>\
         <|start_header_id|>assistant<|end_header_id|>\n\n",
    );
}

#[test]
fn every_family_is_found_by_its_name() {
    for family in Family::ALL {
        assert_eq!(Family::from_name(family.name()), Some(*family));
    }
    assert!(Family::ALL.is_sorted_by_key(|family| family.name()));
    assert_eq!(Family::from_name("none"), None);
}

#[test]
fn every_family_has_stop_sequences() {
    for family in Family::ALL {
        assert!(!family.source().is_empty());
        let is_plain = *family == Family::PLAIN;
        assert_eq!(family.stop().is_empty(), is_plain, "{family}");
        assert_eq!(family.eos().is_empty(), is_plain, "{family}");
    }
}

#[test]
fn bos_is_written_or_left_to_the_server() {
    let messages = [
        PromptMessage::user("a"),
        PromptMessage::assistant("b"),
        PromptMessage::user("c"),
    ];
    for family in Family::ALL {
        let without = family.render(&messages, &Options::new()).unwrap();
        let with = family
            .render(&messages, &Options::new().with_bos(true))
            .unwrap();
        assert_eq!(with, format!("{}{without}", family.bos()), "{family}");
    }
}

#[test]
fn the_last_message_of_the_assistant_can_be_continued() {
    let messages = [
        PromptMessage::user("Count."),
        PromptMessage::assistant("One, two,"),
    ];
    let options = Options::new().with_continue_final(true);
    for family in Family::ALL {
        let prompt = family.render(&messages, &options).unwrap();
        assert!(prompt.ends_with("One, two,"), "{family}: {prompt}");
        let error = family.render(&messages[..1], &options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Continuation, "{family}");
    }
}

#[test]
fn a_tool_call_that_the_format_closes_is_not_continued() {
    let call = PromptToolCall::new("callabcde", "f", "{}");
    let messages = [
        PromptMessage::user("x"),
        PromptMessage::assistant(PromptContent::None).with_tool_calls(vec![call]),
    ];
    for family in [Family::LLAMA_3_1, Family::MISTRAL_NEMO, Family::MISTRAL_V3] {
        assert!(family.render(&messages, &Options::new()).is_ok());
        let options = Options::new().with_continue_final(true);
        let error = family.render(&messages, &options).unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (ErrorKind::Continuation, Some(1)),
            "{error}"
        );
    }
}

#[test]
fn folding_does_not_copy_texts() {
    let text = "x".repeat(1 << 20);
    let messages = [
        PromptMessage::system("s"),
        PromptMessage::user("u"),
        PromptMessage::assistant(text.clone()).with_reasoning(text.clone()),
        PromptMessage::user(text),
    ];
    let options = Options::new().with_strictness(Strictness::Fold);
    let mut out = String::with_capacity(4 << 20);
    let allocations = measure(|| {
        Family::GEMMA
            .render_into(&mut out, &messages, &options)
            .unwrap();
    });
    assert!(out.starts_with("<start_of_turn>user\ns\n\nu<end_of_turn>"));
    assert!(allocations.bytes_total < 1 << 16, "{allocations:?}");
}

#[test]
fn parts_are_joined_and_images_rejected_or_replaced() {
    let parts = |picture: bool| {
        let mut parts = vec![
            PromptPart::Text("See ".into()),
            PromptPart::Text("this: ".into()),
        ];
        if picture {
            parts.push(PromptPart::Image("https://example.com/x.png".into()));
        }
        [PromptMessage::user(parts)]
    };
    let render = |picture, options: &Options| Family::PLAIN.render(&parts(picture), options);
    assert_eq!(render(false, &Options::new()).unwrap(), "See this: ");
    let error = render(true, &Options::new()).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Image, Some(0)));
    let options = Options::new().with_images(Images::Placeholder("<image>".into()));
    assert_eq!(render(true, &options).unwrap(), "See this: <image>");
}

#[test]
fn a_token_split_between_parts_is_found() {
    let parts = vec![
        PromptPart::Text("<|im_".into()),
        PromptPart::Text("end|>".into()),
    ];
    let prompt = Family::CHATML
        .render(&[PromptMessage::user(parts)], &Options::new())
        .unwrap();
    assert!(
        prompt.starts_with("<|im_start|>user\n<|im_end| ><|im_end|>"),
        "{prompt}"
    );
}

#[test]
fn an_unsupported_conversation_is_a_typed_error() {
    let user = || PromptMessage::user("x");
    let call = PromptMessage::assistant(PromptContent::None)
        .with_tool_calls(vec![PromptToolCall::new("1", "f", "{}")]);
    for (family, messages, kind, place) in [
        (Family::CHATML, vec![], ErrorKind::Empty, None),
        (
            Family::CHATML,
            vec![user(), PromptMessage::new(PromptRole::Other("x"), "x")],
            ErrorKind::Role,
            Some(1),
        ),
        (
            Family::CHATML,
            vec![user(), PromptMessage::tool("1", "x")],
            ErrorKind::Tools,
            Some(1),
        ),
        (
            Family::CHATML,
            vec![user(), call],
            ErrorKind::Tools,
            Some(1),
        ),
        (
            Family::CHATML,
            vec![PromptMessage::user(PromptContent::None)],
            ErrorKind::NoContent,
            Some(0),
        ),
        (
            Family::LLAMA_2,
            vec![PromptMessage::assistant("x"), user()],
            ErrorKind::Alternation,
            Some(0),
        ),
        (
            Family::LLAMA_2,
            vec![user(), user()],
            ErrorKind::Alternation,
            Some(1),
        ),
        (
            Family::LLAMA_2,
            vec![PromptMessage::system("x")],
            ErrorKind::System,
            Some(0),
        ),
        (
            Family::GEMMA,
            vec![PromptMessage::system("x"), user()],
            ErrorKind::System,
            Some(0),
        ),
    ] {
        let error = family.render(&messages, &Options::new()).unwrap_err();
        assert_eq!((error.kind(), error.message()), (kind, place), "{error}");
        assert_eq!(error.template(), Some(family.name()));
    }
    let options = Options::new().with_tools(vec!["{}".to_owned()]);
    let error = Family::CHATML.render(&[user()], &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tools);
}

#[test]
fn an_error_after_folding_has_the_original_message_index() {
    let messages = [
        PromptMessage::system("a"),
        PromptMessage::system("b"),
        PromptMessage::user("c"),
        PromptMessage::user("d"),
        PromptMessage::tool("1", "e"),
    ];
    let options = Options::new().with_strictness(Strictness::Fold);
    let error = Family::LLAMA_2.render(&messages, &options).unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Tools, Some(4)));
    let prompt = Family::LLAMA_2.render(&messages[..4], &options).unwrap();
    assert_eq!(prompt, "[INST] <<SYS>>\na\n\nb\n<</SYS>>\n\nc\n\nd [/INST]");
}

#[test]
fn the_error_for_a_rejected_token_names_it() -> Result<(), Error> {
    let options = Options::new().with_control_tokens(ControlTokens::Reject);
    let messages = [PromptMessage::system("x"), PromptMessage::user("[INST] y")];
    let mut out = String::from("kept");
    let error = Family::LLAMA_2
        .render_into(&mut out, &messages, &options)
        .unwrap_err();
    assert_eq!(out, "kept");
    assert_eq!(error.kind(), ErrorKind::ControlToken);
    assert_eq!((error.message(), error.token()), (Some(1), Some("[INST]")));
    assert_eq!(
        error.to_string(),
        "llama-2: message 1: the content contains the control token \"[INST]\""
    );
    Family::LLAMA_3.render_into(&mut out, &messages, &options)
}

#[test]
fn llama_3_1_writes_the_given_date() {
    let now = Options::new().with_now(Now::from_unix(1_735_787_045));
    let prompt = Family::LLAMA_3_1
        .render(&[PromptMessage::user("x")], &now)
        .unwrap();
    assert!(prompt.starts_with(
        "<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\n\
         Today Date: 02 Jan 2025\n\n<|eot_id|>"
    ));
    let prompt = Family::LLAMA_3_1
        .render(&[PromptMessage::user("x")], &Options::new())
        .unwrap();
    assert!(prompt.starts_with("<|start_header_id|>user<|end_header_id|>"));
}

#[test]
fn qwen_3_thinks_unless_disabled() {
    let render = |options: &Options| {
        Family::QWEN_3
            .render(&[PromptMessage::user("x")], options)
            .unwrap()
    };
    assert!(render(&Options::new()).ends_with("<|im_start|>assistant\n"));
    let without = Options::new().with_thinking(false);
    assert!(render(&without).ends_with("<|im_start|>assistant\n<think>\n\n</think>\n\n"));
}

#[test]
fn a_default_system_prompt_can_be_left_out() {
    let options = Options::new().with_default_system(false);
    for family in Family::ALL {
        let render = |options| family.render(&[PromptMessage::user("x")], options).unwrap();
        let has_one = family.default_system().is_some();
        assert_eq!(
            render(&Options::new()) != render(&options),
            has_one,
            "{family}"
        );
    }
}
