//! Formats numbers for reports.

use std::time::{Duration, UNIX_EPOCH};

use llm_bench::summary::{Metric, Unit};

/// Three to four significant digits: `0`, `0.0123`, `1.23`, `123`, `12,345`.
pub(crate) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_owned();
    }
    let size = value.abs();
    let digits = match size {
        _ if value == value.trunc() || size >= 100.0 => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 1.0 => 2,
        _ if size >= 0.01 => 3,
        _ => 5,
    };
    grouped(&format!("{value:.digits$}"))
}

/// A number with the decimals that a step needs: `1.25` and `1.50` for a step of 0.25.
pub(super) fn round(value: f64, step: f64) -> String {
    let fits = |digits: &usize| {
        let scaled = step * 10f64.powi(*digits as i32);
        (scaled - scaled.round()).abs() < 1e-6 * scaled
    };
    let digits = (0..9usize).find(fits).unwrap_or(9);
    grouped(&format!("{value:.digits$}"))
}

/// A duration: `950 µs`, `12.3 ms`, `1.23 s`.
pub(crate) fn duration(seconds: f64) -> String {
    let size = seconds.abs();
    match size {
        _ if !seconds.is_finite() => "–".to_owned(),
        _ if size == 0.0 => "0 s".to_owned(),
        _ if size < 1e-3 => format!("{} µs", number(seconds * 1e6)),
        _ if size < 1.0 => format!("{} ms", number(seconds * 1e3)),
        _ => format!("{} s", number(seconds)),
    }
}

/// A share: `26.4 %`.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// The value of a metric with its unit; a dash for `None`.
pub(super) fn metric(metric: Metric, value: Option<f64>) -> String {
    match (value, metric.unit()) {
        (None, _) => "–".to_owned(),
        (Some(value), Unit::Seconds) => duration(value),
        (Some(value), unit) => format!("{} {}", number(value), unit.sign()),
    }
}

/// A number of things: `1 run`, `2 runs`.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Milliseconds since the Unix epoch as `2026-11-21 08:15:00 UTC`.
pub(super) fn date(ms: u64) -> String {
    let time = UNIX_EPOCH + Duration::from_millis(ms.min(LATEST_MS));
    let time = humantime::format_rfc3339_seconds(time).to_string();
    time.replace('T', " ").replace('Z', " UTC")
}

/// The tool that measured, with its version. A genai-bench folder has the name in its version.
pub(super) fn tool(version: &str) -> String {
    match version.starts_with("genai-bench") {
        true => version.to_owned(),
        false => format!("polyllm {version}"),
    }
}

/// A number with thousands separators.
fn grouped(text: &str) -> String {
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, digits) = whole
        .strip_prefix('-')
        .map_or(("", whole), |digits| ("-", digits));
    let mut out = sign.to_owned();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out + rest
}

/// 9999-12-31T23:59:59Z; later times cannot be formatted.
const LATEST_MS: u64 = 253_402_300_799_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_significant_digits() {
        let texts = [
            0.0,
            0.01234,
            1.234,
            12.34,
            123.4,
            12345.6,
            -1234567.0,
            f64::NAN,
        ]
        .map(number);
        assert_eq!(
            texts,
            [
                "0",
                "0.012",
                "1.23",
                "12.3",
                "123",
                "12,346",
                "-1,234,567",
                "–"
            ]
        );
        let rounded = [0.0, 1250.0, 2500.0].map(|value| round(value, 1250.0));
        assert_eq!(rounded, ["0", "1,250", "2,500"]);
        assert_eq!(round(0.30000000000000004, 0.1), "0.3");
        assert_eq!(duration(0.000_95), "950 µs");
        assert_eq!(duration(0.0123), "12.3 ms");
        assert_eq!(duration(61.0), "61 s");
        assert_eq!(percent(23.0 / 87.0), "26.4 %");
    }

    #[test]
    fn dates_are_formatted_in_utc() {
        assert_eq!(date(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(date(951_782_400_000), "2000-02-29 00:00:00 UTC");
        assert_eq!(date(u64::MAX), "9999-12-31 23:59:59 UTC");
        assert_eq!(date(1_700_000_000_000), "2023-11-14 22:13:20 UTC");
    }
}
