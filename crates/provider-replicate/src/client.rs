//! The provider: one account at Replicate.

use std::time::Duration;

use futures_util::TryStreamExt;
use futures_util::future::BoxFuture;
use llm_http::{CallSpan, with_limit};
use llm_provider::endpoint::{as_chat, as_chat_stream};
use llm_provider::text::excerpt;
use llm_provider::{
    Call, Capabilities, Capability, Document, Error, ErrorKind, Provider, Reply, ReplyStream,
    Result, Settings, Timeouts,
};
use llm_types::completions::CompletionRequest;
use llm_types::{ChatRequest, ModelList};
use prompt_templates::Template;
use replicate_api::{NewPrediction, ReplicateClient, Target};
use tokio::time::Instant;
use tracing::Instrument;

use crate::config::Config;
use crate::input::{Input, PromptRequest};
use crate::models::{ModelInfo, Models};
use crate::prompt::Style;
use crate::reply::{self, ReplyBuilder};
use crate::run::{Job, Run, wait_for_success};
use crate::{NAME, list, parameters, stream};

/// An account at Replicate.
#[derive(Debug)]
pub struct Replicate {
    client: ReplicateClient,
    config: Config,
    timeouts: Timeouts,
    models: Models,
}

/// A call after its prediction was created.
pub(crate) struct Started {
    pub(crate) job: Job,
    pub(crate) run: Run,
    pub(crate) input: Input,
    pub(crate) reply: ReplyBuilder,
}

impl Replicate {
    /// Creates a provider. If `settings` have no key or address, they come from the
    /// [environment](crate::API_KEY_VARIABLES).
    ///
    /// # Errors
    /// [`ErrorKind::Auth`] without a key; [`ErrorKind::InvalidRequest`] for an invalid address or
    /// setting.
    pub fn new(settings: Settings) -> Result<Self> {
        // The declared types are checked first: these errors name the setting.
        let config = Config::new(&settings)?;
        Ok(Self {
            timeouts: settings.timeouts(),
            client: ReplicateClient::new(settings)?,
            config,
            models: Models::default(),
        })
    }

    /// Replicate's own API, for managing the account: predictions, deployments, models.
    pub fn api(&self) -> &ReplicateClient {
        &self.client
    }

    /// Formats the prompts of `model` with `template`.
    ///
    /// `model` is a model name, with or without its version; `*` matches any characters. This template
    /// takes priority over the template in the settings, which applies to all models.
    #[must_use]
    pub fn with_template(
        mut self,
        model: impl Into<String>,
        template: impl Into<Template>,
    ) -> Self {
        self.config.prompts.register(model, template);
        self
    }

    /// Runs a prediction and returns the complete reply.
    async fn send_prompt<Q: PromptRequest>(&self, call: &Call) -> Result<Reply> {
        let limit = self.limit(call, false);
        let reply = async |request: &Q| {
            let started = self.start(request, call, false, None).await?;
            let run = started.job.finish(started.run, wait_for_success);
            let prediction = &run.await?.prediction;
            let reply = started.reply.of(prediction);
            let response = reply.complete(prediction, reply.text(prediction)?);
            let metadata = reply::metadata(prediction, request.model(), &started.input);
            Ok(Reply::new(Document::new(&response), metadata))
        };
        let span = CallSpan::new(NAME, &call.model(), call.endpoint);
        let reply = self.run_call(call, limit, &span, reply).await?;
        span.reply(&reply);
        Ok(reply)
    }

    /// Starts a prediction and streams its output.
    async fn stream_prompt<Q: PromptRequest>(&self, call: &Call) -> Result<ReplyStream> {
        let limit = self.limit(call, true);
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let start = async |request: &Q| {
            let started = self.start(request, call, true, deadline).await?;
            let model = request.model().to_owned();
            let metadata = reply::metadata(&started.run.prediction, &model, &started.input);
            let events = stream::follow(started);
            let client = self.client.clone();
            let named = move |error: Error| {
                client.redact(error.with_provider(NAME).with_model(model.as_str()))
            };
            Ok(ReplyStream::new(metadata, events.map_err(named)))
        };
        let span = CallSpan::of_stream(NAME, &call.model(), call.endpoint);
        let stream = self.run_call(call, limit, &span, start).await?;
        Ok(span.follow(stream))
    }

