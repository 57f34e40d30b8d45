use futures_util::{StreamExt, TryStreamExt};
use llm_provider::{ErrorKind, Result};
use llm_types::{Model, ModelList};
use replicate_api::{ReplicateClient, ReplicateDeployment};
use serde_json::{Map, Value};

/// What the account can ask for by name: its deployments, and the language models that Replicate
/// recommends. All public models are tens of thousands, few of which write text.
pub(crate) async fn models(client: &ReplicateClient) -> Result<ModelList> {
    let deployments: Vec<ReplicateDeployment> =
        client.deployments().take(MOST).try_collect().await?;
    let recommended = match client.collection(LANGUAGE_MODELS).await {
        // An address that is not Replicate's own may know no collections.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            client.public_models().take(MOST).try_collect().await?
        }
        collection => collection?.models,
    };
    let deployments = deployments.into_iter().map(|deployment| {
        let id = format!("deployments/{}/{}", deployment.owner, deployment.name);
        entry(id, &deployment.owner, &deployment)
    });
    let models = recommended.into_iter().map(|mut model| {
        // What it takes is a long document of its own.
        model.latest_version = None;
        let id = format!("{}/{}", model.owner, model.name);
        entry(id, &model.owner, &model)
    });
    Ok(ModelList::new(deployments.chain(models).collect()))
}

fn entry(id: String, owner: &str, told: &impl serde::Serialize) -> Model {
    let mut model = Model::new(id, 0, owner);
    if let Ok(Value::Object(mut told)) = serde_json::to_value(told) {
        told.retain(|name, value| !value.is_null() && !OPENAI.contains(&name.as_str()));
        model.extra = Map::from_iter(told);
    }
    model
}

const LANGUAGE_MODELS: &str = "language-models";
const MOST: usize = 1000;
/// The members that OpenAI's models have.
const OPENAI: &[&str] = &["created", "id", "object", "owned_by"];
