//! Deployments: private models with their hardware.

use std::sync::{Mutex, PoisonError};

use serde_json::{Map, Value, json};

use crate::replicate::catalog::Model;
use crate::replicate::problem::{Invalid, Problem};

#[derive(Debug)]
pub(crate) struct Deployments(Mutex<Vec<Deployment>>);

#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    pub(crate) owner: String,
    pub(crate) name: String,
    pub(crate) model: Model,
    pub(crate) version: String,
    release: u64,
    hardware: String,
    min_instances: u64,
    max_instances: u64,
    /// Of the release.
    created_at: String,
}

impl Deployments {
    /// The initial deployments.
    pub(crate) fn new() -> Self {
        let preset = [
            (
                "ishaan-jaff",
                "ishaan-mistral",
                "mistralai",
                "mistral-7b-instruct-v0.1",
            ),
            (ACCOUNT, "llama-3-chat", "meta", "meta-llama-3-8b-instruct"),
            (ACCOUNT, "my-assistant", "acme", "assistant-7b"),
        ];
        let deployments = preset
            .into_iter()
            .filter_map(|(owner, name, model_owner, model)| {
                let model = Model::find(model_owner, model)?;
                Some(Deployment {
                    owner: owner.to_owned(),
                    name: name.to_owned(),
                    version: model.latest(),
                    model,
                    release: 1,
                    hardware: "gpu-a40-large".to_owned(),
                    min_instances: 0,
                    max_instances: 1,
                    created_at: "2024-02-15T16:32:57.018467Z".to_owned(),
                })
            });
        Self(Mutex::new(deployments.collect()))
    }

    pub(crate) fn all(&self) -> Vec<Deployment> {
        self.lock().clone()
    }

    pub(crate) fn find(&self, owner: &str, name: &str) -> Option<Deployment> {
        self.lock()
            .iter()
            .find(|deployment| deployment.is(owner, name))
            .cloned()
    }

    pub(crate) fn create(&self, body: &[u8], created_at: String) -> Result<Deployment, Problem> {
        let body = object(body)?;
        let mut invalid: Vec<_> = REQUIRED
            .iter()
            .filter(|name| !body.contains_key(**name))
            .map(|name| Invalid::required("", name))
            .collect();
        invalid.extend(check(&body, REQUIRED));
        if let Some(problem) = Problem::validation(&invalid) {
            return Err(problem);
        }
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
        let number = |name: &str| body.get(name).and_then(Value::as_u64).unwrap_or_default();
        let model = text("model")
            .split_once('/')
            .and_then(|(owner, name)| Model::find(owner, name));
        let model = model
            .filter(|model| model.has_version(text("version")))
            .ok_or_else(Problem::invalid_version)?;
        let deployment = Deployment {
            owner: ACCOUNT.to_owned(),
            name: text("name").to_owned(),
            model,
            version: text("version").to_owned(),
            release: 1,
            hardware: text("hardware").to_owned(),
            min_instances: number("min_instances"),
            max_instances: number("max_instances"),
            created_at,
        };
        let mut all = self.lock();
        if all
            .iter()
            .any(|other| other.is(&deployment.owner, &deployment.name))
        {
            return Err(Problem::new(
                409,
                "A deployment with that name already exists.",
            ));
        }
        if all.len() >= MAX_DEPLOYMENTS {
            return Err(Problem::new(422, "There are too many deployments."));
        }
        all.push(deployment.clone());
        Ok(deployment)
    }

    /// Every change creates a new release.
    pub(crate) fn update(
        &self,
        owner: &str,
        name: &str,
        body: &[u8],
        created_at: String,
    ) -> Result<Deployment, Problem> {
        let body = object(body)?;
        let changeable = ["hardware", "max_instances", "min_instances", "version"];
        if let Some(problem) = Problem::validation(&check(&body, &changeable)) {
            return Err(problem);
        }
        let mut all = self.lock();
        let found = all.iter_mut().find(|deployment| deployment.is(owner, name));
        let deployment = found.ok_or_else(Problem::not_found)?;
        if let Some(version) = body.get("version").and_then(Value::as_str) {
            if !deployment.model.has_version(version) {
                return Err(Problem::invalid_version());
            }
            version.clone_into(&mut deployment.version);
        }
        if let Some(hardware) = body.get("hardware").and_then(Value::as_str) {
            hardware.clone_into(&mut deployment.hardware);
        }
        let number = |name: &str| body.get(name).and_then(Value::as_u64);
        deployment.min_instances = number("min_instances").unwrap_or(deployment.min_instances);
        deployment.max_instances = number("max_instances").unwrap_or(deployment.max_instances);
        deployment.release += 1;
        deployment.created_at = created_at;
        Ok(deployment.clone())
    }

