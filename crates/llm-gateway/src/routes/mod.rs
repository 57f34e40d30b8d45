//! From a request to its response: the steps of all requests, and the routes.

mod adapted;
mod endpoint;
mod health;
mod kept;
mod keys;
mod messages;
mod model_info;
mod models;
mod native;
mod openapi;
mod owners;
mod responses;
mod spend;
mod ui;

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::HeaderValue;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use llm_provider::Endpoint;
use llm_provider::endpoint::{ENDPOINTS, Rerank};
use llm_provider::text::excerpt;
use tracing::Instrument;

use crate::activity::ActiveRequest;
use crate::api::Api;
use crate::auth::{Client, Identity};
use crate::body::BodyReader;
use crate::error::ApiError;
use crate::gateway::Shared;
use crate::guard::{self, Exposure};
use crate::metrics::{self, RequestMetrics};
use crate::request_log::LogLine;
use crate::response::{self, ResponseBody};
use crate::spend::{Origin, Rates};
use crate::{auth, headers, trace};

use self::keys::KeyRoute;
use self::owners::OwnerRoute;
use self::spend::SpendRoute;
use self::ui::UiRoute;

/// Serves a request: checks its key, sets an id, writes a log line, and runs its route.
pub(crate) async fn serve<B>(
    shared: Arc<Shared>,
    exposure: Exposure,
    request: Request<B>,
) -> Response<ResponseBody>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let mut body = BodyReader::new(body);
    let target = Route::of(head.uri.path());
    let name = target.as_ref().map_or("unknown", Route::name);
    let id = headers::request_id(&head.headers);
    let is_call = target.as_ref().is_some_and(Route::is_call);
    let active = is_call.then(|| shared.activity.begin(name, &id, started));
    let measured = RequestMetrics::begin(&shared.metrics, name, started, active.clone());
    let keys = shared.options.virtual_keys.as_ref();
    let origin = keys.map(|keys| Origin::new(&head.headers, keys.now()));
    let call_id = origin.as_ref().map(|origin| origin.call_id.clone());
    let text = id.to_str().unwrap_or_default();
    // The id is plain text, which `Display` writes without looking for characters to escape.
    let span = tracing::error_span!("request", id = %text);
    let span = trace::server_span(&span, text, &head, name).unwrap_or(span);
    let response = {
        // Pinned here, since each layer around a future of this size would copy it.
        let route = pin!(route(
            &shared, exposure, &head, target, &mut body, origin, active
        ));
        // A panic in a provider must not end the connection.
        let route = AssertUnwindSafe(route.instrument(span.clone()));
        route.catch_unwind().await
    };
    let response = response.unwrap_or_else(|_| Err(ApiError::internal()));
    let prompt = body.take_logged().filter(|_| is_call);
    body.drain(&head.headers, &shared.options).await;
    let was_logged = response.as_ref().is_err_and(ApiError::was_logged);
    let api = Api::of(head.uri.path(), &head.headers);
    let mut response = response.unwrap_or_else(|error| error.response(api, &id));
    span.record("status", response.status().as_u16());
    let line = LogLine::new(
        &span,
        started,
        &head,
        &response,
        was_logged,
        prompt.as_ref(),
    );
    let rates: Option<Rates> = response.extensions_mut().remove();
    let headers = response.headers_mut();
    if let Some(rates) = rates {
        rates.describe(api, headers);
    }
    if api == Api::Anthropic {
        headers.insert(headers::ANTHROPIC_REQUEST_ID, id.clone());
    }
    headers.insert(headers::REQUEST_ID, id);
    if let Some(call_id) = call_id {
        headers::describe_call(headers, &call_id, started.elapsed());
    }
    if shared.options.simulated {
        headers.insert(headers::SIMULATED, HeaderValue::from_static("true"));
    }
    measured.end_with(response, span, line)
}

