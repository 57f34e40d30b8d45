use std::time::Duration;

/// The time limits of a call. By default, only the whole call and connecting are limited; the limit
/// of connecting is part of the transport.
///
/// | setting (seconds) | limits | default |
/// |---|---|---|
/// | `timeout` | a call that is not streamed, retries included | 600 |
/// | `stream_timeout` | a streamed call until the head of its response, retries included | `timeout` |
/// | `connect_timeout` | connecting: name resolution, TCP, proxy, TLS | 10 |
/// | `first_byte_timeout` | each attempt until the head of its response | none |
/// | `idle_timeout` | each wait for a piece of the body | the limit of the call |
///
/// The timeout of a call replaces `timeout` and `stream_timeout`. `first_byte_timeout` is mainly useful
/// for streams: the response to any other call starts when the model has finished.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Timeouts {
    /// The whole call, if it is not streamed.
    pub total: Option<Duration>,
    /// A streamed call until the head of its response.
    pub stream: Option<Duration>,
    /// Each attempt until the head of its response.
    pub first_byte: Option<Duration>,
    /// Each wait for a piece of the body.
    pub idle: Option<Duration>,
}

impl Timeouts {
    /// Sets the limit of a call that is not streamed.
    #[must_use]
    pub fn with_total(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.total = limit.into();
        self
    }

    /// Sets the limit of a streamed call until the head of its response.
    #[must_use]
    pub fn with_stream(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.stream = limit.into();
        self
    }

    /// Sets the limit of each attempt until the head of its response.
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

    /// The limit of a call that is not streamed, and whose own timeout is `own`.
    pub fn of_call(&self, own: Option<Duration>) -> Duration {
        own.or(self.total).unwrap_or(TOTAL)
    }

    /// The limit of a streamed call until the head of its response; its own timeout is `own`.
    pub fn of_stream(&self, own: Option<Duration>) -> Duration {
        self.of_call(own.or(self.stream))
    }

    /// The limit of each wait for a piece of the body of a call that may take `call`.
    pub fn idle_of(&self, call: Duration) -> Duration {
        self.idle.unwrap_or(call)
    }
}

// The default of OpenAI's clients.
pub(crate) const TOTAL: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_limit_applies() {
        let second = Duration::from_secs;
        let mut timeouts = Timeouts::default();
        assert_eq!(timeouts.of_stream(None), second(600));
        timeouts.total = Some(second(30));
        assert_eq!(timeouts.of_stream(None), second(30));
        timeouts.stream = Some(second(3));
        assert_eq!(timeouts.of_stream(None), second(3));
        assert_eq!(timeouts.of_call(None), second(30));
        assert_eq!(timeouts.of_stream(Some(second(1))), second(1));
        assert_eq!(timeouts.idle_of(second(7)), second(7));
    }
}
