//! The metrics of deployments, from the events of the router.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use llm_provider::ErrorKind;
use llm_router::{Deployment, Router, RouterEvent, RouterObserver, TokenCounts};

use super::series::{Counter, Dollars, Family, Gauge, Seconds, Series};

/// The metrics of all deployments that a gateway has had.
pub(super) struct DeploymentMetrics {
    attempts: Family<Counter>,
    failures: Family<Counter>,
    tokens: Family<Counter>,
    cost: Family<Dollars>,
    first_output: Family<Seconds>,
    duration: Family<Seconds>,
    cooldowns: Family<Counter>,
    cooling: Family<Gauge>,
    in_flight: Family<Gauge>,
    waiting: Family<Gauge>,
    fallbacks: Family<Counter>,
    cached: Family<Counter>,
    queued: Family<Counter>,
    refused: Family<Counter>,
}

/// A metric of each deployment.
fn of_deployment<S: Series>(name: &'static str, help: &'static str) -> Family<S> {
    Family::new(name, help, &["deployment", "model"])
}

impl DeploymentMetrics {
    pub(super) fn new() -> Self {
        Self {
            attempts: of_deployment("polyllm_attempts_total", "Calls sent to a deployment."),
            failures: Family::new(
                "polyllm_attempt_failures_total",
                "Calls that a deployment failed, by the kind of error.",
                &["deployment", "error", "model"],
            ),
            tokens: Family::new(
                "polyllm_tokens_total",
                "The tokens that deployments report: \"input\" includes \"cached_input\".",
                &["deployment", "model", "type"],
            ),
            cost: of_deployment(
                "polyllm_cost_usd_total",
                "The cost of successful attempts in US dollars, where tokens and prices are known.",
            ),
            first_output: of_deployment(
                "polyllm_time_to_first_output_seconds",
                "The time from the start of an attempt to the first output of its stream.",
            ),
            duration: of_deployment(
                "polyllm_attempt_duration_seconds",
                "The time from the start of a successful attempt to its end.",
            ),
            cooldowns: Family::new(
                "polyllm_cooldowns_total",
                "How often a deployment was cooled down, by cause.",
                &["deployment", "error", "model"],
            ),
            cooling: of_deployment(
                "polyllm_deployment_cooling_down",
                "1 while a deployment gets no calls since it failed, otherwise 0.",
            ),
            in_flight: of_deployment(
                "polyllm_deployment_in_flight",
                "The calls that a deployment is serving.",
            ),
            waiting: Family::new(
                "polyllm_queue_length",
                "The calls that wait for a deployment, where there is a queue.",
                &["model"],
            ),
            fallbacks: Family::new(
                "polyllm_fallbacks_total",
                "Calls that another model group took over.",
                &["from", "to"],
            ),
            cached: Family::new(
                "polyllm_cache_hits_total",
                "Calls that got a reply from the cache.",
                &["model"],
            ),
            queued: Family::new(
                "polyllm_queued_total",
                "Calls that waited for a deployment.",
                &["model"],
            ),
            refused: Family::new(
                "polyllm_refused_total",
                "Calls that were not sent, since no deployment could serve them.",
                &["error", "model"],
            ),
        }
    }

    pub(super) fn write(&self, text: &mut String) -> fmt::Result {
        for counters in [
            &self.attempts,
            &self.failures,
            &self.tokens,
            &self.cooldowns,
            &self.fallbacks,
            &self.cached,
            &self.queued,
            &self.refused,
        ] {
            counters.write(text)?;
        }
        self.cost.write(text)?;
        for times in [&self.first_output, &self.duration] {
            times.write(text)?;
        }
        for gauges in [&self.cooling, &self.in_flight, &self.waiting] {
            gauges.write(text)?;
        }
        Ok(())
    }

    /// Sets the gauges to the current state. What no longer exists has none.
    pub(super) fn refresh(&self, router: &Router) {
        for gauges in [&self.cooling, &self.in_flight, &self.waiting] {
            gauges.clear();
        }
        for (model, waiting) in router.waiting() {
            let waiting = u64::try_from(waiting).unwrap_or(u64::MAX);
            self.waiting.of(&[model]).set(waiting);
        }
        for deployment in router.snapshot() {
            let labels = [deployment.id.as_str(), &deployment.group];
            let cooling = self.cooling.of(&labels);
            cooling.set(deployment.cooldown.is_some().into());
            let in_flight = self.in_flight.of(&labels);
            in_flight.set(deployment.in_flight.into());
        }
    }
}

