#![doc = include_str!("../README.md")]

pub mod cleanup;
mod error;
mod http;
mod json;
mod key;
pub mod openai;
mod provider;
mod registry;
pub mod retry;

pub use crate::error::{Error, ErrorKind, Result};
pub use crate::http::{BaseUrl, Body, HttpClient, with_limit};
pub use crate::json::Json;
pub use crate::key::ApiKey;
pub use crate::provider::{Call, ChatEvent, ChatStream, Metadata, Progress, Provider, Reply};
pub use crate::registry::{Registry, Settings};
