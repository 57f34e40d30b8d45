use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use llm_provider::{
    BaseUrl, Error, ExtraHeaders, RequestBody, Result, Secrets, Settings, Timeouts, Transport,
};

use crate::authentication::Credentials;
use crate::client::proxy_urls;
use crate::{Authentication, Body, SendOptions, send, transport};

/// A connection to one account at one upstream: address, authentication, extra headers and timeouts.
#[derive(Clone, Debug)]
pub struct Connection {
    transport: Arc<dyn Transport>,
    base: BaseUrl,
    credentials: Credentials,
    extra_headers: ExtraHeaders,
    secrets: Secrets,
    timeouts: Timeouts,
}

impl Connection {
    /// Creates a connection to `base`; transport, timeouts and extra headers are those of
    /// `settings`. An [`ApiKey`](llm_provider::ApiKey) is sent as a bearer token, unless it is empty.
    ///
    /// The key, or the secrets of the [`Signer`](crate::Signer), the values of the extra headers and the credentials of proxies are redacted from
    /// what the upstream says; see [`Secrets`]. A key of fewer than [`Secrets::MIN_CHARS`]
    /// characters is not, and is warned of in the log. It is not an error, since local servers
    /// are often given a placeholder.
    ///
    /// # Errors
    /// Those of [`transport`], and [`ErrorKind::Auth`](llm_provider::ErrorKind::Auth) for a key
    /// that no header can carry.
    pub fn new(
        settings: &Settings,
        base: BaseUrl,
        authentication: impl Into<Authentication>,
    ) -> Result<Self> {
        let authentication = authentication.into();
        let keys = authentication.secrets();
        let is_short = |key: &String| !key.is_empty() && !Secrets::covers(key);
        if keys.iter().any(is_short) {
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
            .chain(keys);
        Ok(Self {
            transport: transport(settings)?,
            base,
            credentials: authentication.credentials()?,
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

    /// Adds the key, then the extra headers, which replace others of the same name, then the
    /// signature. Only for requests to the upstream itself. [`send`](Self::send) does it.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`](llm_provider::ErrorKind::Auth) when the request cannot be signed.
    pub fn authenticate(&self, request: &mut Request<RequestBody>) -> Result<()> {
        self.credentials.add_key(request)?;
        for (name, value) in self.extra_headers.as_map() {
            request.headers_mut().insert(name, value.clone());
        }
        self.credentials.add_signature(request)
    }

    /// Sends one request to the upstream, and waits for the head of a good answer.
    ///
    /// `refusal` makes the error of an answer whose status is not a success; it
    /// is given headers and a body without secrets, so that it may cut their texts anywhere.
    ///
    /// # Errors
    /// That of `refusal`, without secrets, and those of [`send`].
    pub async fn send(
        &self,
        request: Request<impl Into<RequestBody>>,
        options: SendOptions,
        refusal: impl FnOnce(StatusCode, &HeaderMap, Bytes) -> Error,
    ) -> Result<Response<Body>> {
        let mut request = request.map(Into::into);
        self.authenticate(&mut request)?;
        let signatures = self.credentials.secrets_of(&request);
        let response = send(&*self.transport, request, options).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (mut parts, body) = response.into_parts();
        let body = body.collect(MAX_ERROR_BODY).await.unwrap_or_default();
        let body = signatures.redact_body(self.secrets.redact_body(body));
        for secrets in [&self.secrets, &signatures] {
            secrets.redact_headers(&mut parts.headers);
        }
        let error = refusal(parts.status, &parts.headers, body);
        Err(self.redact(error.redacted(&signatures)))
    }

    /// The error without the secrets that the upstream may have repeated in it.
    pub fn redact(&self, error: Error) -> Error {
        error.redacted(&self.secrets)
    }
}

const MAX_ERROR_BODY: usize = 1 << 20;
