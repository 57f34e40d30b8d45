use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::affinity::{Affinity, AffinityOptions};
use crate::breaker::Cooldown;
use crate::check::{BuildError, check};
use crate::clock::Clock;
use crate::core::{Core, Options};
use crate::deployment::State;
use crate::fallbacks::Fallbacks;
use crate::group::Group;
use crate::limits::RetryBudget;
use crate::names::{Alias, Names};
use crate::observe::RouterObserver;
use crate::queue::{Queue, QueueOptions};
use crate::retries::RetryPolicy;
use crate::strategy::{PeakEwma, Strategy};
use crate::{Deployment, Router};

/// Builds a [`Router`]; see [`Router::builder`].
#[derive(Clone, Debug, Default)]
pub struct RouterBuilder {
    pub(crate) deployments: Vec<Deployment>,
    pub(crate) aliases: BTreeMap<String, Alias>,
    pub(crate) default_model: Option<String>,
    pub(crate) options: Options,
    pub(crate) affinity: Option<AffinityOptions>,
    strategy: Option<Arc<dyn Strategy>>,
    observer: Option<Arc<dyn RouterObserver>>,
}

impl RouterBuilder {
    /// Adds deployments; those with the same group share its calls.
    #[must_use]
    pub fn with_deployments(mut self, deployments: impl IntoIterator<Item = Deployment>) -> Self {
        self.deployments.extend(deployments);
        self
    }

    /// Adds another name of a model group.
    #[must_use]
    pub fn with_alias(mut self, alias: impl Into<String>, group: impl Into<String>) -> Self {
        let group = group.into();
        let is_hidden = false;
        self.aliases
            .insert(alias.into(), Alias { group, is_hidden });
        self
    }

    /// Adds another name of a model group that the list of models leaves out.
    #[must_use]
    pub fn with_hidden_alias(mut self, alias: impl Into<String>, group: impl Into<String>) -> Self {
        let group = group.into();
        let is_hidden = true;
        self.aliases
            .insert(alias.into(), Alias { group, is_hidden });
        self
    }

    /// Sets the model group of calls whose model is unknown; by default they fail.
    #[must_use]
    pub fn with_default_model(mut self, group: impl Into<Option<String>>) -> Self {
        self.default_model = group.into();
        self
    }

    /// Sets the strategy; [`PeakEwma`] by default.
    #[must_use]
    pub fn with_strategy(mut self, strategy: Arc<dyn Strategy>) -> Self {
        self.strategy = Some(strategy);
        self
    }

    /// Sets how many other deployments of a group are tried after a failure; 1 by default.
    #[must_use]
    pub fn with_retries(mut self, policy: RetryPolicy) -> Self {
        self.options.retries = policy;
        self
    }

    /// Sets when failing deployments are cooled down.
    #[must_use]
    pub fn with_cooldown(mut self, cooldown: Cooldown) -> Self {
        self.options.cooldown = cooldown;
        self
    }

    /// Sets the model groups that take over from others.
    #[must_use]
    pub fn with_fallbacks(mut self, fallbacks: Fallbacks) -> Self {
        self.options.fallbacks = fallbacks;
        self
    }

    /// Lets calls wait when all deployments are at their limits; by default they fail immediately.
    #[must_use]
    pub fn with_queue(mut self, queue: impl Into<Option<QueueOptions>>) -> Self {
        self.options.queue = queue.into();
        self
    }

    /// Sets the priority in queues for calls that have none; by default 0, the highest.
    #[must_use]
    pub fn with_default_priority(mut self, priority: u8) -> Self {
        self.options.default_priority = priority;
        self
    }

    /// Limits the time of a call with all its attempts and waits; for a stream, the time up to its
    /// first output. By default only the call's own timeout limits it.
    #[must_use]
    pub fn with_deadline(mut self, deadline: impl Into<Option<Duration>>) -> Self {
        self.options.deadline = deadline.into();
        self
    }

    /// Leaves out deployments whose context window is smaller than the estimated prompt.
    #[must_use]
    pub fn with_context_window_check(mut self, checks: bool) -> Self {
        self.options.checks_context_window = checks;
        self
    }

    /// Keeps the calls of a session at one deployment; by default, sessions are ignored.
    #[must_use]
    pub fn with_affinity(mut self, affinity: impl Into<Option<AffinityOptions>>) -> Self {
        self.affinity = affinity.into();
        self
    }

    /// Sets the receiver of events.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn RouterObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Builds the router.
    ///
    /// # Errors
    /// The first setting that is contradictory or out of range.
    pub fn build(self) -> Result<Router, BuildError> {
        check(&self)?;
        Ok(self.build_unchecked())
    }

    /// Builds the router without checks. A setting that refers to an unknown group has no effect,
    /// and no group serves a call twice.
    pub fn build_unchecked(self) -> Router {
        let (groups, states) = group(self.deployments);
        Router::from_core(Core {
            names: Names::new(groups, self.aliases, self.default_model),
            states,
            strategy: self.strategy.unwrap_or_else(|| Arc::new(PeakEwma)),
            options: self.options,
            clock: Clock::new(),
            budget: RetryBudget::new(),
            affinity: self.affinity.as_ref().map(Affinity::new),
            observer: self.observer,
        })
    }
}

/// The groups of `deployments`, and the states of all in their order.
fn group(deployments: Vec<Deployment>) -> (BTreeMap<String, Arc<Group>>, Vec<Arc<State>>) {
    let mut groups: BTreeMap<String, (Arc<Queue>, Vec<Arc<State>>)> = BTreeMap::new();
    let mut states = Vec::with_capacity(deployments.len());
    for (index, deployment) in (0_u32..).zip(deployments) {
        let (queue, members) = groups.entry(deployment.group.clone()).or_default();
        let state = Arc::new(State::new(deployment, index, Arc::clone(queue)));
        members.push(Arc::clone(&state));
        states.push(state);
    }
    let groups = groups.into_iter().map(|(name, (queue, members))| {
        let group = Group::new(name.clone(), queue, &members);
        (name, Arc::new(group))
    });
    (groups.collect(), states)
}
