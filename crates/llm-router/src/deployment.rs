use std::sync::Arc;

use llm_provider::{Call, Provider};
use serde_json::{Map, Value};

/// One upstream behind a model group.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Deployment {
    /// The public name, used by clients.
    pub group: String,
    /// Identifies this deployment in logs and response headers.
    pub id: String,
    /// The provider.
    pub provider: Arc<dyn Provider>,
    /// The model's name at the upstream, without the provider's prefix.
    pub model: String,
    /// Parameters for calls that do not set them.
    pub defaults: Map<String, Value>,
    /// The share of the group's traffic, relative to the other weights. Deployments of weight 0 are
    /// tried only after all others have failed, in order.
    pub weight: u32,
}

impl Deployment {
    /// Creates a deployment of weight 1.
    pub fn new(
        group: impl Into<String>,
        provider: Arc<dyn Provider>,
        model: impl Into<String>,
    ) -> Self {
        let model = model.into();
        Self {
            group: group.into(),
            id: format!("{}/{model}", provider.name()),
            provider,
            model,
            defaults: Map::new(),
            weight: 1,
        }
    }

    /// Sets the id.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// Sets the weight.
    #[must_use]
    pub fn with_weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets parameters for calls that do not set them.
    #[must_use]
    pub fn with_defaults(mut self, defaults: Map<String, Value>) -> Self {
        self.defaults = defaults;
        self
    }

    /// Adapts a call to this deployment: sets the upstream's model name and the defaults.
    pub(crate) fn adapt(&self, call: &Call) -> Call {
        let mut call = call.clone();
        call.body.set("model", &self.model);
        for (key, value) in &self.defaults {
            let other = match &**key {
                "max_tokens" => "max_completion_tokens",
                "max_completion_tokens" => "max_tokens",
                key => key,
            };
            if !call.body.has(other) {
                call.body.set_default(key.clone(), value);
            }
        }
        call
    }
}
