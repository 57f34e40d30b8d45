use std::borrow::Cow;
use std::sync::Arc;

use llm_provider::{Call, Operation, Provider, Result};
use serde_json::{Map, Value};

/// One upstream behind a model group.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Deployment {
    /// The public name that clients ask for.
    pub group: String,
    /// What tells this deployment from the others, for logs and response headers.
    pub id: String,
    /// Who serves it.
    pub provider: Arc<dyn Provider>,
    /// The model as the upstream knows it, without the provider's prefix.
    pub model: String,
    /// Request parameters for calls that do not set them.
    pub defaults: Map<String, Value>,
    /// Its share of the group's traffic, relative to the others'; 0 means only when the others
    /// have failed.
    pub weight: u32,
}

impl Deployment {
    /// A deployment of weight 1.
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

    /// Names it.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// Sets its share of the traffic.
    #[must_use]
    pub fn with_weight(mut self, weight: u32) -> Self {
        self.weight = weight;
        self
    }

    /// Sets request parameters for calls that do not.
    #[must_use]
    pub fn with_defaults(mut self, defaults: Map<String, Value>) -> Self {
        self.defaults = defaults;
        self
    }

    /// The call as this deployment's upstream wants it: its model name, its defaults.
    pub(crate) fn adapt<R: Operation>(&self, call: &Call<R>) -> Result<Call<R>> {
        let model = Value::String(self.model.clone());
        let mut defaults = Cow::Borrowed(&self.defaults);
        for [key, other] in [LIMITS, [LIMITS[1], LIMITS[0]]] {
            if defaults.contains_key(key) && call.body.has_field(other) {
                defaults.to_mut().remove(key);
            }
        }
        Ok(call.like(call.body.edit([("model", model)], &defaults)?))
    }
}

/// The two names of one limit: a default under one gives way to the client's under the other.
const LIMITS: [&str; 2] = ["max_tokens", "max_completion_tokens"];
