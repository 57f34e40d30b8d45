use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use llm_provider::openai::{as_chat, as_chat_stream};
use llm_provider::{
    Call, Capabilities, Capability, ChatStream, CompletionStream, Error, ErrorKind, Json, Provider,
    Reply, Result, Settings, Timeouts, with_limit,
};
use llm_types::completions::{CompletionRequest, CompletionResponse};
use llm_types::{ChatRequest, ChatResponse, ModelList};
use prompt_templates::Template;
use replicate_api::{Client, NewPrediction, Target};
use tokio::time::Instant;

use crate::answer::{self, Answer};
use crate::config::Config;
use crate::input::{Input, Question};
use crate::models::Models;
use crate::prompt::Style;
use crate::run::{Order, Run, to_the_end};
use crate::{NAME, list, stream};

/// One account with Replicate.
#[derive(Debug)]
pub struct Replicate {
    client: Client,
    config: Config,
    timeouts: Timeouts,
    models: Models,
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
        Ok(Self {
            client: Client::new(&settings)?,
            config: Config::new(&settings)?,
            timeouts: settings.timeouts(),
            models: Models::default(),
        })
    }

    /// Replicate's own API, for looking after the account: predictions, deployments, models.
    pub fn api(&self) -> &Client {
        &self.client
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
        self.config.prompts.register(model, template);
        self
    }

    /// A prediction, to its end.
    async fn whole<Q: Question>(&self, call: &Call<Q>) -> Result<Reply<CompletionResponse>> {
        let limit = self.limit(call, false);
        let answer = async |request: &Q| {
            let started = self.start(request, call, false).await?;
            let run = started.order.finish(started.run, None, to_the_end);
            let prediction = &run.await?.prediction;
            let answer = started.answer.of(prediction);
            let response = answer.whole(prediction, prediction.text()?);
            let metadata = answer::metadata(prediction, request.model(), &started.input);
            Ok(Reply::new(Json::from_value(response), metadata))
        };
        within(call, limit, answer).await
    }

    /// A prediction as it is written.
    async fn streamed<Q: Question>(&self, call: &Call<Q>) -> Result<CompletionStream> {
        let limit = self.limit(call, true);
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let start = async |request: &Q| {
            let started = self.start(request, call, true).await?;
            let model = request.model().to_owned();
            let metadata = answer::metadata(&started.run.prediction, &model, &started.input);
            let events = stream::follow(started, deadline);
            let named = move |error: Error| error.with_provider(NAME).with_model(model.as_str());
            Ok(CompletionStream::new(metadata, events.map_err(named)))
        };
        within(call, limit, start).await
    }

    async fn start<Q: Question>(
        &self,
        request: &Q,
        call: &Call<Q>,
        stream: bool,
    ) -> Result<Started> {
        let target = Target::parse(request.model())?;
        let known = self.models.find(&self.client, &target).await;
        let style = self.style(request.model());
        let input = Input::new(request, &known, &style, call.drop_params)?;
        let limits = self.client.limits();
        // The time of a streamed call is that to its first chunk.
        let limit = self.limit(call, stream).filter(|_| !stream);
        loop {
            let mut new = NewPrediction::new(known.resolve(&target), input.values.clone());
            new.stream = stream;
            if !stream {
                new.wait = self.config.prefer_wait;
            }
            new.cancel_after = Some(limit.unwrap_or(limits.boot + limits.run));
            let order = Order {
                client: self.client.clone(),
                new,
            };
            match order.start().await {
                Ok(run) => {
                    let answer = Answer::new(&run.prediction, request.model(), &input);
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
            template: self.config.prompts.find(model),
            control_tokens: self.config.prompts.control_tokens(),
        }
    }

    /// The limit that somebody has set; without one, there are those of booting and running.
    fn limit<Q>(&self, call: &Call<Q>, stream: bool) -> Option<Duration> {
        let streamed = self.timeouts.stream.filter(|_| stream);
        call.timeout.or(streamed).or(self.timeouts.total)
    }
}

impl Provider for Replicate {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new([
            Capability::Chat,
            Capability::Completions,
            Capability::Models,
        ])
    }

    fn chat(&self, call: Call<ChatRequest>) -> BoxFuture<'_, Result<Reply<ChatResponse>>> {
        Box::pin(async move { as_chat(self.whole(&call).await?) })
    }

    fn chat_stream(&self, call: Call<ChatRequest>) -> BoxFuture<'_, Result<ChatStream>> {
        Box::pin(async move { Ok(as_chat_stream(self.streamed(&call).await?)) })
    }

    fn complete(
        &self,
        call: Call<CompletionRequest>,
    ) -> BoxFuture<'_, Result<Reply<CompletionResponse>>> {
        Box::pin(async move { self.whole(&call).await })
    }

    fn complete_stream(
        &self,
        call: Call<CompletionRequest>,
    ) -> BoxFuture<'_, Result<CompletionStream>> {
        Box::pin(async move { self.streamed(&call).await })
    }

    fn models(&self) -> BoxFuture<'_, Result<ModelList>> {
        Box::pin(async {
            let limit = self.timeouts.of_call(None, false);
            let listed = with_limit(Some(limit), list::models(&self.client)).await;
            listed.unwrap_or_else(|| Err(too_late(limit).with_provider(NAME)))
        })
    }
}

/// Does `work` on a call within its time, and names provider and model in what goes wrong.
async fn within<Q: Question, T>(
    call: &Call<Q>,
    limit: Option<Duration>,
    work: impl AsyncFnOnce(&Q) -> Result<T>,
) -> Result<T> {
    let request = call.request().map_err(|error| error.with_provider(NAME))?;
    let done = with_limit(limit, work(request)).await;
    let done = done.unwrap_or_else(|| Err(too_late(limit.unwrap_or_default())));
    done.map_err(|error| error.with_provider(NAME).with_model(request.model()))
}

fn too_late(limit: Duration) -> Error {
    let message = format!("there was no answer within {} s", limit.as_secs_f32());
    Error::new(ErrorKind::Timeout, message)
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
