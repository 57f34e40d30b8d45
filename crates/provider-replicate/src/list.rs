//! The list of models.

use futures_util::{StreamExt, TryStreamExt};
use llm_provider::{ErrorKind, Result};
use llm_types::{Model, ModelList};
use replicate_api::{ReplicateClient, ReplicateDeployment};
use serde_json::{Map, Value};

/// The account's deployments, and Replicate's collection of language models. The list of all public
/// models has tens of thousands of entries, few of which are language models.
pub(crate) async fn models(client: &ReplicateClient) -> Result<ModelList> {
    let deployments: Vec<ReplicateDeployment> =
        client.deployments().take(MAX_ENTRIES).try_collect().await?;
    let recommended = match client.collection(LANGUAGE_MODELS).await {
        // An address other than Replicate's may have no collections.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            client
                .public_models()
                .take(MAX_ENTRIES)
                .try_collect()
                .await?
        }
        collection => collection?.models,
    };
    let deployments = deployments.into_iter().map(|deployment| {
        let id = format!("deployments/{}/{}", deployment.owner, deployment.name);
        entry(id, &deployment.owner, &deployment)
    });
    let models = recommended.into_iter().map(|mut model| {
        // The version contains the input schema, which is long.
        model.latest_version = None;
        let id = format!("{}/{}", model.owner, model.name);
        entry(id, &model.owner, &model)
    });
    Ok(ModelList::new(deployments.chain(models).collect()))
}

fn entry(id: String, owner: &str, members: &impl serde::Serialize) -> Model {
    let mut model = Model::new(id, 0, owner);
    if let Ok(Value::Object(mut members)) = serde_json::to_value(members) {
        members.retain(|name, value| !value.is_null() && !OPENAI.contains(&name.as_str()));
        model.extra = Map::from_iter(members);
    }
    model
}

const LANGUAGE_MODELS: &str = "language-models";
const MAX_ENTRIES: usize = 1000;
/// The members of OpenAI's models, which are set separately.
const OPENAI: &[&str] = &["created", "id", "object", "owned_by"];
