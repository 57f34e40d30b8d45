use futures_core::future::BoxFuture;
use llm_provider::{Call, Capabilities, Provider, Reply, ReplyStream, Result, Settings};
use llm_types::ModelList;

use crate::client::OpenAiClient;
use crate::config::{Config, NAME};
use crate::wire::OpenAiDialect;

/// An account at OpenAI, or at any OpenAI-compatible upstream such as vLLM, SGLang, Ollama or
/// llama.cpp.
///
/// Requests are forwarded without translation. The upstream itself rejects what it does not
/// support.
#[derive(Debug)]
pub struct OpenAi {
    client: OpenAiClient<OpenAiDialect>,
    capabilities: Capabilities,
}

impl OpenAi {
    /// Creates a provider. If `settings` have no key or address, they come from the environment
    /// ([`API_KEY_VARIABLES`](crate::API_KEY_VARIABLES),
    /// [`API_BASE_VARIABLES`](crate::API_BASE_VARIABLES)).
    ///
    /// Only OpenAI itself requires a key. Without one, requests have no `Authorization` header. The
    /// key in the environment is not sent to an address from `settings`, unless it is OpenAI's.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`](llm_provider::ErrorKind::Auth) when there is no key for OpenAI itself,
    /// and `InvalidRequest` for an address that is not a URL, or an unknown setting.
    pub fn new(settings: Settings) -> Result<Self> {
        let Config {
            api_key,
            api_base,
            capabilities,
        } = Config::new(&settings)?;
        let client = OpenAiClient::new(OpenAiDialect, &settings, api_base, api_key)?;
        Ok(Self {
            client,
            capabilities,
        })
    }
}

impl Provider for OpenAi {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply>> {
        Box::pin(self.client.send(call))
    }

    fn stream(&self, call: Call) -> BoxFuture<'_, Result<ReplyStream>> {
        Box::pin(self.client.stream(call))
    }

    fn models(&self) -> BoxFuture<'_, Result<ModelList>> {
        Box::pin(self.client.models())
    }
}
