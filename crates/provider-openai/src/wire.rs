use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use llm_provider::{Call, Capability, Error, Result};

use crate::config::NAME;
use crate::error::read_error;
use crate::generation::Generation;

/// The differences between an upstream's API and OpenAI's. The default of each method is OpenAI's
/// behaviour.
pub trait Dialect: fmt::Debug + Send + Sync + 'static {
    /// The provider's name.
    fn provider(&self) -> &'static str;

    /// Rewrites a request where the upstream's schema differs.
    ///
    /// A request that needs no change is sent byte for byte.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](llm_provider::ErrorKind::Unsupported) with the name of a parameter
    /// that the upstream does not support ([`Call::refuse`]), and
    /// [`ErrorKind::InvalidRequest`](llm_provider::ErrorKind::InvalidRequest) for one that cannot be
    /// read.
    fn request(&self, call: &mut Call) -> Result<()> {
        let _ = call;
        Ok(())
    }

    /// Converts a response whose status is not a success to an error.
    ///
    /// The default reads OpenAI's envelope. The kind comes from the status and the code, never from
    /// the words of the message.
    fn error(&self, status: StatusCode, headers: &HeaderMap, body: Bytes) -> Error {
        read_error(status, headers, body)
    }

    /// Rewrites a chunk of a stream where the upstream's schema differs.
    ///
    /// The default returns the chunk unchanged. OpenAI's error envelope needs no rewriting.
    ///
    /// # Errors
    /// The failure that the upstream reports in place of a chunk, which ends the stream.
    fn chunk(&self, data: Bytes) -> Result<Bytes> {
        Ok(data)
    }
}

/// OpenAI's own wire.
#[derive(Debug)]
pub(crate) struct OpenAiDialect;

impl Dialect for OpenAiDialect {
    fn provider(&self) -> &'static str {
        NAME
    }

    fn request(&self, call: &mut Call) -> Result<()> {
        if call.endpoint.capability() == Capability::Chat {
            Generation::of(&call.model()).fit(call)?;
        }
        Ok(())
    }
}
