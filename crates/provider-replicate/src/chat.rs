//! Chats as predictions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use llm_provider::{
    Call, ChatStream, Error, ErrorKind, Json, Provider, Reply, Result, Settings, with_limit,
};
use llm_types::{ChatRequest, ChatResponse};
use prompt_templates::Template;
use tokio::time::Instant;

use crate::NAME;
use crate::answer::{self, Answer};
use crate::cancel::{self, CancelGuard};
use crate::client::{Client, Create};
use crate::config::Config;
use crate::error;
use crate::input::Input;
use crate::models::Models;
use crate::poll::Watch;
use crate::stream;
use crate::target::Target;
use crate::wire::{Prediction, Status};

/// One account with Replicate.
#[derive(Debug)]
pub struct Replicate {
    client: Client,
    models: Models,
    template: Option<Template>,
    templates: HashMap<String, Template>,
}

impl Replicate {
    /// Sets an account up. Key and address are looked for in the
    /// [environment](crate::API_KEY_VARIABLES) when they are not given.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`] without a key; [`ErrorKind::InvalidRequest`] for an address or a
    /// setting that cannot be read.
    pub fn new(settings: Settings) -> Result<Self> {
        let config = Config::new(settings)?;
        Ok(Self {
            template: config.template.clone().map(Template::Custom),
            client: Client(config),
            models: Models::default(),
            templates: HashMap::new(),
        })
    }

    /// Formats the prompts of `model` with `template`.
    ///
    /// `model` is the name that is asked for, with or without its version. The template goes
    /// before that of the settings, which is for all models.
    #[must_use]
    pub fn with_template(
        mut self,
        model: impl Into<String>,
        template: impl Into<Template>,
    ) -> Self {
        self.templates.insert(model.into(), template.into());
        self
    }

    async fn answer(
        &self,
        request: &ChatRequest,
        call: &Call<ChatRequest>,
    ) -> Result<Reply<ChatResponse>> {
        let limit = call.timeout.or(self.client.0.limits.call);
        let deadline = limit.map(|limit| Instant::now() + limit);
        let (mut prediction, mut guard, input) = self.create(request, call, false).await?;
        let answer = Answer::new(&prediction, &request.model, &input);
        let mut watch = Watch::new(self.client.clone(), &prediction, deadline);
        // Replicate answers as soon as the output is there, and has the metrics a moment later.
        let mut is_there = prediction.output.is_some();
        while !prediction.status.is_terminal() {
            if !std::mem::take(&mut is_there) {
                watch.pause().await?;
            }
            prediction = watch.now(&prediction.id).await?;
            guard.saw(&prediction);
        }
        if prediction.status != Status::Succeeded {
            return Err(error::from_prediction(&prediction));
        }
        if prediction.data_removed == Some(true) && prediction.output.is_none() {
            return Err(error::data_removed());
        }
        let text = prediction.text()?.unwrap_or_default();
        let metadata = answer::metadata(&prediction, &request.model, &input);
        Ok(Reply::new(
            Json::from_value(answer.response(&prediction, text)),
            metadata,
        ))
    }

    async fn stream(&self, request: &ChatRequest, call: &Call<ChatRequest>) -> Result<ChatStream> {
        let limit = call.timeout.or(self.client.0.limits.call);
        let deadline = limit.map(|limit| Instant::now() + limit);
        let (prediction, guard, input) = self.create(request, call, true).await?;
        let answer = Answer::new(&prediction, &request.model, &input);
        let metadata = answer::metadata(&prediction, &request.model, &input);
        let events = stream::follow(self.client.clone(), prediction, guard, answer, deadline);
        Ok(ChatStream::new(metadata, events))
    }

    async fn create(
        &self,
        request: &ChatRequest,
        call: &Call<ChatRequest>,
        stream: bool,
    ) -> Result<(Prediction, CancelGuard, Input)> {
        let target = Target::parse(&request.model)?;
        let known = self.models.find(&self.client, &target).await;
        let template = self.template(&request.model);
        let input = Input::new(request, &known, template, call.drop_params)?;
        let limits = self.client.0.limits;
        let whole = call.timeout.or(limits.call).filter(|_| !stream);
        let mut create = Create {
            path: String::new(),
            version: None,
            input: input.values.clone(),
            stream,
            cancel_after: whole.unwrap_or(limits.boot + limits.run),
        };
        loop {
            (create.path, create.version) = known.endpoint(&target);
            match cancel::create(&self.client, create.clone()).await {
                Ok((prediction, guard)) => return Ok((prediction, guard, input)),
                Err(error) if error.kind() == ErrorKind::NotFound && known.use_version() => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    return Err(not_found(&target, &error));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn template(&self, model: &str) -> Option<&Template> {
        let bare = model.split(':').next().unwrap_or(model);
        let own = self
            .templates
            .get(model)
            .or_else(|| self.templates.get(bare));
        own.or(self.template.as_ref())
    }
}

impl Provider for Replicate {
    fn name(&self) -> &'static str {
        NAME
    }

    fn chat(&self, call: Call<ChatRequest>) -> BoxFuture<'_, Result<Reply<ChatResponse>>> {
        async move {
            let request = read(&call)?;
            let limit = call.timeout.or(self.client.0.limits.call);
            let answer = with_limit(limit, self.answer(request, &call)).await;
            answer
                .unwrap_or_else(|| Err(too_late(limit)))
                .map_err(|error| name(error, request))
        }
        .boxed()
    }

    fn chat_stream(&self, call: Call<ChatRequest>) -> BoxFuture<'_, Result<ChatStream>> {
        async move {
            let request = read(&call)?;
            let limit = call.timeout.or(self.client.0.limits.call);
            let stream = with_limit(limit, self.stream(request, &call)).await;
            let stream = stream.unwrap_or_else(|| Err(too_late(limit)));
            let stream = stream.map_err(|error| name(error, request))?;
            let model: Arc<str> = request.model.as_str().into();
            Ok(stream.map_events(|events| {
                events.map(move |event| {
                    event.map_err(|error| error.with_provider(NAME).with_model(&*model))
                })
            }))
        }
        .boxed()
    }
}

fn read(call: &Call<ChatRequest>) -> Result<&ChatRequest> {
    call.body.value().map_err(|error| {
        Error::new(
            ErrorKind::InvalidRequest,
            format!("the request cannot be read: {error}"),
        )
        .with_provider(NAME)
    })
}

fn name(error: Error, request: &ChatRequest) -> Error {
    error.with_provider(NAME).with_model(request.model.as_str())
}

fn too_late(limit: Option<Duration>) -> Error {
    let seconds = limit.unwrap_or_default().as_secs_f32();
    Error::new(
        ErrorKind::Timeout,
        format!("there was no answer within {seconds} s"),
    )
}

/// Replicate says no more than "not found": here is what was not found, and what may help.
fn not_found(target: &Target, error: &Error) -> Error {
    let hint = match target {
        Target::Model { .. } => {
            "; a model that is not official has to be named with its version, owner/name:version"
        }
        _ => "",
    };
    let message = format!(
        "Replicate knows nothing of {target}: {}{hint}",
        error.message()
    );
    let found = Error::new(ErrorKind::NotFound, message).with_param("model".to_owned());
    let found = found.with_code("model_not_found".to_owned());
    match error.status() {
        Some(status) => found.with_status(status),
        None => found,
    }
}
