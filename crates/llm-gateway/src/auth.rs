//! Authentication by the master key and by virtual keys.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use gateway_store::{Access, Denial};
use http::StatusCode;
use http::header::{AUTHORIZATION, HeaderMap};
use llm_provider::ApiKey;
use llm_provider::text::excerpt;
use llm_router::Router;
use subtle::ConstantTimeEq;

use crate::activity::ActiveRequest;
use crate::error::ApiError;
use crate::keys::VirtualKeys;
use crate::spend::Origin;

/// The client of a request.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) identity: Identity,
    /// What its usage record says about the request; `None` without a database.
    pub(crate) origin: Option<Origin>,
    /// Whether parameters without effect are errors.
    pub(crate) is_strict: bool,
    /// Resolves the names of models that a key may call.
    pub(crate) router: Router,
    /// The access groups of each model group.
    pub(crate) access_groups: Arc<BTreeMap<String, Vec<String>>>,
    /// Records the call for the dashboard.
    pub(crate) active: Option<Arc<ActiveRequest>>,
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub(crate) enum Identity {
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
        let message = match self.identity {
            Identity::Operator => return Ok(()),
            Identity::Key(_) => "only the master key may manage keys and see what others use",
            Identity::Anyone => "set `master_key` in the gateway's config to manage keys",
        };
        Err(forbidden(message))
    }

    /// Rejects virtual keys. `what` is what only the operator may read.
    pub(crate) fn require_no_key(&self, what: &str) -> Result<(), ApiError> {
        match self.identity {
            Identity::Key(_) => Err(forbidden(format!("only the master key may read {what}"))),
            Identity::Operator | Identity::Anyone => Ok(()),
        }
    }

    /// Rejects a model that the client may not call.
    pub(crate) fn require_model(&self, name: &str) -> Result<(), ApiError> {
        if self.may_call(name) {
            return Ok(());
        }
        let message = format!("the API key may not call the model \"{}\"", excerpt(name));
        Err(forbidden(message)
            .with_param("model")
            .with_code("key_model_access_denied"))
    }

    /// Whether the client may call a model: its key allows the name, what an alias stands for, the model
    /// group, or one of its access groups.
    pub(crate) fn may_call(&self, name: &str) -> bool {
        let Some(access) = self.access() else {
            return true;
        };
        // Most keys name the models as clients do.
        if access.allows(name) {
            return true;
        }
        let Some(target) = self.router.target_of(name) else {
            return false;
        };
        let mut names = vec![name, &*target.model, &*target.group];
        let groups = self.access_groups.get(&*target.group);
        names.extend(groups.into_iter().flatten().map(String::as_str));
        access.allows_any(&names)
    }

    /// What the client's virtual key may do; `None` if it has no virtual key.
    pub(crate) fn access(&self) -> Option<&Arc<Access>> {
        match &self.identity {
            Identity::Key(access) => Some(access),
            Identity::Operator | Identity::Anyone => None,
        }
    }
}

/// Identifies the client, and rejects a request without the master key or a virtual key that
/// works.
pub(crate) async fn authenticate(
    master_key: &ApiKey,
    virtual_keys: Option<&VirtualKeys>,
    headers: &HeaderMap,
) -> Result<Identity, ApiError> {
    let [litellm, anthropic, azure] = KEY_HEADERS.map(|name| key_in(headers, name));
    let given = [litellm, bearer(headers), anthropic, azure];
    if given.iter().all(Option::is_none) {
        return Err(unauthorized(
            "no API key: send the header `Authorization: Bearer KEY`",
        ));
    }
    // Some clients send several.
    for given in given.into_iter().flatten() {
        if given.ct_eq(master_key.expose().as_bytes()).into() {
            return Ok(Identity::Operator);
        }
        let Some(keys) = virtual_keys else { continue };
        if let Some(access) = keys.find(given).await? {
            return match access.check(keys.now()) {
                Ok(()) => Ok(Identity::Key(access)),
                Err(denial) => Err(denied(denial)),
            };
        }
    }
    // LiteLLM recognizes this error by OpenAI's wording: others have the same type.
    Err(unauthorized(
        "Incorrect API key provided: this gateway does not know it",
    ))
}

fn forbidden(message: impl Into<Cow<'static, str>>) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "invalid_request_error", message)
        .with_code("permission_denied")
}

/// The error of a key that does not work, with LiteLLM's type.
fn denied(denial: Denial) -> ApiError {
    let type_ = match denial {
        Denial::Expired => "expired_key",
        _ => "auth_error",
    };
    ApiError::new(StatusCode::UNAUTHORIZED, type_, denial.to_string()).with_code("invalid_api_key")
}

fn unauthorized(message: impl Into<Cow<'static, str>>) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "invalid_request_error", message)
        .with_code("invalid_api_key")
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    without_scheme(headers.get(AUTHORIZATION)?.as_bytes())
}

/// The key in a header of its own, which LiteLLM's clients send with the scheme of `Authorization`.
fn key_in<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h [u8]> {
    let value = headers.get(name)?.as_bytes();
    Some(without_scheme(value).unwrap_or_else(|| value.trim_ascii()))
}

fn without_scheme(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(SCHEME.len())?;
    scheme
        .eq_ignore_ascii_case(SCHEME)
        .then(|| key.trim_ascii())
}

const SCHEME: &[u8] = b"Bearer ";
/// The headers of LiteLLM's clients, of older SDKs of Anthropic, and of Azure OpenAI's clients.
const KEY_HEADERS: [&str; 3] = ["x-litellm-api-key", "x-api-key", "api-key"];
