use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Neg, Sub};
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Error, Result};

/// An exact amount of US dollars, in nano-dollars.
///
/// The range is 9.2 billion dollars in both directions; sums saturate at its ends. As text and in
/// JSON it is a decimal number of dollars with up to nine decimals.
///
/// ```
/// use gateway_store::Money;
///
/// let price: Money = "0.000000060".parse()?;
/// assert_eq!(price.times(1_500_000).to_string(), "0.09");
/// # Ok::<(), gateway_store::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Money(i64);

impl Money {
    /// No money.
    pub const ZERO: Self = Self(0);

    /// The highest budget: one billion dollars.
    pub const MAX_BUDGET: Self = Self(1_000_000_000 * NANOS);

    /// The highest cost of one call: one million dollars.
    pub const MAX_COST: Self = Self(1_000_000 * NANOS);

    /// An amount of nano-dollars.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// An amount of dollars that was computed with floating-point numbers: rounded to twelve
    /// decimals, which removes the errors of the computation, and then up to a nano-dollar. `None` if
    /// it is not a number or too large.
    pub fn from_dollars(dollars: f64) -> Option<Self> {
        let picos = (dollars * 1e12).round();
        if !picos.is_finite() {
            return None;
        }
        // The number is whole; what exceeds the type is too large anyway.
        let picos = picos as i128;
        let nanos = i64::try_from(picos.unsigned_abs().div_ceil(1000)).ok()?;
        Some(Self(if picos < 0 { -nanos } else { nanos }))
    }

    /// The amount in nano-dollars.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// This price for `count` units, such as tokens.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        Self(self.0.saturating_mul(count))
    }
}

impl Add for Money {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Money {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for Money {
    type Output = Self;

    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl Sum for Money {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let nanos = self.0.unsigned_abs();
        let (whole, mut decimals) = (nanos / NANOS.unsigned_abs(), nanos % NANOS.unsigned_abs());
        if decimals == 0 {
            return write!(f, "{sign}{whole}");
        }
        let mut width = 9;
        while decimals % 10 == 0 {
            decimals /= 10;
            width -= 1;
        }
        write!(f, "{sign}{whole}.{decimals:0width$}")
    }
}

impl FromStr for Money {
    type Err = Error;

    /// Reads a decimal number of dollars, also with an exponent, such as `2.5` or `6e-8`. Digits
    /// below a nano-dollar are rounded away from zero, so that no price becomes free.
    fn from_str(text: &str) -> Result<Self> {
        parse(text).map(Self).ok_or_else(|| {
            Error::invalid("not an amount of dollars: give a decimal number such as 12.50")
        })
    }
}

fn parse(text: &str) -> Option<i64> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(decimals.bytes());
    if whole.is_empty() || digits().count() > MOST_DIGITS || !digits().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let mantissa = digits().fold(0_i128, |sum, digit| sum * 10 + i128::from(digit - b'0'));
    let scale = exponent.checked_add(9)? - i32::try_from(decimals.len()).ok()?;
    let nanos = if mantissa == 0 {
        0
    } else if scale >= 0 {
        mantissa.checked_mul(10_i128.checked_pow(scale.unsigned_abs())?)?
    } else {
        match 10_i128.checked_pow(scale.unsigned_abs()) {
            Some(divisor) => (mantissa + divisor - 1) / divisor,
            None => 1,
        }
    };
    i64::try_from(if negative { -nanos } else { nanos }).ok()
}

impl Serialize for Money {
    /// A JSON number for whole dollars and for amounts below one million dollars, which a float holds
    /// exactly; text for all others.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.to_string();
        match text.parse() {
            // An integer keeps its form: `25`, not `25.0`.
            Ok(_) if self.0 % NANOS == 0 => serializer.serialize_i64(self.0 / NANOS),
            Ok(number) if self.0.unsigned_abs() < EXACT => serializer.serialize_f64(number),
            _ => serializer.serialize_str(&text),
        }
    }
}

impl<'de> Deserialize<'de> for Money {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Dollars)
    }
}

struct Dollars;

