#![doc = include_str!("../README.md")]
//!
//! Start with [`ReplicateClient`], [`NewPrediction`] and [`ReplicateDeployment`].

mod account;
mod client;
mod create;
mod deployment;
mod error;
mod events;
mod list;
mod model;
mod prediction;
mod schema;
mod target;
mod watch;
#[cfg(feature = "webhook")]
pub mod webhook;

pub use crate::account::Account;
pub use crate::client::{
    API_BASE_VARIABLES, API_KEY_VARIABLES, DEFAULT_API_BASE, NAME, PredictionLimits,
    ReplicateClient, spec,
};
pub use crate::create::NewPrediction;
pub use crate::deployment::{DeploymentChange, Machines, Release, ReplicateDeployment};
pub use crate::events::is_replicate_host;
pub use crate::model::{Collection, ReplicateModel, Version};
pub use crate::prediction::{Prediction, PredictionStatus};
pub use crate::schema::{Parameter, Schema};
pub use crate::target::Target;
pub use crate::watch::Watch;
