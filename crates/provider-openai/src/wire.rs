use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use llm_provider::{Call, Error, Result};

use crate::config::NAME;
use crate::error::read_error;

/// What an upstream does differently from OpenAI. Every method's default is OpenAI's own way.
pub trait Dialect: fmt::Debug + Send + Sync + 'static {
    /// The provider's name.
    fn provider(&self) -> &'static str;

    /// Rewrites a request where the upstream's schema differs.
    ///
    /// A request that needs no change is sent as the bytes that came.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](llm_provider::ErrorKind::Unsupported), naming the parameter, for
    /// what the upstream does not support ([`Call::refuse`]), and
    /// [`ErrorKind::InvalidRequest`](llm_provider::ErrorKind::InvalidRequest) for what cannot be
    /// read.
    fn request(&self, call: &mut Call) -> Result<()> {
        let _ = call;
        Ok(())
    }

    /// Reads an answer whose status is not a success.
    ///
    /// The default reads OpenAI's envelope; status and code decide on the kind, never the words of
    /// the message.
    fn error(&self, status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
        read_error(status, headers, body)
    }
}

/// OpenAI's own wire.
#[derive(Debug)]
pub(crate) struct OpenAiDialect;

impl Dialect for OpenAiDialect {
    fn provider(&self) -> &'static str {
        NAME
    }
}