async fn route<B>(
    shared: &Arc<Shared>,
    exposure: Exposure,
    head: &Parts,
    route: Option<Route<'_>>,
    body: &mut BodyReader<B>,
    origin: Option<Origin>,
    active: Option<Arc<ActiveRequest>>,
) -> Result<Response<ResponseBody>, ApiError>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let (method, path) = (&head.method, head.uri.path());
    // Claude Code checks whether the server is there.
    if *method == Method::HEAD && path == "/" {
        return Ok(response::json(""));
    }
    let identity = match (&route, &shared.master_key) {
        (Some(Route::Alive | Route::Ready | Route::OpenApi), _) => Identity::Anyone,
        (Some(Route::Ui(route)), Some(_)) if route.is_open() => Identity::Anyone,
        (_, Some(key)) if shared.sessions.admits(key, &head.headers) => Identity::Operator,
        (_, Some(key)) => {
            let virtual_keys = shared.options.virtual_keys.as_ref();
            let identity = auth::authenticate(key, virtual_keys, &head.headers);
            identity.boxed().await?
        }
        (_, None) => {
            guard::check(exposure, head)?;
            Identity::Anyone
        }
    };
    let client = Client {
        identity,
        origin,
        is_strict: headers::is_strict(&head.headers),
        active,
    };
    if let Some(active) = &client.active {
        let key = client.access().map(|access| &access.key);
        let name = key.map(|key| key.settings.key_alias.as_deref().unwrap_or(&key.name));
        active.identify(name);
    }
    let is_hidden = matches!(route, Some(Route::Ui(_))) && !shared.options.dashboard;
    let Some(route) = route.filter(|_| !is_hidden) else {
        return Err(unknown_path(method, path));
    };
    if !route.takes(method) {
        return Err(wrong_method(method, path, &route));
    }
    if route.takes(&Method::POST) && shared.master_key.is_none() {
        guard::check_type(exposure, &head.headers)?;
    }
    match route {
        Route::Alive => Ok(response::json_of(&"I'm alive!")),
        Route::Ready => Ok(health::readiness(shared)),
        Route::Health => {
            client.require_no_key("the health of upstreams")?;
            Ok(health::serve(shared).boxed().await)
        }
        Route::Metrics => {
            client.require_no_key("metrics")?;
            let keys = shared.options.virtual_keys.as_ref();
            let text = shared.metrics.text(&shared.router, keys);
            Ok(response::text(metrics::TEXT, text))
        }
        Route::OpenApi => Ok(openapi::serve()),
        Route::Ui(UiRoute::Login) => {
            let options = shared.options.clone().with_body_limit(ui::LOGIN_BODY);
            let body = body.read(&head.headers, &options).await?;
            ui::login(shared, head, body).boxed().await
        }
        Route::Ui(route) => {
            client.require_no_key("the dashboard")?;
            ui::serve(shared, route, head)
        }
        Route::ModelInfo => Ok(model_info::serve(shared, &client)),
        Route::Spend(route) => spend::serve(shared, &client, route, head).boxed().await,
        Route::Models => Ok(models::list(shared, &client, Api::of(path, &head.headers))),
        Route::Model(id) => models::one(shared, &client, id, Api::of(path, &head.headers)),
        Route::Response(id) => kept::serve(shared, &client, head, id).boxed().await,
        Route::Messages => {
            let body = body.read(&head.headers, &shared.options).await?;
            messages::serve(shared, &client, &head.headers, &body)
                .boxed()
                .await
        }
        Route::CountTokens => {
            let body = body.read(&head.headers, &shared.options).await?;
            messages::count_tokens(shared, &client, &body).boxed().await
        }
        Route::Responses => {
            let body = body.read(&head.headers, &shared.options).await?;
            responses::serve(shared, &client, &head.headers, &body)
                .boxed()
                .await
        }
        Route::InputTokens => {
            let body = body.read(&head.headers, &shared.options).await?;
            responses::input_tokens(shared, &client, &body)
                .boxed()
                .await
        }
        Route::Endpoint(endpoint) => {
            let body = body.read(&head.headers, &shared.options).await?;
            endpoint::serve(shared, &client, &head.headers, endpoint, body).await
        }
        Route::RerankV2 => {
            let body = body.read(&head.headers, &shared.options).await?;
            endpoint::serve_rerank_v2(shared, &client, &head.headers, &Rerank, body)
                .boxed()
                .await
        }
        Route::Key(route) if !route.takes(&Method::POST) => {
            let served = keys::serve(shared, &client, route, head, Bytes::new());
            served.boxed().await
        }
        Route::Owner(route) if !route.takes(&Method::POST) => {
            let served = owners::serve(shared, &client, route, head, Bytes::new());
            served.boxed().await
        }
        Route::Owner(route) => {
            client.require_operator()?;
            let body = body.read(&head.headers, &shared.options).await?;
            owners::serve(shared, &client, route, head, body)
                .boxed()
                .await
        }
        Route::Key(route) => {
            // Only the operator may make the gateway read a body here.
            client.require_operator()?;
            let body = body.read(&head.headers, &shared.options).await?;
            keys::serve(shared, &client, route, head, body)
                .boxed()
                .await
        }
    }
}

