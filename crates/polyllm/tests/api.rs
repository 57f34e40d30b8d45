//! The conventions of the public API, checked by the compiler.

use std::fmt::{Debug, Display};

use polyllm::templates::{Family, Options, PromptMessage};
use polyllm::types::embeddings::Vector;
use polyllm::types::parse;
use polyllm::{
    AccumulatingStream, ApiKey, ChatBuilder, ChatRequest, ChatResponse, ChatTemplate, Client,
    CompletionBuilder, Content, Conversation, CustomTemplate, EmbeddingBuilder, Error, ErrorKind,
    Functions, Message, Metadata, Provider, Registry, Reply, ReplyStream, RerankBuilder, Result,
    Settings, Stop, Template, adapted, blocking,
};

fn shared<T: Clone + Debug + Send + Sync>() {}
fn moved<T: Debug + Send>() {}
fn is_send(value: impl Send) -> impl Send {
    value
}

#[test]
fn types_are_shared_cloned_and_printed() {
    shared::<ApiKey>();
    shared::<Client>();
    shared::<ChatBuilder<'_>>();
    shared::<CompletionBuilder<'_>>();
    shared::<EmbeddingBuilder<'_>>();
    shared::<RerankBuilder<'_>>();
    shared::<ChatRequest>();
    shared::<ChatResponse>();
    shared::<ChatTemplate>();
    shared::<Conversation>();
    shared::<CustomTemplate>();
    shared::<Functions>();
    shared::<Metadata>();
    shared::<Registry>();
    shared::<Reply>();
    shared::<Settings>();
    shared::<Template>();
    moved::<ReplyStream>();
    moved::<AccumulatingStream<ChatRequest>>();
    moved::<adapted::MessagesBuilder<'_>>();
    moved::<adapted::ResponsesBuilder<'_>>();
    moved::<blocking::Stream>();
    fn error<T: std::error::Error + Send + Sync + 'static>() {}
    error::<Error>();
    fn printed<T: Display>() {}
    printed::<ErrorKind>();
    fn object(_: Option<&dyn Provider>) {}
    object(None);
}

#[test]
fn futures_are_send() {
    let client = Client::new(polyllm::registry());
    drop(is_send(client.chat("together_ai/m").send()));
    drop(is_send(client.chat("together_ai/m").reply()));
    drop(is_send(client.chat("together_ai/m").stream()));
    drop(is_send(client.chat("together_ai/m").accumulating_stream()));
    drop(is_send(client.chat("together_ai/m").json::<u8>()));
    drop(is_send(client.chat("together_ai/m").into_future()));
    drop(is_send(client.chat("together_ai/m").run(&Functions::new())));
    drop(is_send(client.complete("together_ai/m", "Once").send()));
    drop(is_send(client.models("together_ai")));
    drop(is_send(polyllm::completion(
        "together_ai/m",
        [Message::user("Hi")],
    )));
}

#[test]
fn conversions_exist() {
    let _ = Settings::new().with_api_key("key");
    let _ = Settings::new().with_api_key("key".to_owned());
    let _: [Stop; 3] = ["END".into(), "END".to_owned().into(), ["a", "b"].into()];
    let _: Content = "Hello".into();
}

/// The errors of all crates convert to that of this one.
#[test]
fn the_question_mark_converts_every_error() -> Result<()> {
    let prompt = Family::CHATML.render(&[PromptMessage::user("Hi")], &Options::new())?;
    assert!(prompt.contains("Hi"));
    let vector: Vector = parse(b"[1.5]")?;
    assert_eq!(vector.to_f32s()?, [1.5]);
    let refused = || -> Result<String> { Ok(Family::CHATML.render(&[], &Options::new())?) };
    assert_eq!(refused().unwrap_err().kind(), ErrorKind::InvalidRequest);
    Ok(())
}
