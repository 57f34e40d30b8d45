//! The routes below `/key`, with the names of LiteLLM's fields.

pub(super) mod answer;
pub(super) mod request;

use std::collections::BTreeMap;

use bytes::Bytes;
use gateway_store::{ErrorKind, KeyFilter, KeyHash, KeySettings, Store};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use llm_provider::ApiKey;
use llm_provider::text::excerpt;
use percent_encoding::percent_decode_str;
use serde_json::json;

use self::answer::KeyAnswer;
use self::request::{Changes, Selected, Settings, parse};
use super::query::Query;
use crate::auth::Client;
use crate::error::ApiError;
use crate::gateway::Shared;
use crate::keys::VirtualKeys;
use crate::response::{self, ResponseBody};

/// An operation on keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum KeyRoute {
    Generate,
    Info,
    Update,
    Delete,
    List,
    Regenerate,
    /// LiteLLM's `/key/{key}/regenerate`.
    RegenerateOf,
    Block,
    Unblock,
}

impl KeyRoute {
    /// The operation of a path below `/key/`.
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "generate" => Self::Generate,
            "info" => Self::Info,
            "update" => Self::Update,
            "delete" => Self::Delete,
            "list" => Self::List,
            "regenerate" => Self::Regenerate,
            "block" => Self::Block,
            "unblock" => Self::Unblock,
            path => {
                let key = path.strip_suffix(REGENERATE)?;
                let is_key = !key.is_empty() && !key.contains('/');
                return is_key.then_some(Self::RegenerateOf);
            }
        })
    }

    pub(super) fn takes(self, method: &Method) -> bool {
        match self {
            Self::Info | Self::List => matches!(*method, Method::GET | Method::HEAD),
            _ => *method == Method::POST,
        }
    }
}

/// Runs an operation. Its body is empty for `GET`.
pub(super) async fn serve(
    shared: &Shared,
    client: &Client,
    route: KeyRoute,
    head: &Parts,
    body: Bytes,
) -> Result<Response<ResponseBody>, ApiError> {
    let query = Query::of(&head.uri);
    // A client may look at its own key.
    if !(route == KeyRoute::Info && query.get("key").is_none()) {
        client.require_operator()?;
    }
    let keys = virtual_keys(shared)?;
    if !route.takes(&Method::POST) && client.access().is_none() {
        keys.write_records().await?;
    }
    let path = head.uri.path();
    let answer = run(keys.store(), client, route, &query, (path, &body)).await;
    respond(keys, route.takes(&Method::POST), answer).await
}

/// The response to an operation. One that may have changed keys or owners is seen by later calls, also
/// after an error: some of several may have changed.
pub(super) async fn respond(
    keys: &VirtualKeys,
    is_change: bool,
    answer: Result<serde_json::Value, ApiError>,
) -> Result<Response<ResponseBody>, ApiError> {
    let refreshed = match is_change {
        true => keys.refresh().await,
        false => Ok(()),
    };
    let answer = answer?;
    refreshed?;
    Ok(response::json_of(&answer))
}

async fn run(
    store: &Store,
    client: &Client,
    route: KeyRoute,
    query: &Query<'_>,
    (path, body): (&str, &[u8]),
) -> Result<serde_json::Value, ApiError> {
    match route {
        KeyRoute::Generate => generate(store, parse(body)?).await,
        KeyRoute::Info => info(store, client, query).await,
        KeyRoute::Update => update(store, parse(body)?).await,
        KeyRoute::Delete => delete(store, parse(body)?).await,
        KeyRoute::List => list(store, query).await,
        KeyRoute::Regenerate => {
            let request: Settings = parse(body)?;
            let missing = || ApiError::invalid("give `key`").with_param("key");
            regenerate(store, request.key.as_deref().ok_or_else(missing)?, body).await
        }
        KeyRoute::RegenerateOf => {
            let key = below(path).and_then(|path| path.strip_suffix(REGENERATE));
            regenerate(
                store,
                &percent_decode_str(key.unwrap_or_default()).decode_utf8_lossy(),
                body,
            )
            .await
        }
        KeyRoute::Block => block(store, parse(body)?, true).await,
        KeyRoute::Unblock => block(store, parse(body)?, false).await,
    }
}

