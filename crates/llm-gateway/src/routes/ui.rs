//! The dashboard and the data that only it needs; all other data come from the routes of the API.

use bytes::Bytes;
use gateway_store::Health;
use http::header::{
    ACCEPT, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION, ORIGIN, SET_COOKIE,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use llm_provider::ApiKey;
use llm_router::Deployment;
use serde::Deserialize;
use serde_json::{Value, json};

use super::keys::request::parse;
use super::query::Query;
use crate::error::ApiError;
use crate::gateway::Shared;
use crate::response::{self, ResponseBody};
use crate::ui;

/// A route below `/ui`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum UiRoute {
    Page,
    Session,
    Login,
    Logout,
    Status,
    Activity,
    Requests,
    Config,
}

impl UiRoute {
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path.strip_prefix("/ui")? {
            "" | "/" => Self::Page,
            "/session" => Self::Session,
            "/login" => Self::Login,
            "/logout" => Self::Logout,
            "/status" => Self::Status,
            "/activity" => Self::Activity,
            "/requests" => Self::Requests,
            "/config" => Self::Config,
            _ => return None,
        })
    }

    pub(super) fn takes(self, method: &Method) -> bool {
        match self {
            Self::Login | Self::Logout => *method == Method::POST,
            _ => matches!(*method, Method::GET | Method::HEAD),
        }
    }

    /// Whether the route needs no key.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Page | Self::Session | Self::Login)
    }
}

/// Whether the client shows pages to a user.
pub(super) fn in_browser(head: &Parts) -> bool {
    let accept = head.headers.get(ACCEPT);
    accept.is_some_and(|accept| accept.as_bytes().starts_with(b"text/html"))
}

/// The way from the gateway's address to the dashboard.
pub(super) fn redirect() -> Response<ResponseBody> {
    let mut response = response::text(
        "text/plain; charset=utf-8",
        "the dashboard is at /ui\n".to_owned(),
    );
    *response.status_mut() = StatusCode::SEE_OTHER;
    let dashboard = HeaderValue::from_static("/ui");
    response.headers_mut().insert(LOCATION, dashboard);
    response
}

/// Answers a `GET`, and a logout.
pub(super) fn serve(
    shared: &Shared,
    route: UiRoute,
    head: &Parts,
) -> Result<Response<ResponseBody>, ApiError> {
    let query = Query::of(&head.uri);
    let answer = match route {
        UiRoute::Page => return ui::page(),
        UiRoute::Login => return Err(ApiError::invalid("give a body")),
        UiRoute::Logout => {
            let cookie = shared.sessions.logout(&head.headers)?;
            let mut response = answered(&json!({ "logged_in": false }));
            response.headers_mut().insert(SET_COOKIE, cookie);
            return Ok(response);
        }
        UiRoute::Session => session(shared, &head.headers)?,
        UiRoute::Status => status(shared),
        UiRoute::Activity => {
            let minutes = number(&query, "minutes", 60, 24 * 60)?;
            json!({ "points": shared.activity.points(minutes, POINTS) })
        }
        UiRoute::Requests => {
            let limit = number(&query, "limit", 100, 500)?;
            let only_failed = query.get("failed").as_deref() == Some("true");
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            json!({ "requests": shared.activity.recent(limit, only_failed) })
        }
        UiRoute::Config => config(shared),
    };
    Ok(answered(&answer))
}

/// Logs in: the body is `{"key": "…"}`.
pub(super) async fn login(
    shared: &Shared,
    head: &Parts,
    body: Bytes,
) -> Result<Response<ResponseBody>, ApiError> {
    let Some(master_key) = &shared.master_key else {
        return Err(ApiError::invalid(
            "this gateway has no master key, so that nobody can log in",
        ));
    };
    require_own_page(&head.headers)?;
    let given: Credentials = parse(&body)?;
    let origin = head.headers.get(ORIGIN).map(HeaderValue::as_bytes);
    let is_secure = origin.is_some_and(|origin| origin.starts_with(b"https://"));
    let login = shared.sessions.login(master_key, &given.key, is_secure);
    let login = login.await?;
    let mut response = answered(&json!({ "logged_in": true, "token": login.token }));
    response.headers_mut().insert(SET_COOKIE, login.cookie);
    Ok(response)
}

#[derive(Deserialize)]
struct Credentials {
    key: ApiKey,
}

/// Rejects a request that a page of another site has caused, for the routes that need no token.
/// Programs other than browsers send neither header.
pub(super) fn require_own_page(headers: &HeaderMap) -> Result<(), ApiError> {
    let is_own = match (headers.get(SEC_FETCH_SITE), headers.get(ORIGIN)) {
        (Some(site), _) => site == "same-origin",
        (None, None) => true,
        (None, Some(origin)) => {
            let origin = origin.to_str().unwrap_or_default();
            let host = headers.get(HOST).and_then(|host| host.to_str().ok());
            let site = origin.split_once("://").map(|(_, site)| site);
            site.is_some() && site == host
        }
    };
    if is_own {
        return Ok(());
    }
    let message = "the dashboard accepts requests of its own page only";
    Err(
        ApiError::new(StatusCode::FORBIDDEN, "permission_error", message)
            .with_code("cross_site_request"),
    )
}

