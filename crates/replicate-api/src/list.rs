//! Paginated lists.

use std::collections::VecDeque;

use futures_util::{Stream, stream};
use llm_provider::Result;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::client::{ApiRequest, ReplicateClient};

impl ReplicateClient {
    /// The entries of a list. Each page is fetched when it is needed.
    pub(crate) fn list<T: DeserializeOwned + Send + 'static>(
        &self,
        first: Result<ApiRequest>,
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
                    let Some(request) = next.take() else {
                        return Ok(None);
                    };
                    let request: ApiRequest = request?;
                    let page: Page<T> = client.send(request.clone()).await?;
                    entries = page.results.into();
                    next = following(request, page.next.as_deref()).map(Ok);
                }
            }
        })
    }
}

/// A page of a list.
#[derive(Deserialize)]
struct Page<T> {
    results: Vec<T>,
    /// The URL of the next page; its query contains the position.
    next: Option<String>,
}

/// Only the query is used, so that the token is not sent to another host.
fn following(mut request: ApiRequest, next: Option<&str>) -> Option<ApiRequest> {
    let (_, query) = next?.split_once('?')?;
    let base = request.path.split('?').next().unwrap_or_default();
    let path = format!("{base}?{query}");
    if path == request.path {
        return None;
    }
    request.path = path;
    Some(request)
}