pub(super) fn virtual_keys(shared: &Shared) -> Result<&VirtualKeys, ApiError> {
    shared.options.virtual_keys.as_ref().ok_or_else(|| {
        let message = "this gateway has no database of keys and spend";
        ApiError::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
            .with_code("no_key_database")
    })
}

async fn generate(store: &Store, request: Settings) -> Result<serde_json::Value, ApiError> {
    let secret = request.key.clone().map(ApiKey::new);
    let mut settings = KeySettings::default();
    request.changes.check()?;
    request.changes.apply(&mut settings, store.now());
    let keys = store.keys();
    let (secret, key) = match secret {
        Some(secret) => {
            let key = keys.add(&secret, settings).await?;
            (secret, key)
        }
        None => {
            let generated = keys.generate(settings).await?;
            (generated.secret, generated.key)
        }
    };
    request.changes.set_spend(store, &key).await?;
    Ok(json!(KeyAnswer::new(&key).with_secret(&secret)))
}

async fn info(
    store: &Store,
    client: &Client,
    query: &Query<'_>,
) -> Result<serde_json::Value, ApiError> {
    let hash = match (query.get("key"), client.access()) {
        (Some(key), _) => hash(&key),
        (None, Some(access)) => access.key.hash,
        (None, _) => return Err(ApiError::invalid("give `key`").with_param("key")),
    };
    let info = store.keys().get(&hash).await?.ok_or_else(unknown_key)?;
    let answer = KeyAnswer::new(&info.key).with_spend(&info);
    Ok(json!({ "key": hash.to_string(), "info": answer }))
}

async fn update(store: &Store, request: Settings) -> Result<serde_json::Value, ApiError> {
    let Some(key) = &request.key else {
        return Err(ApiError::invalid("give `key`").with_param("key"));
    };
    request.changes.check()?;
    let (changes, now): (&Changes, _) = (&request.changes, store.now());
    let apply = |settings: &mut KeySettings| changes.apply(settings, now);
    let key = store.keys().update(&hash(key), apply).await?;
    changes.set_spend(store, &key).await?;
    Ok(json!(KeyAnswer::new(&key)))
}

/// Deletes all keys that exist, so that an unknown one leaves no other in use.
async fn delete(store: &Store, request: Selected) -> Result<serde_json::Value, ApiError> {
    let (keys, aliases) = request.keys()?;
    let mut hashes: BTreeMap<String, KeyHash> = BTreeMap::new();
    let mut unknown = Vec::new();
    for key in keys {
        let hash = hash(key);
        match store.keys().get(&hash).await? {
            Some(_) => drop(hashes.insert(hash.to_string(), hash)),
            None => unknown.push(redacted(key)),
        }
    }
    for alias in aliases {
        let mut filter = KeyFilter::default();
        filter.key_alias = Some(alias.clone());
        let found = store.keys().list(&filter).await?;
        match found.first() {
            Some(found) => drop(hashes.insert(found.key.hash.to_string(), found.key.hash)),
            None => unknown.push(format!("\"{}\"", excerpt(alias))),
        }
    }
    for hash in hashes.values() {
        match store.keys().delete(hash).await {
            // Another client was faster.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            deleted => deleted?,
        }
    }
    if unknown.is_empty() {
        let deleted: Vec<_> = hashes.into_keys().collect();
        return Ok(json!({ "deleted_keys": deleted }));
    }
    let deleted = hashes.len();
    Err(unknown_of("key", &unknown, deleted, "deleted").with_param("keys"))
}

