//! For any template, tokenizer configuration or tool: no panic, and rendering ends.
#![cfg(feature = "jinja")]

use prompt_templates::{
    ChatTemplate, Context, Family, Now, Options, PromptMessage, PromptToolCall, RenderLimits,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Pieces of templates that sometimes form valid combinations.
const PIECES: &[&str] = &[
    "{% for m in messages %}",
    "{% endfor %}",
    "{{ m.content }}",
    "{{ m['role'] }}",
    "{% if m %}",
    "{% elif x %}",
    "{% else %}",
    "{% endif %}",
    "{% set x = m %}",
    "{% set ns = namespace(a=1) %}",
    "{% set ns.a = ns %}",
    "{{ ns }}",
    "{% generation %}",
    "{% endgeneration %}",
    "{%- ",
    " -%}",
    "{# ",
    " #}",
    "{% raw %}",
    "{% endraw %}",
    "{{ messages | tojson }}",
    "{{ messages[::-1] }}",
    "{{ messages[1:] }}",
    "{{ 'a' * 9 }}",
    "{% macro f(a) %}",
    "{% endmacro %}",
    "{{ f(1) }}",
    "'",
    "\"",
    "\\",
    "{",
    "}",
    "%}",
    "}}",
    "in",
    "if",
    "=",
    "(",
    "[",
    ")",
    "]",
    "|",
    ".",
    "é",
    "\r\n",
    "{% break %}",
    "{{ x }}",
    "{{ strftime_now('%A %-d %Q') }}",
    "{{ raise_exception('x') }}",
];

proptest! {
    #[test]
    fn no_template_panics(pieces in vec(select(PIECES), 0..24)) {
        let mut limits = RenderLimits::default();
        limits.fuel = 10_000;
        limits.output = 10_000;
        if let Ok(template) = ChatTemplate::compile_with("test", &pieces.concat(), limits) {
            let messages = [PromptMessage::system("s"), PromptMessage::user("u"), PromptMessage::assistant("a")];
            let options = Options::new().with_now(Now::from_unix(0));
            let mut out = String::from("kept");
            let result = template.render_into(&mut out, &messages, &options);
            let is_whole = result.is_ok() && out.starts_with("kept");
            prop_assert!(is_whole || out == "kept");
            let _ = template.render_context(&Context::default());
        }
    }

    #[test]
    fn no_text_is_a_template_that_panics(source in ".{0,64}") {
        if let Ok(template) = ChatTemplate::compile("test", &source) {
            let _ = template.render_context(&Context::default());
        }
    }

    #[test]
    fn no_configuration_panics(
        template in "(\"[a-z{} ]{0,9}\"|\\[\\{\"name\":\"a\",\"template\":\"b\"\\}\\]|null|[0-9]|\\[1\\])",
        token in "(\"[<a-z>]{0,5}\"|\\{\"content\":\"x\"\\}|null|1|\\{\\})",
    ) {
        let json = format!("{{\"chat_template\": {template}, \"bos_token\": {token}}}");
        let _ = ChatTemplate::from_tokenizer_config("test", &json);
        let _ = ChatTemplate::from_tokenizer_config("test", &json[1..]);
    }

    #[test]
    fn no_tool_panics(json in "[\\[\\]{}:,\"\\\\u0-9a-fnrt .é-]{0,40}") {
        let options = Options::new().with_tools(vec![json.clone()]);
        let call = PromptMessage::assistant("").with_tool_calls(vec![PromptToolCall::new("1", "f", json)]);
        for family in [Family::LLAMA_3_1, Family::MISTRAL_V3, Family::QWEN_3] {
            let _ = family.render(&[PromptMessage::user("x")], &options);
            let _ = family.render(&[PromptMessage::user("x"), call.clone()], &Options::new());
        }
    }

    #[test]
    fn no_time_panics(seconds in any::<i64>(), format in "[%a-zA-Z-]{0,12}") {
        let _ = Now::from_unix(seconds).format(&format);
    }
}
