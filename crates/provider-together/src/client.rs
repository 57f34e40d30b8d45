use std::time::Duration;

use futures_core::future::BoxFuture;
use llm_provider::endpoint::{as_chat, as_chat_stream};
use llm_provider::{
    Call, Capabilities, Capability, Error, Provider, Reply, ReplyStream, Result, Settings,
};
use llm_types::ModelList;
use prompt_templates::{Prompts, Template};
use provider_openai::OpenAiClient;

use crate::config::{Config, NAME};
use crate::model_facts::ModelFacts;
use crate::prompt::Format;
use crate::wire::TogetherDialect;

/// An account at Together AI.
#[derive(Debug)]
pub struct Together {
    client: OpenAiClient<TogetherDialect>,
    prompts: Prompts,
    text_completion: bool,
    model_facts: ModelFacts,
}

impl Together {
    /// Creates a provider. If `settings` have no key or address, they come from the environment.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`](llm_provider::ErrorKind::Auth) without a key, and
    /// `InvalidRequest` for an address that is not a URL, or for an invalid setting.
    pub fn new(settings: Settings) -> Result<Self> {
        let config = Config::new(&settings)?;
        let (base, key) = (config.api_base, config.api_key);
        Ok(Self {
            client: OpenAiClient::new(TogetherDialect, &settings, base, key)?,
            prompts: config.specific.prompts,
            text_completion: config.specific.text_completion,
            model_facts: ModelFacts::default(),
        })
    }

    /// Formats the chats of `model` with `template`, and sends them as prompts.
    ///
    /// `*` in the name matches any characters. The template has priority over that of the settings,
    /// which applies to all models.
    #[must_use]
    pub fn with_template(
        mut self,
        model: impl Into<String>,
        template: impl Into<Template>,
    ) -> Self {
        self.prompts.register(model, template);
        self
    }

    /// Sends a chat: as a prompt if the model is known to take prompts, or if Together rejects the
    /// chat and the list of models says so; else as a chat. The time limit of the call bounds all
    /// steps.
    async fn chat<T>(
        &self,
        call: Call,
        is_streamed: bool,
        chat: impl AsyncFnOnce(Call) -> Result<T>,
        prompt: impl AsyncFnOnce(Call, Format) -> Result<T>,
    ) -> Result<T> {
        let end = match is_streamed {
            true => self.client.stream_deadline(&call),
            false => self.client.deadline(&call),
        };
        let model = call.model().into_owned();
        if let Some(format) = self.format(&model) {
            return prompt(call, format).await.map_err(named(&model));
        }
        let error = match chat(call.clone()).await {
            Err(error) if self.model_facts.should_list(&error) => error,
            answer => return answer,
        };
        // Together may have rejected the chat because the model takes prompts. If the list does not
        // arrive in time, the rejection is the error.
        let list = end.at_most(LOOK_UP).bound(self.models());
        match list.await.ok().and_then(|_| self.format(&model)) {
            Some(format) => end.bound(prompt(call, format)).await.map_err(named(&model)),
            None => Err(error),
        }
    }

    /// How the prompts of a model are formatted; `None` for one that takes chats.
    fn format(&self, model: &str) -> Option<Format> {
        Format::configured(&self.prompts, model).or_else(|| {
            let takes_prompts = self.text_completion || self.model_facts.is_language(model);
            takes_prompts.then(|| Format::of_language_model(model))
        })
    }

    /// Sends a plain call; joins the chunks of a model that only streams.
    async fn whole(&self, call: Call) -> Result<Reply> {
        let end = self.client.deadline(&call);
        let model = call.model().into_owned();
        if self.model_facts.only_streams(&model) {
            return Box::pin(self.client.send_by_stream(call)).await;
        }
        match self.client.send(call.clone()).await {
            Err(error) if self.model_facts.learn_streaming(&model, &error) => {
                let by_stream = Box::pin(self.client.send_by_stream(call));
                end.bound(by_stream).await.map_err(named(&model))
            }
            answer => answer,
        }
    }

    async fn chat_by_prompt(&self, call: Call, format: Format) -> Result<Reply> {
        let call = format.write(&self.prompts, call)?;
        let mut reply = as_chat(self.whole(call).await?)?;
        format.report(&mut reply.metadata);
        Ok(reply)
    }

    async fn stream_by_prompt(&self, call: Call, format: Format) -> Result<ReplyStream> {
        let call = format.write(&self.prompts, call)?;
        let mut stream = as_chat_stream(self.client.stream(call).await?);
        format.report(&mut stream.metadata);
        Ok(stream)
    }
}

impl Provider for Together {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new([
            Capability::Chat,
            Capability::Completions,
            Capability::Embeddings,
            Capability::Rerank,
            Capability::Models,
        ])
    }

    // Rare cases are boxed separately, so that the futures of all calls stay small.
    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply>> {
        match call.endpoint.capability() {
            Capability::Chat => {
                let chat = async |call| self.whole(call).await;
                let prompt = async |call, format| Box::pin(self.chat_by_prompt(call, format)).await;
                Box::pin(self.chat(call, false, chat, prompt))
            }
            Capability::Completions => Box::pin(self.whole(call)),
            _ => Box::pin(async {
                self.require(&call)?;
                self.client.send(call).await
            }),
        }
    }

    fn stream(&self, call: Call) -> BoxFuture<'_, Result<ReplyStream>> {
        if call.endpoint.capability() == Capability::Chat {
            let chat = async |call| self.client.stream(call).await;
            let prompt = async |call, format| Box::pin(self.stream_by_prompt(call, format)).await;
            return Box::pin(self.chat(call, true, chat, prompt));
        }
        Box::pin(async {
            self.require(&call)?;
            self.client.stream(call).await
        })
    }

    fn models(&self) -> BoxFuture<'_, Result<ModelList>> {
        Box::pin(async {
            let list = self.client.models().await?;
            self.model_facts.learn_list(&list);
            Ok(list)
        })
    }
}

/// How long a rejected chat may wait for the list of models.
const LOOK_UP: Duration = Duration::from_secs(10);

fn named(model: &str) -> impl Fn(Error) -> Error {
    move |error| error.with_provider(NAME).with_model(model)
}
