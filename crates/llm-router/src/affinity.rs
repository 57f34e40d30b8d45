//! Calls of one session stay at one deployment, whose prompt cache is warm.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use llm_provider::Document;
use quick_cache::sync::Cache;

use crate::clock::{Nanos, nanos};

/// How calls of a session stay at one deployment.
///
/// The session of a call is the first of these that it has: the session of its
/// [`RouteOptions`](crate::RouteOptions), `prompt_cache_key`, `user`, or the messages up to the first
/// user message. The pin is soft: a call goes elsewhere while the deployment
/// is at its limits, and the session moves when the deployment fails or is cooled down.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct AffinityOptions {
    /// How long a pin lasts after the last call of the session; 5 minutes by default, as long as
    /// most upstreams keep a prompt.
    pub time_to_live: Duration,
    /// The maximum number of sessions that are kept; 100,000 by default, of about 50 bytes each.
    pub capacity: usize,
}

impl Default for AffinityOptions {
    fn default() -> Self {
        Self {
            time_to_live: Duration::from_secs(300),
            capacity: 100_000,
        }
    }
}

impl AffinityOptions {
    /// Sets how long a pin lasts after the last call of the session.
    #[must_use]
    pub fn with_time_to_live(mut self, time: Duration) -> Self {
        self.time_to_live = time;
        self
    }

    /// Sets the maximum number of sessions that are kept.
    #[must_use]
    pub fn with_capacity(mut self, sessions: usize) -> Self {
        self.capacity = sessions;
        self
    }
}

/// The deployments of sessions.
#[derive(Debug)]
pub(crate) struct Affinity {
    pins: Cache<u64, Pin>,
    pub(crate) options: AffinityOptions,
    time_to_live: Nanos,
}

#[derive(Clone, Copy, Debug)]
struct Pin {
    deployment: u32,
    expires: Nanos,
}

impl Affinity {
    pub(crate) fn new(options: AffinityOptions) -> Self {
        Self {
            pins: Cache::new(options.capacity.max(1)),
            time_to_live: nanos(options.time_to_live),
            options,
        }
    }

    /// The deployment of a session.
    pub(crate) fn get(&self, session: u64, now: Nanos) -> Option<u32> {
        let pin = self.pins.get(&session)?;
        (pin.expires > now).then_some(pin.deployment)
    }

    /// Pins a session to a deployment.
    pub(crate) fn pin(&self, session: u64, deployment: u32, now: Nanos) {
        let expires = now.saturating_add(self.time_to_live);
        self.pins.insert(
            session,
            Pin {
                deployment,
                expires,
            },
        );
    }
}

/// The session of a call to `group`; `None` if nothing identifies one.
pub(crate) fn session_of(group: &str, named: Option<&str>, body: &Document) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    group.hash(&mut hasher);
    if let Some(named) = named {
        (0, named).hash(&mut hasher);
        return Some(hasher.finish());
    }
    for (place, key) in [(1, "prompt_cache_key"), (2, "user")] {
        if let Some(value) = body.str(key) {
            (place, value).hash(&mut hasher);
            return Some(hasher.finish());
        }
    }
    hash_opening(body, &mut hasher).then(|| hasher.finish())
}

/// Hashes the system messages up to the first user message, and that one; `false` if there are none.
fn hash_opening(body: &Document, hasher: &mut DefaultHasher) -> bool {
    let messages = body.objects("messages").into_iter().flatten();
    let mut is_found = false;
    for message in messages.take(LONGEST_OPENING).flatten() {
        let role = message.str("role").unwrap_or_default();
        if matches!(&*role, "system" | "developer" | "user") {
            is_found = true;
            message.bytes("content").hash(hasher);
        }
        if role == "user" {
            break;
        }
    }
    is_found
}

/// The number of messages that are searched for the first user message.
const LONGEST_OPENING: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn session(body: &str) -> Option<u64> {
        session_of("group", None, &Document::from_bytes(body.to_owned()))
    }

    #[test]
    fn later_turns_are_of_the_same_session() {
        let first =
            r#"{"messages":[{"role":"system","content":"S"},{"role":"user","content":"U"}]}"#;
        let later = r#"{"messages":[{"role":"system","content":"S"},{"role":"user","content":"U"},
            {"role":"assistant","content":"A"},{"role":"user","content":"V"}]}"#;
        let other =
            r#"{"messages":[{"role":"system","content":"S"},{"role":"user","content":"V"}]}"#;
        assert!(session(first).is_some());
        assert_eq!(session(first), session(later));
        assert_ne!(session(first), session(other));
    }

    #[test]
    fn a_key_wins_over_the_user_and_the_user_over_the_messages() {
        let with = |members: &str| {
            session(&format!(
                r#"{{{members}"messages":[{{"role":"user","content":"U"}}]}}"#
            ))
        };
        let key = with(r#""prompt_cache_key":"k","#);
        assert_eq!(key, with(r#""prompt_cache_key":"k","user":"u","#));
        let user = with(r#""user":"k","#);
        assert!(user != key && user != with(""));
        let body = Document::from_bytes(r#"{"user":"u"}"#);
        let named = |group| session_of(group, Some("s"), &body);
        assert!(named("a") != named("b"));
        assert_eq!(session(r#"{"input":"text"}"#), None);
    }

    #[test]
    fn a_pin_ends_after_its_time() {
        let options = AffinityOptions::default().with_time_to_live(Duration::from_secs(1));
        let affinity = Affinity::new(options);
        affinity.pin(7, 3, 1000);
        assert_eq!(affinity.get(7, 1_000_000_999), Some(3));
        assert_eq!(affinity.get(7, 1_000_001_000), None);
        assert_eq!(affinity.get(8, 1000), None);
    }
}
