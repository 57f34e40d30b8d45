//! What a request says about its routing: in headers, and in LiteLLM's members of the body, which
//! are not sent upstream.

use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderValue};
use llm_provider::{Call, Error, ErrorKind, Result};
use llm_router::{CacheControl, Fallbacks, RouteOptions, RouterObserver};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::auth::Client;
use crate::error::ApiError;

/// Takes the routing options out of a request, and sets the time limit of the call.
///
/// `reads_tags` says whether tags choose deployments.
pub(crate) fn take(
    client: &Client,
    headers: &HeaderMap,
    call: &mut Call,
    reads_tags: bool,
) -> Result<RouteOptions, ApiError> {
    let mut options = CallOptions::default();
    options.read_headers(headers)?;
    options.take_members(call)?;
    if let Some(drops) = take_member(call, "drop_params")? {
        call.drop_params = drops;
    }
    call.drop_params &= !client.is_strict;
    let excluded: Option<Vec<String>> = take_member(call, "additional_drop_params")?;
    for key in excluded.iter().flatten().filter(|_| !client.is_strict) {
        call.exclude(key);
    }
    options.route.is_strict = client.is_strict;
    let is_streamed = call.endpoint.is_streamed() && call.body.get("stream") == Some(b"true");
    let stream_timeout = options.stream_timeout.filter(|_| is_streamed);
    call.timeout = stream_timeout.or(options.timeout).or(call.timeout);
    if let Some(fallbacks) = &mut options.route.fallbacks {
        resolve(client, fallbacks)?;
    }
    if let Some(origin) = &client.origin {
        let mut tags = options.route.tags.clone();
        tags.extend(tags_of_metadata(call));
        origin.set_tags(tags);
    }
    if !reads_tags {
        options.route.tags.clear();
    } else if options.route.tags.is_empty() {
        options.route.tags = tags_of_metadata(call);
    }
    if let Some(active) = &client.active {
        active.call(&call.model(), options.route.session.as_deref());
        options.route.observer = Some(Arc::clone(active) as Arc<dyn RouterObserver>);
    }
    Ok(options.route)
}

/// The options that have been read so far. A member of the body wins over a header.
#[derive(Default)]
struct CallOptions {
    route: RouteOptions,
    timeout: Option<Duration>,
    stream_timeout: Option<Duration>,
}

impl CallOptions {
    fn read_headers(&mut self, headers: &HeaderMap) -> Result<()> {
        self.route.session = session(headers);
        for (name, value) in headers {
            let name = name.as_str();
            match name {
                "x-litellm-tags" => self.route.tags = split(text(name, value)?),
                "x-litellm-timeout" => self.timeout = Some(seconds(name, number(name, value)?)?),
                "x-litellm-stream-timeout" => {
                    self.stream_timeout = Some(seconds(name, number(name, value)?)?);
                }
                "x-litellm-num-retries" => self.route.retries = Some(number(name, value)?),
                _ => {}
            }
        }
        Ok(())
    }

    fn take_members(&mut self, call: &mut Call) -> Result<()> {
        if let Some(retries) = take_member(call, "num_retries")? {
            self.route.retries = Some(retries);
        }
        if let Some(priority) = take_member(call, "priority")? {
            self.route.priority = Some(priority);
        }
        if let Some(tags) = take_member(call, "tags")? {
            self.route.tags = tags;
        }
        for (key, limit) in [
            ("timeout", &mut self.timeout),
            ("stream_timeout", &mut self.stream_timeout),
        ] {
            if let Some(time) = take_member(call, key)? {
                *limit = Some(seconds(key, time)?);
            }
        }
        if let Some(cache) = take_member::<CacheMember>(call, "cache")? {
            self.route.cache = cache.control()?;
        }
        self.route.fallbacks = take_fallbacks(call)?;
        Ok(())
    }
}

/// LiteLLM's member `cache`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct CacheMember {
    #[serde(default)]
    no_cache: bool,
    #[serde(default)]
    no_store: bool,
    use_cache: Option<bool>,
    ttl: Option<f64>,
    #[serde(alias = "s-max-age")]
    s_maxage: Option<f64>,
    namespace: Option<String>,
}

impl CacheMember {
    fn control(self) -> Result<CacheControl> {
        let time = |seconds| {
            let time = Duration::try_from_secs_f64(seconds);
            time.map_err(|_| invalid("cache", "a time has to be a number of seconds, 0 or more"))
        };
        Ok(CacheControl::default()
            .with_used(self.use_cache)
            .with_no_cache(self.no_cache)
            .with_no_store(self.no_store)
            .with_time_to_live(self.ttl.map(time).transpose()?)
            .with_max_age(self.s_maxage.map(time).transpose()?)
            .with_namespace(self.namespace))
    }
}

