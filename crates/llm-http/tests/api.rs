//! The conventions of the public API, checked by the compiler.

use std::fmt::{Debug, Display};

use http::HeaderName;
use llm_http::{
    Authentication, Body, Connection, Deadline, Exchange, HttpClient, HttpOptions, MemoryTransport,
    RetryPolicy, SendOptions, Signer, UpstreamClient,
};
use llm_provider::{ApiKey, BaseUrl, Error, Result, Settings, Transport};

fn shared<T: Clone + Debug + Send + Sync + 'static>() {}
fn is_send(value: impl Send) -> impl Send {
    value
}

#[test]
fn types_are_shared_cloned_and_printed() {
    shared::<Authentication>();
    shared::<Connection>();
    shared::<Deadline>();
    shared::<HttpClient>();
    shared::<HttpOptions>();
    shared::<MemoryTransport>();
    shared::<RetryPolicy>();
    shared::<SendOptions>();
    shared::<UpstreamClient>();
    shared::<Exchange<'static>>();
    fn moved<T: Debug + Send + 'static>() {}
    moved::<Body>();
    fn object(_: Option<&dyn Signer>, _: Option<&dyn Transport>) {}
    object(None, None);
    fn printed<T: Display + std::error::Error>() {}
    printed::<Error>();
}

#[test]
fn conversions_exist() -> Result<()> {
    let settings = Settings::new();
    let _ = RetryPolicy::from(&settings);
    let _ = HttpClient::try_from(&settings)?;
    let _ = Authentication::from(ApiKey::from("key"));
    let _ = Authentication::header(HeaderName::from_static("x-api-key"), "key");
    let _ = Authentication::query("key", "key".to_owned());
    let base: BaseUrl = "https://api.acme.example".parse()?;
    let _ = Connection::new(&settings, base, Authentication::none())?;
    Ok(())
}

#[test]
fn futures_are_send() -> Result<()> {
    let base: BaseUrl = "https://api.acme.example".parse()?;
    let upstream = UpstreamClient::new("acme", &Settings::new(), base, ApiKey::new("key"))?;
    let exchange = upstream.exchange_for("models");
    let request = upstream.request(http::Method::GET, "/v1/models", "")?;
    drop(is_send(exchange.send(request, Error::from_response)));
    drop(is_send(exchange.run(async { Ok(()) })));
    Ok(())
}
