//! Operations that create large values or output, and loops that run long.

use super::{is_stopped, render, repeated};

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
fn loops_are_bounded() {
    let nested = "{% for i in range(99999) %}".repeat(3);
    is_stopped(&format!("{nested}{}", "{% endfor %}".repeat(3)));
    is_stopped(&format!("{nested}x{}", "{% endfor %}".repeat(3)));
    assert!(render("{% for i in range(9999999999) %}{% endfor %}").is_err());
    assert!(render("{% for i in range(-9999999999, 9999999999, 3) %}{% endfor %}").is_err());
}
