//! Which deployment serves this call.
//!
//! A model group is a public name; behind it stand deployments, each a model of a provider. The
//! [`Router`] picks one by weight and, where another may do better, tries once more there.
//!
//! It knows the trait [`Provider`](llm_provider::Provider) and no provider.

mod deployment;
mod failover;
mod router;

pub use crate::deployment::Deployment;
pub use crate::router::Router;
