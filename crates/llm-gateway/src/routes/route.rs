//! [`Route`]: the target of a path, and the errors for what is not served.

use http::{Method, StatusCode};
use llm_provider::Endpoint;
use llm_provider::endpoint::ENDPOINTS;
use llm_provider::text::excerpt;

use super::keys::KeyRoute;
use super::owners::OwnerRoute;
use super::spend::SpendRoute;
use super::ui::UiRoute;
use crate::error::ApiError;

/// The target of a path.
pub(super) enum Route<'p> {
    Alive,
    Ready,
    Metrics,
    Models,
    Model(&'p str),
    Endpoint(&'static dyn Endpoint),
    /// An endpoint whose path names the model, as Azure OpenAI's do.
    EndpointOf(&'static dyn Endpoint, &'p str),
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
    /// The route of a path. Paths below `/v1` are also served without it, those of Anthropic's API
    /// also below `/anthropic`, and endpoints also below `/openai/deployments/MODEL` and
    /// `/engines/MODEL`.
    pub(super) fn of(path: &'p str) -> Option<Self> {
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
        let of_model = ["/openai/deployments/", "/engines/"];
        let mut of_model = of_model.iter();
        if let Some(rest) = of_model.find_map(|prefix| path.strip_prefix(prefix)) {
            return Self::of_model(rest);
        }
        if let Some(path) = path.strip_prefix("/anthropic") {
            let route = Self::of(path).filter(|_| path.starts_with('/'))?;
            return route.is_of_anthropic().then_some(route);
        }
        let path = below_v1(path).unwrap_or(path);
        let is_path = |endpoint: &&&dyn Endpoint| below_v1(endpoint.path()) == Some(path);
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

    /// The route of a model and the path of an endpoint, such as `llama-3/chat/completions`.
    fn of_model(path: &'p str) -> Option<Self> {
        let routes = ENDPOINTS.iter().filter_map(|endpoint| {
            let model = path.strip_suffix(below_v1(endpoint.path())?)?;
            (!model.is_empty()).then_some((*endpoint, model))
        });
        // `/chat/completions` also ends with `/completions`.
        let (endpoint, model) = routes.min_by_key(|(_, model)| model.len())?;
        Some(Self::EndpointOf(endpoint, model))
    }

    /// The name in metrics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Alive | Self::Ready | Self::Health => "/health",
            Self::Metrics => "/metrics",
            Self::Models | Self::Model(_) => "/v1/models",
            Self::Endpoint(endpoint) | Self::EndpointOf(endpoint, _) => endpoint.path(),
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
    pub(super) fn is_call(&self) -> bool {
        matches!(
            self,
            Self::Endpoint(_)
                | Self::EndpointOf(..)
                | Self::RerankV2
                | Self::Messages
                | Self::Responses
        )
    }

    fn is_of_anthropic(&self) -> bool {
        matches!(
            self,
            Self::Messages | Self::CountTokens | Self::Models | Self::Model(_)
        )
    }

    pub(super) fn takes(&self, method: &Method) -> bool {
        match self {
            Self::Endpoint(_)
            | Self::EndpointOf(..)
            | Self::RerankV2
            | Self::Messages
            | Self::CountTokens
            | Self::Responses
            | Self::InputTokens => *method == Method::POST,
            Self::Response(path) => match path.split_once('/') {
                None => matches!(*method, Method::GET | Method::HEAD | Method::DELETE),
                Some((_, "cancel")) => *method == Method::POST,
                Some(_) => matches!(*method, Method::GET | Method::HEAD),
            },
            Self::Key(route) => route.takes(method),
            Self::Owner(route) => route.takes(method),
            Self::Ui(route) => route.takes(method),
            _ => matches!(*method, Method::GET | Method::HEAD),
        }
    }
}

/// The rest of a path below `/v1`.
fn below_v1(path: &str) -> Option<&str> {
    path.strip_prefix("/v1")
        .filter(|rest| rest.starts_with('/'))
}

pub(super) fn unknown_path(method: &Method, path: &str) -> ApiError {
    let message = format!("unknown URL: {}; {}", quoted(method, path), served());
    ApiError::new(StatusCode::NOT_FOUND, "invalid_request_error", message).with_code("unknown_url")
}

pub(super) fn wrong_method(method: &Method, path: &str, route: &Route<'_>) -> ApiError {
    let message = format!("method not allowed: {}; {}", quoted(method, path), served());
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let allow = match (route.takes(&Method::GET), route.takes(&Method::DELETE)) {
        (true, true) => "GET,HEAD,DELETE",
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
         GET /health/readiness, also without /v1, the routes of Anthropic's API also below /anthropic, \
         endpoints also below /openai/deployments/MODEL; \
         with a database, /key/…, /user/…, /team/…, GET /spend/logs, GET /spend/keys and \
         GET /global/spend/report",
        posts.join(", ")
    )
}
