//! Request bodies, within limits.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, HeaderMap};
use http_body::Body;
use http_body_util::BodyExt;

use crate::GatewayOptions;
use crate::error::ApiError;

/// The whole body of a request.
pub(crate) async fn read<B: Body<Data = Bytes> + Unpin>(
    headers: &HeaderMap,
    mut body: B,
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
        // Who waits for a `100 Continue` has not sent anything yet.
        if !headers.contains_key(EXPECT) {
            drain(body, limit).await;
        }
        return Err(too_large(limit));
    }
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(data) = next(&mut body, options.body_idle).await? {
        if first.len() + whole.len() + data.len() > limit {
            drain(body, limit).await;
            return Err(too_large(limit));
        }
        // Most bodies come in one piece, which then need not be copied.
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
    Ok(if whole.is_empty() {
        first
    } else {
        whole.freeze()
    })
}

/// The next piece of data; `None` at the end.
async fn next<B>(body: &mut B, idle: Duration) -> Result<Option<Bytes>, ApiError>
where
    B: Body<Data = Bytes> + Unpin,
{
    loop {
        let frame = tokio::time::timeout(idle, body.frame())
            .await
            .map_err(|_| {
                let message = format!("nothing of the body came for {} s", idle.as_secs());
                ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout_error", message)
            })?;
        let Some(frame) = frame else { return Ok(None) };
        let frame = frame
            .map_err(|_| ApiError::invalid("the connection broke in the middle of the body"))?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
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

/// Swallows some of what is still coming: most clients read the answer only after they have sent
/// everything, and lose it when the connection is closed before.
async fn drain<B: Body<Data = Bytes> + Unpin>(mut body: B, limit: usize) {
    let swallow = async {
        let mut left = limit.saturating_mul(DRAIN_LIMITS);
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(length) else {
                return;
            };
            left = rest;
        }
    };
    // Too slow is as good as done.
    let _ = tokio::time::timeout(DRAIN_TIME, swallow).await;
}

const DRAIN_LIMITS: usize = 4;
const DRAIN_TIME: Duration = Duration::from_secs(2);
