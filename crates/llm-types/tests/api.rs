//! The conventions of the public API, checked by the compiler.

use std::fmt::{Debug, Display};

use llm_types::completions::{CompletionRequest, CompletionResponse};
use llm_types::embeddings::{EmbeddingRequest, EmbeddingResponse, Vector, VectorError};
use llm_types::moderations::{ModerationRequest, ModerationResponse};
use llm_types::rerank::{RerankDocument, RerankRequest, RerankResponse};
use llm_types::{
    ChatChunk, ChatRequest, ChatResponse, ChunkError, Content, ErrorResponse, Message, ModelList,
    Number, ParseError, Role, Stop, StreamItem, StreamOptions, TextInput, Tool, ToolCall, Usage,
};

fn shared<T: Clone + Debug + Send + Sync + 'static>() {}

#[test]
fn types_are_shared_cloned_and_printed() {
    shared::<ChatChunk>();
    shared::<ChatRequest>();
    shared::<ChatResponse>();
    shared::<CompletionRequest>();
    shared::<CompletionResponse>();
    shared::<Content>();
    shared::<EmbeddingRequest>();
    shared::<EmbeddingResponse>();
    shared::<ErrorResponse>();
    shared::<Message>();
    shared::<ModelList>();
    shared::<ModerationRequest>();
    shared::<ModerationResponse>();
    shared::<Number>();
    shared::<RerankDocument>();
    shared::<RerankRequest>();
    shared::<RerankResponse>();
    shared::<Stop>();
    shared::<StreamItem>();
    shared::<Tool>();
    shared::<ToolCall>();
    shared::<Usage>();
    shared::<Vector>();
    fn error<T: std::error::Error + Clone + Send + Sync + 'static>() {}
    error::<ChunkError>();
    error::<ParseError>();
    error::<VectorError>();
    fn printed<T: Display>() {}
    printed::<Number>();
    printed::<Role>();
}

#[test]
fn conversions_exist() {
    let stops: [Stop; 5] = [
        "END".into(),
        "END".to_owned().into(),
        ["a", "b"].into(),
        vec!["a", "b"].into(),
        vec!["a".to_owned()].into(),
    ];
    assert_eq!(stops.map(|stop| stop.as_slice().len()), [1, 1, 2, 2, 1]);
    let _: Content = "Hello".into();
    let _: [TextInput; 2] = ["text".into(), ["a", "b"].into()];
    let _: RerankDocument = "text".into();
    let _: Role = "user".into();
    let options = StreamOptions::new().with_include_usage(true);
    let request = ChatRequest::new("m", [Message::user("Hello")])
        .with_stop(["a", "b"])
        .with_stream_options(options);
    assert_eq!(request.stop.map(|stop| stop.as_slice().len()), Some(2));
}