    /// Creates the prediction. `deadline` is the time limit of a stream's first chunk.
    async fn start<Q: PromptRequest>(
        &self,
        request: &Q,
        call: &Call,
        stream: bool,
        deadline: Option<Instant>,
    ) -> Result<Started> {
        let target = Target::parse(request.model())?;
        let mut info = self.models.find(&self.client, &target).await;
        let style = self.style(request.model(), call);
        let input = |info: &ModelInfo| {
            let mut input = Input::new(request, info, &style, |key| call.may_drop(key))?;
            input.dropped.extend_from_slice(&call.dropped_params);
            Ok::<_, Error>(input)
        };
        let mut values = input(&info)?;
        let limits = self.client.limits();
        // The limit of a streamed call applies only to its first chunk.
        let limit = self.limit(call, stream).filter(|_| !stream);
        loop {
            let tried = info.resolve(&target);
            let mut new = NewPrediction::new(tried.clone(), values.values.clone());
            new.stream = stream;
            if !stream {
                new.wait = self.config.prefer_wait;
            }
            new.cancel_after = Some(limit.unwrap_or(limits.boot + limits.run));
            let job = Job {
                client: self.client.clone(),
                new,
                deadline,
            };
            match job.start().await {
                Ok(run) => {
                    let reply = ReplyBuilder::new(&run.prediction, request.model(), &values);
                    return Ok(Started {
                        job,
                        run,
                        input: values,
                        reply,
                    });
                }
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                Err(_) if info.use_version_after(&tried) => {}
                // Replicate may know the newest version by now.
                Err(_) if self.models.forget_failure(&target, &info) => {
                    info = self.models.find(&self.client, &target).await;
                    values = input(&info)?;
                }
                Err(error) => return Err(not_found(&target, error)),
            }
        }
    }

    /// Runs `work` within the time limit of a call, adds provider and model to its errors, and redacts
    /// them.
    async fn run_call<Q: PromptRequest, T>(
        &self,
        call: &Call,
        limit: Option<Duration>,
        span: &CallSpan,
        work: impl AsyncFnOnce(&Q) -> Result<T>,
    ) -> Result<T> {
        let request: Q = call.read().map_err(|error| error.with_provider(NAME))?;
        let done = with_limit(limit, work(&request)).instrument(span.span().clone());
        let done = done.await;
        let done = done.unwrap_or_else(|| Err(timeout_error(limit.unwrap_or_default())));
        done.map_err(|error| {
            span.error(&error);
            let error = error.with_provider(NAME).with_model(request.model());
            self.client.redact(error)
        })
    }

    fn style(&self, model: &str, call: &Call) -> Style<'_> {
        Style {
            template: self.config.prompts.find(model),
            control_tokens: self.config.prompts.control_tokens(),
            is_prefill: call.is_prefill,
        }
    }

    /// The configured time limit, if any; `boot_timeout` and `run_timeout` apply in any case.
    fn limit(&self, call: &Call, stream: bool) -> Option<Duration> {
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

    fn check_model(&self, model: &str) -> Result<()> {
        Target::parse(model).map(drop)
    }

    fn synonyms(&self, name: &str) -> &'static [&'static str] {
        parameters::synonyms(name)
    }

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply>> {
        Box::pin(async move {
            self.require(&call)?;
            match call.endpoint.capability() {
                Capability::Chat => as_chat(self.send_prompt::<ChatRequest>(&call).await?),
                _ => self.send_prompt::<CompletionRequest>(&call).await,
            }
        })
    }

    fn stream(&self, call: Call) -> BoxFuture<'_, Result<ReplyStream>> {
        Box::pin(async move {
            self.require(&call)?;
            match call.endpoint.capability() {
                Capability::Chat => {
                    let stream = self.stream_prompt::<ChatRequest>(&call).await?;
                    Ok(as_chat_stream(stream))
                }
                _ => self.stream_prompt::<CompletionRequest>(&call).await,
            }
        })
    }

    fn models(&self) -> BoxFuture<'_, Result<ModelList>> {
        Box::pin(async {
            let limit = self.timeouts.of_call(None);
            let listed = with_limit(Some(limit), list::models(&self.client)).await;
            listed.unwrap_or_else(|| Err(timeout_error(limit).with_provider(NAME)))
        })
    }
}

fn timeout_error(limit: Duration) -> Error {
    let limit = (limit.as_secs_f64() * 1e3).round() / 1e3;
    let message = format!("there was no reply within {limit} s");
    Error::new(ErrorKind::Timeout, message)
}

/// Replaces Replicate's "not found" with a message that names the model and suggests a fix.
fn not_found(target: &Target, error: Error) -> Error {
    let name = target.to_string();
    let mut message = format!(
        "Replicate does not know the {} {}: {}",
        target.kind(),
        excerpt(&name),
        error.message().trim_end_matches('.')
    );
    if matches!(target, Target::Model { .. }) {
        message += "; a model that is not official needs its version in the name, \
                    owner/name:version";
    }
    error
        .with_message(message)
        .with_param("model".to_owned())
        .with_code("model_not_found".to_owned())
}
