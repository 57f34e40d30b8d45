use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{Error, ErrorKind, Json, Result};

/// A request on its way to a provider.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Call<T> {
    /// The request body, in OpenAI's schema (rerank: Cohere's).
    pub body: Json<T>,
    /// Leave out, and report in [`Metadata::dropped_params`], what the provider cannot honour;
    /// otherwise that is an error.
    pub drop_params: bool,
    /// How long the whole call may take; for a stream, how long the first chunk may take.
    pub timeout: Option<Duration>,
}

impl<T> Call<T> {
    /// A call with no time limit of its own.
    pub fn new(body: Json<T>) -> Self {
        Self {
            body,
            drop_params: false,
            timeout: None,
        }
    }

    /// Limits the time.
    #[must_use]
    pub fn with_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Lets the provider leave out what it cannot honour.
    #[must_use]
    pub fn with_drop_params(mut self, drop_params: bool) -> Self {
        self.drop_params = drop_params;
        self
    }

    /// A call like this one, with another body.
    #[must_use]
    pub fn like<U>(&self, body: Json<U>) -> Call<U> {
        Call {
            body,
            drop_params: self.drop_params,
            timeout: self.timeout,
        }
    }
}

impl<T: Serialize + DeserializeOwned> Call<T> {
    /// The request, read.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for a body that is none, telling where without quoting it.
    pub fn request(&self) -> Result<&T> {
        self.body.value().map_err(|_| {
            let message = match llm_types::parse::<T>(self.body.bytes()) {
                Err(error) => format!("the request cannot be read: {error}"),
                Ok(_) => "the request cannot be read".to_owned(),
            };
            Error::new(ErrorKind::InvalidRequest, message)
        })
    }
}

/// An answer and what is known about how it came to be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Reply<T> {
    /// The answer, in OpenAI's schema (rerank: Cohere's).
    pub body: Json<T>,
    /// How it came to be.
    pub metadata: Metadata,
}

impl<T> Reply<T> {
    /// Joins an answer and its metadata.
    pub fn new(body: Json<T>, metadata: Metadata) -> Self {
        Self { body, metadata }
    }
}

/// What a provider tells about a call beside the answer.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Metadata {
    /// The provider's name.
    pub provider: &'static str,
    /// The model as the upstream knows it.
    pub model: String,
    /// The deployment that a router chose.
    pub deployment: Option<String>,
    /// How many deployments a router tried, this one included; 0 without a router.
    pub attempts: u32,
    /// The upstream's own id for the call: a request id, a prediction id.
    pub upstream_id: Option<String>,
    /// The request parameters that were left out because the provider cannot honour them.
    pub dropped_params: Vec<String>,
    /// What only this provider tells, such as the template family that formatted the prompt.
    pub extra: Map<String, Value>,
}

impl Metadata {
    /// Metadata of a call to `model` of `provider`.
    pub fn new(provider: &'static str, model: impl Into<String>) -> Self {
        Self {
            provider,
            model: model.into(),
            ..Self::default()
        }
    }
}