impl Visitor<'_> for Dollars {
    type Value = Money;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an amount of dollars, such as 12.50")
    }

    fn visit_i64<E: de::Error>(self, dollars: i64) -> Result<Money, E> {
        let nanos = dollars.checked_mul(NANOS);
        nanos
            .map(Money)
            .ok_or_else(|| E::custom("the amount is too large"))
    }

    fn visit_u64<E: de::Error>(self, dollars: u64) -> Result<Money, E> {
        let dollars = i64::try_from(dollars).map_err(E::custom)?;
        self.visit_i64(dollars)
    }

    /// The shortest decimal text of the number is what its author wrote.
    fn visit_f64<E: de::Error>(self, dollars: f64) -> Result<Money, E> {
        format!("{dollars:e}").parse().map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Money, E> {
        text.parse().map_err(E::custom)
    }
}

const NANOS: i64 = 1_000_000_000;

/// Numbers of at most 15 digits are exact in a float.
const EXACT: u64 = 1_000_000_000_000_000;

/// More digits would exceed `i128` together with the scale.
const MOST_DIGITS: usize = 28;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_read_exactly() {
        for (text, nanos) in [
            ("0", Some(0)),
            ("1", Some(1_000_000_000)),
            ("0.1", Some(100_000_000)),
            ("6e-8", Some(60)),
            ("2.5E3", Some(2_500_000_000_000)),
            ("-0.000000001", Some(-1)),
            ("0.0000000001", Some(1)),
            ("1e-400", Some(1)),
            ("0e400", Some(0)),
            ("1e400", None),
            ("9223372037", None),
            ("", None),
            (".5", None),
            ("1.2.3", None),
            ("NaN", None),
            ("0x10", None),
            ("--1", None),
            ("99999999999999999999999999999999999999", None),
        ] {
            assert_eq!(text.parse().ok(), nanos.map(Money), "{text}");
        }
    }

    #[test]
    fn errors_of_floating_point_numbers_are_removed() {
        for (dollars, nanos) in [
            (0.1 + 0.2, Some(300_000_000)),
            (6e-8 * 3.0, Some(180)),
            (1.5e-10, Some(1)),
            (123.456_789_012_3, Some(123_456_789_013)),
            (0.0, Some(0)),
            (f64::NAN, None),
            (f64::INFINITY, None),
            (1e300, None),
        ] {
            assert_eq!(Money::from_dollars(dollars), nanos.map(Money), "{dollars}");
        }
    }

    #[test]
    fn numbers_of_json_are_the_decimals_that_were_written() {
        for (json, text) in [
            ("0.1", "0.1"),
            ("25", "25"),
            ("1e-7", "0.0000001"),
            ("\"3.30\"", "3.3"),
        ] {
            let money: Money = serde_json::from_str(json).unwrap();
            assert_eq!(money.to_string(), text, "{json}");
        }
        assert!(serde_json::from_str::<Money>("true").is_err());
        assert!(serde_json::from_str::<Money>("1e30").is_err());
        let json = serde_json::to_string(&[Money(25 * NANOS), Money(100_000_000)]);
        assert_eq!(json.unwrap(), "[25,0.1]");
    }

    proptest! {
        #[test]
        fn computed_dollars_equal_their_text(picos in -9_000_000_000_000_000_i64..9_000_000_000_000_000) {
            let dollars = picos as f64 / 1e12;
            let text = format!("{dollars:.12}");
            prop_assert_eq!(Money::from_dollars(dollars), text.parse().ok());
        }

        #[test]
        fn text_keeps_the_amount(nanos: i64) {
            let text = Money(nanos).to_string();
            prop_assert_eq!(text.parse::<Money>().unwrap(), Money(nanos));
        }

        #[test]
        fn json_keeps_the_amount(nanos: i64, places in 0_u32..18) {
            let nanos = nanos / 10_i64.pow(places);
            let json = serde_json::to_string(&Money(nanos)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Money>(&json).unwrap(), Money(nanos));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-0-9.eE]{0,40}") {
            let _ = text.parse::<Money>();
        }
    }
}
