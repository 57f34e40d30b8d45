//! The operations of the OpenAI API: one file each, with everything that the layers need to know
//! about it.

mod as_chat;
mod chat;
mod check;
mod chunks;
mod completions;
mod embeddings;
mod moderations;
mod params;
mod rerank;

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Capability, Document, Metadata, ParamSpec, Result};

pub use self::as_chat::{as_chat, as_chat_stream};
pub use self::chat::Chat;
pub use self::check::model_name as check_model_name;
pub use self::chunks::{Chunk, Normalize, Step};
pub use self::completions::Completions;
pub use self::embeddings::Embeddings;
pub use self::moderations::Moderations;
pub use self::rerank::Rerank;

/// One operation of the OpenAI API, such as [`Chat`].
///
/// Providers, router, gateway and clients treat all operations alike: what distinguishes one is
/// here. To add one, implement this trait in a new file and add it to [`ENDPOINTS`].
///
/// Answers and chunks are *normalized*: whatever an OpenAI-compatible upstream sends becomes what
/// OpenAI's clients expect. What needs no change keeps its bytes.
pub trait Endpoint: fmt::Debug + Send + Sync + 'static {
    /// What a provider has to offer for it.
    fn capability(&self) -> Capability;

    /// The path below the base URL of an upstream and of the gateway, such as
    /// `/v1/chat/completions`.
    fn path(&self) -> &'static str;

    /// Checks what every upstream would reject: missing members and wrong types. Ranges are left
    /// to the upstream.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`](crate::ErrorKind::InvalidRequest) with the member's path as
    /// [`param`](crate::Error::param).
    fn check(&self, request: &Document) -> Result<()>;

    /// Normalizes an answer in one piece.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedBody`](crate::ErrorKind::UnexpectedBody) when it is not an answer.
    fn normalize(
        &self,
        request: &Document,
        answer: Document,
        metadata: &mut Metadata,
    ) -> Result<Document>;

    /// The parameters of its requests, in alphabetical order. A provider declares those that only
    /// its API has ([`ProviderSpec::with_params`](crate::ProviderSpec::with_params)).
    fn params(&self) -> &'static [ParamSpec] {
        &[]
    }

    /// Whether every answer names its model, as OpenAI's do.
    fn names_model(&self) -> bool {
        true
    }

    /// Whether answers can be streamed.
    fn is_streamed(&self) -> bool {
        false
    }

    /// What normalizes the chunks of the answer to `request`; `None` if answers are not streamed.
    fn chunks(&self, request: &Document) -> Option<Box<dyn Normalize>> {
        let _ = request;
        None
    }

    /// What joins chunks into the answer that would have come in one piece; `None` if answers are
    /// not streamed.
    fn accumulator(&self) -> Option<Box<dyn Accumulate>> {
        None
    }
}

/// Joins the chunks of one answer; see [`Endpoint::accumulator`].
pub trait Accumulate: Send {
    /// Adds a chunk.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedBody`](crate::ErrorKind::UnexpectedBody) when it is not a chunk.
    fn push(&mut self, chunk: &Chunk) -> Result<()>;

    /// The answer so far.
    fn finish(self: Box<Self>) -> Document;
}

/// A request type, and with it the types of its endpoint's answers.
pub trait Request: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The answer in one piece.
    type Response: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// The operation.
    const ENDPOINT: &'static dyn Endpoint;
}

/// A [`Request`] whose answer can be streamed.
pub trait StreamingRequest: Request {
    /// A piece of the answer.
    type Chunk: Serialize + DeserializeOwned + Send + Sync + 'static;
}

/// All operations.
pub const ENDPOINTS: &[&dyn Endpoint] = &[&Chat, &Completions, &Embeddings, &Moderations, &Rerank];
