//! Every template ends and stays within its limits. The tests cover each operation that can grow,
//! recurse or take long; each runs on a thread's stack of two megabytes.
#![cfg(feature = "jinja")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use allocation_counter::measure;
use prompt_templates::{
    ChatTemplate, Context, Error, ErrorKind, Options, PromptMessage, PromptToolCall, RenderLimits,
};
use serde_json::json;

const FUEL: u64 = 50_000;
const OUTPUT: usize = 64 << 10;
const MEMORY: usize = 1 << 20;
/// The peak memory of a render: the values, buffers that double when they grow, and a few words for
/// each instruction.
const PEAK: u64 = 24 << 20;

fn render(source: &str) -> Result<String, Error> {
    let mut limits = RenderLimits::default();
    limits.fuel = FUEL;
    limits.output = OUTPUT;
    limits.memory = MEMORY;
    let context = Context::new(json!([{"role": "user", "content": "x"}]))
        .with_variable("text", "ab&'\\\n".repeat(5_000))
        .with_variable("numbers", (0..5_000).collect::<Vec<_>>());
    let mut result = None;
    let allocations = measure(|| {
        let template = ChatTemplate::compile_with("test", source, limits);
        result = Some(template.and_then(|template| template.render_context(&context)));
    });
    let shown = &source[..source.len().min(200)];
    assert!(allocations.bytes_max < PEAK, "{allocations:?}: {shown}");
    let result = result.unwrap();
    assert!(!matches!(&result, Ok(out) if out.len() > OUTPUT), "{shown}");
    result
}

/// Checks that a render fails because of a limit.
#[track_caller]
fn is_stopped(source: &str) {
    let shown = &source[..source.len().min(200)];
    match render(source) {
        Ok(out) => panic!("{} bytes: {shown}", out.len()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Limit, "{error}: {shown}"),
    }
}

/// Applies an expression of `ns.x` to itself many times.
fn repeated(start: &str, step: &str) -> String {
    format!(
        "{{% set ns = namespace(x={start}) %}}{{% for i in range(3000) %}}\
         {{% set ns.x = {step} %}}{{% endfor %}}"
    )
}

#[test]
fn doubling_a_text_is_bounded() {
    for step in [
        "ns.x + ns.x",
        "ns.x + ns.x + ns.x",
        "ns.x ~ ns.x",
        "ns.x * 3",
        "3 * ns.x",
        "ns.x.replace('a', 'aa')",
        "ns.x | replace('a', 'aa')",
        "ns.x.replace('', ns.x)",
        "ns.x | replace('', ns.x)",
        "ns.x.join([ns.x, ns.x])",
        "[ns.x, ns.x] | join(ns.x)",
        "[ns.x, ns.x] | join",
        "[{'k': ns.x}, {'k': ns.x}] | join(attribute='k')",
        "ns.x | list | join(ns.x)",
        "[ns.x, ns.x] | sum(start='')",
        "'%s%s' | format(ns.x, ns.x)",
        "'%(a)s%(a)s' | format(a=ns.x)",
        "'{0}{0}'.format(ns.x)",
        "'{a}{a}'.format(a=ns.x)",
        "('%s' * 2) | format(ns.x, ns.x)",
        "[ns.x, ns.x] | string",
        "[ns.x, ns.x] | tojson",
        "ns.x | tojson | tojson",
        "{ns.x: ns.x} | tojson",
        "[ns.x] | tojson(indent=ns.x)",
        "[ns.x] | tojson(separators=(ns.x, ns.x))",
        "[ns.x, ns.x] | pprint",
        "('&' + ns.x + '&' + ns.x) | escape",
        "ns.x | indent(50000, true) + ns.x",
        "ns.x.ljust(40000) + ns.x.rjust(40000)",
        "ns.x.center(40000) + ns.x",
        "ns.x.zfill(40000) + ns.x",
        "(ns.x + 'ß').upper() + ns.x",
        "ns.x | upper + ns.x | lower + ns.x | title + ns.x | capitalize",
        "ns.x[:] + ns.x[::-1]",
        "ns.x | reverse + ns.x | string",
        "[[ns.x]] ~ {'a': ns.x} ~ (ns.x,)",
    ] {
        is_stopped(&repeated("'ab'", step));
    }
}