/// The target of a path.
enum Route<'p> {
    Alive,
    Ready,
    Metrics,
    Models,
    Model(&'p str),
    Endpoint(&'static dyn Endpoint),
    RerankV2,
    Messages,
    CountTokens,
    Responses,
    InputTokens,
    /// A stored response, or something below it.
    Response(&'p str),
    Key(KeyRoute),
    Owner(OwnerRoute),
    Spend(SpendRoute),
    ModelInfo,
    OpenApi,
    Health,
    Ui(UiRoute),
}

impl<'p> Route<'p> {
    /// The route of a path. Paths below `/v1` are also served without it, and those of Anthropic's
    /// API also below `/anthropic`.
    fn of(path: &'p str) -> Option<Self> {
        match path {
            // LiteLLM's paths.
            "/health/liveliness" | "/health/liveness" => return Some(Self::Alive),
            "/health/readiness" => return Some(Self::Ready),
            "/metrics" => return Some(Self::Metrics),
            "/health" => return Some(Self::Health),
            "/openapi.json" => return Some(Self::OpenApi),
            _ => {}
        }
        if let Some(route) = UiRoute::of(path) {
            return Some(Self::Ui(route));
        }
        let below = |path: &'p str| {
            path.strip_prefix("/v1")
                .filter(|rest| rest.starts_with('/'))
        };
        if let Some(path) = path.strip_prefix("/anthropic") {
            let route = Self::of(path).filter(|_| path.starts_with('/'))?;
            return route.is_of_anthropic().then_some(route);
        }
        let path = below(path).unwrap_or(path);
        let is_path = |endpoint: &&&dyn Endpoint| below(endpoint.path()) == Some(path);
        if let Some(endpoint) = ENDPOINTS.iter().find(is_path) {
            return Some(Self::Endpoint(*endpoint));
        }
        Some(match path {
            "/v2/rerank" => Self::RerankV2,
            "/models" => Self::Models,
            "/model/info" => Self::ModelInfo,
            "/messages" => Self::Messages,
            "/messages/count_tokens" => Self::CountTokens,
            "/responses" => Self::Responses,
            "/responses/input_tokens" => Self::InputTokens,
            other => {
                if let Some(path) = other.strip_prefix("/key/") {
                    return KeyRoute::of(path).map(Self::Key);
                }
                if let Some(route) = SpendRoute::of(other) {
                    return Some(Self::Spend(route));
                }
                if let Some(route) = OwnerRoute::of(other) {
                    return Some(Self::Owner(route));
                }
                let below = |prefix| {
                    other
                        .strip_prefix(prefix)
                        .filter(|id: &&str| !id.is_empty())
                };
                let model = below("/models/").map(Self::Model);
                model.or_else(|| below("/responses/").map(Self::Response))?
            }
        })
    }

    /// The name in metrics.
    fn name(&self) -> &'static str {
        match self {
            Self::Alive | Self::Ready | Self::Health => "/health",
            Self::Metrics => "/metrics",
            Self::Models | Self::Model(_) => "/v1/models",
            Self::Endpoint(endpoint) => endpoint.path(),
            Self::RerankV2 => "/v2/rerank",
            Self::Messages => "/v1/messages",
            Self::CountTokens => "/v1/messages/count_tokens",
            Self::Responses | Self::Response(_) => "/v1/responses",
            Self::InputTokens => "/v1/responses/input_tokens",
            Self::Key(_) => "/key",
            Self::Owner(_) => "/user",
            Self::Spend(_) => "/spend",
            Self::ModelInfo => "/v1/model/info",
            Self::OpenApi => "/openapi.json",
            Self::Ui(_) => "/ui",
        }
    }

    /// Whether the route calls models.
    fn is_call(&self) -> bool {
        matches!(
            self,
            Self::Endpoint(_) | Self::RerankV2 | Self::Messages | Self::Responses
        )
    }

    fn is_of_anthropic(&self) -> bool {
        matches!(
            self,
            Self::Messages | Self::CountTokens | Self::Models | Self::Model(_)
        )
    }

    fn takes(&self, method: &Method) -> bool {
        match self {
            Self::Endpoint(_)
            | Self::RerankV2
            | Self::Messages
            | Self::CountTokens
            | Self::Responses
            | Self::InputTokens => *method == Method::POST,
            Self::Response(_) => {
                matches!(
                    *method,
                    Method::GET | Method::HEAD | Method::DELETE | Method::POST
                )
            }
            Self::Key(route) => route.takes(method),
            Self::Owner(route) => route.takes(method),
            Self::Ui(route) => route.takes(method),
            _ => matches!(*method, Method::GET | Method::HEAD),
        }
    }
}

