use std::time::Duration;

use llm_provider::{Error, ErrorKind, Result};
use tokio::time::{Instant, timeout_at};

/// The time at which a call must have ended, with all its requests: retries, lookups and
/// alternatives to a rejected request.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// use std::time::Duration;
///
/// use llm_http::Deadline;
/// use llm_provider::ErrorKind;
/// use tokio::time::sleep;
///
/// let end = Deadline::after(Duration::from_millis(2500));
/// let second = || async { Ok(sleep(Duration::from_secs(1)).await) };
/// end.bound(second()).await?;
/// end.bound(second()).await?;
/// let error = end.bound(second()).await.unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Timeout);
/// # Ok::<(), llm_provider::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    /// `None` if it is too late for an `Instant`.
    at: Option<Instant>,
    limit: Duration,
}

impl Deadline {
    /// Creates a deadline `limit` from now.
    pub fn after(limit: Duration) -> Self {
        Self {
            at: Instant::now().checked_add(limit),
            limit,
        }
    }

    /// The deadline, or `limit` from now if that is earlier.
    #[must_use]
    pub fn at_most(self, limit: Duration) -> Self {
        let other = Self::after(limit);
        match (self.at, other.at) {
            (Some(own), Some(at)) if own <= at => self,
            (Some(_), None) => self,
            _ => other,
        }
    }

    /// Awaits `work` until the deadline.
    ///
    /// # Errors
    /// Those of `work`, and [`ErrorKind::Timeout`] at the deadline.
    pub async fn bound<T>(self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(at) = self.at else {
            return work.await;
        };
        timeout_at(at, work).await.unwrap_or_else(|_| {
            // What is left of a caller's limit is a little less than that.
            let limit = (self.limit.as_secs_f64() * 1e3).round() / 1e3;
            let message = format!("no response within {limit} s");
            Err(Error::new(ErrorKind::Timeout, message))
        })
    }
}

/// Awaits `future` for at most `limit`; `None` if it takes longer.
pub async fn with_limit<F: Future>(limit: Option<Duration>, future: F) -> Option<F::Output> {
    match limit {
        Some(limit) => tokio::time::timeout(limit, future).await.ok(),
        None => Some(future.await),
    }
}
