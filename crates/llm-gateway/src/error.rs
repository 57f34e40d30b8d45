//! Error responses in OpenAI's form: a status, and a body with all four keys.

use std::borrow::Cow;
use std::error::Error as _;
use std::time::Duration;

use http::header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use llm_provider::text::{excerpt, printable};
use llm_provider::{Error, ErrorKind};
use llm_types::ErrorResponse;

use crate::api::Api;
use crate::headers;
use crate::response::{self, ResponseBody};
use crate::spend::Rates;

/// An error response.
#[derive(Debug)]
pub(crate) struct ApiError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    type_: &'static str,
    message: Cow<'static, str>,
    param: Option<String>,
    code: Option<Cow<'static, str>>,
    retry_after: Option<Duration>,
    /// The methods of the path.
    allow: Option<&'static str>,
    /// Whether the client should not retry, even if the status suggests it.
    is_final: bool,
    provider: Option<String>,
    rates: Option<Rates>,
    was_logged: bool,
}

impl ApiError {
    /// An invalid request.
    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    /// A fault of the gateway; the log has the reason.
    pub(crate) fn internal() -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let message = "internal error; see the gateway's log";
        Self::new(status, "server_error", message).with_code("internal_error")
    }

    pub(crate) fn new(
        status: StatusCode,
        type_: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Inner {
            status,
            type_,
            message: message.into(),
            param: None,
            code: None,
            retry_after: None,
            allow: None,
            is_final: false,
            provider: None,
            rates: None,
            was_logged: false,
        }))
    }

    pub(crate) fn with_param(mut self, param: impl Into<String>) -> Self {
        self.0.param = Some(param.into());
        self
    }

    pub(crate) fn with_code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    pub(crate) fn with_allow(mut self, methods: &'static str) -> Self {
        self.0.allow = Some(methods);
        self
    }

    pub(crate) fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Sets the state of the rate limits that refused the request.
    pub(crate) fn with_rates(mut self, rates: Rates) -> Self {
        self.0.rates = Some(rates);
        self
    }

    /// Marks an error that a retry does not change.
    pub(crate) fn with_no_retry(mut self) -> Self {
        self.0.is_final = true;
        self
    }

    /// Whether the log has the error already.
    pub(crate) fn was_logged(&self) -> bool {
        self.0.was_logged
    }

    /// The status.
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The body, which is also the last event of a stream that fails.
    pub(crate) fn body(&self) -> Vec<u8> {
        // Serialization fails only for maps whose keys are not strings.
        serde_json::to_vec(&self.error()).unwrap_or_default()
    }

    /// The error as OpenAI's API has it.
    pub(crate) fn error(&self) -> ErrorResponse {
        let mut body = ErrorResponse::new(self.0.message.as_ref(), self.0.type_);
        if let Some(param) = &self.0.param {
            body = body.with_param(param.as_str());
        }
        if let Some(code) = &self.0.code {
            body = body.with_code(code.as_ref());
        }
        body
    }

    /// The response, with the error body of the client's API.
    pub(crate) fn response(self, api: Api, request_id: &HeaderValue) -> Response<ResponseBody> {
        let (status, body) = api.error(&self, request_id);
        let mut response = response::json(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if let Some(methods) = self.0.allow {
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        if self.0.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(wait) = self.0.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.0.is_final {
            headers.insert(SHOULD_RETRY, HeaderValue::from_static("false"));
        }
        headers::insert(headers, headers::PROVIDER, self.0.provider.as_deref());
        if let Some(rates) = self.0.rates {
            response.extensions_mut().insert(rates);
        }
        response
    }
}

/// An error of a conversion between APIs.
impl From<llm_adapters::Error> for ApiError {
    fn from(error: llm_adapters::Error) -> Self {
        let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_GATEWAY);
        let type_ = if status.is_client_error() {
            "invalid_request_error"
        } else {
            "api_error"
        };
        let mut converted = Self::new(status, type_, error.to_string());
        if let Some(param) = error.param() {
            converted = converted.with_param(param);
        }
        match error.code() {
            Some(code) => converted.with_code(code),
            None => converted,
        }
    }
}

/// An error of the store of virtual keys.
impl From<gateway_store::Error> for ApiError {
    fn from(error: gateway_store::Error) -> Self {
        use gateway_store::ErrorKind;
        let (status, type_, code) = match error.kind() {
            ErrorKind::InvalidInput => return Self::invalid(error.to_string()),
            ErrorKind::BudgetExceeded => {
                let message = format!("budget has been exceeded: {error}");
                let status = StatusCode::TOO_MANY_REQUESTS;
                return Self::new(status, "budget_exceeded", message)
                    .with_code("budget_exceeded")
                    .with_no_retry();
            }
            ErrorKind::QueueFull => {
                let message = "too many usage records wait for the database; try again later";
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message)
                    .with_code("database_unavailable");
            }
            ErrorKind::NotFound => (StatusCode::NOT_FOUND, "invalid_request_error", "not_found"),
            ErrorKind::Conflict => (StatusCode::CONFLICT, "invalid_request_error", "conflict"),
            // The store logs its outages; their texts may name files and hosts.
            _ if error.is_outage() => {
                let message = "the database does not answer; try again later";
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message)
                    .with_code("database_unavailable");
            }
            _ => {
                let text = error.to_string();
                tracing::error!(error = &*excerpt(&text), "the store failed");
                let mut error = Self::internal();
                error.0.was_logged = true;
                return error;
            }
        };
        Self::new(status, type_, error.to_string()).with_code(code)
    }
}

