//! Paginated lists.

use std::collections::{HashSet, VecDeque};

use futures_util::{Stream, stream};
use llm_provider::Result;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::client::{ApiRequest, ReplicateClient};

impl ReplicateClient {
    /// The entries of a list. Each page is fetched when it is needed, and only once: the list ends if
    /// its pages refer to each other in a circle.
    pub(crate) fn list<T: DeserializeOwned + Send + 'static>(
        &self,
        first: Result<ApiRequest>,
    ) -> impl Stream<Item = Result<T>> + Send + 'static {
        let client = self.clone();
        let state = (Some(first), VecDeque::new(), HashSet::new());
        stream::try_unfold(state, move |(mut next, mut entries, mut fetched)| {
            let client = client.clone();
            async move {
                loop {
                    if let Some(entry) = entries.pop_front() {
                        return Ok(Some((entry, (next, entries, fetched))));
                    }
                    let Some(request) = next.take() else {
                        return Ok(None);
                    };
                    let request: ApiRequest = request?;
                    fetched.insert(request.path.clone());
                    let page: Page<T> = client.send(request.clone()).await?;
                    entries = page.results.into();
                    next = following(request, page.next.as_deref())
                        .filter(|next| !fetched.contains(&next.path))
                        .map(Ok);
                }
            }
        })
    }
}

/// A page of a list.
#[derive(Deserialize)]
struct Page<T> {
    results: Vec<T>,
    /// The URL of the next page, with its position in the query.
    next: Option<String>,
}

/// The request for the next page. Only the query of `next` is used, so that the token is not sent to
/// another host. `None` after the last page.
fn following(mut request: ApiRequest, next: Option<&str>) -> Option<ApiRequest> {
    let (_, query) = next?.split_once('?')?;
    let base = request.path.split('?').next().unwrap_or_default();
    request.path = format!("{base}?{query}");
    Some(request)
}
