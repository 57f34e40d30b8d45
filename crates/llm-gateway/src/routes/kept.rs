//! Responses that are kept: continuing, running in the background, retrieving and deleting them.

use std::borrow::Cow;
use std::sync::Arc;

use http::request::Parts;
use http::{Method, Response, StatusCode};
use llm_adapters::responses::ResponsesReplies;
use llm_provider::text::excerpt;
use llm_provider::{Call, Reply};
use llm_router::RouteOptions;
use llm_types::ChatResponse;
use llm_types::responses::{
    Item, ItemContent, MessageItem, ResponsesInput, ResponsesRequest, ResponsesResponse,
};
use llm_types::{Field, Role, Value};
use serde_json::json;

use super::query::Query;
use super::responses::{failure_code, now};
use crate::auth::Client;
use crate::error::ApiError;
use crate::gateway::Shared;
use crate::response::{self, ResponseBody};
use crate::spend::Running;
use crate::stored::{Owner, StoredResponses};

/// The kept responses that a request continues, and whether its own response is kept.
pub(super) struct Kept {
    /// The items of the responses that the request continues.
    pub(super) history: Vec<Item>,
    /// Keeps the response, if the client wants it.
    pub(super) keeper: Option<Keeper>,
}

/// Keeps one response.
pub(super) struct Keeper {
    stored: StoredResponses,
    owner: Owner,
    input: Vec<Item>,
}

impl Kept {
    /// Resolves what the request refers to. `None` if the gateway keeps no responses.
    pub(super) async fn new(
        shared: &Shared,
        client: &Client,
        request: &mut ResponsesRequest,
    ) -> Result<Option<Self>, ApiError> {
        let Some(stored) = &shared.options.stored_responses else {
            return match request.previous_response_id {
                None => Ok(None),
                Some(_) => Err(not_continued(
                    "the gateway keeps no responses (`general_settings.store_responses`); send the \
                     whole conversation as `input`",
                )),
            };
        };
        let owner = Owner::of(client);
        if let Some(input) = &mut request.input {
            stored.resolve(&owner, input).await?;
        }
        let history = match &request.previous_response_id {
            None => Vec::new(),
            Some(id) => stored.history(&owner, id).await?.ok_or_else(|| {
                let id = excerpt(id);
                not_continued(format!(
                    "the previous response \"{id}\", or one that it continues, does not exist or has expired"
                ))
            })?,
        };
        let keeper = request.store.unwrap_or(true).then(|| Keeper {
            stored: stored.clone(),
            owner,
            input: items(request.input.clone()),
        });
        Ok(Some(Self { history, keeper }))
    }
}

impl Keeper {
    /// Keeps the response. If that fails, the response says that it is not stored.
    pub(super) async fn keep(self, response: &mut ResponsesResponse) {
        if !self.stored.put(&self.owner, response, &self.input).await {
            response.extra.insert("store".to_owned(), false.into());
        }
    }

    /// Runs a call in the background, and returns the response as it is before the reply.
    pub(super) async fn run(
        self,
        shared: &Arc<Shared>,
        replies: ResponsesReplies,
        call: Call,
        route: RouteOptions,
        running: Running,
    ) -> Result<Response<ResponseBody>, ApiError> {
        let Self {
            stored,
            owner,
            input,
        } = self;
        if stored.running() >= MAX_RUNNING {
            let message = "too many responses run in the background; try again later";
            let status = StatusCode::TOO_MANY_REQUESTS;
            return Err(
                ApiError::new(status, "rate_limit_error", message).with_code("rate_limit_exceeded")
            );
        }
        let mut stream = replies.clone().stream();
        let started = stream.start(now()).find_map(|event| event.response);
        let Some(started) = started else {
            return Err(ApiError::internal());
        };
        stored.start(&owner, &started, &input).await?;
        let shared = Arc::clone(shared);
        let work = async move {
            let reply = running.send(shared.router.send_with(call, route)).await;
            let result = reply.and_then(|(reply, _)| finished(replies, reply));
            result.or_else(|error| {
                let chat = error.error();
                let code = failure_code(&error);
                let failed = stream.fail(code, &chat.error.message).next_back();
                failed.and_then(|event| event.response).ok_or(error)
            })
        };
        let id = started.id.clone();
        stored.run(owner, id, async move { work.await.ok() });
        Ok(response::json_of(&started))
    }
}

