//! What a router reports while it runs.

use std::fmt;
use std::time::Duration;

use llm_provider::{Error, ErrorKind};

use crate::TokenCounts;

/// Receives the events of a router, for example for metrics.
///
/// It is called on the path of each call: it must not block.
pub trait RouterObserver: fmt::Debug + Send + Sync {
    /// Receives an event.
    fn on_event(&self, event: &RouterEvent<'_>);
}

/// Something that happened in a router.
///
/// Names of groups and deployments come from the configuration, except in
/// [`Error`](llm_provider::Error), whose message may be an upstream's.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum RouterEvent<'a> {
    /// A call is sent to a deployment.
    #[non_exhaustive]
    Picked {
        /// The model group.
        group: &'a str,
        /// The deployment.
        deployment: &'a str,
        /// The number of the attempt, from 1.
        attempt: u32,
    },
    /// An attempt failed. Another one may follow.
    #[non_exhaustive]
    Failed {
        /// The deployment.
        deployment: &'a str,
        /// The number of the attempt, from 1.
        attempt: u32,
        /// What failed.
        error: &'a Error,
        /// The estimated tokens of a stream that failed after its first output; else `None`.
        counts: Option<TokenCounts>,
        /// The cost of these tokens in US dollars, if their prices are known.
        cost: Option<f64>,
    },
    /// A deployment gets no calls for a while.
    #[non_exhaustive]
    Cooled {
        /// The deployment.
        deployment: &'a str,
        /// The cause.
        cause: ErrorKind,
        /// How long.
        time: Duration,
    },
    /// A deployment that was cooled down answered a probe.
    #[non_exhaustive]
    Recovered {
        /// The deployment.
        deployment: &'a str,
    },
    /// Another model group takes over a call.
    #[non_exhaustive]
    FellBack {
        /// The group that could not serve it.
        from: &'a str,
        /// The group that takes over.
        to: &'a str,
        /// Why.
        error: &'a Error,
    },
    /// A call got a reply from the cache. It costs nothing.
    #[non_exhaustive]
    Cached {
        /// The model group.
        group: &'a str,
    },
    /// A call waits for a deployment.
    #[non_exhaustive]
    Queued {
        /// The model group.
        group: &'a str,
    },
    /// A call was refused without being sent, since no deployment can serve it now.
    #[non_exhaustive]
    Refused {
        /// The model group.
        group: &'a str,
        /// Why.
        error: &'a Error,
    },
    /// A stream has its first output.
    #[non_exhaustive]
    FirstOutput {
        /// The deployment.
        deployment: &'a str,
        /// The time since the attempt began.
        latency: Duration,
    },
    /// Another attempt of a hedged call answered first; this one was cancelled. Its tokens are not
    /// counted.
    #[non_exhaustive]
    LostRace {
        /// The deployment.
        deployment: &'a str,
        /// The time since the attempt began.
        latency: Duration,
    },
    /// The caller gave up an attempt: it dropped a future or a stream before its end.
    #[non_exhaustive]
    Abandoned {
        /// The deployment.
        deployment: &'a str,
        /// The estimated tokens: of the prompt, and a token for each chunk with output. The upstream
        /// may bill more: chunks may have several tokens, and some may not have arrived.
        counts: TokenCounts,
        /// The cost of these tokens in US dollars, if their prices are known.
        cost: Option<f64>,
        /// The time since the attempt began.
        latency: Duration,
    },
    /// A call succeeded.
    #[non_exhaustive]
    Finished {
        /// The deployment.
        deployment: &'a str,
        /// The tokens, if the upstream reports them.
        counts: Option<TokenCounts>,
        /// The cost in US dollars, if the tokens and their prices are known.
        cost: Option<f64>,
        /// The time since the attempt began.
        latency: Duration,
    },
}

/// The health of a deployment at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DeploymentHealth {
    /// The model group.
    pub group: String,
    /// The deployment.
    pub id: String,
    /// The cause of its cooldown and the time left, zero if a probe is due; `None` if it is healthy.
    pub cooldown: Option<(ErrorKind, Duration)>,
    /// The calls that it is serving.
    pub in_flight: u32,
    /// The attempts since the router was created.
    pub calls: u64,
    /// Those that failed.
    pub failures: u64,
    /// The mean time to the first output, or to a reply in one piece; `None` if nothing is known.
    pub latency: Option<Duration>,
    /// The tokens of all calls, as far as they are reported.
    pub counts: TokenCounts,
    /// The requests that would be admitted now; `None` without a limit.
    pub requests_left: Option<u64>,
    /// The tokens that would be admitted now; `None` without a limit.
    pub tokens_left: Option<u64>,
}

impl DeploymentHealth {
    /// The share of the prompt tokens that the upstream read from its cache, from 0 to 1; `None`
    /// without prompt tokens.
    pub fn cached_share(&self) -> Option<f64> {
        let (cached, prompt) = (as_f64(self.counts.cached), as_f64(self.counts.prompt));
        (self.counts.prompt > 0).then(|| cached / prompt)
    }
}

#[expect(clippy::cast_precision_loss, reason = "the share of large counts")]
fn as_f64(count: u64) -> f64 {
    count as f64
}
