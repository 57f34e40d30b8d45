//! [`Origin`]: what the head of a request says about its usage record.

use std::sync::OnceLock;

use gateway_store::{Timestamp, UsageRecord};
use http::header::HeaderMap;
use tokio::time::Instant;

use crate::call_options::session;
use crate::headers::{TAGS, push_hex};

/// The facts of a request that its usage record gets, besides those of its call.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// Unique, and not chosen by the client: a second record of the same id would not be charged.
    pub(crate) call_id: String,
    pub(crate) started: Instant,
    pub(crate) started_at: Timestamp,
    session: Option<String>,
    tags: Vec<String>,
    /// The tags in the body, once it was read.
    tags_in_body: OnceLock<Vec<String>>,
}

impl Origin {
    pub(crate) fn new(headers: &HeaderMap, started_at: Timestamp) -> Self {
        let tags = headers.get(TAGS).and_then(|tags| tags.to_str().ok());
        let tags = tags.unwrap_or_default().split(',').map(str::trim);
        Self {
            call_id: call_id(started_at),
            started: Instant::now(),
            started_at,
            session: session(headers),
            tags: tags
                .filter(|tag| !tag.is_empty())
                .map(str::to_owned)
                .collect(),
            tags_in_body: OnceLock::new(),
        }
    }

    /// Sets the tags in the body of the request.
    pub(crate) fn set_tags(&self, tags: Vec<String>) {
        // A request has one body.
        let _ = self.tags_in_body.set(tags);
    }

    pub(super) fn fill(&self, record: &mut UsageRecord) {
        record.session_id.clone_from(&self.session);
        for tag in self
            .tags
            .iter()
            .chain(self.tags_in_body.get().into_iter().flatten())
        {
            if !record.tags.contains(tag) {
                record.tags.push(tag.clone());
            }
        }
    }
}

/// An id with the time, so that ids of different processes differ, too.
fn call_id(at: Timestamp) -> String {
    let mut id = String::from("call_");
    push_hex(&mut id, at.as_millis().cast_unsigned(), 11);
    push_hex(&mut id, fastrand::u64(..), 16);
    id
}
