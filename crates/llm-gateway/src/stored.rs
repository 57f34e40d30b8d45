//! [`StoredResponses`]: responses that are kept for `previous_response_id`, retrieval and
//! `background`.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateway_store::{
    ResponseOptions, ResponseState, Responses, Result, Store, StoreOptions, StoredResponse,
};
use llm_provider::text::excerpt;
use llm_types::responses::{Item, ResponsesInput, ResponsesResponse, ResponsesStatus};
use llm_types::{Field, Value, parse};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::task::AbortHandle;

use crate::auth::Client;
use crate::error::ApiError;

/// Responses of the Responses API that the gateway keeps in a database.
///
/// With it, a request may continue a response (`previous_response_id`), refer to its items, or run in
/// the `background`; responses can be retrieved, deleted and cancelled, at every gateway of the
/// database. Only the key that made a response can use it. [`ResponseOptions`] limits their time and
/// their size.
#[derive(Clone)]
pub struct StoredResponses {
    responses: Responses,
    /// The responses that this process runs in the background.
    running: Arc<Mutex<HashMap<String, AbortHandle>>>,
}

/// Who may use a response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Owner(String);

/// A response and the input of its request.
pub(crate) struct Found {
    pub(crate) response: ResponsesResponse,
    pub(crate) input: Vec<Item>,
}

impl StoredResponses {
    /// Keeps responses in a store.
    pub fn new(store: &Store, options: ResponseOptions) -> Self {
        Self {
            responses: store.responses(options),
            running: Arc::default(),
        }
    }

    /// Keeps responses in the memory of this process, at most 64 MiB.
    ///
    /// # Errors
    /// If SQLite cannot be used.
    pub async fn in_memory(time_to_live: Duration) -> Result<Self> {
        let store = Store::open("sqlite::memory:", StoreOptions::default()).await?;
        let options = ResponseOptions::default()
            .with_time_to_live(time_to_live)
            .with_max_bytes(64 << 20);
        Ok(Self::new(&store, options))
    }

    /// Keeps a response with its input. `false` if the database does not answer, or if there is no
    /// room for it.
    pub(crate) async fn put(
        &self,
        owner: &Owner,
        response: &ResponsesResponse,
        input: &[Item],
    ) -> bool {
        match self.responses.put(stored(owner, response, input)).await {
            Ok(()) => true,
            Err(error) => {
                let error = error.to_string();
                tracing::warn!(error = &*excerpt(&error), "a response was not stored");
                false
            }
        }
    }

    /// Keeps a response that runs in the background.
    pub(crate) async fn start(
        &self,
        owner: &Owner,
        response: &ResponsesResponse,
        input: &[Item],
    ) -> Result<()> {
        let stored = stored(owner, response, input).with_state(ResponseState::Running);
        self.responses.put(stored).await
    }

    /// Runs the work of a response in the background. It ends when it has a result, or when the
    /// response is cancelled or deleted, at any gateway.
    pub(crate) fn run(
        &self,
        owner: Owner,
        id: String,
        work: impl Future<Output = Option<Box<ResponsesResponse>>> + Send + 'static,
    ) {
        let (kept, key) = (self.clone(), id.clone());
        // The task starts after its handle is in the table.
        let mut running = self.lock();
        let task = tokio::spawn(async move {
            tokio::select! {
                result = work => if let Some(response) = result {
                    kept.finish(&owner, &id, &response).await;
                },
                () = kept.until_cancelled(&owner, &id) => {}
            }
            kept.lock().remove(&id);
        });
        running.insert(key, task.abort_handle());
    }

    /// How many responses this process runs in the background.
    pub(crate) fn running(&self) -> usize {
        self.lock().len()
    }

    /// A response with its input.
    pub(crate) async fn get(&self, owner: &Owner, id: &str) -> Result<Option<Found>, ApiError> {
        let found = self.responses.get(&owner.0, id).await?;
        found.map(Found::read).transpose()
    }

    /// Removes a response, and cancels it if it runs. `false` if there is none.
    pub(crate) async fn delete(&self, owner: &Owner, id: &str) -> Result<bool> {
        let is_deleted = self.responses.delete(&owner.0, id).await?;
        if is_deleted {
            self.abort(id);
        }
        Ok(is_deleted)
    }

    /// Cancels a response in the background and returns it; one that has ended stays as it is.
    pub(crate) async fn cancel(
        &self,
        owner: &Owner,
        mut response: ResponsesResponse,
    ) -> Result<Option<ResponsesResponse>, ApiError> {
        let id = response.id.clone();
        response.status = Field::Value(ResponsesStatus::Cancelled);
        let json = json!(response).to_string();
        if self.responses.finish(&owner.0, &id, json).await? {
            self.abort(&id);
            return Ok(Some(response));
        }
        let found = self.get(owner, &id).await?;
        Ok(found.map(|found| found.response))
    }

    /// The items of a response and of those that it continues, oldest first: each one's input and
    /// output. `None` if one of them is not kept.
    ///
    /// # Errors
    /// If one of them still runs in the background: its output would be missing.
    pub(crate) async fn history(
        &self,
        owner: &Owner,
        id: &str,
    ) -> Result<Option<Vec<Item>>, ApiError> {
        let Some(found) = self.responses.history(&owner.0, id).await? else {
            return Ok(None);
        };
        let mut items = Vec::new();
        for turn in found {
            if turn.state == ResponseState::Running {
                let running = excerpt(&turn.id);
                let message =
                    format!("the response \"{running}\" still runs; poll it until it ends");
                return Err(ApiError::invalid(message).with_param("previous_response_id"));
            }
            let turn = Found::read(turn)?;
            items.extend(turn.input);
            items.extend(turn.response.output);
        }
        Ok(Some(items))
    }

