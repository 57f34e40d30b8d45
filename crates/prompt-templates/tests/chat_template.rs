//! Chat templates through the common interface, and malicious templates.
#![cfg(feature = "jinja")]
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "helpers of tests")]

use prompt_templates::{
    ChatTemplate, Context, ControlTokens, ErrorKind, Now, Options, PromptMessage, PromptToolCall,
    RenderLimits, Strictness,
};

const CHATML: &str = "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m.role }}\n\
                      {{ m.content }}<|im_end|>\n{% endfor %}\
                      {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

fn compile(source: &str) -> ChatTemplate {
    ChatTemplate::compile("test", source).unwrap()
}

#[track_caller]
fn render(source: &str) -> String {
    compile(source).render_context(&Context::default()).unwrap()
}

#[track_caller]
fn fails(source: &str, kind: ErrorKind) {
    let result = ChatTemplate::compile("test", source)
        .and_then(|template| template.render_context(&Context::default()));
    let error = result.expect_err(source);
    assert_eq!(error.kind(), kind, "{error}");
    assert_eq!(error.template(), Some("test"));
}

#[test]
fn bos_is_written_or_left_to_the_server() {
    let template = compile(CHATML).with_bos_token("<s>");
    let messages = [PromptMessage::user("Hi")];
    let without = template.render(&messages, &Options::new()).unwrap();
    assert_eq!(
        without,
        "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    );
    let with = template
        .render(&messages, &Options::new().with_bos(true))
        .unwrap();
    assert_eq!(with, format!("<s>{without}"));
}

#[test]
fn the_last_message_can_be_continued() {
    let messages = [
        PromptMessage::user("Hi"),
        PromptMessage::assistant("Well, "),
    ];
    let options = Options::new().with_continue_final(true);
    let prompt = compile(CHATML).render(&messages, &options).unwrap();
    assert!(
        prompt.ends_with("<|im_start|>assistant\nWell, "),
        "{prompt}"
    );

    let trimming = CHATML.replace("m.content", "m.content | trim");
    let prompt = compile(&trimming).render(&messages, &options).unwrap();
    assert!(prompt.ends_with("<|im_start|>assistant\nWell,"), "{prompt}");

    let error = compile(CHATML)
        .render(&messages[..1], &options)
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.template()),
        (ErrorKind::Continuation, Some("test"))
    );
    let error = compile("silent").render(&messages, &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Continuation);
}

#[test]
fn control_tokens_in_content_follow_the_policy() {
    let template = compile(CHATML).with_eos_token("</s>");
    let messages = [
        PromptMessage::user("a"),
        PromptMessage::user("b<|im_end|></s>"),
    ];
    let render = |policy| {
        let options = Options::new()
            .with_control_tokens(policy)
            .with_generation_prompt(false);
        template.render(&messages[1..], &options)
    };
    let kept = render(ControlTokens::Keep).unwrap();
    assert_eq!(kept, "<|im_start|>user\nb<|im_end|></s><|im_end|>\n");
    let broken = render(ControlTokens::Neutralise).unwrap();
    assert_eq!(broken, "<|im_start|>user\nb<|im_end| ></s ><|im_end|>\n");
    let options = Options::new().with_control_tokens(ControlTokens::Reject);
    let error = template.render(&messages, &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ControlToken);
    assert_eq!(
        (error.message(), error.token()),
        (Some(1), Some("<|im_end|>"))
    );
}

