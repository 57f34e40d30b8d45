use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use llm_provider::retry::Backoff;
use llm_provider::{Error, ErrorKind, Result, Settings};
use tokio::time::Instant;
use tower::retry::budget::{Budget, TpsBudget};

/// Decides whether a failed call is sent to the same upstream again, and after which wait.
///
/// A call is retried if the upstream cannot have billed it ([`Error::is_unbilled`]) or requests a
/// retry by `x-should-retry`; other calls only with
/// [`with_retry_billed`](Self::with_retry_billed). If the upstream requests a wait that is longer
/// than a minute ([`Backoff::max_advice`]) or than the remaining time of the call, the error is
/// returned immediately. It contains the requested wait, and a router can try another deployment.
///
/// All clones share a budget, so that retries cannot overload an upstream that is down: ten retries
/// per second, plus a fifth of the calls of the last ten seconds.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?.block_on(async {
/// use llm_http::RetryPolicy;
/// use llm_provider::{Error, ErrorKind};
///
/// let policy = RetryPolicy::new(2);
/// let reply = policy.run(None, |attempt| async move {
///     match attempt {
///         0 => Err(Error::new(ErrorKind::Transport, "cannot connect").with_unsent()),
///         _ => Ok("hello"),
///     }
/// });
/// assert_eq!(reply.await?, "hello");
/// # Ok::<(), Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct RetryPolicy {
    max_retries: u32,
    retry_billed: bool,
    backoff: Backoff,
    budget: Arc<TpsBudget>,
}

impl RetryPolicy {
    /// Creates a policy with at most `max_retries` retries of a call.
    pub fn new(max_retries: u32) -> Self {
        Self {
            max_retries,
            retry_billed: false,
            backoff: Backoff::default(),
            budget: Arc::default(),
        }
    }

    /// Sets whether calls that may have been billed are retried, too: after timeouts, broken
    /// connections and any 5xx.
    #[must_use]
    pub fn with_retry_billed(mut self, retry_billed: bool) -> Self {
        self.retry_billed = retry_billed;
        self
    }

    /// Sets the waits between attempts. If the upstream requests a wait longer than
    /// [`max_advice`](Backoff::max_advice), the call is not retried.
    #[must_use]
    pub fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Calls `attempt` with the number of the attempt, from 0, until it succeeds or the policy
    /// allows no further attempt.
    ///
    /// # Errors
    /// That of the last attempt.
    pub async fn run<T, F: Future<Output = Result<T>>>(
        &self,
        deadline: Option<Instant>,
        mut attempt: impl FnMut(u32) -> F,
    ) -> Result<T> {
        self.budget.deposit();
        let mut retries = 0;
        loop {
            let error = match attempt(retries).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let Some(pause) = self.pause(retries, &error, deadline) else {
                return Err(error);
            };
            tokio::time::sleep(pause).await;
            retries += 1;
        }
    }

    /// Whether no attempt follows the one with this number.
    pub(crate) fn is_last(&self, attempt: u32) -> bool {
        attempt >= self.max_retries
    }

    /// The wait before the next attempt; `None` if there is none.
    fn pause(&self, retries: u32, error: &Error, deadline: Option<Instant>) -> Option<Duration> {
        let asked = error.retry_after();
        if self.is_last(retries)
            || !self.may_retry(error)
            || asked.is_some_and(|asked| asked > self.backoff.max_advice)
        {
            return None;
        }
        let pause = self.backoff.delay(retries, asked);
        if deadline.is_some_and(|deadline| Instant::now() + pause >= deadline) {
            return None;
        }
        self.budget.withdraw().then_some(pause)
    }

    fn may_retry(&self, error: &Error) -> bool {
        // The upstream replied, and would send the same unreadable body again.
        let is_temporary = error.is_retryable() && error.kind() != ErrorKind::UnexpectedBody;
        let by_status = error.is_unbilled() || self.retry_billed && is_temporary;
        error.should_retry().unwrap_or(by_status)
    }
}

/// Reads `max_retries` and `retry_billed`. Convert once per account: each new policy has a separate
/// budget.
impl From<&Settings> for RetryPolicy {
    fn from(settings: &Settings) -> Self {
        let policy = settings.max_retries.map_or_else(Self::default, Self::new);
        policy.with_retry_billed(settings.retry_billed)
    }
}

impl Default for RetryPolicy {
    /// Two retries, as OpenAI's and Together's clients do.
    fn default() -> Self {
        Self::new(2)
    }
}