/// The tags in `metadata`, which is sent upstream as it is.
fn tags_of_metadata(call: &Call) -> Vec<String> {
    #[derive(Deserialize)]
    struct Metadata {
        tags: Vec<String>,
    }
    // All other metadata is unrestricted.
    let metadata = call.body.read_member::<Metadata>("metadata");
    metadata
        .ok()
        .flatten()
        .map(|metadata| metadata.tags)
        .unwrap_or_default()
}

/// Takes the lists of fallbacks; `None` if the request has none.
fn take_fallbacks(call: &mut Call) -> Result<Option<Fallbacks>> {
    let general: Option<Vec<Value>> = take_member(call, "fallbacks")?;
    let context_window = take_member(call, "context_window_fallbacks")?;
    let content_policy = take_member(call, "content_policy_fallbacks")?;
    if take_member(call, "disable_fallbacks")? == Some(true) {
        return Ok(Some(Fallbacks::default()));
    }
    if general.is_none() && context_window.is_none() && content_policy.is_none() {
        return Ok(None);
    }
    let mut fallbacks = Fallbacks::default();
    for entry in general.into_iter().flatten() {
        // The name of a model, or the models that take over from others.
        match entry {
            Value::String(name) => fallbacks.default.push(name),
            lists => {
                let lists = Lists::deserialize(lists).map_err(|_| {
                    let problem = "an entry has to be the name of a model, or an object such as \
                                   {\"MODEL\": [\"OTHER_MODEL\"]}";
                    invalid("fallbacks", problem)
                })?;
                fallbacks.general.extend(lists);
            }
        }
    }
    let merged = |lists: Option<Vec<Lists>>| lists.into_iter().flatten().flatten().collect();
    fallbacks.context_window = merged(context_window);
    fallbacks.content_policy = merged(content_policy);
    Ok(Some(fallbacks))
}

type Lists = std::collections::BTreeMap<String, Vec<String>>;

/// Replaces aliases of the key, and checks whether it may call the models.
fn resolve(client: &Client, fallbacks: &mut Fallbacks) -> Result<(), ApiError> {
    let Some(access) = client.access() else {
        return Ok(());
    };
    let lists = [
        &mut fallbacks.general,
        &mut fallbacks.context_window,
        &mut fallbacks.content_policy,
    ];
    let lists = lists.into_iter().flat_map(|lists| lists.values_mut());
    for list in lists.chain([&mut fallbacks.default]) {
        for name in list {
            let group = access.resolve(name).to_owned();
            client.require_model(&group)?;
            *name = group;
        }
    }
    Ok(())
}

/// Removes a member of the body and reads it; `None` if it is absent or null.
fn take_member<T: DeserializeOwned>(call: &mut Call, key: &'static str) -> Result<Option<T>> {
    if !call.body.has(key) {
        return Ok(None);
    }
    let value = call.param(key)?;
    call.body.remove(key);
    Ok(value)
}

fn split(names: &str) -> Vec<String> {
    let names = names.split(',').map(str::trim);
    names
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn text<'v>(name: &str, value: &'v HeaderValue) -> Result<&'v str> {
    let text = value.to_str();
    text.map_err(|_| invalid(name, "has to be ASCII text"))
}

fn number<T: std::str::FromStr>(name: &str, value: &HeaderValue) -> Result<T> {
    let number = text(name, value)?.trim().parse();
    number.map_err(|_| invalid(name, "has to be a number"))
}

fn seconds(name: &str, seconds: f64) -> Result<Duration> {
    let time = Duration::try_from_secs_f64(seconds).ok();
    let time = time.filter(|time| !time.is_zero());
    time.ok_or_else(|| invalid(name, "has to be a number of seconds above 0"))
}

fn invalid(name: &str, problem: &str) -> Error {
    Error::new(ErrorKind::InvalidRequest, format!("{name}: {problem}")).with_param(name.to_owned())
}

/// The session that the headers name.
pub(crate) fn session(headers: &HeaderMap) -> Option<String> {
    let mut best: Option<(usize, &HeaderValue)> = None;
    for (name, value) in headers {
        let Some(rank) = SESSIONS.iter().position(|known| *known == name.as_str()) else {
            continue;
        };
        let is_better = best.is_none_or(|(before, _)| rank < before);
        if is_better && !value.is_empty() {
            best = Some((rank, value));
        }
    }
    best.map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned())
}

/// The headers in which clients name a session, the most specific first: LiteLLM's clients,
/// Claude Code, Codex, `OpenCode`, Amp, pi, and others.
const SESSIONS: &[&str] = &[
    "x-litellm-session-id",
    "x-claude-code-session-id",
    "session-id",
    "session_id",
    "x-opencode-session",
    "x-amp-thread-id",
    "x-session-affinity",
    "x-session-id",
    "thread-id",
];