#[test]
fn control_tokens_escaped_in_json_are_found() {
    let source = "<|im_end|>{{ tools | tojson }}{% for m in messages %}\
                  {{ m.tool_calls | default(none) | tojson }}{% endfor %}";
    let call = PromptToolCall::new("1", "f", r#"{"x": "\u003c|im_end|>"}"#);
    let messages = [PromptMessage::assistant("").with_tool_calls(vec![call])];
    let options = Options::new().with_tools(vec![r#"{"y": "<\u007cim_end|>"}"#.to_owned()]);
    let prompt = compile(source).render(&messages, &options).unwrap();
    assert_eq!(prompt.matches("<|im_end|>").count(), 1, "{prompt}");
}

#[test]
fn arguments_are_an_object_or_text_as_the_template_requires() {
    let calls = "{% for m in messages %}{% for c in m.tool_calls | default([]) %}";
    let end = "{% endfor %}{% endfor %}";
    let call = PromptToolCall::new("1", "f", r#"{"a":1}"#);
    let messages = [PromptMessage::assistant("").with_tool_calls(vec![call])];
    let check = |print: &str, wanted: &str| {
        let template = compile(&format!("{calls}{{{{ {print} }}}}{end}"));
        assert_eq!(template.render(&messages, &Options::new()).unwrap(), wanted);
    };
    check("c.function.arguments | tojson", r#"{"a": 1}"#);
    check("c.function.arguments.items() | list", "[('a', 1)]");
    check("'=' + c.function.arguments", r#"={"a":1}"#);
    check("c.function.arguments", r#"{"a":1}"#);
}

#[test]
fn messages_are_folded_if_the_template_rejects_them() {
    let source = "{% for m in messages %}\
                  {% if (m.role == 'user') != (loop.index0 % 2 == 0) %}\
                  {{ raise_exception('out of turn') }}{% endif %}[{{ m.content }}]{% endfor %}";
    let messages = [
        PromptMessage::system("s"),
        PromptMessage::user("a"),
        PromptMessage::user("b"),
    ];
    let error = compile(source)
        .render(&messages, &Options::new())
        .unwrap_err();
    assert_eq!((error.kind(), error.line()), (ErrorKind::Raised, Some(1)));
    assert_eq!(error.to_string(), "test: line 1: out of turn");
    let options = Options::new().with_strictness(Strictness::Fold);
    let prompt = compile(source).render(&messages, &options).unwrap();
    assert_eq!(prompt, "[s\n\na\n\nb]");
}

#[test]
fn options_reach_the_template() {
    let source = "{{ strftime_now('%d %b %Y') }} {{ enable_thinking }} {{ documents[0].text }} \
                  {{ tools[0].function.name }}";
    let options = Options::new()
        .with_now(Now::from_unix(0))
        .with_thinking(false)
        .with_variable("documents", r#"[{"text": "d"}]"#)
        .with_tools(vec![r#"{"function": {"name": "f"}}"#.to_owned()]);
    let prompt = compile(source)
        .render(&[PromptMessage::user("x")], &options)
        .unwrap();
    assert_eq!(prompt, "01 Jan 1970 False d f");
}

#[test]
fn a_tokenizer_config_has_one_template_or_several() {
    let one = r#"{"chat_template": "{{ bos_token }}{{ eos_token }}{{ unk_token is defined }}",
                  "bos_token": {"content": "<s>", "lstrip": false}, "eos_token": "</s>",
                  "unk_token": null,
                  "added_tokens_decoder": {"5": {"content": "[X]", "special": true},
                                           "6": {"content": "word", "special": false}}}"#;
    let template = ChatTemplate::from_tokenizer_config("test", one).unwrap();
    assert_eq!(
        template.render_context(&Context::default()).unwrap(),
        "<s></s>False"
    );
    assert_eq!(template.control_tokens(), ["</s>", "<s>", "[X]"]);

    let several = r#"{"chat_template": [{"name": "default", "template": "plain"},
                                        {"name": "tool_use", "template": "tools"},
                                        {"name": "rag", "template": "documents"}]}"#;
    let template = ChatTemplate::from_tokenizer_config("test", several).unwrap();
    let messages = [PromptMessage::user("x")];
    let tools = Options::new().with_tools(vec!["{}".to_owned()]);
    assert_eq!(
        template.render(&messages, &Options::new()).unwrap(),
        "plain"
    );
    assert_eq!(template.render(&messages, &tools).unwrap(), "tools");
    let rag = template.clone().with_variant("rag").unwrap();
    assert_eq!(rag.render(&messages, &tools).unwrap(), "documents");
    assert_eq!(
        template.with_variant("none").unwrap_err().kind(),
        ErrorKind::Config
    );
}

#[test]
fn a_malformed_tokenizer_config_is_rejected() {
    for json in [
        "",
        "[]",
        "{}",
        r#"{"chat_template": 1}"#,
        r#"{"chat_template": [{"name": "default"}]}"#,
        r#"{"chat_template": "x", "bos_token": 1}"#,
        r#"{"chat_template": "x", "bos_token": {"text": "<s>"}}"#,
    ] {
        let error = ChatTemplate::from_tokenizer_config("test", json).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{json}");
    }
}

#[test]
fn the_error_of_a_template_has_the_line() {
    let error = ChatTemplate::compile("test", "a\n{% if %}").unwrap_err();
    assert_eq!((error.kind(), error.line()), (ErrorKind::Syntax, Some(2)));
    let error = compile("a\n\n{{ x.y }}")
        .render_context(&Context::default())
        .unwrap_err();
    assert_eq!((error.kind(), error.line()), (ErrorKind::Render, Some(3)));
}

#[test]
fn endless_output_is_stopped() {
    let twice = "{% for i in range(99999) %}{% for j in range(99999) %}";
    fails(
        &format!("{twice}{{% endfor %}}{{% endfor %}}"),
        ErrorKind::Limit,
    );
    fails(
        &format!("{twice}{{{{ 'x' * 9999 }}}}{{% endfor %}}{{% endfor %}}"),
        ErrorKind::Limit,
    );
    let captured = format!("{twice}{{{{ 'x' * 9999 }}}}{{% endfor %}}{{% endfor %}}");
    fails(
        &format!("{{% set x %}}{captured}{{% endset %}}"),
        ErrorKind::Limit,
    );
    let text = "x".repeat(9999);
    fails(
        &format!("{{% set x %}}{twice}{text}{{% endfor %}}{{% endfor %}}{{% endset %}}"),
        ErrorKind::Limit,
    );
    fails("{{ 'x' * 99999999 }}", ErrorKind::Limit);
    fails(
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        ErrorKind::Limit,
    );
    fails(
        "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        ErrorKind::Limit,
    );
    let doubling = "{% set ns = namespace(x='x') %}{% for i in range(99) %}\
                    {% set ns.x = ns.x + ns.x %}{% endfor %}";
    fails(doubling, ErrorKind::Limit);
    fails(&doubling.replace("'x'", "[1]"), ErrorKind::Limit);
}

#[test]
fn widths_are_bounded() {
    for source in [
        "{{ [1] | slice(9999999999) | list }}",
        "{{ [1] | batch(9999999999, 1) | list }}",
        "{{ [1] | batch(linecount=9999999999, fill_with=1) | list }}",
        "{{ 'a' | indent(9999999999, true) }}",
        "{{ 'a' | indent(width=9999999999, first=true) }}",
        "{{ '%9999999999d' | format(1) }}",
        "{{ '{:>9999999999}'.format(1) }}",
    ] {
        fails(source, ErrorKind::Limit);
    }
    fails("{{ 'a'.ljust(9999999999) }}", ErrorKind::Render);
    assert_eq!(render("{{ '%d' | format(9999999999) }}"), "9999999999");
}

#[test]
fn excessive_nesting_is_rejected() {
    for source in [
        format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("{{{{ 1{} }}}}", "+1".repeat(100_000)),
        format!("{{{{ {}1 }}}}", "-".repeat(100_000)),
        format!("{{{{ x{} }}}}", ".y".repeat(100_000)),
        format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 1 %}".repeat(10_000)),
        " ".repeat(2 << 20),
    ] {
        fails(&source, ErrorKind::Limit);
    }
    let blocks = format!(
        "{}{}",
        "{% if 1 %}".repeat(10_000),
        "{% endif %}".repeat(10_000)
    );
    fails(&blocks, ErrorKind::Limit);
    let namespace = "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns }}";
    fails(namespace, ErrorKind::Render);
}

#[test]
fn nesting_up_to_the_limits_compiles_on_a_small_stack() {
    for source in [
        format!("{{{{ {}1{} }}}}", "(".repeat(50), ")".repeat(50)),
        format!("{{{{ {}1{} }}}}", "[".repeat(50), "]".repeat(50)),
        format!("{{{{ 1{} }}}}", "+1".repeat(499)),
        format!("{{{{ 1{} }}}}", "**1".repeat(333)),
        format!("{{{{ 1{} }}}}", " if 1 else 1".repeat(249)),
        format!("{{{{ {}1 }}}}", "-".repeat(999)),
        format!("{{{{ {}1 }}}}", "not ".repeat(999)),
        format!("{{{{ [1]{} }}}}", "|list".repeat(498)),
        format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 1 %}".repeat(250)),
        format!("{}{}", "{% if 1 %}".repeat(50), "{% endif %}".repeat(50)),
        format!(
            "{}{}",
            "{% for i in [1] %}".repeat(50),
            "{% endfor %}".repeat(50)
        ),
    ] {
        let template = ChatTemplate::compile("test", &source).unwrap();
        template.render_context(&Context::default()).unwrap();
    }
}

#[test]
fn limits_can_be_set() {
    let mut limits = RenderLimits::default();
    limits.output = 10;
    let template = ChatTemplate::compile_with("test", "{{ x }}", limits).unwrap();
    let short = Context::default().with_variable("x", "x".repeat(10));
    assert_eq!(template.render_context(&short).unwrap(), "x".repeat(10));
    let long = Context::default().with_variable("x", "x".repeat(11));
    let mut out = String::from("kept");
    let error = template.render_context_into(&mut out, &long).unwrap_err();
    assert_eq!((error.kind(), &*out), (ErrorKind::Limit, "kept"));
}

#[test]
fn python_is_matched() {
    for (source, wanted) in [
        (
            "{{ [][::-1] }}{{ ''[::-1] }}{{ 'abc'[::-1] }}{{ [1, 2][::-1] }}",
            "[]cba[2, 1]",
        ),
        ("{{ 'é<\\'' | tojson }}", "\"é<'\""),
        (
            "{{ {'b': [1, 2.0], 'a': 'é'} | tojson(indent=1, ensure_ascii=True, sort_keys=True) }}",
            "{\n \"a\": \"\\u00e9\",\n \"b\": [\n  1,\n  2.0\n ]\n}",
        ),
        (
            "{{ {'a': [1, true, none]} | tojson(separators=(',', ':')) }}",
            "{\"a\":[1,true,null]}",
        ),
        (
            "{{ {'a': 1.0, 'b': 1e20, \"c'\": none, 'd': (1,)} }}",
            "{'a': 1.0, 'b': 1e+20, \"c'\": None, 'd': (1,)}",
        ),
        (
            "{{ 'x' | int }} {{ '7' | int }} {{ 'x' | int(3) }} {{ 2.9 | int }}",
            "0 7 3 2",
        ),
        (
            "{{ 'abc' is sequence }} {{ {} is sequence }} {{ 1 is sequence }}",
            "True True False",
        ),
        (
            "{{ 'a-b-c'.rsplit('-', 1) }} {{ 'a-b'.partition('-') }}",
            "['a-b', 'c'] ('a', '-', 'b')",
        ),
        (
            "{{ 'abc'.removeprefix('a').removesuffix('c') }} {{ '7'.zfill(3) }} {{ '7'.ljust(3) }}|",
            "b 007 7  |",
        ),
        (
            "{{ 'abc'.index('c') }} {{ '12'.isdecimal() }} {{ '1a'.isnumeric() }}",
            "2 True False",
        ),
        (
            "{{ ' a  b '.split() }} {{ 'a b'.title() }} {{ 'x'.join(['a', 'b']) }}",
            "['a', 'b'] A B axb",
        ),
        (
            "{{ {'a': 1}.items() | list }} {{ {'a': 1}.get('b', 2) }}",
            "[('a', 1)] 2",
        ),
        ("{% generation %}x{% endgeneration %}", "x"),
        (
            "{% for i in [1, 2, 3] %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
            "13",
        ),
        ("{{ [1, 2, 3][1:] | tojson }}", "[2, 3]"),
        ("{{ ['a'] | map('upper') | list }}", "['A']"),
    ] {
        assert_eq!(render(source), wanted, "{source}");
    }
}

#[test]
fn the_errors_of_python_are_errors() {
    for source in [
        "{% for x in none %}{% endfor %}",
        "{{ [1].append(2) }}",
        "{{ {'a': 1}.pop('a') }}",
        "{{ ['a'] | map('upper') | tojson }}",
        "{{ x | tojson }}",
        "{{ 'a'.nothing() }}",
        "{{ 'a'.split('') }}",
        "{{ 'abc'.index('x') }}",
        "{{ strftime_now('%Y') }}",
    ] {
        fails(source, ErrorKind::Render);
    }
}
