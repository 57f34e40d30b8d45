//! State that several routers share, so that limits, cooldowns, sessions and cached replies hold
//! across processes.
//!
//! The atomics of a router are always there, and the strategies read only them. With a
//! [`SharedState`], each admission is decided there instead, and its answer is copied into the
//! atomics: they are a recent copy of the shared numbers, which the router uses alone while the
//! shared state is unavailable.
//!
//! A call takes one exchange before it is sent ([`Store::begin`]: the cached reply, the session's
//! deployment, the cooldowns and the limits together) and one after it, for which no call waits
//! ([`Store::end`]).

mod memory;
#[cfg(feature = "redis")]
mod redis;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use self::memory::Memory;
use crate::limits::Rate;

/// State that several routers share: rate limits, cooldowns, the deployments of sessions, and cached
/// replies.
///
/// Set it with [`RouterBuilder::with_shared_state`](crate::RouterBuilder::with_shared_state). Clones
/// are the same state.
#[derive(Clone, Debug)]
pub struct SharedState {
    store: Arc<dyn Store>,
}

/// Why there is no shared state at an address.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SharedStateError {
    /// This build has no client of Redis.
    #[error(
        "Redis needs the feature redis, which is not part of this build; \
         `cargo install --path crates/polyllm-cli --features full` adds it"
    )]
    Unsupported,
    /// The address is not one of a Redis server.
    #[error(
        "the address of Redis is invalid: {0}; write redis://[USER:PASSWORD@]HOST[:PORT][/DB], or rediss:// for TLS"
    )]
    InvalidUrl(String),
}

impl SharedState {
    /// State in memory, for several routers of one process.
    pub fn memory() -> Self {
        Self::new(Memory::default())
    }

    /// State in a Redis or Valkey server, at an address such as `redis://:PASSWORD@HOST:6379/0`.
    /// `rediss://` is TLS with the certificate authorities of the system, or those in the file that
    /// the variable `SSL_CERT_FILE` names. It needs the feature `tokio-rustls-comp` of the crate
    /// `redis`, and a cryptography provider of rustls; `llm-gateway` has both.
    ///
    /// The first call connects. While the server is unavailable, each router continues with its own
    /// copy. No call waits longer than 50 ms for the server, and after one such timeout no call
    /// waits until the server is back. Each change of the server's availability is one line in the
    /// log.
    ///
    /// # Errors
    /// If the address is invalid, or this build has no client of Redis (the feature `redis`).
    pub fn redis(url: &str) -> Result<Self, SharedStateError> {
        #[cfg(feature = "redis")]
        return Ok(Self::new(redis::Redis::new(url)?));
        #[cfg(not(feature = "redis"))]
        {
            let _ = url;
            Err(SharedStateError::Unsupported)
        }
    }

    fn new(store: impl Store + 'static) -> Self {
        Self {
            store: Arc::new(store),
        }
    }

    /// Whether the state can be used now. While it cannot, each router continues with its own copy.
    pub fn is_available(&self) -> bool {
        self.store.is_available()
    }

    pub(crate) async fn begin(&self, begin: Begin) -> Option<Begun> {
        self.store.begin(begin).await
    }

    pub(crate) fn end(&self, end: End) {
        self.store.end(end);
    }

    pub(crate) fn keep(&self, key: String, value: Vec<u8>, time_to_live: Duration) {
        self.store.keep(key, value, time_to_live);
    }
}

/// Where shared state is kept. All times are in microseconds.
pub(crate) trait Store: fmt::Debug + Send + Sync {
    /// Looks a value up or admits a call, in one exchange. `None` if the state is unavailable.
    fn begin(&self, begin: Begin) -> BoxFuture<'_, Option<Begun>>;

    /// Records the end of a call, without waiting.
    fn end(&self, end: End);

    /// Keeps a value, without waiting.
    fn keep(&self, key: String, value: Vec<u8>, time_to_live: Duration);

    /// Whether calls of [`begin`](Self::begin) have an answer.
    fn is_available(&self) -> bool {
        true
    }
}

