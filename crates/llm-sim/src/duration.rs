//! Durations as in Replicate's `Cancel-After` (`30s`, `5m`, `1h30m45s`, plain seconds), and with
//! milliseconds and fractions for faults (`250ms`, `1.5s`).

use std::time::Duration;

/// Parses a duration of the simulation's options and faults: `250ms`, `1.5s`, `1h30m`.
///
/// # Errors
///
/// If it is not a duration; the message shows valid forms.
pub fn parse_duration(text: &str) -> Result<Duration, &'static str> {
    parse(text).ok_or("expected a duration such as 250ms, 1.5s or 1h30m")
}

pub(crate) fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    // Fewer units than `humantime` has.
    let is_known = |c: char| c.is_ascii_digit() || ".hms".contains(c);
    if !text.chars().all(is_known) {
        return None;
    }
    let duration = match text.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => humantime::parse_duration(text).ok()?,
    };
    (duration <= LONGEST).then_some(duration)
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
