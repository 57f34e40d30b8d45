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
    /// The key or the secrets of the [`Signer`](crate::Signer), the values of the extra headers and
    /// the credentials of proxies are redacted from the upstream's texts; see [`Secrets`]. A key of
    /// fewer than [`Secrets::MIN_CHARS`] characters is not redacted, and a warning is logged. It is
    /// not an error, since a placeholder is a usual key for a local server.
    ///
    /// # Errors
    /// Those of [`transport`], and [`ErrorKind::Auth`](llm_provider::ErrorKind::Auth) for a key
    /// that is not valid in a header.
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
                "the API key has fewer than {} characters, so it is not redacted from the \
                 upstream's texts",
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

    /// The time limits.
    pub fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// The secrets to redact from the upstream's texts.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Adds the key, then the extra headers, which replace others of the same name, then the
    /// signature. Call it only for requests to the upstream itself; [`send`](Self::send) does so.
    ///
    /// # Errors
    /// [`ErrorKind::Auth`](llm_provider::ErrorKind::Auth) if the request cannot be signed.
    pub fn authenticate(&self, request: &mut Request<RequestBody>) -> Result<()> {
        self.credentials.add_key(request)?;
        for (name, value) in self.extra_headers.as_map() {
            request.headers_mut().insert(name, value.clone());
        }
        self.credentials.add_signature(request)
    }

    /// Sends one request to the upstream, and waits for the head of a successful response.
    ///
    /// If the status is not a success, `refusal` creates the error. Secrets are redacted from the
    /// headers and the body beforehand, so `refusal` may shorten them anywhere.
    ///
    /// # Errors
    /// The error of `refusal`, with secrets redacted, and those of [`send`].
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

    /// The host of the upstream, with its port if the address has one.
    pub fn host(&self) -> &str {
        self.base.host()
    }

    /// Redacts from an error the secrets that the upstream may have repeated in it, and sets its
    /// [`host`](Error::host).
    pub fn redact(&self, error: Error) -> Error {
        error.redacted(&self.secrets).with_host(self.host())
    }
}

const MAX_ERROR_BODY: usize = 1 << 20;
