#![doc = include_str!("../README.md")]

mod call;
mod capability;
pub mod cleanup;
#[cfg(feature = "conformance")]
pub mod conformance;
mod connection;
mod error;
mod http;
mod json;
mod key;
pub mod openai;
mod operation;
mod provider;
mod registry;
pub mod retry;
mod settings;
mod stream;
mod timeouts;
#[cfg(feature = "webhook")]
pub mod webhook;

pub use crate::call::{Call, Metadata, Reply};
pub use crate::capability::{Capabilities, Capability};
pub use crate::connection::{Connection, ExtraHeaders};
pub use crate::error::{Error, ErrorKind, Result};
pub use crate::http::{BaseUrl, Body, HttpClient, HttpOptions, RequestBody, with_limit};
pub use crate::json::Json;
pub use crate::key::ApiKey;
pub use crate::operation::{Operation, StreamingOperation};
pub use crate::provider::Provider;
pub use crate::registry::Registry;
pub use crate::settings::{Settings, seconds};
pub use crate::stream::{
    ChatEvent, ChatStream, CompletionEvent, CompletionStream, Progress, ReplyEvent, ReplyStream,
};
pub use crate::timeouts::Timeouts;
