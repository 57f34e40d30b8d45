use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use llm_provider::{Call, Error, Result};
use provider_openai::Dialect;

use crate::config::NAME;
use crate::error;

/// Acme's dialect of OpenAI's API.
#[derive(Debug)]
pub(crate) struct AcmeDialect {
    pub(crate) safe_mode: bool,
}

impl Dialect for AcmeDialect {
    fn provider(&self) -> &'static str {
        NAME
    }

    fn request(&self, call: &mut Call) -> Result<()> {
        // Parameters that Acme names differently are renamed, and those that it does not support
        // are rejected, never dropped silently.
        call.body.rename("max_completion_tokens", "max_tokens");
        if self.safe_mode {
            call.body.set_default("safe_mode", true);
        }
        call.refuse("logit_bias")
    }

    fn error(&self, status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
        error::read(status, headers, body)
    }
}
