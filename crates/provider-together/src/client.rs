use futures_core::future::BoxFuture;
use llm_provider::openai::OpenAiClient;
use llm_provider::{Call, Capabilities, Capability, ChatStream, Provider, Reply, Result, Settings};
use llm_types::{ChatRequest, ChatResponse};

use crate::config::{Config, NAME};
use crate::wire::TogetherDialect;

/// An account at Together AI.
#[derive(Debug)]
pub struct Together {
    client: OpenAiClient<TogetherDialect>,
}

impl Together {
    /// Opens an account; key and address not in `settings` come from the environment.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`](llm_provider::ErrorKind::Auth) when there is no key anywhere, and
    /// `InvalidRequest` for an address that is no URL.
    pub fn new(settings: Settings) -> Result<Self> {
        let Config { api_key, api_base } = Config::new(&settings)?;
        let client = OpenAiClient::new(TogetherDialect, &settings, api_base, api_key)?;
        Ok(Self { client })
    }
}

impl Provider for Together {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new([Capability::Chat])
    }

    fn chat(&self, call: Call<ChatRequest>) -> BoxFuture<'_, Result<Reply<ChatResponse>>> {
        Box::pin(self.client.chat(call))
    }

    fn chat_stream(&self, call: Call<ChatRequest>) -> BoxFuture<'_, Result<ChatStream>> {
        Box::pin(self.client.chat_stream(call))
    }
}
