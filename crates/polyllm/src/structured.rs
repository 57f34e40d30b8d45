//! Structured output: a chat's response as a value of the caller's type.

use llm_types::{ChatResponse, FinishReason, ResponseFormat};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{ChatBuilder, Error, ErrorKind, Metadata, Result};

impl ChatBuilder<'_> {
    /// Sends the request and reads the response as a `T`. The JSON schema of `T` is the request's
    /// response format.
    ///
    /// ```no_run
    /// use polyllm::schemars::{self, JsonSchema};
    /// use serde::Deserialize;
    ///
    /// #[derive(Debug, Deserialize, JsonSchema)]
    /// struct City {
    ///     name: String,
    ///     /// The number of inhabitants.
    ///     population: u64,
    /// }
    ///
    /// # async fn example() -> polyllm::Result<()> {
    /// let client = polyllm::Client::from_env()?;
    /// let city: City = client
    ///     .chat("together_ai/openai/gpt-oss-20b")
    ///     .with_user("What is the largest city of Switzerland?")
    ///     .json()
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`send`](Self::send), such as [`ErrorKind::Unsupported`] for a provider without
    /// response formats. [`ErrorKind::ContentFilter`] if the model refuses,
    /// [`ErrorKind::ModelFailed`] if the response ends at the maximum number of tokens, and
    /// [`ErrorKind::UnexpectedBody`] if it is not a `T`. No error contains the model's text.
    pub async fn json<T: JsonSchema + DeserializeOwned>(self) -> Result<T> {
        let request = self.with_response_format(ResponseFormat::typed::<T>());
        let reply = request.reply().await?;
        read(&reply.read()?).map_err(|error| of_call(error, &reply.metadata))
    }
}

fn read<T: DeserializeOwned>(response: &ChatResponse) -> Result<T> {
    let Some(choice) = response.choices.first() else {
        let message = "the response has no choice";
        return Err(Error::new(ErrorKind::UnexpectedBody, message));
    };
    if choice.message.refusal.is_value() {
        let message = "the model refused to respond";
        return Err(Error::new(ErrorKind::ContentFilter, message));
    }
    if choice.finish_reason.value() == Some(&FinishReason::Length) {
        let message = "the response ends at the maximum number of tokens: raise max_tokens";
        return Err(Error::new(ErrorKind::ModelFailed, message));
    }
    response.json().map_err(|error| {
        let message = format!("the response does not have the requested format: {error}");
        Error::new(ErrorKind::UnexpectedBody, message).with_source(error)
    })
}

fn of_call(error: Error, metadata: &Metadata) -> Error {
    error
        .with_provider(metadata.provider)
        .with_model(metadata.model.as_str())
}