fn finished(replies: ResponsesReplies, reply: Reply) -> Result<Box<ResponsesResponse>, ApiError> {
    let chat: ChatResponse = reply
        .body
        .read()
        .map_err(|_| super::endpoint::unreadable())?;
    Ok(Box::new(replies.with_completed_at(now()).reply(chat)?))
}

/// Serves a request for a kept response; `path` is its id, and perhaps a part of it.
pub(super) async fn serve(
    shared: &Shared,
    client: &Client,
    head: &Parts,
    path: &str,
) -> Result<Response<ResponseBody>, ApiError> {
    let (id, part) = path.split_once('/').unwrap_or((path, ""));
    let stored = shared.options.stored_responses.as_ref();
    let stored = stored.ok_or_else(|| not_found(id, "; the gateway keeps no responses"))?;
    let owner = Owner::of(client);
    let missing = || not_found(id, " or has expired");
    let query = Query::of(&head.uri);
    match (&head.method, part) {
        (&Method::GET | &Method::HEAD, "") => {
            if query.get("stream").as_deref() == Some("true") {
                let message = "a kept response is not streamed; leave out `stream`";
                return Err(ApiError::invalid(message).with_param("stream"));
            }
            let found = stored.get(&owner, id).await?.ok_or_else(missing)?;
            Ok(response::json_of(&found.response))
        }
        (&Method::DELETE, "") if stored.delete(&owner, id).await? => {
            let deleted = json!({"id": id, "object": "response", "deleted": true});
            Ok(response::json_of(&deleted))
        }
        (&Method::POST, "cancel") => {
            let found = stored.get(&owner, id).await?.ok_or_else(missing)?;
            if found.response.extra.get("background") != Some(&Value::Bool(true)) {
                let message = "only a response in the background can be cancelled";
                return Err(ApiError::invalid(message));
            }
            let cancelled = stored.cancel(&owner, found.response).await?;
            Ok(response::json_of(&cancelled.ok_or_else(missing)?))
        }
        (&Method::GET | &Method::HEAD, "input_items") => {
            let found = stored.get(&owner, id).await?.ok_or_else(missing)?;
            let items = found.input_items().into_iter().map(in_parts);
            page(items.collect(), &query)
        }
        _ => Err(missing()),
    }
}

/// A message as OpenAI lists it: its text is a part, and it has a status.
fn in_parts(mut item: Value) -> Value {
    if item["type"] != "message" {
        return item;
    }
    if let Value::String(text) = &item["content"] {
        item["content"] = match item["role"] == "assistant" {
            true => json!([{ "type": "output_text", "text": text, "annotations": [] }]),
            false => json!([{ "type": "input_text", "text": text }]),
        };
    }
    if item["status"].is_null() {
        item["status"] = "completed".into();
    }
    item
}

/// A page of items: the latest first, unless the client wants another order.
fn page(mut items: Vec<Value>, query: &Query<'_>) -> Result<Response<ResponseBody>, ApiError> {
    if query.get("order").as_deref() != Some("asc") {
        items.reverse();
    }
    if let Some(after) = query.get("after") {
        let at = items.iter().position(|item| item["id"] == after);
        items.drain(..at.map_or(items.len(), |at| at + 1));
    }
    let limit = query.limit(DEFAULT_LIMIT, MAX_LIMIT)?;
    let has_more = items.len() > limit;
    items.truncate(limit);
    let id = |item: Option<&Value>| item.map(|item| item["id"].clone());
    Ok(response::json_of(&json!({
        "object": "list", "first_id": id(items.first()), "last_id": id(items.last()),
        "has_more": has_more, "data": items,
    })))
}

/// The items of an input.
fn items(input: Option<ResponsesInput>) -> Vec<Item> {
    match input {
        None => Vec::new(),
        Some(ResponsesInput::Items(items)) => items,
        Some(ResponsesInput::Text(text)) => {
            let mut message = MessageItem::output("", Vec::new(), "completed".into());
            message.id = Field::Absent;
            message.role = Role::User;
            message.content = ItemContent::Text(text);
            vec![Item::Message(message)]
        }
    }
}

fn not_continued(message: impl Into<Cow<'static, str>>) -> ApiError {
    ApiError::invalid(message)
        .with_param("previous_response_id")
        .with_code("previous_response_not_found")
}

fn not_found(id: &str, why: &str) -> ApiError {
    let id = excerpt(id);
    let message = format!("the response \"{id}\" does not exist{why}");
    ApiError::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
        .with_code("response_not_found")
}

/// How many responses may run in the background.
const MAX_RUNNING: usize = 1024;
const DEFAULT_LIMIT: usize = 20;
const MAX_LIMIT: usize = 100;
