//! Parsers of numbers in options. `f64` alone accepts `nan` and `inf`, which JSON cannot represent
//! and which are useless as limits.

use std::ops::RangeBounds;

/// A finite number.
pub(crate) fn finite(text: &str) -> Result<f64, String> {
    within(text, f64::MIN..=f64::MAX, "a finite number")
}

/// A finite number above 0.
pub(crate) fn positive(text: &str) -> Result<f64, String> {
    within(
        text,
        f64::MIN_POSITIVE..=f64::MAX,
        "a finite number above 0",
    )
}

/// A finite number, 0 or more.
pub(crate) fn not_negative(text: &str) -> Result<f64, String> {
    within(text, 0.0..=f64::MAX, "a finite number, 0 or more")
}

/// A share above 0, at most 1.
pub(crate) fn positive_share(text: &str) -> Result<f64, String> {
    within(text, f64::MIN_POSITIVE..=1.0, "a number above 0, at most 1")
}

fn within(text: &str, range: impl RangeBounds<f64>, what: &str) -> Result<f64, String> {
    let number: Option<f64> = text.trim().parse().ok();
    number
        .filter(|number| range.contains(number))
        .ok_or_else(|| format!("expected {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn non_finite_numbers_are_errors() {
        for parser in [finite, positive, not_negative, positive_share] {
            for text in ["nan", "NaN", "inf", "-infinity", "1e999", "warm", ""] {
                assert!(parser(text).is_err(), "{text}");
            }
        }
        assert_eq!(finite("-0.7"), Ok(-0.7));
        assert_eq!(not_negative("0"), Ok(0.0));
        assert_eq!(positive_share("1"), Ok(1.0));
        assert!(positive("0").is_err() && not_negative("-1").is_err());
        assert!(positive_share("0").is_err() && positive_share("1.1").is_err());
    }
}
