//! What the rewriting of a source for the limits does not change: results, and lines in errors.

use prompt_templates::ErrorKind;

use super::render;

#[test]
fn templates_within_the_limits_are_rendered() {
    for (source, wanted) in [
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
        assert_eq!(render(source).unwrap(), wanted, "{source}");
    }
    // `~` binds tighter than `+`, and a text plus a number fails.
    let error = render("{{ 'a' + 'b' ~ 1 + 2 * 3 if not false else 4 }}").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Render, "{error}");
}

#[test]
fn an_error_in_a_long_tag_has_the_line() {
    let source = "a\n{{ 'x'\n ~ [1,\n\n x.y.z][0] }}";
    assert_eq!(render(source).unwrap_err().line(), Some(5));
    let source = "{# \n #}{% set x = 1\n + 2 %}\n{{ x.y.z }}";
    assert_eq!(render(source).unwrap_err().line(), Some(4));
}
