use std::time::Duration;

/// How long the parts of a call may take. All are off but the total and connecting, whose limit
/// is the transport's.
///
/// | setting (seconds) | limits | default |
/// |---|---|---|
/// | `timeout` | a plain call in all, retries included | 600 |
/// | `stream_timeout` | a streamed call up to the head of its answer, retries included | `timeout` |
/// | `connect_timeout` | connecting: name, TCP, proxy, TLS | 10 |
/// | `first_byte_timeout` | each attempt up to the head of its answer | none |
/// | `idle_timeout` | each wait for a piece of the body | the limit of the call |
///
/// The limit that a call brings itself goes before `timeout` and `stream_timeout`. Language
/// models answer plain calls when they are done, so that `first_byte_timeout` is of use for
/// streams above all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Timeouts {
    /// A plain call in all.
    pub total: Option<Duration>,
    /// A streamed call up to the head of its answer.
    pub stream: Option<Duration>,
    /// Each attempt up to the head of its answer.
    pub first_byte: Option<Duration>,
    /// Each wait for a piece of the body.
    pub idle: Option<Duration>,
}

impl Timeouts {
    /// Sets the limit of a plain call in all.
    #[must_use]
    pub fn with_total(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.total = limit.into();
        self
    }

    /// Sets the limit of a streamed call up to the head of its answer.
    #[must_use]
    pub fn with_stream(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.stream = limit.into();
        self
    }

    /// Sets the limit of each attempt up to the head of its answer.
    #[must_use]
    pub fn with_first_byte(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.first_byte = limit.into();
        self
    }

    /// Sets the limit of each wait for a piece of the body.
    #[must_use]
    pub fn with_idle(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.idle = limit.into();
        self
    }

    /// The limit of a call that brings `own`.
    pub fn of_call(&self, own: Option<Duration>, stream: bool) -> Duration {
        let streamed = self.stream.filter(|_| stream);
        own.or(streamed).or(self.total).unwrap_or(TOTAL)
    }

    /// The limit of each wait for a piece of the body of a call that may take `call`.
    pub fn idle_of(&self, call: Duration) -> Duration {
        self.idle.unwrap_or(call)
    }
}

// As OpenAI's clients.
pub(crate) const TOTAL: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_limit_counts() {
        let second = Duration::from_secs;
        let mut timeouts = Timeouts::default();
        assert_eq!(timeouts.of_call(None, true), second(600));
        timeouts.total = Some(second(30));
        assert_eq!(timeouts.of_call(None, true), second(30));
        timeouts.stream = Some(second(3));
        assert_eq!(timeouts.of_call(None, true), second(3));
        assert_eq!(timeouts.of_call(None, false), second(30));
        assert_eq!(timeouts.of_call(Some(second(1)), true), second(1));
        assert_eq!(timeouts.idle_of(second(7)), second(7));
    }
}
