//! The clock of a simulation. It is tokio's, so that tests can pause and advance it. It is linked
//! to the wall clock once, so that timestamps in bodies and timers never disagree.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::options::Timing;
use crate::timer::PreciseTimer;

#[derive(Clone, Debug)]
pub(crate) struct Clock {
    origin: Instant,
    wall: Duration,
    /// Wakes tasks if tokio's timers are too coarse.
    timer: Option<PreciseTimer>,
}

impl Clock {
    /// # Errors
    ///
    /// If the timing is to be precise but no thread can be started.
    pub(crate) fn start(timing: &Timing) -> io::Result<Self> {
        Ok(Self {
            origin: Instant::now(),
            wall: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
            timer: timing.precise.then(PreciseTimer::start).transpose()?,
        })
    }

    /// When the simulation started.
    pub(crate) fn origin(&self) -> Instant {
        self.origin
    }

    /// When a request counts as received: if the timing is precise, when it arrived at the kernel, so
    /// that the delays of a loaded simulation are still those that are set.
    pub(crate) fn received(&self, arrived: Option<std::time::Instant>) -> Instant {
        match (&self.timer, arrived) {
            (Some(_), Some(arrived)) => Instant::from_std(arrived),
            _ => Instant::now(),
        }
    }

    /// Waits until `at`.
    pub(crate) async fn until(&self, at: Instant) {
        match &self.timer {
            Some(timer) => timer.until(at.into_std()).await,
            None => tokio::time::sleep_until(at).await,
        }
    }

    /// Waits until `at`, and at least until hyper flushes the previous event: events without a
    /// pause would be written together.
    pub(crate) async fn event(&self, at: Instant) {
        if at > Instant::now() {
            self.until(at).await;
        } else {
            tokio::task::yield_now().await;
        }
    }

    /// Time since the Unix epoch.
    pub(crate) fn wall(&self, at: Instant) -> Duration {
        match at.checked_duration_since(self.origin) {
            Some(later) => self.wall.saturating_add(later),
            None => self.wall.saturating_sub(self.origin.duration_since(at)),
        }
    }

    pub(crate) fn unix(&self, at: Instant) -> u64 {
        self.wall(at).as_secs()
    }

    /// As in the header `Retry-After`, rounded up to seconds.
    pub(crate) fn http_date(&self, at: Instant) -> String {
        http_date(self.wall(at) + Duration::from_nanos(999_999_999))
    }

    /// RFC 3339 in UTC with `digits` fractional digits: Replicate's bodies have 2 to 9 of them.
    pub(crate) fn rfc3339(&self, at: Instant, digits: usize) -> String {
        rfc3339(self.wall(at), digits)
    }
}

/// An HTTP date (RFC 9110, section 5.6.7).
fn http_date(since_epoch: Duration) -> String {
    httpdate::fmt_http_date(system_time(since_epoch))
}

/// Converts RFC 3339 (and common ISO 8601: a date alone, no offset for UTC) to the time since the
/// Unix epoch; times before it become `None`.
pub(crate) fn read_date(text: &str) -> Option<Duration> {
    let (date, time) = match text.find(['T', 't', ' ']) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, "00:00:00"),
    };
    let (time, offset) = match time.find(['Z', 'z', '+', '-']) {
        Some(at) => time.split_at(at),
        None => (time, "Z"),
    };
    let local = humantime::parse_rfc3339_weak(&format!("{date}T{time}")).ok()?;
    let local = local.duration_since(UNIX_EPOCH).ok()?;
    let shift = |offset: &str| {
        let (hours, minutes) = offset.split_once(':')?;
        let [hours, minutes] = [hours, minutes].map(|part| part.parse::<u8>().ok());
        let minutes = u64::from(hours?) * 60 + u64::from(minutes?);
        Some(Duration::from_secs(minutes * 60))
    };
    match offset.split_at(1) {
        ("+", offset) => local.checked_sub(shift(offset)?),
        ("-", offset) => Some(local + shift(offset)?),
        (_, "") => Some(local),
        _ => None,
    }
}

/// `at + duration`, saturating.
pub(crate) fn later(at: Instant, duration: Duration) -> Instant {
    at.checked_add(duration).unwrap_or_else(|| at + MAX_DELAY)
}

fn rfc3339(since_epoch: Duration, digits: usize) -> String {
    let time = humantime::format_rfc3339_nanos(system_time(since_epoch)).to_string();
    let end = time.len() - 1 - 9 + digits.clamp(1, 9);
    format!("{}Z", &time[..end])
}

/// The formatters panic after the year 9999.
fn system_time(since_epoch: Duration) -> SystemTime {
    UNIX_EPOCH + since_epoch.min(LATEST)
}

/// 9999-12-31T23:59:59Z.
const LATEST: Duration = Duration::from_secs(253_402_300_799);

/// The maximum of tokio's own timers.
const MAX_DELAY: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_rfc_3339() {
        let at = |seconds, nanos| Duration::new(seconds, nanos);
        assert_eq!(rfc3339(at(0, 0), 3), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            rfc3339(at(951_782_400, 40_000_000), 2),
            "2000-02-29T00:00:00.04Z"
        );
        assert_eq!(
            rfc3339(at(1_728_065_255, 262_000_000), 3),
            "2024-10-04T18:07:35.262Z"
        );
        assert_eq!(
            rfc3339(at(1_735_689_599, 558_752_983), 9),
            "2024-12-31T23:59:59.558752983Z"
        );
        assert_eq!(rfc3339(Duration::MAX, 2), "9999-12-31T23:59:59.00Z");
    }

    #[test]
    fn dates_of_http_are_written() {
        let at = |seconds| http_date(Duration::from_secs(seconds));
        assert_eq!(at(0), "Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(at(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(at(951_782_400), "Tue, 29 Feb 2000 00:00:00 GMT");
        assert_eq!(at(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    #[test]
    fn dates_are_read() {
        for (text, wanted) in [
            ("1970-01-01", Some("1970-01-01T00:00:00.000Z")),
            ("2000-02-29T00:00:00.04Z", Some("2000-02-29T00:00:00.040Z")),
            ("2024-10-04t18:07:35z", Some("2024-10-04T18:07:35.000Z")),
            ("2024-12-31 23:59:59.5", Some("2024-12-31T23:59:59.500Z")),
            (
                "2024-01-01T01:00:00+02:00",
                Some("2023-12-31T23:00:00.000Z"),
            ),
            (
                "2024-12-31T23:30:00-00:45",
                Some("2025-01-01T00:15:00.000Z"),
            ),
            ("9999-12-31T23:59:59Z", Some("9999-12-31T23:59:59.000Z")),
            ("2023-02-29", None),
            ("1900-01-01", None),
            ("2024-13-01", None),
            ("2024-00-01", None),
            ("2024-01-01T25:00:00Z", None),
            ("2024-01-01T00:00:00Zulu", None),
            ("2024-01-01T00:00:00+x", None),
            ("2024-01", None),
            ("2024-01-01-01", None),
            ("yesterday", None),
            ("", None),
            ("99999999999999999999-01-01", None),
            ("1970-01-01T00:00:00+01:00", None),
        ] {
            let read = read_date(text).map(|time| rfc3339(time, 3));
            assert_eq!(read.as_deref(), wanted, "{text}");
        }
    }
}
