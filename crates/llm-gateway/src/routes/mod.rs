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
mod query;
mod responses;
mod route;
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
use http::{Method, Request, Response};
use llm_provider::endpoint::Rerank;
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

use self::route::{Route, unknown_path, wrong_method};
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

/// Checks the client, the path and the method, and runs the route.
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
    if *method == Method::GET && path == "/" && shared.options.dashboard && ui::in_browser(head) {
        return Ok(ui::redirect());
    }
    let identity = identify(shared, exposure, head, route.as_ref()).await?;
    let client = Client {
        identity,
        origin,
        is_strict: headers::is_strict(&head.headers),
        router: shared.router.clone(),
        access_groups: Arc::clone(&shared.access_groups),
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
    if route.takes(&Method::POST) && shared.master_key.is_none() && !body.is_empty() {
        guard::check_type(exposure, &head.headers)?;
    }
    dispatch(shared, &client, head, route, body).await
}

/// Who sends a request, by its key; without a master key, whether the request may come from here.
async fn identify(
    shared: &Shared,
    exposure: Exposure,
    head: &Parts,
    route: Option<&Route<'_>>,
) -> Result<Identity, ApiError> {
    let Some(key) = &shared.master_key else {
        if !matches!(route, Some(Route::Alive | Route::Ready | Route::OpenApi)) {
            guard::check(exposure, head)?;
        }
        return Ok(Identity::Anyone);
    };
    match route {
        Some(Route::Alive | Route::Ready | Route::OpenApi) => Ok(Identity::Anyone),
        Some(Route::Ui(route)) if route.is_open() => Ok(Identity::Anyone),
        _ if shared.sessions.admits(key, &head.headers) => Ok(Identity::Operator),
        _ => {
            let virtual_keys = shared.options.virtual_keys.as_ref();
            let identity = auth::authenticate(key, virtual_keys, &head.headers);
            identity.boxed().await
        }
    }
}

/// Runs a route that the client may use.
async fn dispatch<B>(
    shared: &Arc<Shared>,
    client: &Client,
    head: &Parts,
    route: Route<'_>,
    body: &mut BodyReader<B>,
) -> Result<Response<ResponseBody>, ApiError>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let path = head.uri.path();
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
        Route::ModelInfo => Ok(model_info::serve(shared, client)),
        Route::Spend(route) => spend::serve(shared, client, route, head).boxed().await,
        Route::Models => {
            let api = Api::of(path, &head.headers);
            models::list(shared, client, api, &query::Query::of(&head.uri))
        }
        Route::Model(id) => models::one(shared, client, id, Api::of(path, &head.headers)),
        Route::Response(id) => kept::serve(shared, client, head, id).boxed().await,
        Route::Messages => {
            let body = body.read(&head.headers, &shared.options).await?;
            messages::serve(shared, client, &head.headers, &body)
                .boxed()
                .await
        }
        Route::CountTokens => {
            let body = body.read(&head.headers, &shared.options).await?;
            messages::count_tokens(shared, client, &body).boxed().await
        }
        Route::Responses => {
            let body = body.read(&head.headers, &shared.options).await?;
            responses::serve(shared, client, &head.headers, &body)
                .boxed()
                .await
        }
        Route::InputTokens => {
            let body = body.read(&head.headers, &shared.options).await?;
            responses::input_tokens(shared, client, &body).boxed().await
        }
        Route::Endpoint(endpoint) => {
            let body = body.read(&head.headers, &shared.options).await?;
            endpoint::serve(shared, client, &head.headers, endpoint, body).await
        }
        Route::EndpointOf(endpoint, model) => {
            let body = body.read(&head.headers, &shared.options).await?;
            endpoint::serve_model(shared, client, &head.headers, endpoint, model, body)
                .boxed()
                .await
        }
        Route::RerankV2 => {
            let body = body.read(&head.headers, &shared.options).await?;
            endpoint::serve_rerank_v2(shared, client, &head.headers, &Rerank, body)
                .boxed()
                .await
        }
        Route::Key(route) if !route.takes(&Method::POST) => {
            let served = keys::serve(shared, client, route, head, Bytes::new());
            served.boxed().await
        }
        Route::Owner(route) if !route.takes(&Method::POST) => {
            let served = owners::serve(shared, client, route, head, Bytes::new());
            served.boxed().await
        }
        Route::Owner(route) => {
            client.require_operator()?;
            let body = body.read(&head.headers, &shared.options).await?;
            owners::serve(shared, client, route, head, body)
                .boxed()
                .await
        }
        Route::Key(route) => {
            // Only the operator may make the gateway read a body here.
            client.require_operator()?;
            let body = body.read(&head.headers, &shared.options).await?;
            keys::serve(shared, client, route, head, body).boxed().await
        }
    }
}
