//! `/model/info`: the deployments of the model groups, as in LiteLLM.

use http::Response;
use serde_json::{Value, json};

use crate::auth::Client;
use crate::gateway::Shared;
use crate::response::{self, ResponseBody};

/// The deployments that the client may call. Addresses and keys of upstreams are not shown.
pub(super) fn serve(shared: &Shared, client: &Client) -> Response<ResponseBody> {
    let deployments = shared.deployments.iter();
    let deployments = deployments.filter(|deployment| client.may_call(&deployment.group));
    let data: Vec<Value> = deployments
        .map(|deployment| {
            let known = shared.model_info.get(&deployment.id);
            let mut info = known.map(|info| info.members.clone()).unwrap_or_default();
            info.insert("id".to_owned(), json!(deployment.id));
            info.insert(
                "max_input_tokens".to_owned(),
                json!(deployment.context_window),
            );
            let prices = shared.prices.of(deployment).unwrap_or_default();
            for (name, price) in [
                ("input_cost_per_token", prices.input_token),
                ("cache_read_input_token_cost", prices.cached_input_token),
                ("output_cost_per_token", prices.output_token),
                ("input_cost_per_request", prices.request),
                ("input_cost_per_second", prices.second),
            ] {
                info.insert(name.to_owned(), json!(price));
            }
            let endpoints = deployment.provider.capabilities();
            let endpoints: Vec<String> = endpoints.iter().map(|one| one.to_string()).collect();
            info.insert("endpoints".to_owned(), json!(endpoints));
            let provider = deployment.provider.name();
            json!({
                "model_name": deployment.group,
                "litellm_params": { "model": format!("{provider}/{}", deployment.model) },
                "model_info": info,
            })
        })
        .collect();
    response::json_of(&json!({ "data": data }))
}
