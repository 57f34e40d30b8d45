//! The conventions of the public API, checked by the compiler.

use std::fmt::{Debug, Display};
use std::time::Duration;

use bytes::Bytes;
use llm_provider::{
    ApiKey, BaseUrl, Call, Capabilities, Capability, Chunk, Document, Endpoint, Error, ErrorKind,
    ExtraHeaders, Metadata, Progress, Provider, Record, Registry, Reply, ReplyEvent, ReplyStream,
    RequestBody, Result, Secrets, Settings, Timeouts, Transport,
};

fn shared<T: Clone + Debug + Send + Sync + 'static>() {}

#[test]
fn types_are_shared_cloned_and_printed() {
    shared::<ApiKey>();
    shared::<BaseUrl>();
    shared::<Call>();
    shared::<Capabilities>();
    shared::<Capability>();
    shared::<Chunk>();
    shared::<Document>();
    shared::<ErrorKind>();
    shared::<ExtraHeaders>();
    shared::<Metadata>();
    shared::<Progress>();
    shared::<Record>();
    shared::<Registry>();
    shared::<Reply>();
    shared::<ReplyEvent>();
    shared::<RequestBody>();
    shared::<Secrets>();
    shared::<Settings>();
    shared::<Timeouts>();
    fn moved<T: Debug + Send + 'static>() {}
    moved::<ReplyStream>();
    fn error<T: std::error::Error + Send + Sync + 'static>() {}
    error::<Error>();
    fn printed<T: Display>() {}
    printed::<BaseUrl>();
    printed::<Capabilities>();
    printed::<Capability>();
    printed::<ErrorKind>();
    fn objects(_: Option<(&dyn Endpoint, &dyn Provider, &dyn Transport)>) {}
    objects(None);
}

#[test]
fn conversions_exist() -> Result<()> {
    let _: [ApiKey; 2] = ["key".into(), "key".to_owned().into()];
    let _: BaseUrl = "https://api.acme.example/v1".parse()?;
    let _ = BaseUrl::try_from("https://api.acme.example")?;
    let _: [Document; 3] = ["{}".into(), "{}".to_owned().into(), Bytes::new().into()];
    let _: [RequestBody; 4] = [
        "".into(),
        String::new().into(),
        Bytes::new().into(),
        Vec::<u8>::new().into(),
    ];
    Ok(())
}

#[test]
fn every_public_setting_has_a_builder_method() -> Result<()> {
    let second = Duration::from_secs(1);
    let settings = Settings::new()
        .with_api_key("key")
        .with_api_base("https://api.acme.example")
        .with_timeout(second)
        .with_stream_timeout(second)
        .with_connect_timeout(second)
        .with_first_byte_timeout(second)
        .with_idle_timeout(second)
        .with_max_retries(1)
        .with_retry_billed(true)
        .with_ca_file("authorities.pem")
        .with_extra_headers(ExtraHeaders::default().with("x-team", "blue")?)
        .with_extra("roles", 1)
        .with_extension(7_u8);
    let timeouts = Timeouts::default()
        .with_total(second)
        .with_stream(second)
        .with_first_byte(second)
        .with_idle(second);
    assert_eq!(settings.timeouts(), timeouts);
    assert_eq!(settings.connect_timeout, Some(second));
    assert_eq!(settings.max_retries, Some(1));
    assert!(settings.retry_billed && settings.ca_file.is_some());
    assert_eq!(settings.extra_headers.as_map()["x-team"], "blue");
    assert_eq!(settings.extensions.get::<u8>(), Some(&7));
    Ok(())
}
