use std::future::ready;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use llm_provider::{Call, Capabilities, Capability, Provider, Reply, ReplyStream, Result};
use llm_types::{Model, ModelList};

use crate::Deployment;
use crate::attempt::Attempt;
use crate::builder::RouterBuilder;
use crate::cache::{Batch, Flight, Recorder, Slot};
use crate::core::Core;
use crate::failover::Failover;
use crate::hedge;
use crate::names::ModelTarget;
use crate::observe::DeploymentHealth;
use crate::plan::{Plan, filtered};
use crate::resolve::resolve_name;
use crate::retries::MAX_RETRIES;
use crate::route::RouteOptions;
use crate::shared::SharedState;

/// Model groups and the deployments behind them.
///
/// A call takes no locks, unless it waits in a queue. Its cost grows with the logarithm of the
/// number of deployments.
#[derive(Clone, Debug)]
pub struct Router {
    core: Arc<Core>,
}

impl Router {
    /// Creates a router over `deployments`; those with the same group share its calls.
    ///
    /// The capabilities of each provider are read once, here. [`builder`](Self::builder) has
    /// options, and checks them.
    pub fn new(deployments: impl IntoIterator<Item = Deployment>) -> Self {
        Self::builder()
            .with_deployments(deployments)
            .build_unchecked()
    }

    /// Collects deployments and options for a router.
    pub fn builder() -> RouterBuilder {
        RouterBuilder::default()
    }

    pub(crate) fn from_core(core: Core) -> Self {
        Self {
            core: Arc::new(core),
        }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Sets how many other deployments are tried after a failure: 1 by default, at most
    /// [`MAX_RETRIES`], and never more than the group has.
    ///
    /// It has no effect on a router that is in use.
    #[must_use]
    pub fn with_retries(mut self, retries: usize) -> Self {
        if let Some(core) = Arc::get_mut(&mut self.core) {
            let policy = std::mem::take(&mut core.options.retries);
            core.options.retries = policy.with_retries(retries.min(MAX_RETRIES));
        }
        self
    }

    /// The public model names, sorted.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.core.names.visible()
    }

    /// The state that other routers share with this one.
    pub fn shared_state(&self) -> Option<&SharedState> {
        self.core.shared.as_ref()
    }

    /// The model group that a model name stands for: as the name of a group, an alias, a match of a
    /// pattern, or by default.
    pub fn group_of(&self, model: &str) -> Option<String> {
        let found = self.core.names.resolve(model)?;
        Some(found.group.name.clone())
    }

    /// Checks that a model name stands for a model group, as a call does.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](llm_provider::ErrorKind::NotFound), with the nearest names.
    pub fn check_model(&self, model: &str) -> Result<()> {
        resolve_name(&self.core.names, model).map(drop)
    }

    /// Like [`group_of`](Self::group_of), with what the `*` of the group's name matched.
    pub fn target_of(&self, model: &str) -> Option<ModelTarget> {
        self.core.names.target_of(model)
    }

    /// The models that can take over from a model, and from those that take over.
    pub fn fallbacks_of(&self, model: &str, route: &RouteOptions) -> Vec<String> {
        let configured = &self.core.options.fallbacks;
        let fallbacks = route.fallbacks.as_ref().unwrap_or(configured);
        let mut models = vec![model.to_owned()];
        let mut done = 0;
        while let Some(model) = models.get(done) {
            let group = self.group_of(model).unwrap_or_default();
            let names: Vec<String> = fallbacks.all_of([model, &group]).cloned().collect();
            for name in names {
                if !models.contains(&name) {
                    models.push(name);
                }
            }
            done += 1;
        }
        models.split_off(1)
    }

    /// Whether every deployment of the group that a model name stands for supports `capability`.
    pub fn all_support(&self, model: &str, capability: Capability) -> bool {
        let found = self.core.names.resolve(model);
        found.is_some_and(|found| found.group.all_support(capability))
    }

    /// How many deployments of the group that a model name stands for support `capability`.
    pub fn count_of(&self, model: &str, capability: Capability) -> usize {
        let found = self.core.names.resolve(model);
        let pool = found.and_then(|found| found.group.pool(capability).map(|pool| pool.len()));
        pool.unwrap_or_default()
    }

    /// The health of every deployment, in the order given.
    pub fn snapshot(&self) -> Vec<DeploymentHealth> {
        self.core.snapshot()
    }

    /// The number of calls that wait for a deployment, by model group; none without a queue
    /// ([`QueueOptions`](crate::QueueOptions)).
    pub fn waiting(&self) -> impl Iterator<Item = (&str, usize)> {
        let has_queue = self.core.options.queue.is_some();
        let groups = self.core.names.groups().filter(move |_| has_queue);
        groups.map(|group| (&*group.name, group.queue.len()))
    }

    /// Like [`send`](Provider::send), with options.
    ///
    /// # Errors
    /// See the implementation of [`Provider`].
    pub async fn send_with(&self, call: Call, route: RouteOptions) -> Result<Reply> {
        let mut plan = Plan::new(&self.core, &call, route, false)?;
        // Rare cases are boxed, so that the futures of all calls stay small.
        if let Some(batch) = plan.batch(&call) {
            return Box::pin(self.send_batch(&mut plan, &call, &batch)).await;
        }
        match plan.slot(&call) {
            Some(slot) => Box::pin(self.send_cached(&mut plan, &call, slot)).await,
            None => self.send_uncached(&mut plan, &call).await,
        }
    }

