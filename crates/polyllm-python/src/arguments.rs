//! The keyword arguments of a call: settings of the account, options, and parameters.

use std::time::Duration;

use llm_provider::{COMMON_SETTINGS, Registry, similar_name};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use serde_json::{Map, Value};

use crate::{errors, to_json};

/// What the keyword arguments of a call mean.
#[derive(Default)]
pub(crate) struct Arguments {
    /// The settings of the account.
    pub(crate) settings: Map<String, Value>,
    /// The members of the request besides model and content.
    pub(crate) params: Map<String, Value>,
    /// The provider, if the model's name does not have it.
    pub(crate) provider: Option<String>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) drop_params: bool,
    pub(crate) stream: bool,
}

impl Arguments {
    /// Reads the arguments. Those that are `None` count as not given. `defaults` are the attributes
    /// of the module, such as `polyllm.drop_params`.
    pub(crate) fn read(
        given: &Bound<'_, PyDict>,
        defaults: &Bound<'_, PyDict>,
        registry: &Registry,
    ) -> PyResult<Self> {
        let mut this = Self::default();
        for (option, name) in [
            ("drop_params", "drop_params"),
            ("timeout", "request_timeout"),
        ] {
            if let Some(value) = default(defaults, name)? {
                this.option(option, &value)?;
            }
        }
        let mut extra_body = None;
        for (key, value) in given.iter() {
            let key = key.cast::<PyString>()?.to_cow()?;
            if value.is_none() {
                continue;
            }
            if key == "extra_body" {
                extra_body = Some(value);
            } else {
                this.add(&key, &value, registry)?;
            }
        }
        if let Some(extra_body) = extra_body {
            match to_json::value("extra_body", &extra_body)? {
                Value::Object(members) => this.params.extend(members),
                _ => return Err(wrong(&extra_body, "extra_body", "a mapping")),
            }
        }
        Ok(this)
    }

    /// Adds the settings that are attributes of the module. A key for one provider, such as
    /// `polyllm.replicate_key`, precedes `polyllm.api_key`.
    pub(crate) fn add_defaults(
        &mut self,
        provider: &str,
        defaults: &Bound<'_, PyDict>,
    ) -> PyResult<()> {
        let own_key = match provider {
            "together_ai" => "togetherai_api_key",
            "replicate" => "replicate_key",
            "openai" => "openai_key",
            _ => "api_key",
        };
        for (setting, name) in [
            ("api_key", own_key),
            ("api_key", "api_key"),
            ("api_base", "api_base"),
            ("max_retries", "num_retries"),
        ] {
            if !self.settings.contains_key(setting)
                && let Some(value) = default(defaults, name)?
            {
                let value = to_json::value(name, &value)?;
                self.settings.insert(setting.to_owned(), value);
            }
        }
        Ok(())
    }

    fn add(&mut self, key: &str, value: &Bound<'_, PyAny>, registry: &Registry) -> PyResult<()> {
        if self.option(key, value)? || IGNORED.contains(&key) {
            return Ok(());
        }
        if let Some((_, instead)) = REFUSED.iter().find(|(name, _)| *name == key) {
            // A value such as `False` asks for nothing.
            if !value.is_truthy()? {
                return Ok(());
            }
            let message = format!("{key} is not supported: {instead}");
            return Err(errors::bad_request(value.py(), &message, key));
        }
        let json = to_json::value(key, value)?;
        let key = match key {
            "base_url" => "api_base",
            "num_retries" => "max_retries",
            "headers" => "extra_headers",
            key => key,
        };
        if is_setting(key, registry) {
            match (self.settings.get_mut(key), json) {
                // `headers` and `extra_headers`.
                (Some(Value::Object(known)), Value::Object(more)) => known.extend(more),
                (_, json) => {
                    self.settings.insert(key.to_owned(), json);
                }
            }
        } else if let Some(similar) = typing_mistake(key, registry) {
            let message = format!("unknown argument {key}; did you mean {similar}?");
            return Err(errors::bad_request(value.py(), &message, key));
        } else {
            self.params.insert(key.to_owned(), json);
        }
        Ok(())
    }

    /// Reads an option of a call; whether `key` is one.
    fn option(&mut self, key: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        match key {
            "custom_llm_provider" => {
                let name = value.cast::<PyString>().ok();
                let name = name.ok_or_else(|| wrong(value, key, "a string"))?;
                self.provider = Some(name.to_cow()?.into_owned());
            }
            "drop_params" => self.drop_params = value.is_truthy()?,
            "stream" => self.stream = value.is_truthy()?,
            "timeout" => {
                let seconds: Option<f64> = value.extract().ok();
                let limit = seconds.filter(|seconds| *seconds > 0.0);
                let limit = limit.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                let expected = "a positive number of seconds";
                self.timeout = Some(limit.ok_or_else(|| wrong(value, key, expected))?);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// An attribute of the module that is set.
fn default<'py>(defaults: &Bound<'py, PyDict>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    let value = defaults.get_item(name)?;
    Ok(value.filter(|value| !value.is_none()))
}

/// Whether any provider has a setting of this name. A provider without it rejects it.
fn is_setting(name: &str, registry: &Registry) -> bool {
    registry.specs().any(|spec| spec.setting(name).is_some())
}

/// The setting of all accounts for which `name` is a typing mistake. A key must not be sent as a
/// parameter because of one.
fn typing_mistake(name: &str, registry: &Registry) -> Option<&'static str> {
    if registry.params().any(|param| param.name == name) {
        return None;
    }
    similar_name(name, COMMON_SETTINGS.iter().map(|setting| setting.name))
}

fn wrong(value: &Bound<'_, PyAny>, name: &str, expected: &str) -> PyErr {
    errors::bad_request(value.py(), &format!("{name}: expected {expected}"), name)
}

/// LiteLLM's arguments for logs and prices, which change neither the request nor the reply.
const IGNORED: &[&str] = &[
    "force_timeout",
    "input_cost_per_second",
    "input_cost_per_token",
    "litellm_call_id",
    "litellm_metadata",
    "litellm_trace_id",
    "logger_fn",
    "metadata",
    "model_info",
    "no-log",
    "output_cost_per_second",
    "output_cost_per_token",
    "together_ai",
    "verbose",
];

const USE_ROUTER: &str = "use polyllm.Router, which has it";

/// LiteLLM's arguments that change the reply and have no counterpart, and what to do instead.
const REFUSED: &[(&str, &str)] = &[
    ("api_version", "it belongs to Azure"),
    ("azure_ad_token", "it belongs to Azure"),
    ("cache", "keep replies in the program"),
    ("caching", "keep replies in the program"),
    ("client", "connections are shared by all calls"),
    ("context_window_fallback_dict", USE_ROUTER),
    ("context_window_fallbacks", USE_ROUTER),
    ("deployment_id", "put it into the model's name"),
    ("fallbacks", USE_ROUTER),
    ("guardrails", "check messages in the program"),
    ("mock_response", "use the simulation of `polyllm sim`"),
    ("mock_tool_calls", "use the simulation of `polyllm sim`"),
    ("organization", "set the header with extra_headers"),
    ("retry_policy", USE_ROUTER),
    ("shared_session", "connections are shared by all calls"),
    ("ssl_verify", "set ca_file to the authorities to trust"),
];
