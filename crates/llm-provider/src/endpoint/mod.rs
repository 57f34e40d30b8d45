//! The operations of the OpenAI API. Each has a file that contains everything specific to it.

mod as_chat;
mod calls;
mod chat;
mod check;
mod chunks;
mod completions;
mod embeddings;
mod moderations;
mod native;
mod params;
mod parts;
mod repair;
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
pub use self::native::{NativeMessages, NativeResponses};
pub use self::rerank::Rerank;

/// One operation of the OpenAI API, such as [`Chat`].
///
/// Providers, router, gateway and clients treat all endpoints alike; their differences are in
/// implementations of this trait. To add an endpoint, implement this trait in a new file and add it to [`ENDPOINTS`].
///
/// Replies and chunks are *normalized*: what an OpenAI-compatible upstream sends is converted to what
/// OpenAI's clients expect. Bodies that need no change keep their bytes.
pub trait Endpoint: fmt::Debug + Send + Sync + 'static {
    /// The capability that a provider needs for it.
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

    /// Normalizes a reply in one piece.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedBody`](crate::ErrorKind::UnexpectedBody) if it is not a reply.
    fn normalize(
        &self,
        request: &Document,
        reply: Document,
        metadata: &mut Metadata,
    ) -> Result<Document>;

    /// The parameters of requests, in alphabetical order. A provider declares the parameters that
    /// only its API has ([`ProviderSpec::with_params`](crate::ProviderSpec::with_params)).
    fn params(&self) -> &'static [ParamSpec] {
        &[]
    }

    /// The headers of a client's request that belong to the API, in lower case. Providers send those of
    /// [`Call::headers`](crate::Call::headers) to the upstream.
    fn request_headers(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether every reply names its model, as OpenAI's do.
    fn names_model(&self) -> bool {
        true
    }

    /// Whether replies can be streamed.
    fn is_streamed(&self) -> bool {
        false
    }

    /// Creates the normalizer of the streamed reply to `request`; `None` if replies are not streamed.
    fn chunks(&self, request: &Document) -> Option<Box<dyn Normalize>> {
        let _ = request;
        None
    }

    /// Splits a reply in one piece into chunks. A text completion is a chunk as it is.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedBody`](crate::ErrorKind::UnexpectedBody) if it is not a reply.
    fn split(&self, reply: Document) -> Result<Vec<Document>> {
        Ok(vec![reply])
    }

    /// Creates an accumulator, which joins chunks into the reply that would have come in one piece;
    /// `None` if replies are not streamed.
    fn accumulator(&self) -> Option<Box<dyn Accumulate>> {
        None
    }
}

/// Joins the chunks of one reply; see [`Endpoint::accumulator`].
pub trait Accumulate: Send {
    /// Adds a chunk.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedBody`](crate::ErrorKind::UnexpectedBody) if it is not a chunk.
    fn push(&mut self, chunk: &Chunk) -> Result<()>;

    /// The reply so far.
    fn finish(self: Box<Self>) -> Document;
}

/// A request type, with its endpoint and its response type.
pub trait Request: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The reply in one piece.
    type Response: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// The endpoint.
    const ENDPOINT: &'static dyn Endpoint;
}

/// A [`Request`] whose reply can be streamed.
pub trait StreamingRequest: Request {
    /// A chunk of the reply.
    type Chunk: Serialize + DeserializeOwned + Send + Sync + 'static;
}

/// All endpoints that the gateway serves as they are. [`NativeMessages`] and [`NativeResponses`] are
/// not among them: most upstreams do not have them, and the gateway translates them to chats.
pub const ENDPOINTS: &[&dyn Endpoint] = &[&Chat, &Completions, &Embeddings, &Moderations, &Rerank];