#[test]
fn doubling_a_list_is_bounded() {
    for step in [
        "ns.x + ns.x",
        "ns.x * 2",
        "2 * ns.x",
        "[ns.x, ns.x]",
        "(ns.x, ns.x)",
        "{'a': ns.x, 'b': ns.x}",
        "dict(a=ns.x, b=ns.x)",
        "dict([('a', ns.x), ('b', ns.x)])",
        "ns.x | chain(ns.x) | list",
        "[ns.x, ns.x] | sum(start=[])",
        "ns.x | zip(ns.x) | list",
        "ns.x | batch(1, ns.x) | list",
        "ns.x | batch(2000, ns.x) | list",
        "ns.x | slice(2000, ns.x) | list",
        "[ns.x, ns.x] | map('list') | list",
        "[ns.x, ns.x] | select | list",
        "[ns.x, ns.x] | sort",
        "[ns.x] + [ns.x] | reverse | list",
        "{'a': ns.x, 'b': ns.x}.items()",
        "{'a': ns.x, 'b': ns.x}.values()",
        "{'a': ns.x, 'b': ns.x} | dictsort",
        "[{'k': 1, 'v': ns.x}, {'k': 1, 'w': ns.x}] | groupby('k')",
        "ns.x[:] + ns.x[::-1]",
        "(ns.x | string).split(',') + ns.x",
        "(ns.x | string) | list + ns.x",
        "(ns.x | string | list) + ns.x + ns.x",
    ] {
        is_stopped(&repeated("[1, 2]", step));
    }
}

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
fn long_operations_are_counted() {
    let many = |statement: &str| format!("{{% for i in range(9000) %}}{statement}{{% endfor %}}");
    for expression in [
        "text == text + ''",
        "text < text + ''",
        "'zz' in text",
        "text is lower",
        "text is eq(text + '')",
        "text is sameas(text + '')",
        "text is startingwith(text)",
        "text.find('zz')",
        "text.count('a')",
        "text.isascii()",
        "text.startswith(text)",
        "text.strip('xyz')",
        "text | trim('xyz') | length",
        "text[-1]",
        "text[9999999]",
        "text[i]",
        "text | length",
        "text | int",
        "text | float",
        "text | first ~ text | last",
        "text | list | length",
        "numbers == numbers + []",
        "-1 in numbers",
        "numbers.count(1)",
        "numbers | sort | first",
        "numbers | min",
        "numbers | sum",
        "numbers | unique | list | length",
        "numbers | select('eq', text) | list | length",
        "numbers | map('string') | join | length",
        "numbers | last",
        "numbers[1:] | length",
        "range(99999) | list | length",
        "range(99999)[99998]",
        "(0 in range(99999), range(99999) == range(99999))",
    ] {
        is_stopped(&many(&format!("{{% set x = {expression} %}}")));
    }
    is_stopped(&many("{% if text in text %}{% endif %}"));
    is_stopped(&many("{% for x in text %}{% break %}{% endfor %}"));
    is_stopped(&many(
        "{% for x in numbers | list %}{% break %}{% endfor %}",
    ));
    is_stopped(&many("{{ dict(*[numbers]) }}"));
    is_stopped(&many("{{ [text] | groupby(text) | list }}"));
}

#[test]
fn widths_and_counts_are_bounded() {
    for expression in [
        "('%99999d' * 100) | format(*[1] * 100)",
        "'%(a)9999999999d' | format(a=1)",
        "'%.99999f%.99999f' | format(1.5, 1.5)",
        "('{:>99999}' * 100).format(*[1] * 100)",
        "('{0}' * 9000).format(text)",
        "('{0!r}' * 9000).format(numbers)",
        "[1] | batch(99999, 1) | list",
        "[1] | slice(99999) | list",
        "text | indent(99999)",
        "text | indent(width=99999, first=true, blank=true)",
        "'a' * 99999999999999999999",
        "[1] * 9999999999",
        "(1,) * 9999999999",
        "text * 9999",
        "'a'.center(99999)",
        "numbers | map('map', 'map', 'map', 'map', 'map', 'map', 'map', 'map', 'map') | list",
    ] {
        is_stopped(&format!("{{{{ ({expression}) | length }}}}"));
    }
    let maps = "'map', ".repeat(400);
    is_stopped(&format!("{{{{ 'a' | map({maps} 'list') | list }}}}"));
}

#[test]
fn output_is_bounded_while_it_grows() {
    for body in [
        "{{ text }}",
        "{{ numbers }}",
        "{{ [text, text] | tojson }}",
        "{{ 'a' * 9000 }}",
    ] {
        let body = format!("{{% for i in range(9000) %}}{body}{{% endfor %}}");
        is_stopped(&body);
        is_stopped(&format!("{{% set x %}}{body}{{% endset %}}"));
        is_stopped(&format!(
            "{{% set ns = namespace() %}}{{% set ns.x %}}{body}{{% endset %}}"
        ));
        is_stopped(&format!(
            "{{% macro f() %}}{body}{{% endmacro %}}{{{{ f() | length }}}}"
        ));
        is_stopped(&format!("{{% filter length %}}{body}{{% endfilter %}}"));
        is_stopped(&format!(
            "{{% macro f() %}}{{{{ caller() | length }}}}{{% endmacro %}}\
             {{% call f() %}}{body}{{% endcall %}}"
        ));
        is_stopped(&format!(
            "{{% for x in [1] recursive %}}{{% if loop.depth < 3 %}}\
             {{% set y = loop([1]) %}}{{% endif %}}{body}{{% endfor %}}"
        ));
    }
}

