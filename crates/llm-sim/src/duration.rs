//! Durations as in Replicate's `Cancel-After` (`30s`, `5m`, `1h30m45s`, plain seconds), and with
//! milliseconds and fractions for faults (`250ms`, `1.5s`).

use std::time::Duration;

/// Parses a duration of the simulation's options and faults: `250ms`, `1.5s`, `1h30m`.
///
/// # Errors
///
/// If it is not a duration; the message shows valid forms.
pub fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    parse(text).ok_or("a time looks like 250ms, 1.5s or 1h30m")
}

pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|c: char| !c.is_ascii_alphabetic())
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let seconds = match unit {
            "" | "s" => 1.0,
            "ms" => 0.001,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        let part = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?;
        total = total.checked_add(part).filter(|total| *total <= LONGEST)?;
        rest = tail;
    }
    Some(total)
}

/// Longer durations overflow timers and are never intended.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        let seconds = |text| parse(text).map(|duration| duration.as_secs_f64());
        assert_eq!(seconds("30"), Some(30.0));
        assert_eq!(seconds("5m"), Some(300.0));
        assert_eq!(seconds("1h30m45s"), Some(5445.0));
        assert_eq!(seconds("250ms"), Some(0.25));
        assert_eq!(seconds(" 1.5s "), Some(1.5));
        for bad in [
            "",
            "s",
            "5x",
            "-1s",
            "1..5s",
            "1e9",
            "999999999999999999h",
            "五s",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
