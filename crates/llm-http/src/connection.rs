use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use llm_provider::{
    ApiKey, BaseUrl, Error, ExtraHeaders, RequestBody, Result, Secrets, Settings, Timeouts,
    Transport,
};

use crate::client::proxy_urls;
use crate::{Body, send, transport};

/// The way to one account of one upstream: its address, the key, and how long things may take.
#[derive(Clone, Debug)]
pub struct Connection {
    transport: Arc<dyn Transport>,
    base: BaseUrl,
    /// `None` for an upstream that needs no key.
    authorization: Option<HeaderValue>,
    extra_headers: ExtraHeaders,
    secrets: Secrets,
    timeouts: Timeouts,
}

impl Connection {
    /// The way to `base`; transport, timeouts and extra headers are those of `settings`. With an
    /// empty key, requests have no `Authorization` header.
    ///
    /// The key, the values of the extra headers and the credentials of proxies are redacted from
    /// what the upstream says; see [`Secrets`]. A key of fewer than [`Secrets::MIN_CHARS`]
    /// characters is not, and is warned of in the log. It is not an error, since local servers
    /// are often given a placeholder.
    ///
    /// # Errors
    /// Those of [`transport`], and [`ErrorKind::Auth`](llm_provider::ErrorKind::Auth) for a key
    /// that no header can carry.
    pub fn new(settings: &Settings, base: BaseUrl, api_key: ApiKey) -> Result<Self> {
        if !api_key.is_empty() && !Secrets::covers(api_key.expose()) {
            tracing::warn!(
                host = base.host(),
                "the API key has fewer than {} characters: it is not redacted where the upstream \
                 repeats it",
                Secrets::MIN_CHARS
            );
        }
        let of_headers = settings.extra_headers.as_map().values();
        let secrets = of_headers
            .flat_map(Secrets::in_header)
            .chain(proxy_urls().flat_map(|url| Secrets::in_url(&url)))
            .chain([api_key.expose().to_owned()]);
        Ok(Self {
            transport: transport(settings)?,
            base,
            authorization: match api_key.is_empty() {
                true => None,
                false => Some(api_key.bearer()?),
            },
            extra_headers: settings.extra_headers.clone(),
            secrets: Secrets::new(secrets),
            timeouts: settings.timeouts(),
        })
    }

    /// The transport, for requests to other addresses than [`base`](Self::base); see [`send`].
    pub fn transport(&self) -> &dyn Transport {
        &*self.transport
    }

    /// The upstream's address.
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// How long things may take.
    pub fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// What is redacted from the upstream's texts.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Adds to a request what tells the upstream who asks: the key, and the extra headers, which
    /// replace others of the same name. Only for the upstream itself.
    pub fn identify(&self, headers: &mut HeaderMap) {
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        for (name, value) in self.extra_headers.as_map() {
            headers.insert(name, value.clone());
        }
    }

    /// Sends one request to the upstream, and waits for the head of a good answer.
    ///
    /// `idle` limits each wait for a piece of the body, and `first_byte`, where there is any, the
    /// wait for the head. `refusal` makes the error of an answer whose status is not a success; it
    /// is given headers and a body without secrets, so that it may cut their texts anywhere.
    ///
    /// # Errors
    /// That of `refusal`, without secrets, and those of [`send`].
    pub async fn send(
        &self,
        request: Request<impl Into<RequestBody>>,
        first_byte: Option<Duration>,
        idle: Duration,
        refusal: impl FnOnce(StatusCode, &HeaderMap, Bytes) -> Error,
    ) -> Result<Response<Body>> {
        let mut request = request.map(Into::into);
        self.identify(request.headers_mut());
        let response = send(&*self.transport, request, first_byte, idle).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (mut parts, body) = response.into_parts();
        let body = body.collect(MAX_ERROR_BODY).await.unwrap_or_default();
        let body = self.secrets.redact_body(body);
        self.secrets.redact_headers(&mut parts.headers);
        Err(self.redact(refusal(parts.status, &parts.headers, body)))
    }

    /// The error without the secrets that the upstream may have repeated in it.
    pub fn redact(&self, error: Error) -> Error {
        error.redacted(&self.secrets)
    }
}

const MAX_ERROR_BODY: usize = 1 << 20;
