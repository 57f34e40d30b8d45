//! Verifies the signatures of webhooks, as specified by Standard Webhooks (standardwebhooks.com).
//!
//! Replicate returns the shared secret at `GET /v1/webhooks/default/secret`. Verify the received bytes
//! of the body before parsing it:
//!
//! ```
//! use std::time::SystemTime;
//!
//! use http::HeaderMap;
//! use replicate_api::webhook::{WebhookSecret, WebhookError};
//!
//! fn receive(headers: &HeaderMap, body: &[u8]) -> Result<(), WebhookError> {
//!     let secret = WebhookSecret::new("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")?;
//!     secret.verify(headers, body, SystemTime::now())
//! }
//! # assert_eq!(receive(&HeaderMap::new(), b""), Err(WebhookError::MissingHeader("webhook-id")));
//! ```
//!
//! Webhooks may arrive twice and out of order. A webhook that is sent again has the same header
//! `webhook-id`.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use sha2::Sha256;

/// The secret that signs webhooks; never printed.
///
/// A signature is the HMAC-SHA256 of `id.timestamp.body`, in base64. The header `webhook-signature`
/// has any number of signatures, each with its version.
#[derive(Clone)]
pub struct WebhookSecret {
    key: Vec<u8>,
    tolerance: Duration,
}

impl WebhookSecret {
    /// Parses a secret: `whsec_` followed by base64.
    ///
    /// # Errors
    ///
    /// [`WebhookError::InvalidSecret`] for anything else, and for an empty secret.
    pub fn new(secret: &str) -> Result<Self, WebhookError> {
        secret
            .trim()
            .strip_prefix("whsec_")
            .and_then(|encoded| BASE64_STANDARD.decode(encoded).ok())
            .filter(|key| !key.is_empty())
            .map(|key| Self {
                key,
                tolerance: TOLERANCE,
            })
            .ok_or(WebhookError::InvalidSecret)
    }

    /// Sets the maximum deviation of timestamps, five minutes by default. An older webhook may be a
    /// replay.
    #[must_use]
    pub fn with_tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Verifies the headers and the received bytes of the body. Signatures are compared in constant
    /// time.
    ///
    /// # Errors
    ///
    /// If a header is missing or not text, if the timestamp is not a number or too far from `now`, or
    /// if no signature is valid.
    pub fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<(), WebhookError> {
        let id = header(headers, "webhook-id")?;
        let timestamp = header(headers, "webhook-timestamp")?;
        let signatures = header(headers, "webhook-signature")?;
        self.check_time(timestamp, now)?;

        let mut mac =
            Hmac::<Sha256>::new_from_slice(&self.key).map_err(|_| WebhookError::InvalidSecret)?;
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        // Other versions and invalid signatures are ignored.
        let ours = signatures
            .split(' ')
            .filter_map(|signature| BASE64_STANDARD.decode(signature.strip_prefix("v1,")?).ok());
        for signature in ours {
            if mac.clone().verify_slice(&signature).is_ok() {
                return Ok(());
            }
        }
        Err(WebhookError::WrongSignature)
    }

    fn check_time(&self, timestamp: &str, now: SystemTime) -> Result<(), WebhookError> {
        let sent = timestamp
            .parse()
            .map_err(|_| WebhookError::InvalidTimestamp)?;
        let sent = Duration::from_secs(sent);
        let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        if now.saturating_sub(sent) > self.tolerance {
            Err(WebhookError::TooOld)
        } else if sent.saturating_sub(now) > self.tolerance {
            Err(WebhookError::TooNew)
        } else {
            Ok(())
        }
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSecret")
            .field("tolerance", &self.tolerance)
            .finish_non_exhaustive()
    }
}

/// Why a webhook was rejected. Shows neither the secret nor the signed text.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WebhookError {
    /// The secret is not `whsec_` and base64.
    #[error("the webhook secret is not `whsec_` followed by base64")]
    InvalidSecret,
    /// The timestamp is not a number of seconds.
    #[error("the header webhook-timestamp is not a number of seconds")]
    InvalidTimestamp,
    /// This header is missing or not text.
    #[error("the header {0} is missing or unreadable")]
    MissingHeader(&'static str),
    /// The timestamp is further in the future than the tolerance.
    #[error("the webhook's timestamp is in the future")]
    TooNew,
    /// The timestamp is older than the tolerance, so this may be a replay.
    #[error("the webhook's timestamp is too old")]
    TooOld,
    /// No signature matches the headers, the body and the secret.
    #[error("no signature of the webhook is valid")]
    WrongSignature,
}

