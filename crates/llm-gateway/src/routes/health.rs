//! `/health`: whether each deployment answers, as in LiteLLM.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use gateway_store::Health;
use http::Response;
use llm_provider::{Capability, Error, ErrorKind};
use llm_router::Deployment;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::error::ApiError;
use crate::gateway::Shared;
use crate::response::{self, ResponseBody};

/// Asks the upstream of every deployment for its models, which costs nothing. A provider without a
/// list of models is healthy unless the router has cooled its deployment down.
pub(super) async fn serve(shared: &Shared) -> Response<ResponseBody> {
    let cooled: Vec<(String, ErrorKind)> = shared
        .router
        .snapshot()
        .into_iter()
        .filter_map(|health| Some((health.id, health.cooldown?.0)))
        .collect();
    let probes: Vec<_> = shared
        .deployments
        .iter()
        .cloned()
        .map(|deployment| {
            let cooled = cooled.iter().find(|(id, _)| *id == deployment.id);
            let cooled = cooled.map(|(_, kind)| *kind);
            async move {
                let outcome = probe(&deployment, cooled).await;
                (deployment, outcome)
            }
            .boxed()
        })
        .collect();
    let probed: Vec<_> = stream::iter(probes).buffered(PARALLEL).collect().await;
    let (mut healthy, mut unhealthy) = (Vec::new(), Vec::new());
    for (deployment, outcome) in probed {
        let mut entry = json!({
            "model": format!("{}/{}", deployment.provider.name(), deployment.model),
            "model_group": deployment.group,
            "model_id": deployment.id,
        });
        match outcome {
            Ok(()) => healthy.push(entry),
            Err(error) => {
                let error = ApiError::from(error).error();
                entry["error"] = Value::String(error.error.message);
                unhealthy.push(entry);
            }
        }
    }
    response::json_of(&json!({
        "healthy_count": healthy.len(),
        "unhealthy_count": unhealthy.len(),
        "healthy_endpoints": healthy,
        "unhealthy_endpoints": unhealthy,
    }))
}

async fn probe(deployment: &Deployment, cooled: Option<ErrorKind>) -> Result<(), Error> {
    let provider = &deployment.provider;
    if provider.capabilities().has(Capability::Models) {
        return match timeout(LIMIT, provider.models()).await {
            Ok(models) => models.map(drop),
            Err(_) => {
                let message = "the list of models did not arrive in time";
                Err(Error::new(ErrorKind::Timeout, message).with_provider(provider.name()))
            }
        };
    }
    match cooled {
        None => Ok(()),
        Some(kind) => {
            let message = "the deployment is cooling down after failures";
            Err(Error::new(kind, message).with_provider(provider.name()))
        }
    }
}

/// `/health/readiness`: without a database, as LiteLLM; else also whether the database answers. The
/// gateway is ready without it, since known keys work.
pub(super) fn readiness(shared: &Shared) -> Response<ResponseBody> {
    let Some(keys) = &shared.options.virtual_keys else {
        return response::json_of(&json!({ "status": "healthy" }));
    };
    let db = match *keys.store().health().borrow() {
        Health::Unavailable => "unavailable",
        _ => "connected",
    };
    response::json_of(&json!({ "status": "healthy", "db": db }))
}

/// The most upstreams that are asked at the same time.
const PARALLEL: usize = 16;

/// The time of one upstream.
const LIMIT: Duration = Duration::from_secs(10);