fn unknown_path(method: &Method, path: &str) -> ApiError {
    let message = format!("unknown URL: {}; {}", quoted(method, path), served());
    ApiError::new(StatusCode::NOT_FOUND, "invalid_request_error", message).with_code("unknown_url")
}

fn wrong_method(method: &Method, path: &str, route: &Route<'_>) -> ApiError {
    let message = format!("method not allowed: {}; {}", quoted(method, path), served());
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let allow = match (route.takes(&Method::GET), route.takes(&Method::POST)) {
        (true, true) => "GET,HEAD,POST,DELETE",
        (true, false) => "GET,HEAD",
        (false, _) => "POST",
    };
    ApiError::new(status, "invalid_request_error", message)
        .with_code("method_not_allowed")
        .with_allow(allow)
}

fn quoted(method: &Method, path: &str) -> String {
    format!("{} {}", excerpt(method.as_str()), excerpt(path))
}

/// All routes, for errors.
fn served() -> String {
    let posts = ENDPOINTS
        .iter()
        .map(|endpoint| format!("POST {}", endpoint.path()));
    let posts: Vec<_> = posts.collect();
    format!(
        "the gateway serves {}, POST /v1/messages, POST /v1/messages/count_tokens, \
         POST /v1/responses, POST /v1/responses/input_tokens, GET /v1/responses/ID, POST /v2/rerank, GET /v1/models, GET /v1/models/ID, \
         GET /v1/model/info, GET /openapi.json, GET /ui, GET /metrics, GET /health, GET /health/liveliness and \
         GET /health/readiness, also without /v1, the routes of Anthropic's API also below /anthropic; \
         with a database, /key/…, /user/…, /team/…, GET /spend/logs, GET /spend/keys and \
         GET /global/spend/report",
        posts.join(", ")
    )
}
