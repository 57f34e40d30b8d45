//! Numbers keep their printed form, and no dependency enables the feature that would break this.
#![cfg(test)]

use llm_types::{ChatRequest, Number, Value, parse};
use proptest::prelude::*;

/// With serde_json's `arbitrary_precision`, numbers behind `flatten` and untagged enums become maps
/// (serde-rs/json#505, #559, #721). Cargo unifies features over a whole build, so any dependency
/// can enable it: this test then fails.
#[test]
fn point_08_arbitrary_precision_is_off() {
    let number: Value = serde_json::from_str("18446744073709551616").unwrap();
    assert_ne!(
        number.to_string(),
        "18446744073709551616",
        "a dependency turns on serde_json/arbitrary_precision: \
         find it with `cargo tree -e features -i serde_json` and turn it off"
    );
}

#[test]
fn numbers_print_as_they_were_read() {
    for text in [
        "0",
        "-0.0",
        "1",
        "1.0",
        "-1",
        "0.1",
        "1.5e300",
        "-9223372036854775808",
        "18446744073709551615",
    ] {
        let number: Number = serde_json::from_str(text).unwrap();
        let printed = serde_json::to_string(&number).unwrap();
        let value: Value = serde_json::from_str(text).unwrap();
        assert_eq!(printed, value.to_string());
        assert_eq!(
            number.to_string(),
            if text == "1.5e300" { "1.5e300" } else { text }
        );
    }
}

/// Together's seeds were rounded by JavaScript, and may exceed 64 bits.
#[test]
fn seeds_beyond_64_bits_survive() {
    for seed in [
        "15924764223251450000",
        "18446744073709552000",
        "-9223372036854775808",
        "0.5",
    ] {
        let body = format!(r#"{{"model":"m","messages":[],"seed":{seed}}}"#);
        let request: ChatRequest = parse(body.as_bytes()).unwrap();
        let written = serde_json::to_string(&request).unwrap();
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(value(&written), value(&body));
        assert_eq!(
            value(&written)["seed"].to_string(),
            value(&body)["seed"].to_string()
        );
    }
    let seed = Number::from(18446744073709552000_f64);
    assert_eq!(
        (seed.as_u64(), seed.as_f64()),
        (None, 18446744073709552000.0)
    );
}

#[test]
fn numbers_convert_if_they_fit() {
    assert_eq!(Number::from(7.0).as_u64(), Some(7));
    assert_eq!(Number::from(-7.0).as_i64(), Some(-7));
    assert_eq!(Number::from(7.5).as_u64(), None);
    assert_eq!(Number::from(f64::NAN).as_u64(), None);
    assert_eq!(Number::from(-1).as_u64(), None);
    assert_eq!(Number::from(u64::MAX).as_i64(), None);
    assert_eq!(Number::from(-1), Number::from(-1_i64));
    assert_eq!(Number::from(1), Number::from(1_u64));
}

proptest! {
    #[test]
    fn agree_with_serde_json(value in prop_oneof![
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has only finite numbers", |f| f.is_finite()).prop_map(Value::from),
    ]) {
        let number: Number = serde_json::from_value(value.clone()).unwrap();
        prop_assert_eq!(&serde_json::to_value(number).unwrap(), &value);
        prop_assert_eq!(serde_json::to_string(&number).unwrap(), value.to_string());
        prop_assert_eq!(Some(number.as_f64()), value.as_f64());
        prop_assert_eq!(number.as_i64().filter(|_| !value.is_f64()), value.as_i64());
    }

    /// Without serde_json's `float_roundtrip`, about one float in a hundred is written with a
    /// different last digit.
    #[test]
    fn keep_their_last_digit(float in any::<f64>().prop_filter("JSON has only finite numbers", |f| f.is_finite())) {
        let text = float.to_string();
        let number: Number = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(number.as_f64(), float);
        let printed = serde_json::to_string(&number).unwrap();
        prop_assert_eq!(printed.parse::<f64>().unwrap(), float);
    }
}
