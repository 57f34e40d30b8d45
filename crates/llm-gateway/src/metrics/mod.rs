//! Metrics for Prometheus.
//!
//! The values of labels come from the configuration and from fixed lists, never from clients or
//! upstreams, so the number of series is bounded.

mod deployments;
mod request;
mod series;

use std::fmt;
use std::sync::Arc;

use llm_router::{Deployment, Router, RouterObserver};

use self::deployments::{DeploymentMetrics, Observer};
pub(crate) use self::request::RequestMetrics;
use self::series::{Counter, Family, Gauge, Seconds, ShortSeconds};

/// The metrics of a gateway, which outlive its configurations.
pub(crate) struct Metrics {
    requests: Family<Counter>,
    in_flight: Family<Gauge>,
    duration: Family<Seconds>,
    overhead: Family<ShortSeconds>,
    deployments: Arc<DeploymentMetrics>,
}

impl Metrics {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
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
    pub(crate) fn text(&self, router: &Router) -> String {
        self.deployments.refresh(&router.snapshot());
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