/// Counts the events of one router.
pub(super) struct Observer {
    metrics: Arc<DeploymentMetrics>,
    /// By the id of the deployment.
    deployments: HashMap<String, Handles>,
}

/// The series of a deployment that successful calls use, so that they need no look-up by labels.
struct Handles {
    model: String,
    attempts: Arc<Counter>,
    input: Arc<Counter>,
    cached_input: Arc<Counter>,
    output: Arc<Counter>,
    cost: Arc<Dollars>,
    first_output: Arc<Seconds>,
    duration: Arc<Seconds>,
}

impl Observer {
    pub(super) fn new(metrics: Arc<DeploymentMetrics>, deployments: &[Deployment]) -> Self {
        let handles = |deployment: &Deployment| {
            let handles = Handles::new(&metrics, &deployment.group, &deployment.id);
            (deployment.id.clone(), handles)
        };
        Self {
            deployments: deployments.iter().map(handles).collect(),
            metrics,
        }
    }

    fn failed(&self, counters: &Family<Counter>, deployment: &str, error: ErrorKind) {
        if let Some(handles) = self.deployments.get(deployment) {
            let labels = [deployment, &label(error), handles.model.as_str()];
            counters.of(&labels).add(1);
        }
    }
}

impl Handles {
    fn new(metrics: &DeploymentMetrics, model: &str, id: &str) -> Self {
        let labels = [id, model];
        let tokens = |type_| metrics.tokens.of(&[id, model, type_]);
        Self {
            model: model.to_owned(),
            attempts: metrics.attempts.of(&labels),
            input: tokens("input"),
            cached_input: tokens("cached_input"),
            output: tokens("output"),
            cost: metrics.cost.of(&labels),
            first_output: metrics.first_output.of(&labels),
            duration: metrics.duration.of(&labels),
        }
    }

    fn finished(&self, counts: Option<TokenCounts>, cost: Option<f64>, duration: Duration) {
        self.duration.observe(duration);
        if let Some(counts) = counts {
            self.input.add(counts.prompt);
            self.cached_input.add(counts.cached);
            self.output.add(counts.completion);
        }
        if let Some(cost) = cost {
            self.cost.add(cost);
        }
    }
}

impl RouterObserver for Observer {
    fn on_event(&self, event: &RouterEvent<'_>) {
        let metrics = &self.metrics;
        match *event {
            RouterEvent::Picked { deployment, .. } => {
                if let Some(handles) = self.deployments.get(deployment) {
                    handles.attempts.add(1);
                }
            }
            RouterEvent::FirstOutput {
                deployment,
                latency,
                ..
            } => {
                if let Some(handles) = self.deployments.get(deployment) {
                    handles.first_output.observe(latency);
                }
            }
            RouterEvent::Finished {
                deployment,
                counts,
                cost,
                latency,
                ..
            } => {
                if let Some(handles) = self.deployments.get(deployment) {
                    handles.finished(counts, cost, latency);
                }
            }
            RouterEvent::Failed {
                deployment, error, ..
            } => self.failed(&metrics.failures, deployment, error.kind()),
            RouterEvent::Cooled {
                deployment, cause, ..
            } => self.failed(&metrics.cooldowns, deployment, cause),
            RouterEvent::FellBack { from, to, .. } => {
                metrics.fallbacks.of(&[from, to]).add(1);
            }
            RouterEvent::Cached { group, .. } => {
                metrics.cached.of(&[group]).add(1);
            }
            RouterEvent::Queued { group, .. } => {
                metrics.queued.of(&[group]).add(1);
            }
            RouterEvent::Refused { group, error, .. } => {
                let labels = [&*label(error.kind()), group];
                metrics.refused.of(&labels).add(1);
            }
            _ => {}
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer").finish_non_exhaustive()
    }
}

/// The kind of an error as the value of a label, such as `rate_limited`.
fn label(kind: ErrorKind) -> String {
    kind.to_string().replace(' ', "_")
}
