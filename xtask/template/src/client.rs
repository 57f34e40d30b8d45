use futures_core::future::BoxFuture;
use llm_provider::{
    Call, Capabilities, Capability, Provider, Reply, ReplyStream, Result, Settings,
};
use llm_types::ModelList;
use provider_openai::OpenAiClient;

use crate::config::{
    API_BASE_VARIABLES, API_KEY_VARIABLES, DEFAULT_API_BASE, NAME, SpecificSettings,
};
use crate::wire::AcmeDialect;

/// An account at Acme.
#[derive(Debug)]
pub struct Acme {
    client: OpenAiClient<AcmeDialect>,
}

impl Acme {
    /// Creates a client of an account; key and address not in `settings` come from the environment.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`](llm_provider::ErrorKind::Auth) when there is no key, and
    /// `InvalidRequest` for an address that is not a URL, or an unknown setting.
    pub fn new(settings: Settings) -> Result<Self> {
        let SpecificSettings { safe_mode } = SpecificSettings::new(&settings)?;
        let api_key = settings.require_api_key(NAME, API_KEY_VARIABLES)?;
        let base = settings.api_base_or(NAME, API_BASE_VARIABLES, DEFAULT_API_BASE)?;
        let client = OpenAiClient::new(AcmeDialect { safe_mode }, &settings, base, api_key)?;
        Ok(Self { client })
    }
}

impl Provider for Acme {
    fn name(&self) -> &'static str {
        NAME
    }

    // Text completions, embeddings and rerank need only their capability.
    fn capabilities(&self) -> Capabilities {
        Capabilities::new([Capability::Chat, Capability::Models])
    }

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply>> {
        Box::pin(async {
            self.require(&call)?;
            self.client.send(call).await
        })
    }

    fn stream(&self, call: Call) -> BoxFuture<'_, Result<ReplyStream>> {
        Box::pin(async {
            self.require(&call)?;
            self.client.stream(call).await
        })
    }

    fn models(&self) -> BoxFuture<'_, Result<ModelList>> {
        Box::pin(self.client.models())
    }
}
