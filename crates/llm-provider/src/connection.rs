use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST, HeaderName, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use serde::{Deserialize, Deserializer};

use crate::{ApiKey, BaseUrl, Body, Error, HttpClient, RequestBody, Result, Settings, Timeouts};

/// The way to one account of one upstream: its address, the key, and how long things may take.
#[derive(Clone, Debug)]
pub struct Connection {
    http: HttpClient,
    base: BaseUrl,
    api_key: ApiKey,
    authorization: HeaderValue,
    extra_headers: ExtraHeaders,
    timeouts: Timeouts,
}

impl Connection {
    /// The way to `base`; connections, limits of time and extra headers are those of `settings`.
    ///
    /// # Errors
    /// Those of [`Settings::http_client`], and [`ErrorKind::Auth`](crate::ErrorKind::Auth) for a
    /// key that no header can carry.
    pub fn new(settings: &Settings, base: BaseUrl, api_key: ApiKey) -> Result<Self> {
        Ok(Self {
            http: settings.http_client()?,
            base,
            authorization: api_key.bearer()?,
            api_key,
            extra_headers: settings.extra_headers.clone(),
            timeouts: settings.timeouts(),
        })
    }

    /// The connections, for whatever is not at [`base`](Self::base).
    pub fn http(&self) -> &HttpClient {
        &self.http
    }

    /// The upstream's address.
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// How long things may take.
    pub fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// Adds to a request what tells the upstream who asks: the key, and the extra headers, which
    /// replace others of the same name. Only for the upstream itself.
    pub fn identify(&self, headers: &mut HeaderMap) {
        headers.insert(AUTHORIZATION, self.authorization.clone());
        for (name, value) in &self.extra_headers.0 {
            headers.insert(name, value.clone());
        }
    }

    /// Sends one request to the upstream, and waits for the head of a good answer.
    ///
    /// `idle` limits each wait for a piece of the body, and `first_byte`, where there is any, the
    /// wait for the head. What a bad answer stands for is told by `refusal`.
    ///
    /// # Errors
    /// That of `refusal`, without the key, and those of [`HttpClient::send`].
    pub async fn send(
        &self,
        request: Request<impl Into<RequestBody>>,
        first_byte: Option<Duration>,
        idle: Duration,
        refusal: impl FnOnce(StatusCode, &HeaderMap, Bytes) -> Error,
    ) -> Result<Response<Body>> {
        let mut request = request.map(Into::into);
        self.identify(request.headers_mut());
        let response = self.http.send(request, first_byte, idle).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = body.collect(MAX_ERROR_BODY).await.unwrap_or_default();
        Err(self.discreet(refusal(parts.status, &parts.headers, body)))
    }

    /// The error without the key, should the upstream have repeated it.
    pub fn discreet(&self, error: Error) -> Error {
        error.without_key(&self.api_key)
    }
}

/// Headers that a deployment's requests have besides the usual ones, such as a proxy's own key.
///
/// `Debug` shows their names only.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct ExtraHeaders(HeaderMap);

impl ExtraHeaders {
    /// Adds a header; one of the same name is replaced.
    ///
    /// # Errors
    /// A sentence about what is wrong with it: no header can carry it, or it would change how the
    /// request itself is read.
    pub fn insert(&mut self, name: &str, value: &str) -> Result<(), String> {
        let named = HeaderName::try_from(name);
        let named = named.map_err(|_| format!("\"{name}\" is no name of a header"))?;
        if FRAMING.contains(&named) {
            return Err(format!("the header {named} is not for others to set"));
        }
        let value = HeaderValue::try_from(value);
        let mut value = value.map_err(|_| format!("the value of {named} is none of a header"))?;
        value.set_sensitive(true);
        self.0.insert(named, value);
        Ok(())
    }
}

impl fmt::Debug for ExtraHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<'de> Deserialize<'de> for ExtraHeaders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let pairs = serde_json::Map::deserialize(deserializer)?;
        let mut headers = Self::default();
        for (name, value) in pairs {
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            let inserted = headers.insert(&name, &value);
            inserted.map_err(serde::de::Error::custom)?;
        }
        Ok(headers)
    }
}

/// What tells where a request goes and where it ends.
const FRAMING: [HeaderName; 5] = [CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE];
const MAX_ERROR_BODY: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_headers_are_read_and_not_shown() {
        let read = |json: &str| serde_json::from_str::<ExtraHeaders>(json);
        let headers = read(r#"{"X-Team": "blue", "x-tries": 3}"#).unwrap();
        assert_eq!(headers.0["x-team"], "blue");
        assert_eq!(headers.0["x-tries"], "3");
        assert_eq!(format!("{headers:?}"), r#"{"x-team", "x-tries"}"#);
        for bad in [
            r#"{"a b": "c"}"#,
            r#"{"a": "c\nd: e"}"#,
            r#"{"Host": "example.com"}"#,
            r#"{"content-length": "0"}"#,
            r#"["a"]"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
