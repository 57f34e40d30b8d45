use futures_core::future::BoxFuture;
use http::{HeaderName, Method};
use llm_http::{Authentication, UpstreamClient};
use llm_provider::{
    Call, Capabilities, Capability, Error, ErrorKind, Provider, Reply, ReplyStream, Result,
    Settings,
};
use llm_types::ModelList;

use crate::config::{
    API_BASE_VARIABLES, API_KEY_VARIABLES, DEFAULT_API_BASE, NAME, SpecificSettings,
};
use crate::{error, stream, wire};

/// An account at Acme.
#[derive(Clone, Debug)]
pub struct Acme {
    upstream: UpstreamClient,
    safe_mode: bool,
}

impl Acme {
    /// Creates a client of an account; key and address not in `settings` come from the environment.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`] when there is no key, and [`ErrorKind::InvalidRequest`] for an address
    /// that is not a URL, or an unknown setting.
    pub fn new(settings: Settings) -> Result<Self> {
        let SpecificSettings { safe_mode } = SpecificSettings::new(&settings)?;
        let api_key = settings.require_api_key(NAME, API_KEY_VARIABLES)?;
        let base = settings.api_base_or(NAME, API_BASE_VARIABLES, DEFAULT_API_BASE)?;
        // Or `Authentication::query`, or a `Signer` of your own.
        let authentication = Authentication::header(API_KEY_HEADER, api_key);
        Ok(Self {
            upstream: UpstreamClient::new(NAME, &settings, base, authentication)?,
            safe_mode,
        })
    }

    async fn chat(&self, mut call: Call) -> Result<Reply> {
        let exchange = self.upstream.exchange(&call);
        let mut metadata = exchange.metadata();
        let work = async {
            self.require(&call)?;
            let body = wire::request(&mut call, false, self.safe_mode)?;
            metadata.dropped_params = std::mem::take(&mut call.dropped_params);
            let request = self.upstream.request(Method::POST, GENERATE, body)?;
            let response = exchange.send(request, error::read).await?;
            metadata.upstream_id = self.upstream.upstream_id(response.headers());
            let body = response.into_body().collect(MAX_BODY).await?;
            let reply = wire::reply(&body)?;
            call.endpoint.normalize(&call.body, reply, &mut metadata)
        };
        let reply = exchange.run(Box::pin(work)).await?;
        Ok(exchange.reply(reply, metadata))
    }

    async fn stream_chat(&self, mut call: Call) -> Result<ReplyStream> {
        let exchange = self.upstream.stream_exchange(&call);
        let mut metadata = exchange.metadata();
        let work = async {
            self.require(&call)?;
            let normalizer = call.endpoint.chunks(&call.body);
            let normalizer = normalizer
                .ok_or_else(|| Error::unsupported(NAME, call.endpoint.capability()))?;
            let body = wire::request(&mut call, true, self.safe_mode)?;
            metadata.dropped_params = std::mem::take(&mut call.dropped_params);
            let request = self.upstream.request(Method::POST, GENERATE, body)?;
            let response = exchange.send(request, error::read).await?;
            if !stream::is_ndjson(response.headers()) {
                let message = "the response is not a stream of NDJSON";
                return Err(Error::new(ErrorKind::UnexpectedBody, message));
            }
            Ok((response, normalizer))
        };
        let (response, normalizer) = exchange.run(Box::pin(work)).await?;
        metadata.upstream_id = self.upstream.upstream_id(response.headers());
        let records = stream::records(response.into_body(), metadata.model.clone());
        Ok(exchange.reply_stream(metadata, records, normalizer))
    }

    async fn list_models(&self) -> Result<ModelList> {
        let exchange = self.upstream.exchange_for("models");
        let work = async {
            let request = self.upstream.request(Method::GET, MODELS, "")?;
            let response = exchange.send(request, error::read).await?;
            wire::models(&response.into_body().collect(MAX_BODY).await?)
        };
        exchange.run(work).await
    }
}

impl Provider for Acme {
    fn name(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new([Capability::Chat, Capability::Models])
    }

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply>> {
        Box::pin(self.chat(call))
    }

    fn stream(&self, call: Call) -> BoxFuture<'_, Result<ReplyStream>> {
        Box::pin(self.stream_chat(call))
    }

    fn models(&self) -> BoxFuture<'_, Result<ModelList>> {
        Box::pin(self.list_models())
    }
}

const API_KEY_HEADER: HeaderName = HeaderName::from_static("x-api-key");
const GENERATE: &str = "/v1/generate";
const MODELS: &str = "/v1/models";
const MAX_BODY: usize = 64 << 20;
