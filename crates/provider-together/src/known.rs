//! What an account learns of its models.

use std::collections::BTreeSet;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use llm_provider::{Error, ErrorKind};
use llm_types::ModelList;
use serde_json::Value;

/// What an account has learned of its models, so that it need not be told twice.
#[derive(Debug, Default)]
pub(crate) struct Known(RwLock<Facts>);

#[derive(Debug, Default)]
struct Facts {
    /// Models that answer in chunks only.
    streaming: BTreeSet<String>,
    /// Models that take prompts, not chats, by the list of models.
    language: BTreeSet<String>,
    /// When the list of models may be asked for again.
    ask_again: Option<Instant>,
}

impl Known {
    /// Whether `model` has said that it answers in chunks only.
    pub(crate) fn only_streams(&self, model: &str) -> bool {
        self.read().streaming.contains(model)
    }

    /// Learns from an error that `model` answers in chunks only, if it says so.
    pub(crate) fn learn_streaming(&self, model: &str, error: &Error) -> bool {
        let only_streams = error.code() == Some("streaming_required");
        if only_streams {
            self.write().streaming.insert(model.to_owned());
        }
        only_streams
    }

    /// Whether `model` takes prompts, not chats.
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
        facts.ask_again = Some(Instant::now() + FRESH);
    }

    /// Whether the list of models may tell why a chat was refused, and has not just been asked.
    /// It counts as asked from now on, for a short time unless an answer comes.
    pub(crate) fn may_ask(&self, error: &Error) -> bool {
        let unclear = matches!(
            error.kind(),
            ErrorKind::InvalidRequest | ErrorKind::NotFound | ErrorKind::Unsupported
        );
        if !unclear || error.status().is_none() {
            return false;
        }
        let mut facts = self.write();
        let now = Instant::now();
        let may_ask = facts.ask_again.is_none_or(|again| again <= now);
        if may_ask {
            facts.ask_again = Some(now + PAUSE);
        }
        may_ask
    }

    fn read(&self) -> RwLockReadGuard<'_, Facts> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Facts> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// For how long a list of models counts.
const FRESH: Duration = Duration::from_secs(600);
/// How long to wait for an answer, or after a failure, before the list is asked for again.
const PAUSE: Duration = Duration::from_secs(60);
