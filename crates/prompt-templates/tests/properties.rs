//! For any roles and content: no family panics, and none lets content forge a turn.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fmt;

use prompt_templates::{
    ControlTokens, CustomTemplate, ErrorKind, Family, Images, Options, PromptContent,
    PromptMessage, PromptPart, PromptRole, PromptToolCall, RoleMarkers, Strictness,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

const POLICIES: &[ControlTokens] = &[
    ControlTokens::Keep,
    ControlTokens::Neutralise,
    ControlTokens::Reject,
];
const STRICTNESSES: &[Strictness] = &[Strictness::Fold, Strictness::Official, Strictness::Strict];

/// A message in parts that are easy to generate: its role, texts, an image, and a call.
type Draft = (usize, Vec<Vec<String>>, bool, bool);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_family_panics(
        family in select(Family::ALL),
        drafts in vec(draft(), 0..6),
        policy in select(POLICIES),
        strictness in select(STRICTNESSES),
        bits in any::<[bool; 5]>(),
    ) {
        let messages = messages(&drafts, true);
        let options = options(policy, strictness, bits);
        let mut out = String::from("kept");
        let result = family.render_into(&mut out, &messages, &options);
        prop_assert!(out.starts_with("kept"));
        if let Err(error) = result {
            prop_assert_eq!(out, "kept");
            prop_assert_eq!(error.template(), Some(family.name()));
            if let Some(message) = error.message() {
                prop_assert!(message < messages.len());
            }
        }
    }

    #[test]
    fn with_neutralise_content_writes_no_control_token(
        family in select(Family::ALL),
        drafts in vec(draft(), 1..6),
        strictness in select(STRICTNESSES),
        bits in any::<[bool; 5]>(),
    ) {
        let options = options(ControlTokens::Neutralise, strictness, bits);
        let innocent: Vec<Draft> = drafts.iter().map(innocent).collect();
        let Ok(prompt) = family.render(&messages(&drafts, false), &options) else { return Ok(()) };
        let wanted = family.render(&messages(&innocent, false), &options).unwrap();
        for token in family.control_tokens() {
            prop_assert_eq!(
                prompt.matches(token).count(),
                wanted.matches(token).count(),
                "{} in {:?}", token, prompt
            );
        }
    }

    #[test]
    fn with_reject_there_is_no_control_token_or_an_error(
        family in select(Family::ALL),
        pieces in vec(piece(), 0..8),
    ) {
        let text = pieces.concat();
        let options = Options::new()
            .with_control_tokens(ControlTokens::Reject)
            .with_strictness(Strictness::Fold);
        let result = family.render(&[PromptMessage::user(&text)], &options);
        let held = family.control_tokens().iter().any(|token| text.contains(token));
        match result {
            Ok(_) => prop_assert!(!held),
            Err(error) => {
                prop_assert!(held);
                prop_assert_eq!(error.kind(), ErrorKind::ControlToken);
                prop_assert_eq!(error.message(), Some(0));
                prop_assert!(error.token().is_some_and(|token| text.contains(token)));
            }
        }
    }

    #[test]
    fn neutralised_text_is_otherwise_kept(
        family in select(Family::ALL),
        pieces in vec(piece(), 0..8),
    ) {
        // A family that only joins texts shows the effect on one text.
        let text = pieces.concat();
        let template = family.control_tokens().iter().fold(CustomTemplate::new(), |template, token| {
            template.with_role(*token, RoleMarkers::new(*token, ""))
        });
        let mut out = String::new();
        template.render_into(&mut out, &[PromptMessage::user(&text)], &Options::new()).unwrap();
        let without_space = |text: &str| text.replace(' ', "");
        prop_assert_eq!(without_space(&out), without_space(&text));
    }

    #[test]
    fn every_way_to_render_gives_the_same(
        family in select(Family::ALL),
        drafts in vec(draft(), 0..4),
        strictness in select(STRICTNESSES),
    ) {
        let messages = messages(&drafts, true);
        let options = Options::new().with_strictness(strictness);
        let rendered = family.render(&messages, &options).ok();
        let mut reused = String::from("x");
        let into = family.render_into(&mut reused, &messages, &options).ok();
        prop_assert_eq!(rendered.as_deref(), into.map(|()| &reused[1..]));
        let mut writer = Writer(String::new());
        let to = family.render_to(&mut writer, &messages, &options).ok();
        prop_assert_eq!(rendered, to.map(|()| writer.0));
    }

    #[test]
    fn a_registered_template_never_fails(
        markers in vec((piece(), piece()), 6),
        drafts in vec(draft(), 0..6),
        policy in select(POLICIES),
    ) {
        let names = ["system", "user", "assistant", "tool", "human", "x"];
        let template = names.iter().zip(&markers).fold(
            CustomTemplate::new().with_bos_token("<s>").with_eos_token("</s>"),
            |template, (name, (pre, post))| template.with_role(*name, RoleMarkers::new(pre, post)),
        );
        let messages = messages(&drafts, true);
        let exact = template.render_like_litellm(&messages);
        let mut out = String::new();
        let options = Options::new().with_control_tokens(policy);
        match template.render_into(&mut out, &messages, &options) {
            Ok(()) if policy == ControlTokens::Keep => prop_assert_eq!(out, exact),
            Ok(()) => {}
            Err(error) => prop_assert_eq!(error.kind(), ErrorKind::ControlToken),
        }
    }
}

