//! One clock for a simulation: tokio's, so that tests can pause and wind it, tied to the wall
//! clock once, so that timestamps in bodies and timers can never disagree.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::alarm::Alarm;
use crate::options::Timing;

#[derive(Clone, Debug)]
pub(crate) struct Clock {
    origin: Instant,
    wall: Duration,
    /// Rings where tokio's timers are too coarse.
    alarm: Option<Alarm>,
}

impl Clock {
    /// # Errors
    ///
    /// When the timing is to be precise and there is no thread for that.
    pub(crate) fn start(timing: &Timing) -> io::Result<Self> {
        Ok(Self {
            origin: Instant::now(),
            wall: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default(),
            alarm: timing.precise.then(Alarm::start).transpose()?,
        })
    }

    /// Waits until `at`.
    pub(crate) async fn until(&self, at: Instant) {
        match &self.alarm {
            Some(alarm) => alarm.until(at.into_std()).await,
            None => tokio::time::sleep_until(at).await,
        }
    }

    /// Waits until `at`, and at least long enough for hyper to flush the event before: what comes
    /// without a pause in between would be written together.
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

    /// RFC 3339 in UTC with `digits` fractional digits: Replicate's bodies mix 2 to 9 of them.
    pub(crate) fn rfc3339(&self, at: Instant, digits: usize) -> String {
        rfc3339(self.wall(at), digits)
    }
}

/// `at + duration`, or a time that nobody will live to see.
pub(crate) fn later(at: Instant, duration: Duration) -> Instant {
    at.checked_add(duration).unwrap_or_else(|| at + FAR)
}

fn rfc3339(since_epoch: Duration, digits: usize) -> String {
    let seconds = since_epoch.as_secs();
    let (year, month, day) = civil(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    let nanos = format!("{:09}", since_epoch.subsec_nanos());
    let fraction = &nanos[..digits.clamp(1, 9)];
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction}Z")
}

/// Days since the epoch to a Gregorian date (Hinnant, "chrono-compatible low-level date
/// algorithms": years start in March, so that the leap day comes last).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

/// As far as tokio's own timers go.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

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
    }
}