    /// Replaces references to items of kept responses by the items.
    pub(crate) async fn resolve(
        &self,
        owner: &Owner,
        input: &mut ResponsesInput,
    ) -> Result<(), ApiError> {
        let ResponsesInput::Items(items) = input else {
            return Ok(());
        };
        // Several references to one response need one query.
        let mut known: HashMap<String, Option<Found>> = HashMap::new();
        for item in items {
            let Some((id, response)) = reference(item) else {
                continue;
            };
            if !known.contains_key(&response) {
                let found = self.get(owner, &response).await?;
                known.insert(response.clone(), found);
            }
            let found = known.get(&response).and_then(Option::as_ref);
            let found = found.and_then(|found| found.output(&id));
            if let Some(found) = found {
                *item = found;
            }
        }
        Ok(())
    }

    /// Keeps the result of a response in the background, if it is still wanted.
    async fn finish(&self, owner: &Owner, id: &str, response: &ResponsesResponse) {
        let json = json!(response).to_string();
        for _ in 0..FINISH_ATTEMPTS {
            match self.responses.finish(&owner.0, id, json.clone()).await {
                Err(error) if error.is_outage() => tokio::time::sleep(FINISH_PAUSE).await,
                _ => return,
            }
        }
        tracing::warn!(response = id, "the result of a response was not stored");
    }

    /// Says that the response still runs, until another gateway cancels or deletes it.
    async fn until_cancelled(&self, owner: &Owner, id: &str) {
        loop {
            tokio::time::sleep(RENEW_INTERVAL).await;
            if matches!(self.responses.renew(&owner.0, id).await, Ok(false)) {
                return;
            }
        }
    }

    fn abort(&self, id: &str) {
        if let Some(task) = self.lock().remove(id) {
            task.abort();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, AbortHandle>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Found {
    fn read(stored: StoredResponse) -> Result<Self, ApiError> {
        let mut response: ResponsesResponse = read(&stored.response)?;
        if stored.state == ResponseState::Abandoned {
            response.status = Field::Value(ResponsesStatus::Failed);
            response.error = Field::Value(json!({
                "code": "server_error", "message": "the gateway that ran the response has stopped",
            }));
        }
        Ok(Self {
            response,
            input: read(&stored.input)?,
        })
    }

    /// The items of the input, with ids.
    pub(crate) fn input_items(&self) -> Vec<Value> {
        let items = self.input.iter().enumerate().map(|(at, item)| {
            let mut item = json!(item);
            if let Some(members) = item.as_object_mut() {
                members.entry("type").or_insert_with(|| json!("message"));
                let generated = || json!(format!("in_{}_{at}", base(&self.response.id)));
                members.entry("id").or_insert_with(generated);
            }
            item
        });
        items.collect()
    }

    /// The item of the output with this id.
    fn output(&self, id: &str) -> Option<Item> {
        let mut output = self.response.output.iter();
        output.find(|item| item.id() == Some(id)).cloned()
    }
}

impl Owner {
    /// The client's key. The master key, and any client if there is none, is the operator.
    pub(crate) fn of(client: &Client) -> Self {
        let key = client.access().map(|access| access.key.id.clone());
        Self(key.unwrap_or_default())
    }
}

impl fmt::Debug for StoredResponses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredResponses")
            .field("responses", &self.responses)
            .field("running", &self.running())
            .finish()
    }
}

fn stored(owner: &Owner, response: &ResponsesResponse, input: &[Item]) -> StoredResponse {
    let previous = response.extra.get("previous_response_id");
    let previous = previous.and_then(Value::as_str).map(str::to_owned);
    let (input, json) = (json!(input).to_string(), json!(response).to_string());
    StoredResponse::new(&owner.0, &response.id, input, json).with_previous(previous)
}

/// The id of the item to which an item refers, and that of its response, which it contains.
fn reference(item: &Item) -> Option<(String, String)> {
    let Item::Other(members) = item else {
        return None;
    };
    if members.get("type").and_then(Value::as_str) != Some("item_reference") {
        return None;
    }
    let id = members.get("id")?.as_str()?;
    let (_, rest) = id.split_once('_')?;
    let (base, _) = rest.rsplit_once('_')?;
    Some((id.to_owned(), format!("resp_{base}")))
}

fn read<T: DeserializeOwned>(json: &str) -> Result<T, ApiError> {
    parse(json.as_bytes()).map_err(|error| {
        tracing::error!(%error, "a stored response cannot be read");
        ApiError::internal()
    })
}

/// The part of a response's id that the ids of its items repeat.
fn base(id: &str) -> &str {
    id.strip_prefix("resp_").unwrap_or(id)
}

/// Shorter than [`Responses::ABANDONED_AFTER`], so that one failure does no harm.
const RENEW_INTERVAL: Duration = Duration::from_secs(20);

/// How often a result is written during an outage, and the pauses between.
const FINISH_ATTEMPTS: u32 = 60;
const FINISH_PAUSE: Duration = Duration::from_secs(5);