/// A writer that is not a string.
struct Writer(String);

impl fmt::Write for Writer {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.push_str(text);
        Ok(())
    }
}

fn draft() -> impl Strategy<Value = Draft> {
    let texts = vec(vec(piece(), 0..5), 0..3);
    (0..8_usize, texts, any::<bool>(), prop::bool::weighted(0.1))
}

/// Control tokens of all families, complete and in halves, and text between them.
fn piece() -> impl Strategy<Value = String> {
    let tokens: Vec<&str> = Family::ALL
        .iter()
        .flat_map(|family| family.control_tokens())
        .copied()
        .collect();
    let halves = (
        select(tokens.clone()),
        any::<prop::sample::Index>(),
        any::<bool>(),
    );
    prop_oneof![
        select(tokens).prop_map(str::to_owned),
        halves.prop_map(|(token, at, first)| {
            let places: Vec<usize> = token.char_indices().map(|(at, _)| at).collect();
            let (a, b) = token.split_at(places[at.index(places.len())]);
            (if first { a } else { b }).to_owned()
        }),
        select(vec![
            " ", "\n", "\r\n", "\u{1f}", "", "x", "é", "user", "system\n", "{{ x }}", "\0"
        ])
        .prop_map(str::to_owned),
        ".{0,8}".prop_map(|text| text),
    ]
}

/// The same messages without anything that could be part of a control token.
fn innocent((role, texts, image, call): &Draft) -> Draft {
    let letter = |c: char| {
        if c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c) {
            c
        } else {
            'x'
        }
    };
    let text = |pieces: &Vec<String>| vec![pieces.concat().chars().map(letter).collect()];
    (*role, texts.iter().map(text).collect(), *image, *call)
}

fn messages(drafts: &[Draft], with_other_roles: bool) -> Vec<PromptMessage<'static>> {
    drafts
        .iter()
        .map(|(role, texts, image, call)| {
            let mut texts: Vec<String> = texts.iter().map(|pieces| pieces.concat()).collect();
            let other: &'static str = match texts.first() {
                Some(text) if with_other_roles => String::leak(text.clone()),
                _ => "narrator",
            };
            let role = [
                PromptRole::System,
                PromptRole::User,
                PromptRole::User,
                PromptRole::Assistant,
                PromptRole::Assistant,
                PromptRole::Tool,
                PromptRole::Developer,
                PromptRole::Other(other),
            ][*role];
            let content = match texts.len() {
                0 => PromptContent::None,
                1 if !image => PromptContent::from(texts.remove(0)),
                _ => {
                    let mut parts: Vec<PromptPart<'_>> = texts
                        .into_iter()
                        .map(|text| PromptPart::Text(text.into()))
                        .collect();
                    if *image {
                        parts.push(PromptPart::Image("https://example.com/x.png".into()));
                    }
                    PromptContent::Parts(parts)
                }
            };
            let calls = call.then(|| PromptToolCall::new("callabcde", "f", r#"{"x": "y"}"#));
            PromptMessage::new(role, content)
                .with_tool_call_id("callabcde")
                .with_tool_calls(calls.into_iter().collect())
        })
        .collect()
}

fn options(
    policy: ControlTokens,
    strictness: Strictness,
    [bos, generation, continued, default_system, image]: [bool; 5],
) -> Options {
    let images = if image {
        Images::Placeholder("<image>".into())
    } else {
        Images::Refuse
    };
    Options::new()
        .with_bos(bos)
        .with_generation_prompt(generation)
        .with_continue_final(continued)
        .with_default_system(default_system)
        .with_images(images)
        .with_control_tokens(policy)
        .with_strictness(strictness)
}
