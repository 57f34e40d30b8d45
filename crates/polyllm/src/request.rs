use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use llm_provider::{
    Call, Error, ErrorKind, Json, Operation, Provider, Reply, ReplyStream, Result,
    StreamingOperation,
};
use llm_types::completions::CompletionRequest;
use llm_types::embeddings::{EmbeddingRequest, EncodingFormat};
use llm_types::rerank::RerankRequest;
use llm_types::{ChatRequest, Content, Message, Stop};
use serde_json::{Map, Value};

use crate::Client;

/// A request being put together; [`send`](Self::send) it, or [`stream`](Self::stream) its answer.
///
/// `R` is what is asked for; see [`Chat`], [`Completion`], [`Embedding`] and [`Rerank`] for what
/// can be set besides.
#[must_use = "nothing happens until it is sent"]
pub struct Request<'c, R> {
    client: &'c Client,
    model: String,
    body: R,
    params: Map<String, Value>,
    drop_params: bool,
    timeout: Option<Duration>,
}

/// A chat being put together.
pub type Chat<'c> = Request<'c, ChatRequest>;

/// A text completion being put together.
pub type Completion<'c> = Request<'c, CompletionRequest>;

/// A request for embeddings being put together.
pub type Embedding<'c> = Request<'c, EmbeddingRequest>;

/// A rerank being put together.
pub type Rerank<'c> = Request<'c, RerankRequest>;

impl<'c, R> Request<'c, R> {
    pub(crate) fn new(client: &'c Client, model: impl Into<String>, body: R) -> Self {
        Self {
            client,
            model: model.into(),
            body,
            params: Map::new(),
            drop_params: false,
            timeout: None,
        }
    }

    /// Changes anything in the request: tools, response format, stop sequences, seed.
    pub fn with_request(mut self, change: impl FnOnce(&mut R)) -> Self {
        change(&mut self.body);
        self
    }

    /// Sets a parameter that is no part of OpenAI's schema, such as `top_k` or `min_tokens`. One
    /// that the request has set otherwise stays as it is.
    pub fn with_param(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.params.insert(name.into(), value.into());
        self
    }

    /// Leaves out what the provider cannot honour, instead of failing.
    pub fn with_drop_params(mut self) -> Self {
        self.drop_params = true;
        self
    }

    /// Limits the time: of the whole answer, or of a stream's first chunk.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl<R: Operation> Request<'_, R> {
    /// Sends the request and waits for the whole answer.
    ///
    /// # Errors
    /// Those of the provider; [`ErrorKind::Unsupported`] when it cannot be asked for this.
    pub async fn send(self) -> Result<R::Response> {
        let Reply { body, metadata, .. } = self.reply().await?;
        body.into_value().map_err(|error| {
            let message = format!("the answer ({}) cannot be read: {error}", R::CAPABILITY);
            Error::new(ErrorKind::UnexpectedBody, message)
                .with_provider(metadata.provider)
                .with_model(metadata.model)
                .with_source(error)
        })
    }

    /// Sends the request and waits for the whole answer and what is told beside it.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub async fn reply(self) -> Result<Reply<R::Response>> {
        let (provider, call) = self.prepare()?;
        R::send(&*provider, call).await
    }

    fn prepare(self) -> Result<(Arc<dyn Provider>, Call<R>)> {
        let (provider, model) = self.client.resolve(&self.model)?;
        provider
            .capabilities()
            .require(R::CAPABILITY, provider.name())?;
        let body = Json::from_value(self.body).edit([("model", model.into())], &self.params)?;
        let call = Call::new(body)
            .with_drop_params(self.drop_params)
            .with_timeout(self.timeout);
        Ok((provider, call))
    }
}

impl<R: StreamingOperation> Request<'_, R> {
    /// Sends the request and returns the answer as it arrives.
    ///
    /// # Errors
    /// Those of [`send`](Self::send), up to the provider's first sign of life.
    pub async fn stream(self) -> Result<ReplyStream<R::Chunk>> {
        let (provider, call) = self.prepare()?;
        R::stream(&*provider, call).await
    }
}

impl Chat<'_> {
    /// Adds a system message.
    pub fn with_system(self, text: impl Into<Content>) -> Self {
        self.with_messages([Message::system(text)])
    }

    /// Adds a user message: text, or parts with images.
    pub fn with_user(self, text: impl Into<Content>) -> Self {
        self.with_messages([Message::user(text)])
    }

    /// Adds messages.
    pub fn with_messages(mut self, messages: impl IntoIterator<Item = Message>) -> Self {
        self.body.messages.extend(messages);
        self
    }

    /// Limits the answer's length in tokens.
    pub fn with_max_tokens(mut self, max_tokens: u64) -> Self {
        self.body.max_tokens = Some(max_tokens);
        self
    }

    /// Sets the sampling temperature.
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        self.body.temperature = Some(temperature.into());
        self
    }
}

impl Completion<'_> {
    /// Limits the answer's length in tokens.
    pub fn with_max_tokens(mut self, max_tokens: u64) -> Self {
        self.body.max_tokens = Some(max_tokens);
        self
    }

    /// Sets where to stop writing.
    pub fn with_stop(mut self, stop: impl Into<Stop>) -> Self {
        self.body.stop = Some(stop.into());
        self
    }

    /// Sets the sampling temperature.
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        self.body.temperature = Some(temperature.into());
        self
    }
}

impl Embedding<'_> {
    /// Sets how many numbers each vector has, for models that let one choose.
    pub fn with_dimensions(mut self, dimensions: u64) -> Self {
        self.body.dimensions = Some(dimensions);
        self
    }

    /// Sets how vectors are written on the wire; [`Vector::to_f32s`] reads either form.
    ///
    /// [`Vector::to_f32s`]: llm_types::embeddings::Vector::to_f32s
    pub fn with_encoding_format(mut self, format: EncodingFormat) -> Self {
        self.body.encoding_format = Some(format);
        self
    }
}

impl Rerank<'_> {
    /// Sets how many results to tell.
    pub fn with_top_n(mut self, top_n: u64) -> Self {
        self.body.top_n = Some(top_n);
        self
    }

    /// Asks for the documents in the results, or not.
    pub fn with_return_documents(mut self, wanted: bool) -> Self {
        self.body.return_documents = Some(wanted);
        self
    }
}

/// Leaves the body out: it holds a prompt.
impl<R> fmt::Debug for Request<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("model", &self.model)
            .field("drop_params", &self.drop_params)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