fn header<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, WebhookError> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .ok_or(WebhookError::MissingHeader(name))
}

const TOLERANCE: Duration = Duration::from_secs(5 * 60);

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    // The example key of Replicate's documentation, and a signature from Python's hmac.
    const KEY: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const BODY: &[u8] = br#"{"id":"ufawqhfynnddngldkgtslldrkq","status":"succeeded"}"#;
    const SIGNATURE: &str = "v1,khzhb6nvh6j7ejwhctlIu880ueBxl7GggFNoj55u6NI=";

    fn headers(signature: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1728065256"),
            ("webhook-signature", signature),
        ] {
            headers.insert(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[track_caller]
    fn check(headers: &HeaderMap, body: &[u8], wanted: Result<(), WebhookError>) {
        let secret = WebhookSecret::new(KEY).unwrap();
        assert_eq!(secret.verify(headers, body, at(1_728_065_256)), wanted);
    }

    #[test]
    fn a_valid_signature_is_found_among_others() {
        check(&headers(SIGNATURE), BODY, Ok(()));
        let several = format!("v1,bm9wZQ== v2,{SIGNATURE} nonsense v1,*  {SIGNATURE}");
        check(&headers(&several), BODY, Ok(()));
    }

    #[test]
    fn signed_parts_must_be_unchanged() {
        check(
            &headers(SIGNATURE),
            b"{}",
            Err(WebhookError::WrongSignature),
        );
        for (name, value) in [
            ("webhook-id", "msg_other"),
            ("webhook-timestamp", "1728065257"),
        ] {
            let mut changed = headers(SIGNATURE);
            changed.insert(name, HeaderValue::from_static(value));
            check(&changed, BODY, Err(WebhookError::WrongSignature));
        }
        for wrong in [
            "",
            "v1,",
            "v1,bm9wZQ==",
            "v2,bm9wZQ==",
            &SIGNATURE[3..],
            &SIGNATURE[..20],
        ] {
            check(&headers(wrong), BODY, Err(WebhookError::WrongSignature));
        }
        let other = WebhookSecret::new("whsec_b3RoZXI=").unwrap();
        let found = other.verify(&headers(SIGNATURE), BODY, at(1_728_065_256));
        assert_eq!(found, Err(WebhookError::WrongSignature));
    }

    #[test]
    fn all_headers_are_required() {
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            let mut without = headers(SIGNATURE);
            without.remove(name);
            check(&without, BODY, Err(WebhookError::MissingHeader(name)));
            without.insert(name, HeaderValue::from_bytes(b"\xff").unwrap());
            check(&without, BODY, Err(WebhookError::MissingHeader(name)));
        }
        let mut strange = headers(SIGNATURE);
        strange.insert("webhook-timestamp", HeaderValue::from_static("-1"));
        check(&strange, BODY, Err(WebhookError::InvalidTimestamp));
    }

    #[test]
    fn timestamps_outside_the_tolerance_are_rejected() {
        let secret = WebhookSecret::new(KEY).unwrap();
        for (now, wanted) in [
            (1_728_065_256 + 300, Ok(())),
            (1_728_065_256 + 301, Err(WebhookError::TooOld)),
            (1_728_065_256 - 300, Ok(())),
            (1_728_065_256 - 301, Err(WebhookError::TooNew)),
            (0, Err(WebhookError::TooNew)),
        ] {
            assert_eq!(secret.verify(&headers(SIGNATURE), BODY, at(now)), wanted);
        }
        let patient = secret.with_tolerance(Duration::MAX);
        assert_eq!(patient.verify(&headers(SIGNATURE), BODY, at(0)), Ok(()));
    }

    #[test]
    fn secrets_are_parsed_and_not_printed() {
        for wrong in [
            "",
            "whsec_",
            "C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            "whsec_C2FV*",
        ] {
            assert_eq!(
                WebhookSecret::new(wrong).unwrap_err(),
                WebhookError::InvalidSecret
            );
        }
        let secret = WebhookSecret::new(&format!("{KEY}\n")).unwrap();
        assert_eq!(
            format!("{secret:?}"),
            "WebhookSecret { tolerance: 300s, .. }"
        );
    }
}
