use std::sync::Arc;

use crate::observe::RouterObserver;
use crate::{CacheControl, Fallbacks, RateClaim};

/// Routing options of a call that are not in its body.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RouteOptions {
    /// The session of the call, for [affinity](crate::AffinityOptions).
    pub session: Option<String>,
    /// If not empty, only deployments with one of these tags serve the call.
    pub tags: Vec<String>,
    /// The priority in a queue: a lower value goes first. By default that of the router.
    pub priority: Option<u8>,
    /// How many other deployments of a group are tried after failures, at most
    /// [`MAX_RETRIES`](crate::MAX_RETRIES). By default the router's [`RetryPolicy`](crate::RetryPolicy)
    /// says it.
    pub retries: Option<usize>,
    /// Replaces the router's fallbacks, except for their number.
    pub fallbacks: Option<Fallbacks>,
    /// Whether an unsupported parameter is an error, whatever the deployment says.
    pub is_strict: bool,
    /// How the call uses the cache.
    pub cache: CacheControl,
    /// The rate limits of the caller, which are charged with the choice of a deployment.
    pub claim: Option<RateClaim>,
    /// Receives the events of this call, in addition to the router's observers.
    pub observer: Option<Arc<dyn RouterObserver>>,
}

impl RouteOptions {
    /// Sets the session.
    #[must_use]
    pub fn with_session(mut self, session: impl Into<Option<String>>) -> Self {
        self.session = session.into();
        self
    }

    /// Sets the tags.
    #[must_use]
    pub fn with_tags(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the priority.
    #[must_use]
    pub fn with_priority(mut self, priority: impl Into<Option<u8>>) -> Self {
        self.priority = priority.into();
        self
    }

    /// Sets how many other deployments are tried after failures.
    #[must_use]
    pub fn with_retries(mut self, retries: impl Into<Option<usize>>) -> Self {
        self.retries = retries.into();
        self
    }

    /// Replaces the router's fallbacks.
    #[must_use]
    pub fn with_fallbacks(mut self, fallbacks: impl Into<Option<Fallbacks>>) -> Self {
        self.fallbacks = fallbacks.into();
        self
    }

    /// Sets whether an unsupported parameter is an error, whatever the deployment says.
    #[must_use]
    pub fn with_strict(mut self, is_strict: bool) -> Self {
        self.is_strict = is_strict;
        self
    }

    /// Sets how the call uses the cache.
    #[must_use]
    pub fn with_cache(mut self, cache: CacheControl) -> Self {
        self.cache = cache;
        self
    }

    /// Sets the rate limits of the caller.
    #[must_use]
    pub fn with_claim(mut self, claim: impl Into<Option<RateClaim>>) -> Self {
        self.claim = claim.into();
        self
    }

    /// Sets the receiver of the events of this call.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<dyn RouterObserver>) -> Self {
        self.observer = Some(observer);
        self
    }
}
