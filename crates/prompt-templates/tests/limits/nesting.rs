//! Deeply nested values, calls, sources and inputs, on a thread's stack of two megabytes.

use prompt_templates::{ChatTemplate, ErrorKind, Options, PromptMessage, PromptToolCall};

use super::{is_stopped, render, repeated};

#[test]
fn nesting_of_values_is_bounded() {
    for step in [
        "[ns.x]",
        "(ns.x,)",
        "{'a': ns.x}",
        "dict(a=ns.x)",
        "[ns.x] | map('list') | list",
        "[ns.x] | batch(1) | list",
        "[ns.x] | slice(1) | list",
        "[ns.x] | zip | list",
        "[ns.x] | chain([]) | list",
        "[ns.x] | select | list",
        "[ns.x] | reverse",
        "[ns.x][:]",
        "[ns.x] * 1",
        "[ns.x] + []",
        "{'a': ns.x}.items()",
        "{'a': ns.x} | items",
        "{'a': ns.x} | dictsort",
        "[{'k': ns.x}] | groupby('k')",
    ] {
        is_stopped(&repeated("[1]", step));
    }
    // Without a namespace.
    is_stopped(&"{% set a = [a] %}".repeat(5_000));
    is_stopped(&"{% set a, b = [a], [b] %}".repeat(5_000));
    let with = "{% with a = [[[[[[[[[a]]]]]]]]] %}";
    is_stopped(&format!(
        "{}{}",
        with.repeat(50),
        "{% endwith %}".repeat(50)
    ));
    let walk = "{% for a in [[[[[[[[[[a]]]]]]]]]] %}";
    is_stopped(&format!("{}{}", walk.repeat(50), "{% endfor %}".repeat(50)));
    let brackets = |n: usize, inner: &str| format!("{}{inner}{}", "[".repeat(n), "]".repeat(n));
    is_stopped(&format!(
        "{{% macro f(a) %}}{{{{ f({}) }}}}{{% endmacro %}}{{{{ f(1) }}}}",
        brackets(40, "a")
    ));
    is_stopped(&format!(
        "{{% for a in [1] recursive %}}{{{{ loop({}) }}}}{{% endfor %}}",
        brackets(40, "a")
    ));
}

#[test]
fn deep_nesting_works_on_a_small_stack() {
    let deep = "{% set ns = namespace(x=[], y=[]) %}{% for i in range(190) %}\
                {% set ns.x = [ns.x] %}{% set ns.y = [ns.y] %}{% endfor %}";
    for operation in [
        "ns.x == ns.y",
        "ns.x != ns.y",
        "ns.x < ns.y",
        "ns.x <= ns.y <= ns.x",
        "ns.x in [ns.y]",
        "ns.x is eq(ns.y)",
        "[ns.x, ns.y] | sort | length",
        "[ns.x, ns.y] | unique | list | length",
        "[ns.x, ns.y] | min",
        "[ns.x].index(ns.y)",
        "[ns.x].count(ns.y)",
        "{ns.x: 1}[ns.y]",
        "{ns.x: 1}.get(ns.y)",
        "ns.x",
        "ns.x | tojson",
        "ns.x | string",
        "ns.x | pprint",
        "'%s' | format(ns.x)",
        "'{}'.format(ns.x)",
    ] {
        let out = render(&format!("{deep}{{{{ {operation} }}}}"));
        assert!(out.is_ok(), "{operation}: {out:?}");
    }
}

#[test]
fn lazy_values_do_not_accumulate() {
    for (start, step) in [
        ("range(9)", "ns.x[0:]"),
        ("range(9)", "ns.x | reverse"),
        ("range(9)", "ns.x | list"),
        ("range(9)", "ns.x | map('int')"),
        ("range(9)", "ns.x | select"),
        ("range(9)", "ns.x | chain"),
        ("[1]", "ns.x + []"),
        ("[1]", "ns.x * 1"),
    ] {
        let source = repeated(start, step) + "{{ ns.x | list | length }}";
        let out = render(&source);
        assert!(matches!(&out, Ok(out) if out.len() == 1), "{step}: {out:?}");
    }
}

