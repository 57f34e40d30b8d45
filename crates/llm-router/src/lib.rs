#![doc = include_str!("../README.md")]
//!
//! Start with [`Router`], [`RouterBuilder`], [`Deployment`], [`Fallbacks`] and [`Strategy`].

mod affinity;
mod attempt;
mod average;
mod breaker;
mod builder;
mod cache;
mod check;
mod clock;
mod continuation;
mod core;
mod deployment;
mod estimate;
mod failover;
mod fallbacks;
mod group;
mod hedge;
mod inherit;
mod limits;
mod names;
mod observe;
mod plan;
mod pool;
mod price_table;
mod quantile;
mod queue;
mod rates;
mod refusal;
mod resolve;
mod retries;
mod route;
mod router;
mod shared;
mod strategy;
mod tail;

pub use crate::affinity::AffinityOptions;
pub use crate::breaker::Cooldown;
pub use crate::builder::RouterBuilder;
pub use crate::cache::{CacheControl, CacheOptions};
pub use crate::check::BuildError;
pub use crate::deployment::{AttemptTimeouts, Deployment, Prices, RateLimits, TokenCounts};
pub use crate::estimate::Estimate;
pub use crate::failover::{MAX_HELD_BYTES, MAX_HELD_CHUNKS};
pub use crate::fallbacks::Fallbacks;
pub use crate::hedge::HedgeOptions;
pub use crate::names::ModelTarget;
pub use crate::observe::{DeploymentHealth, RouterEvent, RouterObserver};
pub use crate::price_table::PriceTable;
pub use crate::queue::QueueOptions;
pub use crate::rates::{
    RateClaim, RateHolder, RateLeft, RateLimiter, RatePermit, RateRefusal, RatesLeft,
};
pub use crate::retries::{MAX_RETRIES, RetryPolicy};
pub use crate::route::RouteOptions;
pub use crate::router::Router;
pub use crate::shared::{SharedState, SharedStateError};
pub use crate::strategy::{
    Candidate, CostBased, LatencyBased, LeastBusy, PeakEwma, STRATEGIES, SimpleShuffle, Strategy,
    UsageBased, strategy,
};
