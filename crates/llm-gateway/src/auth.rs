//! Authentication by the master key and by virtual keys.

use std::borrow::Cow;
use std::hint::black_box;
use std::sync::Arc;

use gateway_store::Access;
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderMap};
use llm_provider::ApiKey;
use llm_provider::text::excerpt;

use crate::error::ApiError;
use crate::keys::{self, VirtualKeys};

/// Who sent a request.
#[derive(Clone, Debug)]
pub(crate) enum Client {
    /// A client with the master key.
    Operator,
    /// A client with a virtual key that works.
    Key(Arc<Access>),
    /// Any client, since there is no master key.
    Anyone,
}

impl Client {
    /// Rejects all but the operator.
    pub(crate) fn require_operator(&self) -> Result<(), ApiError> {
        let message = match self {
            Self::Operator => return Ok(()),
            Self::Key(_) => "only the master key may manage keys",
            Self::Anyone => "set `master_key` in the gateway's config to manage keys",
        };
        Err(forbidden(message))
    }

    /// Rejects a model group that the client may not call.
    pub(crate) fn require_model(&self, group: &str) -> Result<(), ApiError> {
        if self.may_call(group) {
            return Ok(());
        }
        let message = format!("the API key may not call the model \"{}\"", excerpt(group));
        Err(forbidden(message)
            .with_param("model")
            .with_code("key_model_access_denied"))
    }

    pub(crate) fn may_call(&self, group: &str) -> bool {
        match self {
            Self::Key(access) => access.allows(group),
            _ => true,
        }
    }
}

/// Identifies the client, and rejects a request without the master key or a virtual key that
/// works.
pub(crate) async fn authenticate(
    master_key: &ApiKey,
    virtual_keys: Option<&VirtualKeys>,
    headers: &HeaderMap,
) -> Result<Client, ApiError> {
    let given = [bearer(headers), api_key(headers)];
    if given == [None, None] {
        return Err(unauthorized(
            "no API key: send the header `Authorization: Bearer KEY`",
        ));
    }
    // Older SDKs of Anthropic send `x-api-key`, and some clients send both.
    for given in given.into_iter().flatten() {
        if is_equal(given, master_key.expose().as_bytes()) {
            return Ok(Client::Operator);
        }
        let found = match virtual_keys {
            Some(keys) => keys.find(given).await?,
            None => None,
        };
        if let Some(access) = found {
            return match access.check(keys::now()) {
                Ok(()) => Ok(Client::Key(access)),
                Err(denial) => Err(unauthorized(denial.to_string())),
            };
        }
    }
    Err(unauthorized("the API key is not valid"))
}

fn forbidden(message: impl Into<Cow<'static, str>>) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "invalid_request_error", message)
        .with_code("permission_denied")
}

fn unauthorized(message: impl Into<Cow<'static, str>>) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "invalid_request_error", message)
        .with_code("invalid_api_key")
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, key) = value.split_at_checked(SCHEME.len())?;
    scheme
        .eq_ignore_ascii_case(SCHEME)
        .then(|| key.trim_ascii())
}

fn api_key(headers: &HeaderMap) -> Option<&[u8]> {
    Some(headers.get("x-api-key")?.as_bytes().trim_ascii())
}

/// Compares in a time that does not depend on the position of the first difference.
fn is_equal(given: &[u8], expected: &[u8]) -> bool {
    let difference = given
        .iter()
        .zip(expected)
        .fold(0, |sum, (a, b)| black_box(sum | (a ^ b)));
    given.len() == expected.len() && difference == 0
}

const SCHEME: &[u8] = b"Bearer ";
