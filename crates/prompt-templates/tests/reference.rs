//! Compares the results with those of the reference implementations, from `cargo xtask fixtures`.
#![cfg(all(feature = "jinja", feature = "serde"))]
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;

use prompt_templates::{
    ChatTemplate, Context, ControlTokens, CustomTemplate, Error, Family, Now, Strictness,
};
use serde_json::Value;

/// 2025-01-02T03:04:05, the time of the generator's clock.
const NOW: i64 = 1_735_787_045;

#[test]
fn families_are_the_reference_templates() {
    let cases = common::cases();
    let mut misses = Vec::new();
    for family in Family::ALL {
        let expected = common::folder().join(format!("expected/families/{family}.json"));
        for (name, wanted) in common::read(&expected).as_object().unwrap() {
            let case = &cases[name];
            let options = common::options(case)
                .with_bos(true)
                .with_control_tokens(ControlTokens::Keep)
                .with_strictness(Strictness::Official);
            let got = family.render(&common::messages(&case["messages"]), &options);
            compare(&mut misses, format!("{family}/{name}"), &got, wanted);
        }
    }
    assert_eq!(misses, Vec::<String>::new());
}

#[test]
fn chat_templates_are_rendered_as_transformers_does() {
    let cases = common::cases();
    let mut misses = Vec::new();
    for (stem, path) in common::files(&common::folder().join("reference"), "jinja") {
        let family = Family::from_name(&stem).unwrap();
        let template = ChatTemplate::compile(&stem, &fs::read_to_string(path).unwrap()).unwrap();
        let expected = common::folder().join(format!("expected/families/{stem}.json"));
        for (name, wanted) in common::read(&expected).as_object().unwrap() {
            let case = &cases[name];
            let [bos, eos] = tokens(family);
            let options = common::options(case)
                .with_bos(true)
                .with_control_tokens(ControlTokens::Keep)
                .with_strictness(Strictness::Official);
            let got = template
                .clone()
                .with_bos_token(bos)
                .with_eos_token(eos)
                .render(&common::messages(&case["messages"]), &options);
            compare(
                &mut misses,
                format!("{stem}/{name}, as messages"),
                &got,
                wanted,
            );
            if stem.starts_with("deepseek") && name == "tool_call" {
                // The case has its arguments as an object, but these templates expect text.
                continue;
            }
            let context = Context::new(&case["messages"])
                .with_variable("tools", &case["tools"])
                .with_variable(
                    "add_generation_prompt",
                    case["add_generation_prompt"] != false,
                )
                .with_variable("bos_token", bos)
                .with_variable("eos_token", eos);
            let got = template.render_context(&context);
            compare(&mut misses, format!("{stem}/{name}"), &got, wanted);
        }
    }
    assert_eq!(misses, Vec::<String>::new());
}

#[test]
fn expressions_have_the_results_of_python() {
    let expected = common::read(&common::folder().join("expected/expressions.json"));
    let mut misses = Vec::new();
    for wanted in expected.as_array().unwrap() {
        let source = wanted["source"].as_str().unwrap();
        let context = Context::default().with_now(Now::from_unix(NOW));
        let got = ChatTemplate::compile("expression", source)
            .and_then(|template| template.render_context(&context));
        compare(&mut misses, source.to_owned(), &got, wanted);
    }
    assert_eq!(misses, Vec::<String>::new());
}

#[test]
fn registered_templates_render_as_in_litellm() {
    let cases = common::cases();
    let mut misses = Vec::new();
    for (stem, path) in common::files(&common::folder().join("registered"), "json") {
        let template: CustomTemplate = serde_json::from_value(common::read(&path)).unwrap();
        let expected = common::folder().join(format!("expected/registered/{stem}.json"));
        for (name, wanted) in common::read(&expected).as_object().unwrap() {
            let got = template.render_like_litellm(&common::messages(&cases[name]["messages"]));
            if got != wanted.as_str().unwrap() {
                misses.push(format!("{stem}/{name}: wanted {wanted}, got {got:?}"));
            }
        }
    }
    assert_eq!(misses, Vec::<String>::new());
}

fn compare(misses: &mut Vec<String>, name: String, got: &Result<String, Error>, wanted: &Value) {
    match (got, wanted["prompt"].as_str()) {
        (Ok(got), Some(wanted)) if got == wanted => {}
        (Err(_), None) => {}
        _ => {
            println!("{name}\n  wanted {wanted}\n  got    {got:?}");
            misses.push(name);
        }
    }
}

/// The BOS and EOS that the generator passes to the reference template.
fn tokens(family: Family) -> [&'static str; 2] {
    if family.bos() == "<bos>" {
        ["<bos>", "<eos>"]
    } else if family.bos().is_empty() {
        ["<s>", "</s>"]
    } else {
        [family.bos(), family.eos()]
    }
}