impl fmt::Debug for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryPolicy")
            .field("max_retries", &self.max_retries)
            .field("retry_billed", &self.retry_billed)
            .field("backoff", &self.backoff)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use http::{HeaderMap, HeaderValue, StatusCode};

    use super::*;

    #[test]
    fn the_default_equals_that_of_the_declared_setting() {
        let mut declared = llm_provider::COMMON_SETTINGS.iter();
        let declared = declared.find(|setting| setting.name == "max_retries");
        let default = llm_provider::SettingValue::Count(RetryPolicy::default().max_retries);
        assert_eq!(declared.unwrap().default, Some(default));
    }

    fn status_error(status: u16, headers: &[(&'static str, &'static str)]) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect();
        Error::new(ErrorKind::from_status(status), "").with_response(status, &headers, "".into())
    }

    /// The number of attempts, and the time that they took.
    async fn attempts(policy: &RetryPolicy, error: impl Fn() -> Error) -> (u32, Duration) {
        let begin = Instant::now();
        let mut count = 0;
        let result: Result<()> = policy
            .run(None, |attempt| {
                assert_eq!(attempt, count);
                count += 1;
                ready(Err(error()))
            })
            .await;
        assert!(result.is_err());
        (count, begin.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_cannot_have_been_billed_are_retried() {
        let policy = RetryPolicy::default();
        for status in [408, 409, 429, 503, 529] {
            assert_eq!(
                attempts(&policy, || status_error(status, &[])).await.0,
                3,
                "{status}"
            );
        }
        let unsent = || Error::new(ErrorKind::Timeout, "").with_unsent();
        assert_eq!(attempts(&policy, unsent).await.0, 3);
        for status in [400, 401, 402, 403, 404, 422, 500, 502, 504, 524] {
            assert_eq!(
                attempts(&policy, || status_error(status, &[])).await.0,
                1,
                "{status}"
            );
        }
        let broken = || Error::new(ErrorKind::Transport, "");
        assert_eq!(attempts(&policy, broken).await.0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_that_may_have_been_billed_are_retried_if_enabled() {
        let policy = RetryPolicy::new(1).with_retry_billed(true);
        for status in [429, 500, 502, 503, 504] {
            assert_eq!(
                attempts(&policy, || status_error(status, &[])).await.0,
                2,
                "{status}"
            );
        }
        for kind in [ErrorKind::Transport, ErrorKind::Timeout] {
            assert_eq!(attempts(&policy, || Error::new(kind, "")).await.0, 2);
        }
        let garbage = || Error::new(ErrorKind::UnexpectedBody, "");
        assert_eq!(attempts(&policy, garbage).await.0, 1);
        assert_eq!(attempts(&policy, || status_error(401, &[])).await.0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn x_should_retry_overrides_the_status() {
        let policy = RetryPolicy::new(1);
        let no = || status_error(429, &[("x-should-retry", "false")]);
        assert_eq!(attempts(&policy, no).await.0, 1);
        let yes = || status_error(500, &[("x-should-retry", "true")]);
        assert_eq!(attempts(&policy, yes).await.0, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_requested_wait_is_honoured_up_to_a_minute() {
        let policy = RetryPolicy::new(1);
        let (count, time) = attempts(&policy, || status_error(429, &[("retry-after", "60")])).await;
        assert_eq!(count, 2);
        assert!(
            time >= Duration::from_secs(60) && time < Duration::from_secs(61),
            "{time:?}"
        );
        let (count, time) = attempts(&policy, || status_error(429, &[("retry-after", "61")])).await;
        assert_eq!((count, time), (1, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn the_cap_of_a_policy_also_limits_a_requested_wait() {
        let second = Duration::from_secs(1);
        let policy = RetryPolicy::new(1).with_backoff(Backoff::new(Duration::ZERO, second));
        let asked = |seconds| status_error(429, &[("retry-after", seconds)]);
        assert_eq!(attempts(&policy, || asked("1")).await, (2, second));
        assert_eq!(attempts(&policy, || asked("2")).await, (1, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn no_retry_starts_after_the_deadline() {
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut count = 0;
        let result: Result<()> = RetryPolicy::default()
            .run(Some(deadline), |_| {
                count += 1;
                ready(Err(status_error(503, &[("retry-after", "3")])))
            })
            .await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Overloaded);
        assert_eq!(count, 2);
        assert!(Instant::now() < deadline);
    }

    #[tokio::test(start_paused = true)]
    async fn clones_share_a_limited_budget() {
        let policy = RetryPolicy::new(1).with_backoff(Backoff::new(Duration::ZERO, Duration::ZERO));
        let mut repeated = 0;
        for _ in 0..1000 {
            let clone = policy.clone();
            repeated += attempts(&clone, || status_error(503, &[])).await.0 - 1;
        }
        // Ten a second, saved up over ten seconds, and a fifth of a thousand calls.
        assert!((200..=310).contains(&repeated), "{repeated}");
    }

    #[tokio::test(start_paused = true)]
    async fn jitter_differs_and_stays_below_its_ceiling() {
        let policy = RetryPolicy::new(1);
        let mut times = Vec::new();
        for _ in 0..20 {
            times.push(attempts(&policy, || status_error(503, &[])).await.1);
        }
        assert!(times.iter().all(|time| *time <= Duration::from_millis(502)));
        times.sort();
        times.dedup();
        assert!(times.len() > 5, "{times:?}");
    }
}