/// The error of a request that names unknown keys or owners besides the `done` known ones.
pub(super) fn unknown_of(what: &str, unknown: &[String], done: usize, verb: &str) -> ApiError {
    let named = unknown.iter().take(MOST_NAMED).map(String::as_str);
    let mut names = named.collect::<Vec<_>>().join(", ");
    if unknown.len() > MOST_NAMED {
        names += ", …";
    }
    let others = match done {
        0 => String::new(),
        done => format!("; {done} others were {verb}"),
    };
    let message = format!("no such {what}: {names}{others}");
    ApiError::new(StatusCode::NOT_FOUND, "invalid_request_error", message).with_code("not_found")
}

/// The end of a secret or a hash, by which an operator recognizes it.
fn redacted(key: &str) -> String {
    let tail = key.len().checked_sub(4).filter(|at| *at >= 12);
    let tail = tail.and_then(|at| key.get(at..));
    format!("…{}", excerpt(tail.unwrap_or_default()))
}

async fn list(store: &Store, query: &Query<'_>) -> Result<serde_json::Value, ApiError> {
    let mut filter = KeyFilter::default();
    filter.user_id = query.get("user_id");
    filter.team_id = query.get("team_id");
    filter.key_alias = query.get("key_alias");
    filter.after = query.get("after");
    let page = query.page(&["size"])?;
    filter.limit = page.size.unwrap_or(filter.limit);
    filter.skip = page.skip(filter.limit);
    let found = store.keys().list(&filter).await?;
    let is_last = found.len() < usize::try_from(filter.limit).unwrap_or(usize::MAX);
    let next = found.last().filter(|_| !is_last);
    let next = next.map(|info| info.key.id.clone());
    let keys: Vec<_> = if query.get("return_full_object").as_deref() == Some("true") {
        let answers = found
            .iter()
            .map(|info| KeyAnswer::new(&info.key).with_spend(info));
        answers.map(|answer| json!(answer)).collect()
    } else {
        let hashes = found.iter().map(|info| info.key.hash.to_string());
        hashes.map(|hash| json!(hash)).collect()
    };
    // As in LiteLLM; a list that goes on with `after` has no pages.
    let current_page = page.number.or_else(|| filter.after.is_none().then_some(1));
    filter.after = None;
    let count = store.keys().count(&filter).await?;
    Ok(json!({
        "keys": keys,
        "next": next,
        "total_count": count,
        "current_page": current_page,
        "total_pages": count.div_ceil(u64::from(filter.limit)),
    }))
}

/// Changes the settings of a key, if the request has any, and replaces its secret.
async fn regenerate(store: &Store, key: &str, body: &[u8]) -> Result<serde_json::Value, ApiError> {
    let hash = hash(key);
    if !body.is_empty() {
        let request: Settings = parse(body)?;
        request.changes.check()?;
        let (changes, now) = (&request.changes, store.now());
        let apply = |settings: &mut KeySettings| changes.apply(settings, now);
        let key = store.keys().update(&hash, apply).await?;
        changes.set_spend(store, &key).await?;
    }
    let generated = store.keys().regenerate(&hash).await?;
    Ok(json!(
        KeyAnswer::new(&generated.key).with_secret(&generated.secret)
    ))
}

async fn block(
    store: &Store,
    request: Selected,
    blocked: bool,
) -> Result<serde_json::Value, ApiError> {
    let key = store
        .keys()
        .set_blocked(&hash(request.key()?), blocked)
        .await?;
    Ok(json!(KeyAnswer::new(&key)))
}

/// What follows `/key/` in a path, below `/v1` or not.
fn below(path: &str) -> Option<&str> {
    let (_, rest) = path.split_once("/key/")?;
    Some(rest)
}

const REGENERATE: &str = "/regenerate";

/// The unknown keys or owners that an error names.
const MOST_NAMED: usize = 10;

/// The hash of a key that is given as its secret or as its hash.
pub(super) fn hash(key: &str) -> KeyHash {
    KeyHash::parse(key).unwrap_or_else(|| KeyHash::of(key))
}

fn unknown_key() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "invalid_request_error",
        "no such key",
    )
    .with_param("key")
    .with_code("not_found")
}
