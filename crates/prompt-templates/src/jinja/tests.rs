//! The tests of Jinja; those that compare and search are counted.

use minijinja::value::{Value, ValueKind};
use minijinja::{Environment, Error, State, tests as builtin};

use super::budget::{Budget, text_len};
use super::generator::Generator;
use super::operators::compare;

/// Adds all tests to an environment without tests.
pub(super) fn add_to(env: &mut Environment<'_>) {
    env.add_test("boolean", builtin::is_boolean);
    env.add_test("defined", builtin::is_defined);
    env.add_test("divisibleby", builtin::is_divisibleby);
    env.add_test("escaped", builtin::is_safe);
    env.add_test("even", builtin::is_even);
    env.add_test("false", builtin::is_false);
    env.add_test("filter", builtin::is_filter);
    env.add_test("float", builtin::is_float);
    env.add_test("int", builtin::is_integer);
    env.add_test("integer", builtin::is_integer);
    env.add_test("iterable", is_iterable);
    env.add_test("mapping", builtin::is_mapping);
    env.add_test("none", builtin::is_none);
    env.add_test("number", builtin::is_number);
    env.add_test("odd", builtin::is_odd);
    env.add_test("safe", builtin::is_safe);
    env.add_test("sequence", is_sequence);
    env.add_test("string", builtin::is_string);
    env.add_test("test", builtin::is_test);
    env.add_test("true", builtin::is_true);
    env.add_test("undefined", builtin::is_undefined);

    for (name, sign) in [
        ("!=", "!="),
        ("<", "<"),
        ("<=", "<="),
        ("==", "=="),
        (">", ">"),
        (">=", ">="),
        ("eq", "=="),
        ("equalto", "=="),
        ("ge", ">="),
        ("greaterthan", ">"),
        ("gt", ">"),
        ("in", "in"),
        ("le", "<="),
        ("lessthan", "<"),
        ("lt", "<"),
        ("ne", "!="),
    ] {
        env.add_test(
            name,
            move |state: &mut State<'_, '_>, left: &Value, right: &Value| {
                compare(state, left, sign, right)
            },
        );
    }
    counted(
        env,
        "endingwith",
        Value::from_function(builtin::is_endingwith),
    );
    counted(env, "lower", Value::from_function(builtin::is_lower));
    counted(env, "sameas", Value::from_function(builtin::is_sameas));
    counted(
        env,
        "startingwith",
        Value::from_function(builtin::is_startingwith),
    );
    counted(env, "upper", Value::from_function(builtin::is_upper));
}

/// Adds a test of the engine that reads its texts.
fn counted(env: &mut Environment<'_>, name: &'static str, test: Value) {
    env.add_test(
        name,
        move |state: &mut State<'_, '_>, value: &Value, other: Option<&Value>| {
            let length = text_len(value).saturating_add(other.map_or(0, text_len));
            Budget::of(state).read(length.saturating_mul(8))?;
            let result = match other {
                Some(other) => test.call(state, &[value.clone(), other.clone()])?,
                None => test.call(state, core::slice::from_ref(value))?,
            };
            Ok::<_, Error>(result.is_true())
        },
    );
}

/// As in Jinja, strings and mappings are sequences too: templates need more than this to
/// distinguish content parts from text.
fn is_sequence(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Map | ValueKind::Seq | ValueKind::String | ValueKind::Undefined
    ) || value.kind() == ValueKind::Iterable && !Generator::is(value)
}

fn is_iterable(value: &Value) -> bool {
    matches!(
        value.kind(),
        ValueKind::Iterable
            | ValueKind::Map
            | ValueKind::Seq
            | ValueKind::String
            | ValueKind::Undefined
    )
}
