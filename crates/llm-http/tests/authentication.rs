//! Each kind of authentication is sent in its place, and never shown.

#![allow(clippy::unwrap_used, reason = "test helpers")]

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use llm_http::{Authentication, Connection, MemoryTransport, SendOptions, Signer, UpstreamClient};
use llm_provider::{ApiKey, BaseUrl, Error, ErrorKind, RequestBody, Result, Settings};

const KEY: &str = "sk/secret+4711&?";

/// Signs the path with the lengths of the body and the key: a stand-in for an HMAC.
#[derive(Debug)]
struct LengthSigner;

impl Signer for LengthSigner {
    fn sign(&self, request: &mut Request<RequestBody>) -> Result<()> {
        let bytes: usize = request.body().pieces().map(Bytes::len).sum();
        assert_eq!(bytes, request.body().len());
        let value = format!("signature-{}-{bytes}-{}", request.uri().path(), KEY.len());
        let mut value = HeaderValue::try_from(value)
            .map_err(|error| Error::new(ErrorKind::Auth, "cannot sign").with_source(error))?;
        value.set_sensitive(true);
        request.headers_mut().insert("x-signature", value);
        Ok(())
    }

    fn secrets(&self) -> Vec<String> {
        vec![KEY.to_owned()]
    }
}

#[tokio::test]
async fn each_kind_of_authentication_is_sent_in_its_place() {
    let api_key = HeaderName::from_static("x-api-key");
    let bearer = format!("Bearer {KEY}");
    for (authentication, expected) in [
        (Authentication::none(), ["", "", "", ""]),
        (Authentication::bearer(""), ["", "", "", ""]),
        (Authentication::query("key", ""), ["", "", "", ""]),
        (
            Authentication::from(ApiKey::new(KEY)),
            [&bearer, "", "", ""],
        ),
        (Authentication::header(api_key, KEY), ["", KEY, "", ""]),
        (
            Authentication::query("api key", KEY),
            ["", "", "api%20key=sk%2Fsecret%2B4711%26%3F", ""],
        ),
        (
            Authentication::signature(LengthSigner),
            ["", "", "", "signature-/v1/chat-5-16"],
        ),
    ] {
        let shown = format!("{authentication:?}");
        assert!(!shown.contains("secret"), "{shown}");
        let seen = Arc::new(Mutex::new(None));
        let error = refused(authentication, Arc::clone(&seen)).await;
        let request = seen.lock().unwrap().take().unwrap();
        let header = |name| {
            request
                .headers()
                .get(name)
                .map_or("", |value| value.to_str().unwrap())
        };
        let query = request.uri().query().unwrap_or_default();
        let sent = [
            header(AUTHORIZATION.as_str()),
            header("x-api-key"),
            query
                .strip_prefix("page=1")
                .unwrap()
                .trim_start_matches('&'),
            header("x-signature"),
        ];
        assert_eq!(sent, expected);
        if expected.concat().is_empty() {
            continue;
        }
        let mut shown = format!("{error:?} {error}");
        write!(shown, "{:?}", error.body()).unwrap();
        assert!(!shown.contains("secret"), "{shown}");
        for part in expected.iter().filter(|part| !part.is_empty()) {
            assert!(!shown.contains(part), "{shown}");
        }
    }
}

/// The error of an upstream that repeats the whole request.
async fn refused(
    authentication: Authentication,
    seen: Arc<Mutex<Option<Request<Bytes>>>>,
) -> Error {
    let transport = MemoryTransport::new(move |request| {
        let headers: Vec<_> = request
            .headers()
            .values()
            .map(|value| value.to_str().unwrap().to_owned())
            .collect();
        let text = format!("{} {headers:?}", request.uri());
        let body = format!(r#"{{"error":{{"message":{text:?},"code":{KEY:?}}}}}"#);
        *seen.lock().unwrap() = Some(request);
        let response = Response::builder().status(401).header("x-request-id", text);
        Ok(response.body(body.into()).unwrap())
    });
    let settings = Settings::new()
        .with_transport(transport)
        .with_max_retries(0);
    let base = BaseUrl::parse("https://api.acme.example").unwrap();
    let connection = Connection::new(&settings, base, authentication).unwrap();
    let mut request = Request::new(RequestBody::from("hello"));
    *request.uri_mut() = connection.base().join("/v1/chat?page=1").unwrap();
    let options = SendOptions::new(Duration::from_secs(1));
    let refusal = |status, headers: &_, body: Bytes| {
        Error::from_response(status, headers, body.clone()).with_envelope(&body)
    };
    connection
        .send(request, options, refusal)
        .await
        .unwrap_err()
}

#[tokio::test(start_paused = true)]
async fn a_signature_is_made_for_each_attempt() {
    #[derive(Debug, Default)]
    struct Counter(Arc<Mutex<u32>>);

    impl Signer for Counter {
        fn sign(&self, request: &mut Request<RequestBody>) -> Result<()> {
            let mut count = self.0.lock().unwrap();
            *count += 1;
            request.headers_mut().insert("x-count", (*count).into());
            Ok(())
        }

        fn secrets(&self) -> Vec<String> {
            Vec::new()
        }
    }

    let transport = MemoryTransport::new(|request| {
        let status = match request.headers()["x-count"] == "3" {
            true => 200,
            false => 503,
        };
        Ok(Response::builder()
            .status(status)
            .body(Bytes::new())
            .unwrap())
    });
    let settings = Settings::new().with_transport(transport);
    let base = BaseUrl::parse("https://api.acme.example").unwrap();
    let signer = Authentication::signature(Counter::default());
    let upstream = UpstreamClient::new("acme", &settings, base, signer).unwrap();
    let exchange = upstream.exchange_for("models");
    let request = upstream.request(Method::GET, "/v1/models", "").unwrap();
    let response = exchange.send(request, Error::from_response).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn a_request_that_cannot_be_signed_is_not_sent() {
    #[derive(Debug)]
    struct Broken;

    impl Signer for Broken {
        fn sign(&self, _: &mut Request<RequestBody>) -> Result<()> {
            Err(Error::new(ErrorKind::Auth, "no clock"))
        }

        fn secrets(&self) -> Vec<String> {
            Vec::new()
        }
    }

    let seen = Arc::new(Mutex::new(None));
    let error = refused(Authentication::signature(Broken), Arc::clone(&seen)).await;
    assert_eq!(error.kind(), ErrorKind::Auth);
    assert!(seen.lock().unwrap().is_none());
}
