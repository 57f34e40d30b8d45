use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use llm_provider::openai::{Dialect, Translated, Translation};
use llm_provider::{Call, Error, Result};
use llm_types::ChatRequest;

use crate::config::NAME;
use crate::error;

/// OpenAI's dialect as Acme speaks it.
#[derive(Debug)]
pub(crate) struct AcmeDialect;

impl Dialect for AcmeDialect {
    fn provider(&self) -> &'static str {
        NAME
    }

    fn chat_request(&self, call: &Call<ChatRequest>) -> Result<Translated<ChatRequest>> {
        let mut request = Translation::new(call)?;
        // What Acme knows by another name, and what it cannot do: never dropped in silence.
        request.rename("max_completion_tokens", "max_tokens");
        request.refuse("logit_bias")?;
        request.finish()
    }

    fn error(&self, status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
        error::read(status, headers, body)
    }
}
