use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::affinity::{Affinity, AffinityOptions};
use crate::breaker::Cooldown;
use crate::cache::{CacheOptions, ReplyCache};
use crate::check::{BuildError, check};
use crate::clock::Clock;
use crate::core::{Core, Options};
use crate::fallbacks::Fallbacks;
use crate::hedge::HedgeOptions;
use crate::inherit::Inheritance;
use crate::names::{Alias, Names};
use crate::observe::RouterObserver;
use crate::queue::QueueOptions;
use crate::retries::RetryPolicy;
use crate::shared::SharedState;
use crate::strategy::{PeakEwma, Strategy};
use crate::{Deployment, PriceTable, Router};

/// Builds a [`Router`]; see [`Router::builder`].
#[derive(Clone, Debug, Default)]
pub struct RouterBuilder {
    pub(crate) deployments: Vec<Deployment>,
    pub(crate) aliases: BTreeMap<String, Alias>,
    pub(crate) default_model: Option<String>,
    pub(crate) options: Options,
    pub(crate) affinity: Option<AffinityOptions>,
    strategy: Option<Arc<dyn Strategy>>,
    observers: Vec<Arc<dyn RouterObserver>>,
    prices: PriceTable,
    pub(crate) cache: Option<CacheOptions>,
    shared: Option<SharedState>,
    previous: Option<Router>,
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

    /// Sends slow calls to a second deployment of their group; by default, each attempt is alone.
    #[must_use]
    pub fn with_hedging(mut self, hedge: impl Into<Option<HedgeOptions>>) -> Self {
        self.options.hedge = hedge.into();
        self
    }

    /// Sets whether another deployment continues a stream that breaks after its first output; by
    /// default the stream ends with an error.
    ///
    /// It gets the text so far as the beginning of its reply. That needs an unfinished reply of one choice with text
    /// alone and without a `response_format`, and for chats a deployment with
    /// [`prefill`](Deployment::prefill). The usage in the stream is that of the last part.
    #[must_use]
    pub fn with_continuation(mut self, continues: bool) -> Self {
        self.options.continues = continues;
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

    /// Adds a receiver of events.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn RouterObserver>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Sets the prices of models whose deployments have none; the built-in table by default.
    #[must_use]
    pub fn with_prices(mut self, prices: PriceTable) -> Self {
        self.prices = prices;
        self
    }

    /// Caches replies; by default, each call is sent.
    #[must_use]
    pub fn with_cache(mut self, cache: impl Into<Option<CacheOptions>>) -> Self {
        self.cache = cache.into();
        self
    }

    /// Shares limits, cooldowns, sessions and, with [`CacheOptions::with_shared`], cached replies with
    /// the other routers of the same state; by default, a router shares nothing.
    ///
    /// Deployments are the same if their groups, ids and models are. Parallel calls, latencies and
    /// queues are those of each router.
    #[must_use]
    pub fn with_shared_state(mut self, shared: impl Into<Option<SharedState>>) -> Self {
        self.shared = shared.into();
        self
    }

    /// Takes over the state of another router for the deployments that did not change: health,
    /// latencies, limits, running calls, and sessions, but no cached replies. Calls that the other router is serving
    /// count for both.
    ///
    /// A deployment is the same if its group, id, model and limits are, and if it has the same
    /// provider or [`fingerprint`](crate::Deployment::fingerprint).
    #[must_use]
    pub fn with_state_of(mut self, previous: Router) -> Self {
        self.previous = Some(previous);
        self
    }

    /// Builds the router.
    ///
    /// # Errors
    /// The first setting that is contradictory or out of range.
    pub fn build(self) -> Result<Router, BuildError> {
        match check(&self).into_iter().next() {
            Some(problem) => Err(problem),
            None => Ok(self.build_unchecked()),
        }
    }

    /// All settings that are contradictory or out of range.
    pub fn problems(&self) -> Vec<BuildError> {
        check(self)
    }

    /// Builds the router without checks. A setting that refers to an unknown group has no effect,
    /// and no group serves a call twice.
    pub fn build_unchecked(self) -> Router {
        let previous = self.previous.as_ref().map(|router| &**router.core());
        let mut inheritance = Inheritance::new(previous);
        let (groups, states) = inheritance.groups(self.deployments, &self.prices);
        let affinity = self.affinity.map(|options| {
            let previous = previous.and_then(|previous| previous.affinity.as_ref());
            match previous.filter(|affinity| affinity.options == options) {
                Some(affinity) => Arc::clone(affinity),
                None => Arc::new(Affinity::new(options)),
            }
        });
        Router::from_core(Core {
            names: Names::new(groups, self.aliases, self.default_model),
            states,
            next_index: inheritance.next_index,
            strategy: self.strategy.unwrap_or_else(|| Arc::new(PeakEwma)),
            options: self.options,
            clock: previous.map_or_else(Clock::new, |previous| previous.clock),
            budget: previous.map_or_else(Arc::default, |previous| Arc::clone(&previous.budget)),
            affinity,
            observers: self.observers,
            prices: self.prices,
            cache: self
                .cache
                .map(|options| Arc::new(ReplyCache::new(options, self.shared.clone()))),
            shared: self.shared,
        })
    }
}
