//! Chats as predictions.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use llm_provider::{
    Call, Capabilities, Capability, ChatStream, Error, ErrorKind, Json, Provider, Reply, Result,
    Settings, with_limit,
};
use llm_types::{ChatRequest, ChatResponse};
use prompt_templates::{Prompts, Template};
use serde_json::json;
use tokio::time::Instant;

use crate::NAME;
use crate::answer::{self, Answer};
use crate::client::Client;
use crate::config::Config;
use crate::input::Input;
use crate::models::Models;
use crate::poll;
use crate::prompt::Style;
use crate::run::{Order, Run};
use crate::stream;
use crate::target::Target;

/// One account with Replicate.
#[derive(Debug)]
pub struct Replicate {
    pub(crate) client: Client,
    models: Models,
    prompts: Prompts,
}

/// A call whose prediction has been made.
pub(crate) struct Started {
    pub(crate) order: Order,
    pub(crate) run: Run,
    pub(crate) input: Input,
    pub(crate) answer: Answer,
}

impl Replicate {
    /// Sets an account up. Key and address are looked for in the
    /// [environment](crate::API_KEY_VARIABLES) when they are not given.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`] without a key; [`ErrorKind::InvalidRequest`] for an address or a
    /// setting that cannot be read.
    pub fn new(settings: Settings) -> Result<Self> {
        let config = Config::new(settings).map_err(|error| error.with_provider(NAME))?;
        Ok(Self {
            prompts: config.prompts.clone(),
            client: Client(config),
            models: Models::default(),
        })
    }

    /// Formats the prompts of `model` with `template`.
    ///
    /// `model` is the name that is asked for, with or without its version, or with `*` for any
    /// characters. The template goes before that of the settings, which is for all models.
    #[must_use]
    pub fn with_template(
        mut self,
        model: impl Into<String>,
        template: impl Into<Template>,
    ) -> Self {
        self.prompts.register(model, template);
        self
    }

    async fn answer(
        &self,
        request: &ChatRequest,
        call: &Call<ChatRequest>,
    ) -> Result<Reply<ChatResponse>> {
        let started = self.start(request, call, false).await?;
        let run = started.order.finish(started.run, None, poll::to_the_end);
        let prediction = &run.await?.prediction;
        let answer = started.answer.of(prediction);
        let response = answer.response(prediction, prediction.text()?);
        let metadata = answer::metadata(prediction, &request.model, &started.input);
        Ok(Reply::new(Json::from_value(response), metadata))
    }

    async fn start(
        &self,
        request: &ChatRequest,
        call: &Call<ChatRequest>,
        stream: bool,
    ) -> Result<Started> {
        let target = Target::parse(&request.model)?;
        let known = self.models.find(&self.client, &target).await;
        let style = self.style(&request.model);
        let input = Input::new(request, &known, &style, call.drop_params)?;
        let limits = self.client.0.limits;
        // The time of a streamed call is that to its first chunk.
        let limit = self.limit(call, stream).filter(|_| !stream);
        let limit = limit.unwrap_or(limits.boot + limits.run);
        loop {
            let (path, version) = known.endpoint(&target);
            let mut body = json!({ "input": input.values });
            if let Some(version) = version {
                body["version"] = version.into(); // elsewhere, the key is refused
            }
            if stream {
                body["stream"] = true.into();
            }
            let order = Order {
                path,
                body,
                cancel_after: limit,
            };
            match order.start(&self.client).await {
                Ok(run) => {
                    let answer = Answer::new(&run.prediction, &request.model, &input);
                    return Ok(Started {
                        order,
                        run,
                        input,
                        answer,
                    });
                }
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Err(_) if known.use_version() => {}
                Err(error) => return Err(not_found(&target, error)),
            }
        }
    }

    fn style(&self, model: &str) -> Style<'_> {
        Style {
            template: self.prompts.find(model),
            control_tokens: self.prompts.control_tokens(),
        }
    }

    /// The limit that somebody has set; without one, there are those of booting and running.
    fn limit(&self, call: &Call<ChatRequest>, stream: bool) -> Option<Duration> {
        let timeouts = &self.client.0.timeouts;
        let streamed = timeouts.stream.filter(|_| stream);
        call.timeout.or(streamed).or(timeouts.total)
    }

    /// Does `work` on a call within its time, and names the provider in what goes wrong.
    async fn within<'c, T, F: Future<Output = Result<T>>>(
        &self,
        call: &'c Call<ChatRequest>,
        limit: Option<Duration>,
        work: impl FnOnce(&'c ChatRequest) -> F,
    ) -> Result<T> {
        let request = call.body.value().map_err(|_| unreadable(call))?;
        let done = with_limit(limit, work(request)).await.unwrap_or_else(|| {
            let seconds = limit.unwrap_or_default().as_secs_f32();
            let message = format!("there was no answer within {seconds} s");
            Err(Error::new(ErrorKind::Timeout, message))
        });
        done.map_err(|error| error.with_provider(NAME).with_model(request.model.as_str()))
    }
}

impl Provider for Replicate {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new([Capability::Chat])
    }

    fn chat(&self, call: Call<ChatRequest>) -> BoxFuture<'_, Result<Reply<ChatResponse>>> {
        Box::pin(async move {
            let answer = |request| self.answer(request, &call);
            let limit = self.limit(&call, false);
            self.within(&call, limit, answer).await
        })
    }

    fn chat_stream(&self, call: Call<ChatRequest>) -> BoxFuture<'_, Result<ChatStream>> {
        Box::pin(async move {
            let limit = self.limit(&call, true);
            let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
            let start = |request| self.start(request, &call, true);
            let started = self.within(&call, limit, start).await?;
            let model = call.body.str_field("model").unwrap_or_default();
            let metadata = answer::metadata(&started.run.prediction, &model, &started.input);
            let events = stream::follow(started, deadline);
            let events = events.map(move |event| {
                event.map_err(|error| error.with_provider(NAME).with_model(model.as_str()))
            });
            Ok(ChatStream::new(metadata, events))
        })
    }
}

/// A body that is no chat request, without quoting it.
fn unreadable(call: &Call<ChatRequest>) -> Error {
    let message = match llm_types::parse::<ChatRequest>(call.body.bytes()) {
        Err(error) => format!("the request cannot be read: {error}"),
        Ok(_) => "the request cannot be read".to_owned(),
    };
    Error::new(ErrorKind::InvalidRequest, message).with_provider(NAME)
}

/// Replicate says no more than "not found": here is what was not found, and what may help.
fn not_found(target: &Target, error: Error) -> Error {
    let mut message = format!("Replicate knows nothing of {target}: {}", error.message());
    if matches!(target, Target::Model { .. }) {
        message += "; a model that is not official has to be named with its version, \
                    owner/name:version";
    }
    error
        .with_message(message)
        .with_param("model".to_owned())
        .with_code("model_not_found".to_owned())
}
