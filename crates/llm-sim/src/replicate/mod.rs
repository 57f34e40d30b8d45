//! The simulated Replicate.

mod api;
mod catalog;
mod counts;
mod create;
mod deployments;
mod files;
mod inputs;
mod limits;
mod model_input;
mod models;
mod pages;
mod prediction;
mod predictions;
mod problem;
mod schema;
mod seen;
mod store;
mod stream;
mod stream_host;
mod timeline;
mod versions;
mod webhook;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};

use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::Clock;
use crate::fault::FaultRule;
use crate::log::SeenRequest;
use crate::options::SimOptions;
use crate::replicate::api::Api;
use crate::replicate::deployments::Deployments;
use crate::replicate::files::Files;
use crate::replicate::limits::Limits;
use crate::replicate::store::Store;
use crate::replicate::stream_host::StreamHost;
use crate::replicate::versions::Versions;
use crate::replicate::webhook::Webhooks;
use crate::trace::RequestCounts;
use crate::upstream::Shared;

pub use crate::replicate::counts::PredictionCounts;
pub use crate::replicate::seen::SeenPrediction;
pub use crate::replicate::timeline::SimStatus;
pub use crate::replicate::webhook::{SeenWebhook, WebhookEvent};

/// The simulated Replicate, as seen by a test.
#[derive(Clone, Debug)]
pub struct ReplicateSim(Arc<Api>);

impl ReplicateSim {
    /// Sends webhooks while the other end of `alive` exists.
    pub(crate) fn new(
        options: &Arc<SimOptions>,
        clock: &Clock,
        alive: watch::Receiver<()>,
    ) -> Self {
        Self(Arc::new(Api {
            shared: Shared::new(options, clock),
            store: Store::new(options.memory.predictions),
            deployments: Deployments::new(),
            versions: Versions::default(),
            files: Files::default(),
            limits: Limits::new(&options.limits),
            webhooks: Webhooks::new(clock, options.memory.requests, alive),
            created: AtomicU64::new(0),
            stream_host: OnceLock::new(),
        }))
    }

    pub(crate) fn upstream(&self) -> Arc<Api> {
        Arc::clone(&self.0)
    }

    pub(crate) fn stream_host(&self) -> Arc<StreamHost> {
        Arc::new(StreamHost::new(&self.0))
    }

    /// Sets the host of event streams.
    pub(crate) fn stream_from(&self, host: &str) {
        // Set once, when the simulation starts.
        let _ = self.0.stream_host.set(host.to_owned());
    }

    /// The requests received, oldest first.
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.0.shared.log.seen()
    }

    /// The number of requests received so far.
    pub fn request_count(&self) -> u64 {
        self.0.shared.log.count()
    }

    /// Clears the stored requests; the count continues.
    pub fn forget_requests(&self) {
        self.0.shared.log.forget();
    }

    /// Waits until the requests received satisfy `enough`.
    pub async fn requests_until(
        &self,
        enough: impl Fn(&[SeenRequest]) -> bool,
    ) -> Vec<SeenRequest> {
        let seen = || Some(self.requests()).filter(|seen| enough(seen));
        self.0.shared.until(seen).await
    }

    /// The number of requests in progress; a stream counts until its end, or until its client
    /// disconnects.
    pub fn in_flight(&self) -> usize {
        self.0.shared.in_flight()
    }

    /// The number of requests, by outcome.
    pub fn request_counts(&self) -> RequestCounts {
        self.0.shared.counts()
    }

    /// Waits until no request is in flight.
    pub async fn idle(&self) {
        self.0
            .shared
            .until(|| (self.in_flight() == 0).then_some(()))
            .await;
    }

    /// The predictions, oldest first.
    pub fn predictions(&self) -> Vec<SeenPrediction> {
        self.0
            .store
            .all()
            .iter()
            .map(|prediction| SeenPrediction::of(prediction))
            .collect()
    }

    /// The number of predictions by status; over HTTP, `GET /_sim/predictions`.
    pub fn counts(&self) -> PredictionCounts {
        self.0.store.counts()
    }

    /// The number of predictions with this status; see [`counts`](Self::counts).
    pub fn count(&self, status: SimStatus) -> usize {
        self.counts().of(status)
    }

    /// The number of predictions that have not ended; see [`counts`](Self::counts).
    pub fn running(&self) -> usize {
        self.counts().running()
    }

    /// Waits until the counts satisfy `enough`, which is checked immediately, and again after
    /// requests and the passing of time.
    pub async fn counts_until(
        &self,
        enough: impl Fn(&PredictionCounts) -> bool,
    ) -> PredictionCounts {
        self.until(|| Some(self.counts()).filter(&enough)).await
    }

    /// Waits until the predictions satisfy `enough`, which is checked immediately, and again after
    /// requests and the passing of time.
    pub async fn predictions_until(
        &self,
        enough: impl Fn(&[SeenPrediction]) -> bool,
    ) -> Vec<SeenPrediction> {
        self.until(|| Some(self.predictions()).filter(|all| enough(all)))
            .await
    }

    /// Waits until something happens: a request arrives or ends, or a prediction progresses.
    /// Earlier events do not count; to wait for a state, use
    /// [`predictions_until`](Self::predictions_until).
    pub async fn changed(&self) {
        self.next_change(&mut self.0.shared.watch()).await;
    }

    /// All attempts to send webhooks, oldest first.
    pub fn webhooks(&self) -> Vec<SeenWebhook> {
        self.0.webhooks.seen()
    }

    /// Waits until the attempts to send webhooks satisfy `enough`.
    pub async fn webhooks_until(
        &self,
        enough: impl Fn(&[SeenWebhook]) -> bool,
    ) -> Vec<SeenWebhook> {
        self.0.webhooks.seen_until(enough).await;
        self.webhooks()
    }

    /// The secret that signs webhooks, as `GET /v1/webhooks/default/secret` returns it.
    pub fn webhook_secret(&self) -> String {
        self.0.webhooks.secret()
    }

    /// Adds a fault that applies from now on.
    pub fn inject(&self, rule: impl Into<FaultRule>) {
        self.0.shared.faults.add(rule.into());
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.0.shared.faults.clear();
    }

    /// Waits until `look` returns a value; it is called again after every change.
    async fn until<T>(&self, look: impl Fn() -> Option<T>) -> T {
        let mut changes = self.0.shared.watch();
        loop {
            changes.mark_unchanged();
            if let Some(found) = look() {
                return found;
            }
            self.next_change(&mut changes).await;
        }
    }

    async fn next_change(&self, changes: &mut watch::Receiver<u64>) {
        let now = Instant::now();
        let next = self
            .0
            .store
            .all()
            .iter()
            .filter_map(|one| one.next_change(now))
            .min();
        tokio::select! {
            // The sender lives as long as `self`.
            _ = changes.changed() => {}
            () = async {
                match next {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            } => {}
        }
    }
}
