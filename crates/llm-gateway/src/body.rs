//! Reading of request bodies, within limits of size and time.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HeaderMap};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::GatewayOptions;
use crate::error::ApiError;

/// The body of a request. What is not read is drained before the response.
pub(crate) struct BodyReader<B> {
    body: B,
    state: State,
    /// The whole body, if prompts are logged.
    logged: Option<Bytes>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    Unread,
    Started,
    Ended,
}

impl<B: Body<Data = Bytes> + Unpin> BodyReader<B> {
    pub(crate) fn new(body: B) -> Self {
        let state = match body.is_end_stream() {
            true => State::Ended,
            false => State::Unread,
        };
        Self {
            body,
            state,
            logged: None,
        }
    }

    /// Whether the request has no body.
    pub(crate) fn is_empty(&self) -> bool {
        self.state == State::Ended
    }

    /// Reads the whole body.
    pub(crate) async fn read(
        &mut self,
        headers: &HeaderMap,
        options: &GatewayOptions,
    ) -> Result<Bytes, ApiError> {
        if headers
            .get(CONTENT_ENCODING)
            .is_some_and(|encoding| encoding != "identity")
        {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "invalid_request_error",
                "the body is compressed; send it without content-encoding",
            ));
        }
        let limit = options.body_limit;
        let length = content_length(headers);
        if length.is_some_and(|length| length > limit) {
            return Err(too_large(limit));
        }
        let mut first = Bytes::new();
        let mut whole = BytesMut::new();
        let mut pace = Pace::new(options.body_idle);
        while let Some(data) = self.next(&mut pace).await? {
            if first.len() + whole.len() + data.len() > limit {
                return Err(too_large(limit));
            }
            // Most bodies arrive in one piece, which need not be copied.
            if first.is_empty() && whole.is_empty() {
                first = data;
            } else {
                if whole.is_empty() {
                    whole.reserve(length.unwrap_or_default());
                }
                whole.extend_from_slice(&std::mem::take(&mut first));
                whole.extend_from_slice(&data);
            }
        }
        let whole = match whole.is_empty() {
            true => first,
            false => whole.freeze(),
        };
        if options.log_prompts {
            self.logged = Some(whole.clone());
        }
        Ok(whole)
    }

    /// The whole body, if it was read and prompts are logged.
    pub(crate) fn take_logged(&mut self) -> Option<Bytes> {
        self.logged.take()
    }

    /// Reads the next piece; `None` at the end.
    async fn next(&mut self, pace: &mut Pace) -> Result<Option<Bytes>, ApiError> {
        loop {
            if self.body.is_end_stream() {
                self.state = State::Ended;
                return Ok(None);
            }
            self.state = State::Started;
            let frame = tokio::time::timeout(pace.wait(), self.body.frame())
                .await
                .map_err(|_| pace.too_slow())?;
            let Some(frame) = frame else {
                self.state = State::Ended;
                return Ok(None);
            };
            let frame = frame
                .map_err(|_| ApiError::invalid("the connection broke in the middle of the body"))?;
            if let Ok(data) = frame.into_data() {
                pace.received += data.len();
                return Ok(Some(data));
            }
        }
    }

    /// Discards the rest of the body, within limits of size and time.
    ///
    /// Many clients read the response only after they have sent the whole body. If the connection is
    /// closed before that, they get a broken pipe instead of the response.
    pub(crate) async fn drain(mut self, headers: &HeaderMap, options: &GatewayOptions) {
        // A client that waits for `100 Continue` sends no body before it.
        let has_more = match self.state {
            State::Unread => !headers.contains_key(EXPECT),
            State::Started => true,
            State::Ended => false,
        };
        if !has_more {
            return;
        }
        let discard = async {
            let mut left = options.body_limit.saturating_mul(DRAIN_LIMITS);
            while let Some(Ok(frame)) = self.body.frame().await {
                let length = frame.data_ref().map_or(0, Bytes::len);
                let Some(rest) = left.checked_sub(length) else {
                    return;
                };
                left = rest;
            }
        };
        // A slower client does not get the response.
        let _ = tokio::time::timeout(DRAIN_TIME, discard).await;
    }
}

/// How fast a body has to arrive. A client that sends single bytes would otherwise keep its request
/// open forever.
struct Pace {
    /// The longest pause.
    idle: Duration,
    received: usize,
    /// When the first piece had arrived.
    began: Option<Instant>,
}

impl Pace {
    fn new(idle: Duration) -> Self {
        Self {
            idle,
            received: 0,
            began: None,
        }
    }

    /// How long the next piece may take.
    fn wait(&mut self) -> Duration {
        // Most bodies arrive in one piece, and need no clock.
        if self.received == 0 {
            return self.idle;
        }
        let now = Instant::now();
        let elapsed = now - *self.began.get_or_insert(now);
        let seconds = u64::try_from(self.received / MIN_RATE).unwrap_or(u64::MAX);
        let allowed = self.idle.saturating_add(Duration::from_secs(seconds));
        self.idle.min(allowed.saturating_sub(elapsed))
    }

    fn too_slow(&self) -> ApiError {
        let message = format!(
            "the body arrives too slowly: it may pause for {} s, and has to arrive with {MIN_RATE} \
             bytes/s after that time",
            self.idle.as_secs_f32()
        );
        ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout_error", message)
    }
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "invalid_request_error",
        format!("the body is longer than the limit of {limit} bytes"),
    )
    .with_code("request_too_large")
}

/// The bytes per second of a body whose first piece is older than the longest pause.
const MIN_RATE: usize = 1024;
/// How much is discarded, in multiples of the limit of a body.
const DRAIN_LIMITS: usize = 4;
const DRAIN_TIME: Duration = Duration::from_secs(2);
