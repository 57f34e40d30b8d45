//! Together's error bodies, as recorded.

use serde_json::{Value, json};

use crate::http::{Answer, full, set};
use crate::together::JSON;
use crate::together::limits::Allowance;

/// A rejected request, in the envelope of `/chat/completions`.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    kind: &'static str,
    message: String,
    param: Option<&'static str>,
    code: Option<&'static str>,
    /// A rate limit was exceeded: includes the client's state.
    allowance: Option<Box<Allowance>>,
}

impl Refusal {
    pub(crate) fn invalid(param: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: 400,
            kind: "invalid_request_error",
            message: message.into(),
            param: Some(param),
            code: None,
            allowance: None,
        }
    }

    pub(crate) fn body(message: impl Into<String>) -> Self {
        Self {
            param: None,
            ..Self::invalid("", message)
        }
    }

    pub(crate) fn key() -> Self {
        Self {
            status: 401,
            code: Some("invalid_api_key"),
            ..Self::body(
                "Invalid API key provided. You can find your API key at \
                 https://api.together.ai/settings/api-keys.",
            )
        }
    }

    pub(crate) fn model(name: &str) -> Self {
        Self {
            status: 404,
            code: Some("model_not_available"),
            ..Self::body(format!(
                "Unable to access model {name}. Please visit https://api.together.ai/models to \
                 view the list of supported models."
            ))
        }
    }

    pub(crate) fn language_model(name: &str) -> Self {
        Self::body(format!(
            "{name} is not a chat model. Use /completions instead."
        ))
    }

    pub(crate) fn streaming_required() -> Self {
        Self {
            code: Some("streaming_required"),
            ..Self::invalid(
                "stream",
                "This model only supports streaming. Set \"stream\": true.",
            )
        }
    }

    pub(crate) fn too_many_requests(model: &str, allowance: Allowance) -> Self {
        Self {
            allowance: Some(Box::new(allowance)),
            ..Self::of_status(
                429,
                Some(&format!(
                    "Request rate limit exceeded for model {model}. Please retry later."
                )),
            )
        }
    }

    pub(crate) fn too_many_tokens(model: &str, allowance: Allowance) -> Self {
        Self {
            kind: "rate_limit",
            allowance: Some(Box::new(allowance)),
            ..Self::of_status(
                429,
                Some(&format!(
                    "Token rate limit exceeded for model {model}. Please retry later."
                )),
            )
        }
    }

    /// The fault `status=…`: the API's own body for that status.
    pub(crate) fn of_status(status: u16, message: Option<&str>) -> Self {
        let (kind, text) = match status {
            401 => return Self::key(),
            402 => (
                "credit_limit",
                "Credit limit exceeded, please add a credit card or prepay at \
                 https://api.together.ai/settings/billing",
            ),
            403 => (
                "invalid_request_error",
                "Input token count + max_tokens parameter must be less than the context length \
                 of the model being queried.",
            ),
            404 => ("invalid_request_error", "Not found"),
            413 => ("invalid_request_error", "Request entity too large"),
            429 => (
                "dynamic_request_limited",
                "Request rate limit exceeded. Please retry later.",
            ),
            500 => ("server_error", "Internal server error"),
            503 => (
                "service_unavailable",
                "The server is overloaded or not ready yet.",
            ),
            504 => ("timeout", "Request timed out"),
            505.. => ("server_error", "Internal server error"),
            _ => ("invalid_request_error", "Invalid request"),
        };
        let message = message.unwrap_or(text).to_owned();
        Self {
            status,
            kind,
            message,
            param: None,
            code: None,
            allowance: None,
        }
    }

    pub(crate) fn error(&self) -> Value {
        json!({
            "message": self.message,
            "type": self.kind,
            "param": self.param,
            "code": self.code,
        })
    }

    pub(crate) fn into_answer(self, id: &str) -> Answer {
        // Cloudflare, in front of the API, sends HTML for its own statuses.
        if (520..=530).contains(&self.status) {
            let page = format!(
                "<!DOCTYPE html>\n<html><head><title>api.together.xyz | {0}</title></head>\n\
                 <body><h1>Error {0}</h1></body></html>\n",
                self.status
            );
            return full(self.status, "text/html; charset=UTF-8", page);
        }
        let mut body = json!({"id": id, "error": self.error()});
        // The position of the documented `error_type` is not documented: readers must look
        // everywhere.
        match self.kind {
            "dynamic_request_limited" => body["error_type"] = json!(self.kind),
            "rate_limit" => body["error"]["error_type"] = json!("dynamic_token_limited"),
            _ => {}
        }
        let mut answer = full(self.status, JSON, format!("{body:#}"));
        match self.allowance {
            Some(allowance) => allowance.set_headers(&mut answer),
            None if self.status == 429 => {
                set(&mut answer, "x-ratelimit-remaining", "0");
                set(&mut answer, "x-ratelimit-reset", "1");
            }
            None => {}
        }
        answer
    }
}