    /// Returns the reply that is cached, or caches it.
    async fn send_cached(&self, plan: &mut Plan, call: &Call, slot: Slot) -> Result<Reply> {
        let now = self.core.clock.now();
        let flight = slot.reply(now, plan.deadline()).await;
        if let Flight::Cached(reply) = flight {
            plan.cached().await?;
            return Ok(*reply);
        }
        if let Some(entry) = plan.look_up(&slot).await
            && let Some(reply) = entry.reply()
        {
            slot.keep(flight, entry);
            plan.cached().await?;
            return Ok(*reply);
        }
        let reply = self.send_uncached(plan, call).await?;
        slot.store(flight, &reply, self.core.clock.now());
        Ok(reply)
    }

    /// Sends the inputs that are not cached.
    async fn send_batch(&self, plan: &mut Plan, call: &Call, batch: &Batch) -> Result<Reply> {
        let Some(rest) = batch.rest(call) else {
            if let Some(reply) = batch.reply() {
                plan.cached().await?;
                return Ok(reply);
            }
            return self.send_uncached(plan, call).await;
        };
        let reply = self.send_uncached(plan, &rest).await?;
        let is_whole = rest.body.bytes() == call.body.bytes();
        match batch.complete(reply.clone(), self.core.clock.now()) {
            Some(complete) => Ok(complete),
            None if is_whole => Ok(reply),
            // The upstream's reply is unusual: the whole call may get a better one.
            None => self.send_uncached(plan, call).await,
        }
    }

    async fn send_uncached(&self, plan: &mut Plan, call: &Call) -> Result<Reply> {
        loop {
            let lease = plan.next(call).await?;
            match hedge::race(plan, lease, call, Attempt::whole, Attempt::send).await {
                (lease, Ok(reply)) if plan.replaces(&reply.body) => {
                    plan.failed(call, lease, filtered())?;
                }
                (lease, Ok(reply)) => return Ok(lease.finish(reply)),
                (lease, Err(error)) => plan.failed(call, lease, error)?,
            }
        }
    }

    /// Like [`stream`](Provider::stream), with options.
    ///
    /// # Errors
    /// See the implementation of [`Provider`].
    pub async fn stream_with(&self, call: Call, route: RouteOptions) -> Result<ReplyStream> {
        let mut plan = Plan::new(&self.core, &call, route, true)?;
        let Some(slot) = plan.slot(&call) else {
            return Failover::new(plan, call).start().await;
        };
        if let Some(stream) = slot.stream(self.core.clock.now()) {
            plan.cached().await?;
            return Ok(stream);
        }
        if let Some(entry) = plan.look_up(&slot).await
            && let Some(stream) = entry.stream()
        {
            slot.keep(Flight::Alone, entry);
            plan.cached().await?;
            return Ok(stream);
        }
        let stream = Failover::new(plan, call).start().await?;
        Ok(Recorder::record(stream, &self.core, slot))
    }
}

/// The model of a call is the name of a model group.
///
/// An unknown group is [`ErrorKind::NotFound`](llm_provider::ErrorKind::NotFound) with the code
/// `model_not_found`. A group without a deployment that supports the endpoint is
/// [`ErrorKind::Unsupported`](llm_provider::ErrorKind::Unsupported). If no deployment can serve the
/// call now, the error says when one can, and its code is `deployment_limits_reached` or
/// `deployments_cooling_down`. Otherwise the error of a call is that of the last deployment tried.
impl Provider for Router {
    fn name(&self) -> &'static str {
        "router"
    }

    fn capabilities(&self) -> Capabilities {
        let groups = self.core.names.groups().map(|group| group.capabilities());
        let all = groups.fold(Capabilities::default(), Capabilities::or);
        all.or(Capabilities::new([Capability::Models]))
    }

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply>> {
        Box::pin(self.send_with(call, RouteOptions::default()))
    }

    /// Another deployment can take over until the first output has been passed on, or until more
    /// chunks precede it than are held back ([`MAX_HELD_CHUNKS`], [`MAX_HELD_BYTES`]). The future
    /// ends with the first event of the deployment that serves the call; a later failure is the
    /// stream's last item.
    ///
    /// [`MAX_HELD_CHUNKS`]: crate::MAX_HELD_CHUNKS
    /// [`MAX_HELD_BYTES`]: crate::MAX_HELD_BYTES
    fn stream(&self, call: Call) -> BoxFuture<'_, Result<ReplyStream>> {
        Box::pin(self.stream_with(call, RouteOptions::default()))
    }

    fn models(&self) -> BoxFuture<'_, Result<ModelList>> {
        let models = self
            .groups()
            .map(|group| Model::new(group, 0_u64, "polyllm"));
        let list = ModelList::new(models.collect());
        Box::pin(ready(Ok(list)))
    }
}
