use futures_core::future::BoxFuture;
use llm_provider::openai::OpenAiClient;
use llm_provider::{Call, Capabilities, Capability, ChatStream, Provider, Reply, Result, Settings};
use llm_types::{ChatRequest, ChatResponse, ModelList};

use crate::config::{API_BASE_VARIABLES, API_KEY_VARIABLES, DEFAULT_API_BASE, NAME};
use crate::wire::AcmeDialect;

/// An account at Acme.
#[derive(Debug)]
pub struct Acme {
    client: OpenAiClient<AcmeDialect>,
}

impl Acme {
    /// Opens an account; key and address not in `settings` come from the environment.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`](llm_provider::ErrorKind::Auth) when there is no key anywhere, and
    /// `InvalidRequest` for an address that is no URL.
    pub fn new(settings: &Settings) -> Result<Self> {
        let api_key = settings.require_api_key(NAME, API_KEY_VARIABLES)?;
        let base = settings.api_base_or(NAME, API_BASE_VARIABLES, DEFAULT_API_BASE)?;
        let client = OpenAiClient::new(AcmeDialect, settings, base, api_key)?;
        Ok(Self { client })
    }
}

impl Provider for Acme {
    fn name(&self) -> &'static str {
        NAME
    }

    // `complete`, `embed` and `rerank` are there in the same way: one line here, one method below.
    fn capabilities(&self) -> Capabilities {
        Capabilities::new([Capability::Chat, Capability::Models])
    }

    fn chat(&self, call: Call<ChatRequest>) -> BoxFuture<'_, Result<Reply<ChatResponse>>> {
        Box::pin(self.client.chat(call))
    }

    fn chat_stream(&self, call: Call<ChatRequest>) -> BoxFuture<'_, Result<ChatStream>> {
        Box::pin(self.client.chat_stream(call))
    }

    fn models(&self) -> BoxFuture<'_, Result<ModelList>> {
        Box::pin(self.client.models())
    }
}
