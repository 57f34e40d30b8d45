//! The conventions of the public API, checked by the compiler.

use std::fmt::{Debug, Display};

use prompt_templates::{
    CustomTemplate, Error, ErrorKind, Family, ModelMatch, Options, PromptContent, PromptMessage,
    PromptPart, PromptRole, PromptToolCall, Prompts, Template, TemplateRegistry,
};

fn shared<T: Clone + Debug + Send + Sync>() {}

#[test]
fn types_are_shared_cloned_and_printed() {
    shared::<CustomTemplate>();
    shared::<ErrorKind>();
    shared::<Family>();
    shared::<ModelMatch>();
    shared::<Options>();
    shared::<PromptContent<'_>>();
    shared::<PromptMessage<'_>>();
    shared::<PromptPart<'_>>();
    shared::<PromptRole<'_>>();
    shared::<PromptToolCall<'_>>();
    shared::<Prompts>();
    shared::<Template>();
    shared::<TemplateRegistry>();
    fn error<T: std::error::Error + Send + Sync + 'static>() {}
    error::<Error>();
    fn printed<T: Display>() {}
    printed::<ErrorKind>();
    printed::<Family>();
    printed::<PromptRole<'_>>();
}

#[test]
fn conversions_exist() {
    assert_eq!("chatml".parse::<Family>().ok(), Some(Family::CHATML));
    let unknown = "chat-ml".parse::<Family>().unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::Config);
    assert!(unknown.to_string().contains("\"chat-ml\""), "{unknown}");
    let _: Template = Family::CHATML.into();
    let _: Template = CustomTemplate::new().into();
    let _: PromptRole<'_> = "user".into();
    let _: PromptContent<'_> = "Hello".into();
}
