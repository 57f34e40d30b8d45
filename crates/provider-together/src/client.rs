use futures_core::future::BoxFuture;
use llm_provider::openai::{OpenAiClient, as_chat, as_chat_stream};
use llm_provider::{
    Call, Capabilities, ChatStream, CompletionStream, Error, Operation, Provider, Reply, Result,
    Settings,
};
use llm_types::completions::{CompletionRequest, CompletionResponse};
use llm_types::embeddings::{EmbeddingRequest, EmbeddingResponse};
use llm_types::rerank::{RerankRequest, RerankResponse};
use llm_types::{ChatRequest, ChatResponse, ModelList};
use prompt_templates::{Prompts, Template};

use crate::config::{Config, NAME};
use crate::known::Known;
use crate::prompt::Format;
use crate::wire::TogetherDialect;

/// An account at Together AI.
#[derive(Debug)]
pub struct Together {
    client: OpenAiClient<TogetherDialect>,
    prompts: Prompts,
    text_completion: bool,
    known: Known,
}

impl Together {
    /// Opens an account; key and address not in `settings` come from the environment.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`](llm_provider::ErrorKind::Auth) when there is no key anywhere, and
    /// `InvalidRequest` for an address that is no URL, or for a setting that cannot be read.
    pub fn new(settings: Settings) -> Result<Self> {
        let config = Config::new(&settings)?;
        let (base, key) = (config.api_base, config.api_key);
        Ok(Self {
            client: OpenAiClient::new(TogetherDialect, &settings, base, key)?,
            prompts: config.own.prompts,
            text_completion: config.own.text_completion,
            known: Known::default(),
        })
    }

    /// Formats the chats of `model` with `template`, and sends them as prompts.
    ///
    /// `*` in the name stands for any characters. The template goes before that of the settings,
    /// which is for all models.
    #[must_use]
    pub fn with_template(
        mut self,
        model: impl Into<String>,
        template: impl Into<Template>,
    ) -> Self {
        self.prompts.register(model, template);
        self
    }

    /// Answers a chat. It is sent as one, unless the model is known to take prompts, and as a
    /// prompt if Together refuses it because the model takes those.
    async fn either<T>(
        &self,
        call: Call<ChatRequest>,
        chat: impl AsyncFnOnce(&Call<ChatRequest>, &str) -> Result<T>,
        prompt: impl AsyncFnOnce(&Call<ChatRequest>, Format) -> Result<T>,
    ) -> Result<T> {
        let model = model_of(&call);
        if let Some(format) = self.format(&model) {
            return prompt(&call, format).await.map_err(name(&model));
        }
        let error = match chat(&call, &model).await {
            Err(error) if self.known.may_ask(&error) => error,
            answer => return answer,
        };
        // What Together has against the chat may be that the model takes none.
        let _ = self.models().await;
        match self.format(&model) {
            Some(format) => prompt(&call, format).await.map_err(name(&model)),
            None => Err(error),
        }
    }

    /// How the prompts of a model are formatted; of one that takes chats, not at all.
    fn format(&self, model: &str) -> Option<Format> {
        Format::configured(&self.prompts, model).or_else(|| {
            let takes_prompts = self.text_completion || self.known.is_language(model);
            takes_prompts.then(|| Format::of_language_model(model))
        })
    }

    async fn chat_by_prompt(
        &self,
        call: &Call<ChatRequest>,
        format: Format,
    ) -> Result<Reply<ChatResponse>> {
        let (call, dropped_params) = format.write(&self.prompts, call)?;
        let mut reply = as_chat(self.complete(call).await?)?;
        format.tell(dropped_params, &mut reply.metadata);
        Ok(reply)
    }

    async fn stream_by_prompt(
        &self,
        call: &Call<ChatRequest>,
        format: Format,
    ) -> Result<ChatStream> {
        let (call, dropped_params) = format.write(&self.prompts, call)?;
        let mut stream = as_chat_stream(self.complete_stream(call).await?);
        format.tell(dropped_params, &mut stream.metadata);
        Ok(stream)
    }

    /// Asks for an answer in one piece; of a model that only streams, by putting its chunks
    /// together.
    async fn whole<R: Operation>(
        &self,
        call: &Call<R>,
        model: &str,
        plain: impl AsyncFnOnce(&Call<R>) -> Result<Reply<R::Response>>,
        by_stream: impl AsyncFnOnce(&Call<R>) -> Result<Reply<R::Response>>,
    ) -> Result<Reply<R::Response>> {
        if self.known.only_streams(model) {
            return by_stream(call).await;
        }
        match plain(call).await {
            Err(error) if self.known.learn_streaming(model, &error) => by_stream(call).await,
            answer => answer,
        }
    }
}

impl Provider for Together {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::ALL
    }

    // What seldom happens is boxed apart, so that the futures of all calls stay small.
    fn chat(&self, call: Call<ChatRequest>) -> BoxFuture<'_, Result<Reply<ChatResponse>>> {
        let chat = async |call: &Call<_>, model: &str| {
            let plain = async |call: &Call<_>| self.client.chat(call).await;
            let by_stream = async |call: &Call<_>| Box::pin(self.client.chat_by_stream(call)).await;
            self.whole(call, model, plain, by_stream).await
        };
        let prompt =
            async |call: &Call<_>, format| Box::pin(self.chat_by_prompt(call, format)).await;
        Box::pin(self.either(call, chat, prompt))
    }

    fn chat_stream(&self, call: Call<ChatRequest>) -> BoxFuture<'_, Result<ChatStream>> {
        let chat = async |call: &Call<_>, _: &str| self.client.chat_stream(call).await;
        let prompt =
            async |call: &Call<_>, format| Box::pin(self.stream_by_prompt(call, format)).await;
        Box::pin(self.either(call, chat, prompt))
    }

    fn complete(
        &self,
        call: Call<CompletionRequest>,
    ) -> BoxFuture<'_, Result<Reply<CompletionResponse>>> {
        Box::pin(async move {
            let plain = async |call: &Call<_>| self.client.complete(call).await;
            let by_stream =
                async |call: &Call<_>| Box::pin(self.client.complete_by_stream(call)).await;
            self.whole(&call, &model_of(&call), plain, by_stream).await
        })
    }

    fn complete_stream(
        &self,
        call: Call<CompletionRequest>,
    ) -> BoxFuture<'_, Result<CompletionStream>> {
        Box::pin(self.client.complete_stream(call))
    }

    fn embed(
        &self,
        call: Call<EmbeddingRequest>,
    ) -> BoxFuture<'_, Result<Reply<EmbeddingResponse>>> {
        Box::pin(self.client.embed(call))
    }

    fn rerank(&self, call: Call<RerankRequest>) -> BoxFuture<'_, Result<Reply<RerankResponse>>> {
        Box::pin(self.client.rerank(call))
    }

    fn models(&self) -> BoxFuture<'_, Result<ModelList>> {
        Box::pin(async {
            let list = self.client.models().await?;
            self.known.learn_list(&list);
            Ok(list)
        })
    }
}

fn model_of<R: Operation>(call: &Call<R>) -> String {
    call.body.str_field("model").unwrap_or_default()
}

fn name(model: &str) -> impl Fn(Error) -> Error {
    move |error| error.with_provider(NAME).with_model(model)
}