/// Whether the browser is logged in, and whether it has to be.
fn session(shared: &Shared, headers: &HeaderMap) -> Result<Value, ApiError> {
    require_own_page(headers)?;
    let token = shared.master_key.as_ref();
    let token = token.and_then(|key| shared.sessions.token(key, headers));
    Ok(json!({
        "needs_login": shared.master_key.is_some(),
        "logged_in": token.is_some(),
        "token": token,
    }))
}

/// The state of the gateway, its database and its deployments, without a call to an upstream.
fn status(shared: &Shared) -> Value {
    let database =
        shared
            .options
            .virtual_keys
            .as_ref()
            .map(|keys| match *keys.store().health().borrow() {
                Health::Unavailable => "unavailable",
                _ => "connected",
            });
    let health = shared.router.snapshot();
    let deployments: Vec<Value> = health
        .iter()
        .map(|health| {
            let cooldown = health.cooldown.map(|(cause, left)| {
                json!({ "cause": cause.to_string(), "seconds_left": left.as_secs_f64() })
            });
            json!({
                "id": health.id,
                "model_group": health.group,
                "cooldown": cooldown,
                "in_flight": health.in_flight,
                "calls": health.calls,
                "failures": health.failures,
                "latency_ms": health.latency.map(|latency| latency.as_secs_f64() * 1e3),
                "cached_share": health.cached_share(),
                "requests_left": health.requests_left,
                "tokens_left": health.tokens_left,
            })
        })
        .collect();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "started_at": shared.created,
        "in_flight": shared.metrics.in_flight(),
        "simulated": shared.options.simulated,
        "has_master_key": shared.master_key.is_some(),
        "database": database,
        "deployments": deployments,
    })
}

/// The configuration in force, without keys, addresses of upstreams and default parameters, which
/// may contain a prompt.
fn config(shared: &Shared) -> Value {
    let options = &shared.options;
    let seconds = |time: std::time::Duration| time.as_secs_f64();
    let deployments: Vec<Value> = shared.deployments.iter().map(deployment(shared)).collect();
    json!({
        "settings": {
            "master_key": shared.master_key.as_ref().map(|_| "***"),
            "database": options.virtual_keys.is_some(),
            "drop_params": shared.drop_params,
            "enable_tag_filtering": shared.reads_tags,
            "stored_responses": options.stored_responses.is_some(),
            "simulated": options.simulated,
            "body_limit_bytes": options.body_limit,
            "header_timeout_seconds": seconds(options.header_timeout),
            "body_idle_seconds": seconds(options.body_idle),
            "keep_alive_seconds": seconds(options.keep_alive),
            "write_timeout_seconds": seconds(options.write_timeout),
            "grace_seconds": seconds(options.grace),
        },
        "warnings": shared.warnings,
        "deployments": deployments,
    })
}

fn deployment(shared: &Shared) -> impl Fn(&Deployment) -> Value {
    |deployment| {
        let seconds = |time: Option<std::time::Duration>| time.map(|time| time.as_secs_f64());
        let prices = shared.prices.of(deployment).unwrap_or_default();
        let per_million = |price: Option<f64>| price.map(|price| price * 1e6);
        json!({
            "model_group": deployment.group,
            "id": deployment.id,
            "model": format!("{}/{}", deployment.provider.name(), deployment.model),
            "weight": deployment.weight,
            "order": deployment.order,
            "rpm": deployment.limits.rpm,
            "tpm": deployment.limits.tpm,
            "max_parallel_requests": deployment.limits.max_parallel_requests,
            "timeout_seconds": seconds(deployment.timeouts.total),
            "stream_timeout_seconds": seconds(deployment.timeouts.first_output),
            "tags": deployment.tags,
            "context_window": deployment.context_window,
            "input_usd_per_million": per_million(prices.input_token),
            "output_usd_per_million": per_million(prices.output_token),
            "default_parameters": deployment.defaults.keys().collect::<Vec<_>>(),
        })
    }
}

fn answered(answer: &Value) -> Response<ResponseBody> {
    let mut response = response::json_of(answer);
    ui::protect(response.headers_mut());
    response
}

fn number(query: &Query<'_>, name: &'static str, usual: u64, most: u64) -> Result<u64, ApiError> {
    let Some(text) = query.get(name) else {
        return Ok(usual);
    };
    let number = text.parse().ok();
    let number = number.filter(|number| (1..=most).contains(number));
    let invalid = || ApiError::invalid(format!("give a number from 1 to {most}"));
    number.ok_or_else(|| invalid().with_param(name))
}

/// The most that a login may send, in bytes.
pub(super) const LOGIN_BODY: usize = 4096;
/// The points of a chart.
const POINTS: u64 = 60;
/// From the Fetch Metadata specification.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
