//! Metrics for Prometheus.
//!
//! The values of labels come from the configuration and from fixed lists, never from clients or
//! upstreams, so the number of series is bounded.

mod deployments;
mod request;
mod series;

use std::fmt;
use std::sync::Arc;

use gateway_store::Health;
use llm_router::{Deployment, Router, RouterObserver};

use self::deployments::{DeploymentMetrics, Observer};
pub(crate) use self::request::RequestMetrics;
use self::series::{Counter, Family, Gauge, Seconds, ShortSeconds};
use crate::VirtualKeys;

/// The metrics of a gateway, which outlive its configurations.
pub(crate) struct Metrics {
    requests: Family<Counter>,
    in_flight: Family<Gauge>,
    duration: Family<Seconds>,
    overhead: Family<ShortSeconds>,
    database_up: Family<Gauge>,
    shared_state_up: Family<Gauge>,
    records_waiting: Family<Gauge>,
    build: Family<Gauge>,
    deployments: Arc<DeploymentMetrics>,
}

impl Metrics {
    pub(crate) fn new() -> Arc<Self> {
        let build = Family::<Gauge>::new(
            "polyllm_build_info",
            "1, with the version of the gateway.",
            &["version"],
        );
        build.of(&[env!("CARGO_PKG_VERSION")]).set(1);
        Arc::new(Self {
            build,
            database_up: Family::new(
                "polyllm_database_up",
                "1 while the database of keys and spend answers, otherwise 0.",
                &[],
            ),
            shared_state_up: Family::new(
                "polyllm_shared_state_up",
                "1 while the state that gateways share (Redis) answers, otherwise 0.",
                &[],
            ),
            records_waiting: Family::new(
                "polyllm_usage_records_waiting",
                "Usage records that are not yet in the database.",
                &[],
            ),
            requests: Family::new(
                "polyllm_requests_total",
                "HTTP requests by route and status; the status of a client that left is \"closed\".",
                &["route", "status"],
            ),
            in_flight: Family::new(
                "polyllm_requests_in_flight",
                "HTTP requests whose response has not been sent completely.",
                &[],
            ),
            duration: Family::new(
                "polyllm_request_duration_seconds",
                "The time from the head of an HTTP request to the end of its response.",
                &["route"],
            ),
            overhead: Family::new(
                "polyllm_overhead_seconds",
                "The part of a call's time in which no deployment was working on it: reading the \
                 request, checks, limits, waiting in a queue, and sending the rest of the response.",
                &["route"],
            ),
            deployments: Arc::new(DeploymentMetrics::new()),
        })
    }

    /// An observer for the router of these deployments.
    pub(crate) fn observer(&self, deployments: &[Deployment]) -> Arc<dyn RouterObserver> {
        Arc::new(Observer::new(Arc::clone(&self.deployments), deployments))
    }

    /// The requests whose response has not been sent completely.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.of(&[]).value()
    }

    /// The current values, in Prometheus's text format.
    pub(crate) fn text(&self, router: &Router, keys: Option<&VirtualKeys>) -> String {
        self.deployments.refresh(router);
        if let Some(keys) = keys {
            let is_up = *keys.store().health().borrow() != Health::Unavailable;
            self.database_up.of(&[]).set(is_up.into());
            let waiting = u64::try_from(keys.ledger().queued()).unwrap_or(u64::MAX);
            self.records_waiting.of(&[]).set(waiting);
        }
        if let Some(state) = router.shared_state() {
            let is_up = state.is_available();
            self.shared_state_up.of(&[]).set(is_up.into());
        }
        let mut text = String::new();
        // Writing to a string never fails.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> fmt::Result {
        self.requests.write(text)?;
        self.in_flight.write(text)?;
        self.duration.write(text)?;
        self.overhead.write(text)?;
        for gauge in [
            &self.database_up,
            &self.records_waiting,
            &self.shared_state_up,
            &self.build,
        ] {
            gauge.write(text)?;
        }
        self.deployments.write(text)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// The content type of [`Metrics::text`].
pub(crate) const TEXT: &str = "text/plain; version=0.0.4";
