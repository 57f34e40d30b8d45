//! Facts about models, learned from the list of models and from errors.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use llm_provider::{Error, ErrorKind};
use llm_types::ModelList;
use serde_json::Value;

/// Facts about the models of an account, kept between calls.
#[derive(Debug, Default)]
pub(crate) struct ModelFacts(RwLock<Facts>);

#[derive(Debug, Default)]
struct Facts {
    /// Models that only stream.
    streaming: BTreeSet<String>,
    /// Models that take prompts and not chats, according to the list of models.
    language: BTreeSet<String>,
    /// The earliest time of the next request for the list of models.
    next_list: Option<Instant>,
}

impl ModelFacts {
    /// Whether `model` is known to only stream.
    pub(crate) fn only_streams(&self, model: &str) -> bool {
        self.read().streaming.contains(model)
    }

    /// Learns from an error whether `model` only streams.
    pub(crate) fn learn_streaming(&self, model: &str, error: &Error) -> bool {
        let only_streams = error.code() == Some("streaming_required");
        if only_streams {
            self.write().streaming.insert(model.to_owned());
        }
        only_streams
    }

    /// Whether `model` takes prompts and not chats.
    pub(crate) fn is_language(&self, model: &str) -> bool {
        self.read().language.contains(model)
    }

    /// Learns from the list of models which ones take prompts: those of type `language` and `code`.
    pub(crate) fn learn_list(&self, list: &ModelList) {
        let is_language = |extra: &Value| matches!(extra.as_str(), Some("language" | "code"));
        let language = list
            .data
            .iter()
            .filter(|model| model.extra.get("type").is_some_and(is_language));
        let mut facts = self.write();
        facts.language = language.map(|model| model.id.clone()).collect();
        facts.next_list = Some(Instant::now() + LIST_TTL);
    }

    /// Whether to request the list of models, which may explain why a chat was rejected. After
    /// `true`, it returns `false` until the list expires or the retry interval is over.
    pub(crate) fn should_list(&self, error: &Error) -> bool {
        let unclear = matches!(
            error.kind(),
            ErrorKind::InvalidRequest | ErrorKind::NotFound | ErrorKind::Unsupported
        );
        if !unclear || error.status().is_none() {
            return false;
        }
        let mut facts = self.write();
        let now = Instant::now();
        let should_list = facts.next_list.is_none_or(|again| again <= now);
        if should_list {
            facts.next_list = Some(now + RETRY_LIST_AFTER);
        }
        should_list
    }

    fn read(&self) -> RwLockReadGuard<'_, Facts> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Facts> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a list of models is valid.
const LIST_TTL: Duration = Duration::from_secs(600);
/// The interval before the list is requested again if no list arrived.
const RETRY_LIST_AFTER: Duration = Duration::from_secs(60);
