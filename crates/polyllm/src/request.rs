use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use llm_provider::endpoint::{self, StreamingRequest};
use llm_provider::text::excerpt;
use llm_provider::{COMMON_SETTINGS, Call, Error, ErrorKind, Provider, Reply, ReplyStream, Result};
use llm_types::completions::CompletionRequest;
use llm_types::embeddings::{EmbeddingRequest, EncodingFormat};
use llm_types::rerank::RerankRequest;
use llm_types::{ChatRequest, Stop};
use serde_json::{Map, Value};

use crate::{AccumulatingStream, Client};

/// A request to a model. Await it for the response, or [`stream`](Self::stream) the reply.
///
/// `R` is the body. See [`ChatBuilder`], [`CompletionBuilder`], [`EmbeddingBuilder`] and
/// [`RerankBuilder`] for the methods of each.
///
/// Retries and time limits are settings of the provider
/// ([`Client::with_settings`](crate::Client::with_settings)): by default, a call that the upstream
/// cannot have billed is sent again up to twice, and a call may take ten minutes.
#[derive(Clone)]
#[must_use = "nothing happens until it is sent"]
pub struct RequestBuilder<'c, R> {
    client: &'c Client,
    model: String,
    pub(crate) body: R,
    params: Map<String, Value>,
    drop_params: bool,
    timeout: Option<Duration>,
}

/// A chat request.
pub type ChatBuilder<'c> = RequestBuilder<'c, ChatRequest>;

/// A text completion request.
pub type CompletionBuilder<'c> = RequestBuilder<'c, CompletionRequest>;

/// An embeddings request.
pub type EmbeddingBuilder<'c> = RequestBuilder<'c, EmbeddingRequest>;

/// A rerank request.
pub type RerankBuilder<'c> = RequestBuilder<'c, RerankRequest>;

impl<'c, R> RequestBuilder<'c, R> {
    pub(crate) fn new(client: &'c Client, model: impl Into<String>, body: R) -> Self {
        Self {
            client,
            model: model.into(),
            body,
            params: Map::new(),
            drop_params: client.drops_params(),
            timeout: None,
        }
    }

    /// Changes any member of the request, such as log probabilities or the number of choices.
    pub fn with_request(mut self, change: impl FnOnce(&mut R)) -> Self {
        change(&mut self.body);
        self
    }

    /// Sets a parameter that is not in OpenAI's schema, such as `top_k` or `min_tokens`. It is sent
    /// unchanged.
    ///
    /// The call fails with `InvalidRequest` for names that are not parameters: members that the
    /// request already has (`model`, `messages`, `max_tokens` after
    /// [`with_max_tokens`](ChatBuilder::with_max_tokens)), `stream`, and settings of the account
    /// ([`COMMON_SETTINGS`]), which would be sent to the upstream in the body.
    pub fn with_param(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.params.insert(name.into(), value.into());
        self
    }

    /// Sets whether parameters that the provider does not support are left out. By default, the
    /// call fails, unless the client [drops parameters](Client::with_drop_params).
    pub fn with_drop_params(mut self, drop_params: bool) -> Self {
        self.drop_params = drop_params;
        self
    }

    /// Sets the time limit, instead of that of the provider's settings: of a reply with all its
    /// retries, or of a stream until the upstream has accepted the request. A call that passes it
    /// fails with [`ErrorKind::Timeout`].
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl<R: endpoint::Request> RequestBuilder<'_, R> {
    /// Sends the request and waits for the complete reply.
    ///
    /// # Errors
    /// Those of the provider; [`ErrorKind::Unsupported`] when it does not support the endpoint.
    pub async fn send(self) -> Result<R::Response> {
        self.reply().await?.read()
    }

    /// Sends the request and waits for the complete reply, as JSON with its metadata.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    pub async fn reply(self) -> Result<Reply> {
        let (provider, call) = self.prepare()?;
        provider.send(call).await
    }

    fn prepare(self) -> Result<(Arc<dyn Provider>, Call)> {
        let (provider, model) = self.client.resolve(&self.model)?;
        let mut call = Call::of(&self.body)
            .with_drop_params(self.drop_params)
            .with_timeout(self.timeout);
        provider.require(&call)?;
        call.body.set("model", model);
        for name in self.params.keys() {
            check_param(name, call.body.has(name))?;
        }
        for (name, value) in self.params {
            call.body.set(name, value);
        }
        Ok((provider, call))
    }
}

/// Checks that `name` can be a parameter; `is_set` if the request already has it.
fn check_param(name: &str, is_set: bool) -> Result<()> {
    let quoted = excerpt(name);
    let message = if COMMON_SETTINGS.iter().any(|setting| setting.name == name) {
        format!(
            "`{quoted}` is a setting of the account, not a parameter: see Client::with_settings"
        )
    } else if name == "stream" {
        "`stream` is not a parameter: call `send` or `stream`".to_owned()
    } else if is_set {
        format!("the parameter `{quoted}` is set twice: the request has it already")
    } else {
        return Ok(());
    };
    Err(Error::new(ErrorKind::InvalidRequest, message).with_param(name.to_owned()))
}

impl<R: StreamingRequest> RequestBuilder<'_, R> {
    /// Sends the request and returns the reply as it arrives.
    ///
    /// # Errors
    /// Those of [`send`](Self::send) until the provider has accepted the request.
    pub async fn stream(self) -> Result<ReplyStream> {
        let (provider, call) = self.prepare()?;
        provider.stream(call).await
    }

    /// Sends the request and returns the reply as it arrives; the stream also returns the whole
    /// response at its end.
    ///
    /// # Errors
    /// Those of [`stream`](Self::stream).
    pub async fn accumulating_stream(self) -> Result<AccumulatingStream<R>> {
        self.stream().await.map(AccumulatingStream::new)
    }
}

/// Sends the request, as [`send`](RequestBuilder::send) does.
impl<'c, R: endpoint::Request> IntoFuture for RequestBuilder<'c, R> {
    type Output = Result<R::Response>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'c>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.send())
    }
}

impl CompletionBuilder<'_> {
    /// Sets the maximum number of tokens to generate.
    pub fn with_max_tokens(mut self, max_tokens: u64) -> Self {
        self.body.max_tokens = Some(max_tokens);
        self
    }

    /// Sets the stop sequences.
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

impl EmbeddingBuilder<'_> {
    /// Sets the number of dimensions of each vector, for models that support it.
    pub fn with_dimensions(mut self, dimensions: u64) -> Self {
        self.body.dimensions = Some(dimensions);
        self
    }

    /// Sets the format of the vectors on the wire; [`Vector::to_f32s`] reads both formats.
    ///
    /// [`Vector::to_f32s`]: llm_types::embeddings::Vector::to_f32s
    pub fn with_encoding_format(mut self, format: EncodingFormat) -> Self {
        self.body.encoding_format = Some(format);
        self
    }
}

impl RerankBuilder<'_> {
    /// Sets the maximum number of results.
    pub fn with_top_n(mut self, top_n: u64) -> Self {
        self.body.top_n = Some(top_n);
        self
    }

    /// Sets whether to include the documents in the results.
    pub fn with_return_documents(mut self, wanted: bool) -> Self {
        self.body.return_documents = Some(wanted);
        self
    }
}

/// Leaves out the body, which contains a prompt.
impl<R> fmt::Debug for RequestBuilder<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBuilder")
            .field("model", &self.model)
            .field("drop_params", &self.drop_params)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}