/// The error of a provider, with its message, and with its status if the client can act on it.
///
/// A rejected upstream key keeps its 401, 402 or 403, as clients of LiteLLM expect. The message
/// names the provider, to distinguish its key from the gateway's.
impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        log(&error);
        let Mapping {
            status,
            type_,
            code,
            keeps_status,
        } = mapping(error.kind());
        let upstream = error
            .status()
            .filter(|status| keeps_status && status.is_client_error());
        let mut message = Cow::Borrowed(error.message());
        // It may be an internal address. The log has it.
        if let Some(host) = error.host().filter(|host| message.contains(host)) {
            message = message.replace(host, "the upstream").into();
        }
        let message = match error.provider() {
            Some(provider) => format!("{provider}: {message}"),
            None => message.into_owned(),
        };
        Self(Box::new(Inner {
            status: upstream.unwrap_or(status),
            type_,
            message: message.into(),
            param: error.param().map(str::to_owned),
            code: error
                .code()
                .map(|code| Cow::Owned(code.to_owned()))
                .or_else(|| code.map(Cow::Borrowed)),
            retry_after: error.retry_after(),
            allow: None,
            is_final: !error.is_retryable(),
            provider: error.provider().map(str::to_owned),
            rates: None,
            was_logged: true,
        }))
    }
}

/// Logs a failure: as a warning, unless the client caused it.
fn log(error: &Error) {
    let (text, cause) = (error.to_string(), cause(error));
    let (text, cause) = (logged(&text), cause.as_deref().map(logged));
    let (model, cause) = (error.model(), cause.as_deref());
    if is_client_error(error) {
        tracing::info!(error = %text, model, cause, "rejected a request");
    } else {
        tracing::warn!(error = %text, model, cause, "an upstream failed");
    }
}

/// Whether the request is invalid, according to the gateway or the upstream.
fn is_client_error(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::ContentFilter
        | ErrorKind::ContextWindow
        | ErrorKind::InvalidRequest
        | ErrorKind::Unsupported => true,
        // If an upstream does not know the model, the configuration is wrong.
        ErrorKind::NotFound => error.provider().is_none(),
        _ => false,
    }
}

/// A text from an upstream or a client as one line of limited length.
fn logged(text: &str) -> Cow<'_, str> {
    printable(&text[..text.floor_char_boundary(LOGGED)])
}

/// The causes of an error, for the log only: they may name internal addresses.
fn cause(error: &Error) -> Option<String> {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    (!causes.is_empty()).then(|| causes.join(": "))
}

/// The HTTP error of an error kind.
struct Mapping {
    status: StatusCode,
    type_: &'static str,
    code: Option<&'static str>,
    /// Whether the upstream's own status is kept if it is a client error (4xx).
    keeps_status: bool,
}

fn mapping(kind: ErrorKind) -> Mapping {
    let (status, type_, code, keeps_status) = match kind {
        ErrorKind::Auth => (
            401,
            "authentication_error",
            Some("upstream_key_refused"),
            true,
        ),
        ErrorKind::InsufficientCredit => {
            (402, "insufficient_quota", Some("insufficient_quota"), true)
        }
        ErrorKind::Permission => (403, "permission_error", None, true),
        ErrorKind::NotFound => (404, "invalid_request_error", None, false),
        ErrorKind::ContentFilter => (400, "invalid_request_error", Some("content_filter"), true),
        ErrorKind::ContextWindow => (
            400,
            "invalid_request_error",
            Some("context_length_exceeded"),
            // Together's is 403, which clients take for a missing permission.
            false,
        ),
        ErrorKind::InvalidRequest => (400, "invalid_request_error", None, true),
        // As in LiteLLM. Only the client can change the input with which the model fails.
        ErrorKind::ModelFailed => (422, "invalid_request_error", Some("model_failed"), false),
        ErrorKind::Unsupported => (400, "invalid_request_error", Some("unsupported"), true),
        ErrorKind::RateLimited => (429, "rate_limit_error", Some("rate_limit_exceeded"), true),
        ErrorKind::Overloaded => (503, "service_unavailable_error", Some("overloaded"), false),
        ErrorKind::Timeout => (504, "timeout_error", Some("upstream_timeout"), false),
        ErrorKind::Cancelled => (502, "api_error", Some("upstream_cancelled"), false),
        ErrorKind::Transport => (502, "api_error", Some("upstream_unreachable"), false),
        ErrorKind::UnexpectedBody => (502, "api_error", Some("upstream_unreadable"), false),
        _ => (502, "api_error", Some("upstream_failed"), false),
    };
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    Mapping {
        status,
        type_,
        code,
        keeps_status,
    }
}

/// The maximum length of one text in the log, in bytes.
const LOGGED: usize = 2000;

/// For OpenAI's clients, it takes precedence over the status.
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