    /// `idle`: whether it has been unused for 15 minutes; otherwise it cannot be deleted.
    pub(crate) fn delete(&self, owner: &str, name: &str, idle: bool) -> Result<(), Problem> {
        let mut all = self.lock();
        let found = all.iter().position(|deployment| deployment.is(owner, name));
        let at = found.ok_or_else(Problem::not_found)?;
        if !idle {
            return Err(Problem::new(
                422,
                "A deployment can be deleted when it has been offline and unused for at least 15 \
                 minutes.",
            ));
        }
        all.remove(at);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Deployment>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deployment {
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    pub(crate) fn entry(&self) -> Value {
        json!({
            "owner": self.owner,
            "name": self.name,
            "current_release": {
                "number": self.release,
                "model": self.model.full_name(),
                "version": self.version,
                "created_at": self.created_at,
                "created_by": account(),
                "configuration": {
                    "hardware": self.hardware,
                    "min_instances": self.min_instances,
                    "max_instances": self.max_instances,
                },
            },
        })
    }

    fn is(&self, owner: &str, name: &str) -> bool {
        self.owner.eq_ignore_ascii_case(owner) && self.name.eq_ignore_ascii_case(name)
    }
}

/// `GET /v1/account`.
pub(crate) fn account() -> Value {
    json!({
        "type": "organization",
        "username": ACCOUNT,
        "name": "Acme Simulations",
        "avatar_url": null,
        "github_url": "https://github.com/acme",
    })
}

/// `GET /v1/hardware`: a bare array.
pub(crate) fn hardware() -> Value {
    HARDWARE
        .iter()
        .map(|(sku, name)| json!({"sku": sku, "name": name}))
        .collect()
}

fn object(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(body)) => Ok(body),
        _ => Err(Problem::new(400, "The request body must be a JSON object.")),
    }
}

fn check(body: &Map<String, Value>, known: &[&str]) -> Vec<Invalid> {
    body.iter()
        .filter_map(|(name, value)| {
            if !known.contains(&name.as_str()) {
                let text = format!("Additional property {name} is not allowed");
                return Some(Invalid::new("additional_property_not_allowed", "", text));
            }
            let most = match name.as_str() {
                "min_instances" => 5,
                "max_instances" => 20,
                _ if !value.is_string() => return Some(Invalid::wrong_type(name, "string", value)),
                "hardware" if !HARDWARE.iter().any(|(sku, _)| value == sku) => {
                    return Some(Invalid::new("enum", name, "hardware must be a known SKU"));
                }
                _ => return None,
            };
            match value.as_u64() {
                None => Some(Invalid::wrong_type(name, "integer", value)),
                Some(number) if number > most => {
                    let text = format!("Must be less than or equal to {most}");
                    Some(Invalid::new("number_lte", name, text))
                }
                Some(_) => None,
            }
        })
        .collect()
}

const ACCOUNT: &str = "acme";

const REQUIRED: &[&str] = &[
    "name",
    "model",
    "version",
    "hardware",
    "min_instances",
    "max_instances",
];

const HARDWARE: &[(&str, &str)] = &[
    ("cpu", "CPU"),
    ("gpu-t4", "Nvidia T4 GPU"),
    ("gpu-a40-small", "Nvidia A40 GPU"),
    ("gpu-a40-large", "Nvidia A40 (Large) GPU"),
    ("gpu-h100", "Nvidia H100 GPU"),
];

/// More than any test needs.
const MAX_DEPLOYMENTS: usize = 1000;
