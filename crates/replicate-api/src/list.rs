//! Lists, page after page.

use std::collections::VecDeque;

use futures_util::{Stream, stream};
use llm_provider::Result;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::client::{Ask, Client};

impl Client {
    /// The entries of a list. Each page is fetched when it is needed.
    pub(crate) fn list<T: DeserializeOwned + Send + 'static>(
        &self,
        first: Result<Ask>,
    ) -> impl Stream<Item = Result<T>> + Send + 'static {
        let client = self.clone();
        let state = (Some(first), VecDeque::new());
        stream::try_unfold(state, move |(mut next, mut entries)| {
            let client = client.clone();
            async move {
                loop {
                    if let Some(entry) = entries.pop_front() {
                        return Ok(Some((entry, (next, entries))));
                    }
                    let Some(ask) = next.take() else {
                        return Ok(None);
                    };
                    let ask: Ask = ask?;
                    let page: Page<T> = client.ask(ask.clone()).await?;
                    entries = page.results.into();
                    next = following(ask, page.next.as_deref()).map(Ok);
                }
            }
        })
    }
}

/// A part of a list.
#[derive(Deserialize)]
struct Page<T> {
    results: Vec<T>,
    /// The URL of the next part; its query holds the place.
    next: Option<String>,
}

/// Only the query is taken over, so that the token goes to no other host.
fn following(mut ask: Ask, next: Option<&str>) -> Option<Ask> {
    let (_, query) = next?.split_once('?')?;
    let base = ask.path.split('?').next().unwrap_or_default();
    let path = format!("{base}?{query}");
    if path == ask.path {
        return None;
    }
    ask.path = path;
    Some(ask)
}