#[test]
fn text_between_tags_is_bounded_in_variables_too() {
    let text = "some words ".repeat(800);
    let space = "\n ".repeat(4_000);
    let raw = format!("{{% raw %}}{text}{{% endraw %}}");
    for text in [&text, &space, &raw] {
        let body = format!("{{% for i in range(9000) %}}{text}{{# - #}}{text}{{% endfor %}}");
        is_stopped(&body);
        is_stopped(&format!("{{% set x %}}{body}{{% endset %}}"));
        is_stopped(&format!(
            "{{% macro f() %}}{body}{{% endmacro %}}{{{{ f() | length }}}}"
        ));
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
fn loops_are_bounded() {
    let nested = "{% for i in range(99999) %}".repeat(3);
    is_stopped(&format!("{nested}{}", "{% endfor %}".repeat(3)));
    is_stopped(&format!("{nested}x{}", "{% endfor %}".repeat(3)));
    assert!(render("{% for i in range(9999999999) %}{% endfor %}").is_err());
    assert!(render("{% for i in range(-9999999999, 9999999999, 3) %}{% endfor %}").is_err());
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

#[test]
fn templates_within_the_limits_are_rendered() {
    for (source, wanted) in [
        ("{{ 'a' + 'b' ~ 1 + 2 * 3 if not false else 4 }}", "Error"),
        ("{{ 1 + 2 * 3 - 4 // 2 % 3 ** 2 }}", "5"),
        (
            "{{ 1 < 2 <= 2 != 3 }} {{ 1 < 2 > 2 }} {{ 1 in [1] and 'a' not in 'bc' }}",
            "True False True",
        ),
        (
            "{{ -(1 + 2) | abs }} {{ --3 }} {{ not not [] }}",
            "3 3 False",
        ),
        (
            "{{ ('a' + 'b').upper() + 'c' * 2 + [1, 2][-1] | string }}",
            "ABcc2",
        ),
        ("{{ {'a': {'b': [1, {'c': 2}]}}.a['b'][1].c }}", "2"),
        (
            "{{ 'é1'[1] }}{{ 'abc'[-2:] }}{{ (1, 2, 3)[1:] }}{{ [1, 2, 3][::2] }}",
            "1bc(2, 3)[1, 3]",
        ),
        (
            "{% set a, b = 1, 'x' %}{{ a ~ b }}{% set c = (a,) + (b,) %}{{ c }}",
            "1x(1, 'x')",
        ),
        (
            "{% set ns = namespace(a=1) %}{% set ns.b %}x{{ ns.a }}{% endset %}{{ ns.b }}",
            "x1",
        ),
        (
            "{% set ns = namespace() %}{% set ns.b | upper %}x{% endset %}{{ ns.b }}",
            "X",
        ),
        ("{% set x | replace('a', 'b') %}aa{% endset %}{{ x }}", "bb"),
        (
            "{% macro f(a, b='x' + 'y') %}{{ a }}{{ b }}{% endmacro %}{{ f(1) }}{{ f(a=[2], b=3) }}",
            "1xy[2]3",
        ),
        (
            "{% macro f() %}<{{ caller(1) }}>{% endmacro %}{% call(x) f() %}{{ x + 1 }}{% endcall %}",
            "<2>",
        ),
        (
            "{% for a, (b, c) in [(1, (2, 3))] if a == 1 %}{{ a + b + c }}{% else %}none{% endfor %}",
            "6",
        ),
        (
            "{% for x in [[1, [2]]] recursive %}{% if x is iterable %}({{ loop(x) }}){% else %}{{ x }}{% endif %}{% endfor %}",
            "(1(2))",
        ),
        (
            "{% with a = 1, b = [2] %}{{ a }}{{ b }}{% endwith %}",
            "1[2]",
        ),
        (
            "{% block a %}{% filter upper %}x{% endfilter %}{% endblock a %}",
            "X",
        ),
        (
            "{# {{ #}{#- x -#} a{% raw %}{{ b }}{% endraw %}",
            "a{{ b }}",
        ),
        ("{%- if 1 -%} a {%- elif 2 -%} b {%- endif +%} c", "a c"),
        (
            "{{ [1, 2] | sum }} {{ ['b', 'a'] | sort | join('-') }} {{ [3, 1] | max }}",
            "3 a-b 3",
        ),
        (
            "{{ ['a', 'b'] | zip([1, 2]) | list }} {{ [1] | chain([2]) | list }}",
            "[('a', 1), ('b', 2)] [1, 2]",
        ),
        (
            "{{ [{'a': 1}, {'a': 2}] | map(attribute='a') | join(', ') }}",
            "1, 2",
        ),
    ] {
        match render(source) {
            Ok(out) => assert_eq!(out, wanted, "{source}"),
            Err(error) => assert_eq!(wanted, "Error", "{source}: {error}"),
        }
    }
}

#[test]
fn an_error_in_a_long_tag_has_the_line() {
    let source = "a\n{{ 'x'\n ~ [1,\n\n x.y.z][0] }}";
    assert_eq!(render(source).unwrap_err().line(), Some(5));
    let source = "{# \n #}{% set x = 1\n + 2 %}\n{{ x.y.z }}";
    assert_eq!(render(source).unwrap_err().line(), Some(4));
}