/// A call that is to be admitted.
#[derive(Clone, Debug, Default)]
pub(crate) struct Begin {
    /// The key of a value. If it is there, nothing is admitted.
    pub(crate) lookup: Option<String>,
    /// Who has to admit the call besides a choice. If one of them does not, nothing is charged or looked
    /// up.
    pub(crate) holders: Vec<Subject>,
    /// The session's key, and how long it stays at the subject that admits the call.
    pub(crate) session: Option<(String, Duration)>,
    /// What can admit the call. The first one that does is charged, or that of the session.
    pub(crate) choices: Vec<Choice>,
}

/// Only holders.
impl From<Vec<Subject>> for Begin {
    fn from(holders: Vec<Subject>) -> Self {
        Self {
            holders,
            ..Self::default()
        }
    }
}

/// Subjects that admit a call together.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    /// Whether it cannot admit the call now, for a reason that is not in the shared state.
    pub(crate) is_full: bool,
    pub(crate) subjects: Vec<Subject>,
}

/// A deployment, or a holder of rate limits, and what a call asks of it.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) key: Arc<str>,
    pub(crate) rpm: Option<Rate>,
    pub(crate) tpm: Option<Rate>,
    pub(crate) tokens: u64,
}

/// The answer to a [`Begin`].
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Begun {
    /// Whether a holder does not admit the call.
    pub(crate) is_denied: bool,
    /// The holders, after the charge.
    pub(crate) holders: Vec<Level>,
    /// The value that was looked up.
    pub(crate) found: Option<Vec<u8>>,
    /// The index of the choice that admits the call.
    pub(crate) chosen: Option<usize>,
    /// Whether the call probes a subject after its cooldown.
    pub(crate) is_probe: bool,
    /// The subjects of all choices, after the charge.
    pub(crate) levels: Vec<Level>,
}

/// The state of a subject.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Level {
    /// The time until the requests that were admitted have been paid for.
    pub(crate) requests_owed: u64,
    pub(crate) tokens_owed: u64,
    /// The same as points in time of the store, for [`Settlement`].
    pub(crate) requests_paid: u64,
    pub(crate) tokens_paid: u64,
    pub(crate) cooldown: Option<SharedCooldown>,
    /// The requests and tokens of the current minute.
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
}

/// The cooldown of a subject.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct SharedCooldown {
    /// The time that is left; 0 if a probe is due.
    pub(crate) left: u64,
    /// The cooldowns in a row.
    pub(crate) count: u32,
    pub(crate) cause: u8,
}

/// What is known at the end of a call.
#[derive(Clone, Debug)]
pub(crate) struct End {
    pub(crate) key: Arc<str>,
    pub(crate) requests: Option<Settlement>,
    pub(crate) tokens: Option<Settlement>,
    /// The tokens to count for the current minute.
    pub(crate) used: u64,
    pub(crate) health: Health,
}

/// A charge and what was used of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Settlement {
    pub(crate) rate: Rate,
    pub(crate) cost: u64,
    /// [`Level::tokens_paid`] or [`Level::requests_paid`] after the charge.
    pub(crate) paid: u64,
    pub(crate) used: u64,
}

/// What a call showed of the health of its deployment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Health {
    /// Nothing that other routers need.
    #[default]
    Same,
    /// A probe succeeded.
    Recovered,
    /// A cooldown begins.
    Cooling(SharedCooldown),
    /// A probe ended without a result.
    Unprobed,
}

impl End {
    /// The end of a call at a subject, with nothing to record.
    pub(crate) fn new(key: &Arc<str>) -> Self {
        Self {
            key: Arc::clone(key),
            requests: None,
            tokens: None,
            used: 0,
            health: Health::Same,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.requests.is_none()
            && self.tokens.is_none()
            && self.used == 0
            && self.health == Health::Same
    }
}

/// How long a probe may take until another call may probe.
const PROBE_TIME: u64 = 10_000_000;
