//! `polyllm.Router`: model groups over deployments.

use std::collections::BTreeSet;
use std::process;
use std::sync::{Arc, Mutex, PoisonError};

use llm_gateway::{Config, ConfigError, Severity};
use llm_provider::{Provider, Registry};
use prompt_templates::TemplateRegistry;
use pyo3::exceptions::{PyUserWarning, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arguments::Arguments;
use crate::{accounts, errors, runtime, to_json};

/// A router, built from LiteLLM's `model_list` and settings by the reader of `config.yaml`.
#[pyclass(frozen, module = "polyllm._native")]
pub(crate) struct Router {
    /// The configuration, as JSON.
    config: String,
    drop_params: bool,
    built: Mutex<Built>,
}

/// The router of one process.
struct Built {
    process: u32,
    router: llm_router::Router,
}

#[pymethods]
impl Router {
    /// `config` has the members of a `config.yaml`.
    #[new]
    fn new(py: Python<'_>, config: &Bound<'_, PyDict>) -> PyResult<Self> {
        // JSON is YAML.
        let config = to_json::value("config", config)?.to_string();
        let (router, read) = build(py, &config)?;
        let category = py.get_type::<PyUserWarning>();
        let warnings: BTreeSet<&str> = read.warnings.iter().map(|it| &*it.message).collect();
        for message in warnings {
            let message = format!("Router: {}", message.replace('\0', " "));
            let message = std::ffi::CString::new(message).map_err(errors::internal)?;
            PyErr::warn(py, &category, &message, 2)?;
        }
        Ok(Self {
            config,
            drop_params: read.drop_params,
            built: Mutex::new(Built {
                process: process::id(),
                router,
            }),
        })
    }

    /// The names of the model groups.
    fn models(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let router = self.router(py)?;
        Ok(router.groups().map(str::to_owned).collect())
    }
}

impl Router {
    /// The router as a provider, whose models are the groups.
    pub(crate) fn provider(&self, py: Python<'_>) -> PyResult<Arc<dyn Provider>> {
        Ok(Arc::new(self.router(py)?))
    }

    /// Reads the keyword arguments of a call. The settings belong to the deployments.
    pub(crate) fn arguments(
        &self,
        py: Python<'_>,
        given: &Bound<'_, PyDict>,
        defaults: &Bound<'_, PyDict>,
    ) -> PyResult<Arguments> {
        let registry = runtime::with(py, |state| Ok(state.accounts.registry().clone()))?;
        let mut arguments = Arguments::read(given, defaults, &registry)?;
        if let Some((name, _)) = arguments.settings.iter().next() {
            let message = format!(
                "{name} is a setting of a deployment: put it into litellm_params of the model_list"
            );
            return Err(errors::bad_request(py, &message, name));
        }
        arguments.drop_params |= self.drop_params;
        Ok(arguments)
    }

    fn router(&self, py: Python<'_>) -> PyResult<llm_router::Router> {
        let mut built = self.built.lock().unwrap_or_else(PoisonError::into_inner);
        if built.process != process::id() {
            let (router, _) = build(py, &self.config)?;
            let process = process::id();
            // The tasks of the parent's connections do not exist in this process.
            std::mem::forget(std::mem::replace(&mut *built, Built { process, router }));
        }
        Ok(built.router.clone())
    }
}

fn build(py: Python<'_>, config: &str) -> PyResult<(llm_router::Router, Config)> {
    let registry = runtime::with(py, |state| {
        let templates = state.accounts.templates();
        Ok(with_templates(state.accounts.registry(), &templates))
    })?;
    let read = Config::parse(config, &registry, &accounts::variable);
    let read = read.map_err(|error| PyValueError::new_err(problems(&error)))?;
    let builder = read
        .router
        .clone()
        .with_deployments(read.deployments.clone());
    let router = builder
        .build()
        .map_err(|error| PyValueError::new_err(error.to_string()))?;
    Ok((router, read))
}

/// The providers, which apply the registered templates.
fn with_templates(registry: &Registry, templates: &TemplateRegistry) -> Registry {
    let mut with_templates = Registry::new();
    for spec in registry.specs() {
        let (name, base, templates) = (spec.name(), registry.clone(), templates.clone());
        with_templates.register(spec.clone(), move |settings| {
            base.build(name, settings.with_extension(templates.clone()))
        });
    }
    with_templates
}

/// The errors, without the positions, which are those of a text that the caller does not have.
fn problems(error: &ConfigError) -> String {
    let errors = error.problems().iter();
    let errors = errors.filter(|problem| problem.severity == Severity::Error);
    let lines = errors.map(|problem| match &problem.help {
        Some(help) => format!("{} ({help})", problem.message),
        None => problem.message.clone(),
    });
    lines.collect::<Vec<_>>().join("; ")
}
