use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use llm_provider::Call;
use sha2::{Digest as _, Sha256};

use crate::Fallbacks;

/// Identifies a call: 128 bits, so that no client can find two calls of the same key.
pub(super) type Key = (u64, u64);

/// How keys are made.
#[derive(Debug)]
pub(super) enum Keys {
    /// Two hashes with random keys, which only this process knows.
    Own(RandomState, RandomState),
    /// A cryptographic hash, the same in all processes.
    Shared,
}

/// The key of a reply in a shared state.
pub(super) fn shared(key: Key) -> String {
    format!("polyllm:reply:{:016x}{:016x}", key.0, key.1)
}

/// What identifies a call besides its namespace.
#[derive(Debug)]
pub(crate) struct Scope<'a> {
    pub(crate) group: &'a str,
    /// What the `*` of the group's name matched.
    pub(crate) matched: Option<&'a str>,
    pub(crate) call: &'a Call,
    /// What else decides which model replies.
    pub(crate) tags: &'a [String],
    pub(crate) fallbacks: Option<&'a Fallbacks>,
    pub(crate) is_streamed: bool,
}

impl Keys {
    pub(super) fn new(is_shared: bool) -> Self {
        if is_shared {
            return Self::Shared;
        }
        Self::Own(RandomState::new(), RandomState::new())
    }

    /// The key of a call; `None` if its parameters are ambiguous.
    pub(super) fn key(&self, scope: &Scope<'_>, namespace: Option<&str>) -> Option<Key> {
        let mut names = scope.call.body.keys();
        names.retain(|name| !IGNORED.contains(&name.as_str()));
        names.sort_unstable();
        // Of two parameters of the same name, the upstream may use another one than the router.
        if names.windows(2).any(|pair| pair[0] == pair[1]) || names.is_empty() {
            return None;
        }
        let feed = |hasher: &mut dyn Hasher| {
            let mut hasher = hasher;
            (scope.group, scope.matched, namespace, scope.is_streamed).hash(&mut hasher);
            (scope.tags, scope.fallbacks).hash(&mut hasher);
            scope.call.endpoint.path().hash(&mut hasher);
            scope.call.drop_params.hash(&mut hasher);
            for (name, value) in scope.call.headers.iter().flat_map(|headers| headers.iter()) {
                (name.as_str(), value.as_bytes()).hash(&mut hasher);
            }
            for name in &names {
                (name, scope.call.body.get(name)).hash(&mut hasher);
            }
        };
        let hash = |state: &RandomState| {
            let mut hasher = state.build_hasher();
            feed(&mut hasher);
            hasher.finish()
        };
        Some(match self {
            Self::Own(first, second) => (hash(first), hash(second)),
            Self::Shared => {
                let mut digest = Digest::default();
                feed(&mut digest);
                digest.key()
            }
        })
    }
}

/// SHA-256.
#[derive(Default)]
struct Digest(Sha256);

impl Digest {
    /// The first half of the hash.
    fn key(self) -> Key {
        let digest = self.0.finalize();
        let half = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0, |key, byte| key << 8 | u64::from(*byte))
        };
        (half(&digest[..8]), half(&digest[8..16]))
    }
}

impl Hasher for Digest {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        0
    }
}

/// The parameters that do not change a reply. The group stands for the model.
const IGNORED: &[&str] = &[
    "metadata",
    "model",
    "prompt_cache_key",
    "safety_identifier",
    "user",
];

#[cfg(test)]
mod tests {
    use llm_provider::Document;
    use llm_provider::endpoint::{Chat, Completions};

    use super::*;

    #[test]
    fn calls_are_the_same_if_their_parameters_are() {
        for is_shared in [false, true] {
            compare_keys(&Keys::new(is_shared));
        }
        // Another process computes the same key.
        let call = Call::new(&Chat, Document::from_bytes(r#"{"messages":["x"]}"#));
        let scope = Scope {
            group: "group",
            matched: None,
            call: &call,
            tags: &[],
            fallbacks: None,
            is_streamed: false,
        };
        let key = |keys: Keys| keys.key(&scope, None);
        assert_eq!(key(Keys::new(true)), key(Keys::new(true)));
        assert_ne!(key(Keys::new(false)), key(Keys::new(false)));
    }

    fn compare_keys(keys: &Keys) {
        let key = |body: &str, is_streamed, namespace| {
            let call = Call::new(&Chat, Document::from_bytes(body.to_owned()));
            let scope = Scope {
                group: "group",
                matched: None,
                call: &call,
                tags: &[],
                fallbacks: None,
                is_streamed,
            };
            keys.key(&scope, namespace)
        };
        let body = r#"{"model":"a","messages":["x"],"seed":1}"#;
        let same = key(body, false, None);
        assert!(same.is_some());
        for body in [
            r#"{"seed":1,"messages":["x"],"model":"alias"}"#,
            r#"{"messages":["x"],"seed": 1,"user":"u","metadata":{"a":1}}"#,
        ] {
            assert_eq!(key(body, false, None), same, "{body}");
        }
        for body in [
            r#"{"messages":["x"],"seed":2}"#,
            r#"{"messages":["x"]}"#,
            r#"{"messages":["x","y"],"seed":1}"#,
            r#"{"messages":["x"],"seed":1,"top_k":1}"#,
        ] {
            assert_ne!(key(body, false, None), same, "{body}");
        }
        assert_ne!(key(body, true, None), same);
        assert_ne!(key(body, false, Some("other")), same);
        for ambiguous in [
            r#"{"messages":["x"],"seed":1,"messages":["y"]}"#,
            "[]",
            "{}",
        ] {
            assert_eq!(key(ambiguous, false, None), None, "{ambiguous}");
        }
        let call = Call::new(&Completions, Document::from_bytes(body.to_owned()));
        let scope = Scope {
            group: "group",
            matched: None,
            call: &call,
            tags: &[],
            fallbacks: None,
            is_streamed: false,
        };
        assert_ne!(keys.key(&scope, None), same);
    }
}
