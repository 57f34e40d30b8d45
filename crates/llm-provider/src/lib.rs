#![doc = include_str!("../README.md")]
//!
//! Start with [`Provider`], [`Endpoint`], [`Call`], [`Reply`], [`ReplyStream`], [`Document`],
//! [`Error`], [`Registry`] and [`Settings`].

mod base_url;
mod call;
mod capability;
pub mod cleanup;
mod document;
pub mod endpoint;
mod error;
mod extra_headers;
mod key;
mod names;
mod neutral;
mod provider;
mod records;
mod registry;
mod request_body;
pub mod retry;
mod secrets;
mod settings;
mod settings_builder;
mod spec;
mod stream;
pub mod text;
mod timeouts;
mod transport;

pub use crate::base_url::BaseUrl;
pub use crate::call::{Call, Metadata, Reply};
pub use crate::capability::{Capabilities, Capability};
pub use crate::document::Document;
pub use crate::endpoint::{Chunk, Endpoint};
pub use crate::error::{Error, ErrorKind, Result, upstream_id};
pub use crate::extra_headers::ExtraHeaders;
pub use crate::key::ApiKey;
pub use crate::names::{MAX_MODEL_NAME, nearest_names, similar_name};
pub use crate::neutral::is_neutral;
pub use crate::provider::Provider;
pub use crate::records::Record;
pub use crate::registry::Registry;
pub use crate::request_body::RequestBody;
pub use crate::secrets::Secrets;
pub use crate::settings::{INVALID_ENVIRONMENT, Settings, seconds};
pub use crate::spec::{
    COMMON_SETTINGS, ParamSpec, ProviderSpec, SettingSpec, SettingValue, TEMPLATE_SETTINGS,
    TEXT_COMPLETION, ValueKind, settings_table,
};
pub use crate::stream::{Progress, ReplyEvent, ReplyStream};
pub use crate::timeouts::Timeouts;
pub use crate::transport::{BodyStream, Transport};
