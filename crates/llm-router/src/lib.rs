#![doc = include_str!("../README.md")]

mod affinity;
mod attempt;
mod average;
mod breaker;
mod builder;
mod check;
mod clock;
mod core;
mod deployment;
mod estimate;
mod failover;
mod fallbacks;
mod group;
mod limits;
mod names;
mod observe;
mod plan;
mod pool;
mod queue;
mod refusal;
mod resolve;
mod retries;
mod route;
mod router;
mod strategy;
mod tail;

pub use crate::affinity::AffinityOptions;
pub use crate::breaker::Cooldown;
pub use crate::builder::RouterBuilder;
pub use crate::check::BuildError;
pub use crate::deployment::{AttemptTimeouts, Deployment, Prices, RateLimits, TokenCounts};
pub use crate::failover::{MAX_HELD_BYTES, MAX_HELD_CHUNKS};
pub use crate::fallbacks::Fallbacks;
pub use crate::observe::{DeploymentHealth, RouterEvent, RouterObserver};
pub use crate::queue::QueueOptions;
pub use crate::retries::{MAX_RETRIES, RetryPolicy};
pub use crate::route::RouteOptions;
pub use crate::router::Router;
pub use crate::strategy::{
    Candidate, CostBased, LatencyBased, LeastBusy, PeakEwma, STRATEGIES, SimpleShuffle, Strategy,
    UsageBased, strategy,
};
