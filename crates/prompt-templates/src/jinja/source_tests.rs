//! Sources, and what they are rewritten to.

use super::*;

#[track_caller]
fn check(source: &str, wanted: &str) {
    assert_eq!(prepare(source).unwrap().source, wanted);
}

#[track_caller]
fn check_expression(source: &str, wanted: &str) {
    check(
        &format!("{{{{ {source} }}}}"),
        &format!("{{{{ {wanted} }}}}"),
    );
}

#[track_caller]
fn check_syntax(source: &str, line: usize) {
    let error = prepare(source).unwrap_err();
    assert_eq!(
        (error.kind(), error.line()),
        (ErrorKind::Syntax, Some(line))
    );
}

#[test]
fn operators_are_filters_where_they_cost_more_than_an_instruction() {
    for (source, wanted) in [
        ("a + b * c", "a|op.add(b|op.mul(c))"),
        ("a + b + 'c' - d", "a|op.add(b, 'c') - d"),
        ("(a - b) + c", "(a - b) + c"),
        ("(a or b) + c", "(a or b)|op.add(c)"),
        ("a + 1", "a + 1"),
        ("a / b ~ c ~ d", "(a / b)|op.concat(c, d)"),
        ("-a * b ** 2", "-a * b ** 2"),
        ("a == b", "a|op.eq(b)"),
        ("a == 'x' and 1 != b", "a == 'x' and 1 != b"),
        ("a < b >= c", "a|op.chain('<', b, '>=', c)"),
        ("a in b", "a|op.in(b)"),
        ("not a not in ['x', 1]", "not a not in ['x', 1]"),
        (
            "a[1:][b].c[-1]['d'][0]",
            "(((a|op.slice(1, none, none))|op.item(b)).c|op.item(-1))['d'][0]",
        ),
        ("{a: 1, 'b': 2}", " {a|op.key: 1, 'b': 2} "),
    ] {
        check_expression(source, wanted);
    }
    check_expression(
        "f(a, *b, c=[d], **e)",
        "f(a, *(b|op.splat), c=[d]|op.keep, **(e|op.splat))",
    );
    check_expression("loop.changed(a)", "loop.changed(a|op.scalar)");
    check_expression("a is not eq b | c(d + e)", "a is not eq(b)|c(d|op.add(e))");
    check_expression("a if b else c if d", "a if b else c if d");
}

#[test]
fn what_is_stored_is_looked_at_unless_it_is_flat() {
    check(
        "{% set a = b if c else d -%}",
        "{% set  a = b if c else d -%}",
    );
    check("{% set a = [b] %}", "{% set  a = [b]|op.keep %}");
    check("{% set a, b = b, a %}", "{% set  a, b = (b, a)|op.keep %}");
    check(
        "{% set a.b = c %}",
        "{% set op_ignored =  a|op.assign('b', c) %}",
    );
    check(
        "{%- set a.b -%}x{%- endset %}",
        "{%- filter op.capture( a, 'b') -%}x{%- endfilter %}",
    );
    check(
        "{% set a | b(1) %}x{% endset %}",
        "{% set  a|b(1) %}x{% endset %}",
    );
    check(
        "{% for a in b if c %}{% endfor %}",
        "{% for  a in b|op.each if c %}{% endfor %}",
    );
    check(
        "{% for a,(b, c) in d.items() recursive%}{%endfor%}",
        "{% for  a,( b, c) in d.items()|op.keep|op.each recursive %}{% endfor %}",
    );
    check(
        "{% with a = {} %}{% endwith %}",
        "{% with a= {}  %}{% endwith %}",
    );
}

#[test]
fn generations_and_blocks_are_scopes() {
    check(
        "{%- generation -%}a{%+ endgeneration %}",
        "{%- with -%}a{%+ endwith %}",
    );
    check("{% block a %}{% endblock a %}", "{% with %}{% endwith %}");
    for source in [
        "{% raw %}{% generation %}{{ a + b }}{% endraw %}",
        "{{ '{% generation %}' }}",
        "{{ '}}' }}",
        "text { and % } and #}",
    ] {
        check(source, source);
    }
}

#[test]
fn comments_are_emptied_and_no_line_moves() {
    check("{#- a\n{{ b }} -#}x", "{#- \n-#}x");
    check("{#}{{ b + c }}#}", "{# #}");
    check("{#-#}{#--#}", "{#- #}{#- -#}");
    check("{{ a\n  +\n\n b\n }}", "{{ a|op.add(\n\n\nb)\n }}");
    check("a\r\nb\rc", "a\nb\nc");
}

#[test]
fn text_in_variables_is_counted() {
    let text = "x".repeat(80);
    let counted = format!("{{{{ 82|op.text }}}}{text}");
    check(
        &format!("{text}{{% macro f() %}}\n {text}{{% endmacro %}}"),
        &format!("{text}{{% macro f() %}}\n {counted}{{% endmacro %}}"),
    );
    assert_eq!(
        prepare("{% macro f() %}abc{% endmacro %}")
            .unwrap()
            .uncounted_text,
        3
    );
    assert_eq!(
        prepare("abc{% if 1 %}abc{% endif %}")
            .unwrap()
            .uncounted_text,
        0
    );
}

#[test]
fn what_is_not_jinja_is_refused_with_its_line() {
    for source in [
        "\n{{ '{% generation %",
        "\n{%",
        "\n{{ 'a\\",
        "\n{# a",
        "\n{% raw %}{%",
        "\n{% if 1 %}\n",
        "\n{% endif %}",
        "\n{% if 1 %}{% endfor %}",
        "\n{% %}",
        "\n{% nothing %}",
        "\n{% include 'a' %}",
        "\n{{ }}",
        "\n{{ a b }}",
        "\n{{ a + }}",
        "\n{{ not }}",
        "\n{{ a not b }}",
        "\n{{ (a }}",
        "\n{{ a[] }}",
        "\n{{ a.'b' }}",
        "\n{{ a| }}",
        "\n{{ a|op.add(1) }}",
        "\n{{ {a} }}",
        "\n{% set a b = 1 %}{{",
        "\n{% set a.b, c = 1 %}",
        "\n{% for a b %}",
        "\n{{ é }}",
    ] {
        check_syntax(source, 2);
    }
}

#[test]
fn too_much_is_refused() {
    let too_long = format!("\n{{{{ 1{} }}}}", "+1".repeat(1_000));
    let error = prepare(&too_long).unwrap_err();
    assert_eq!((error.kind(), error.line()), (ErrorKind::Limit, Some(2)));
}
