//! A provider that fulfils the contract, from which the mutants are made.

use futures_core::future::BoxFuture;
use llm_provider::{
    ApiKey, Call, Capabilities, Capability, Provider, ProviderSpec, Reply, ReplyStream, Result,
    SettingSpec, Settings, ValueKind,
};
use llm_types::ModelList;
use provider_openai::{Dialect, OpenAiClient};
use serde::Deserialize;

pub(crate) fn spec() -> ProviderSpec {
    let region = SettingSpec::new(
        "region",
        ValueKind::Text,
        "The region that serves the calls",
    );
    ProviderSpec::new(NAME).with_settings([region])
}

#[derive(Deserialize)]
struct SpecificSettings {
    #[serde(default, rename = "region")]
    _region: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Acme(OpenAiClient<AcmeDialect>);

impl Acme {
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        spec().check(settings)?;
        let _: SpecificSettings = settings.extra_as(NAME)?;
        let key = settings.api_key.clone().unwrap_or_else(|| ApiKey::new(""));
        let base = settings.api_base_or(NAME, &[], "http://127.0.0.1:1")?;
        Ok(Self(OpenAiClient::new(AcmeDialect, settings, base, key)?))
    }
}

impl Provider for Acme {
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

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply>> {
        Box::pin(self.0.send(call))
    }

    fn stream(&self, call: Call) -> BoxFuture<'_, Result<ReplyStream>> {
        Box::pin(self.0.stream(call))
    }

    fn models(&self) -> BoxFuture<'_, Result<ModelList>> {
        Box::pin(self.0.models())
    }
}

/// OpenAI's parameters except two.
#[derive(Debug)]
pub(crate) struct AcmeDialect;

impl Dialect for AcmeDialect {
    fn provider(&self) -> &'static str {
        NAME
    }

    fn request(&self, call: &mut Call) -> Result<()> {
        if call.endpoint.capability() == Capability::Chat {
            call.body.rename("max_completion_tokens", "max_tokens");
            call.refuse("logit_bias")?;
        }
        Ok(())
    }
}

pub(crate) const NAME: &str = "acme";