#[test]
fn recursion_is_bounded_on_a_small_stack() {
    for source in [
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f() %}{{ f() ~ f() }}{% endmacro %}{{ f() }}",
        "{% macro f() %}{{ caller() }}{% endmacro %}\
         {% macro g() %}{% call f() %}{{ g() }}{% endcall %}{% endmacro %}{{ g() }}",
        "{% set ns = namespace() %}{% macro f() %}{{ ns.f() }}{% endmacro %}\
         {% set ns.f = f %}{{ ns.f() }}",
        "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% for i in [1] recursive %}{% set l = loop %}{{ l([1]) }}{% endfor %}",
        "{% for i in [1, 2] recursive %}{{ loop([1, 2]) }}{% endfor %}",
    ] {
        is_stopped(source);
    }
}

#[test]
fn reference_cycles_are_rejected() {
    for source in [
        "{% set ns = namespace() %}{% set ns.a = ns %}",
        "{% set ns = namespace() %}{% set ns.a = [{'b': ns}] %}",
        "{% set ns = namespace() %}{% set x = namespace(a=ns) %}",
        "{% set ns = namespace() %}{% set x = namespace({'a': [ns]}) %}",
        "{% set ns = namespace() %}{% for i in [ns] %}{% set ns.a = loop %}{% endfor %}",
        "{% set ns = namespace() %}{% for i in [1] %}{% set ns.a = [loop] %}{% endfor %}",
        "{% for i in [1] %}{{ loop.changed(loop) }}{% endfor %}",
        "{% for i in [1] %}{{ loop.changed([loop]) }}{% endfor %}",
    ] {
        let error = render(source).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Render, "{source}");
    }
    assert_eq!(
        render("{% for i in [1, 1] %}{{ loop.changed(i) }}{% endfor %}").unwrap(),
        "TrueFalse"
    );
}

#[test]
fn a_source_is_bounded() {
    for source in [
        format!("{{{{ {}1{} }}}}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("{{{{ 1{} }}}}", " - 1 + x".repeat(300)),
        format!("{{{{ 1{} }}}}", " if 1 else 1".repeat(100_000)),
        format!("{{{{ {}1 }}}}", "not ".repeat(100_000)),
        format!("{{{{ a{} }}}}", "|list".repeat(100_000)),
        format!("{{{{ a{} }}}}", "[0]".repeat(100_000)),
        format!("{{{{ f({}) }}}}", "1,".repeat(100_000)),
        format!(
            "{}{}",
            "{% if 1 %}".repeat(10_000),
            "{% endif %}".repeat(10_000)
        ),
        format!("{{% if 0 %}}{}{{% endif %}}", "{% elif 1 %}".repeat(10_000)),
        " ".repeat(2 << 20),
    ] {
        is_stopped(&source);
    }
}

#[test]
fn deeply_nested_input_is_rejected_or_rendered() {
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let source = "{% for m in messages %}{{ m.tool_calls | default('') | tojson }}{% endfor %}\
                  {{ tools | tojson }}{{ messages == messages[:] }}";
    let template = ChatTemplate::compile("test", source).unwrap();
    for (depth, is_rendered) in [(100, true), (200, false), (100_000, false)] {
        let call = PromptToolCall::new("1", "f", deep(depth));
        let calls = [PromptMessage::assistant("").with_tool_calls(vec![call])];
        let tools = Options::new().with_tools(vec![deep(depth)]);
        let variable = Options::new().with_variable("documents", deep(depth));
        for result in [
            template.render(&calls, &Options::new()),
            template.render(&[PromptMessage::user("x")], &tools),
            template.render(&[PromptMessage::user("x")], &variable),
        ] {
            assert_eq!(result.is_ok(), is_rendered, "{depth}: {result:?}");
        }
    }
}
