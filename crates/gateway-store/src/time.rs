use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A moment, in milliseconds of Unix time.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// A moment from milliseconds of Unix time.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds of Unix time.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This moment plus `duration`. Saturates at the last moment.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, such as `2026-11-21T09:30:00.000Z`, for the years 1970 to 9999.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = u64::try_from(self.0).unwrap_or_default().min(LAST_MILLI);
        let moment = UNIX_EPOCH + Duration::from_millis(millis);
        write!(f, "{}", humantime::format_rfc3339_millis(moment))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(0).after(since)
    }
}

/// The source of the current time: the system's clock, or another one in tests and simulations.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that reads the time from `now`.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new(|| SystemTime::now().into())
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// A length of time as in LiteLLM's `budget_duration` and `duration`: a number and one of the
/// units `s`, `m`, `h`, `d`, `w` and `mo`, such as `30d`. A month has 30 days.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period {
    count: u32,
    unit: usize,
}

impl Period {
    /// The length of the period.
    pub fn duration(self) -> Duration {
        let (_, seconds) = UNITS[self.unit];
        Duration::from_secs(u64::from(self.count) * seconds)
    }
}

impl FromStr for Period {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (count, unit) = text.split_at(digits);
        // As LiteLLM's examples write it.
        let unit = if unit == "min" { "m" } else { unit };
        let unit = UNITS.iter().position(|(name, _)| *name == unit);
        match (count.parse(), unit) {
            (Ok(count @ 1..), Some(unit)) => Ok(Self { count, unit }),
            _ => Err(Error::invalid(
                "not a duration: give a number and a unit (s, m, h, d, w or mo), such as 30d",
            )),
        }
    }
}

impl TryFrom<String> for Period {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.count, UNITS[self.unit].0)
    }
}

/// The last millisecond of the year 9999.
const LAST_MILLI: u64 = 253_402_300_799_999;

const DAY: u64 = 24 * 60 * 60;

/// The units and their seconds.
const UNITS: [(&str, u64); 6] = [
    ("s", 1),
    ("m", 60),
    ("h", 60 * 60),
    ("d", DAY),
    ("w", 7 * DAY),
    ("mo", 30 * DAY),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_a_number_and_a_unit() {
        for (text, seconds) in [
            ("30s", Some(30)),
            ("5m", Some(300)),
            ("1h", Some(3600)),
            ("30d", Some(30 * DAY)),
            ("1w", Some(7 * DAY)),
            ("1mo", Some(30 * DAY)),
            ("4294967295mo", Some(4_294_967_295 * 30 * DAY)),
            ("0s", None),
            ("-1s", None),
            ("1", None),
            ("s", None),
            ("", None),
            ("1y", None),
            ("1 d", None),
            ("99999999999s", None),
        ] {
            let period: Option<Period> = text.parse().ok();
            let length = period.map(|period| period.duration().as_secs());
            assert_eq!(length, seconds, "{text}");
            if let Some(period) = period {
                assert_eq!(period.to_string(), text);
            }
        }
    }

    #[test]
    fn moments_are_shown_in_utc() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-5, "1970-01-01T00:00:00.000Z"),
            (1_763_000_000_123, "2025-11-13T02:13:20.123Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_string(), text);
        }
    }

    #[test]
    fn sums_of_time_saturate() {
        let last = Timestamp::from_millis(i64::MAX);
        assert_eq!(Timestamp::from_millis(5).after(Duration::MAX), last);
    }
}
