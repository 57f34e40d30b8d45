//! `polyllm.templates`: prompts from messages, without a model.

use llm_types::Message;
use prompt_templates::{
    ChatTemplate, ControlTokens, CustomTemplate, Error, Family, Now, Options, PromptMessage,
    Strictness, match_model,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use serde_json::Value;

use crate::{errors, runtime, to_json};

/// A rule that turns messages into a prompt.
#[pyclass(frozen, module = "polyllm.templates")]
pub(crate) struct Template(prompt_templates::Template);

#[pymethods]
impl Template {
    /// The built-in format with this name; see `families`.
    #[staticmethod]
    fn family(name: &str) -> PyResult<Self> {
        let family: Family = name.parse().map_err(invalid)?;
        Ok(Self(family.into()))
    }

    /// The built-in format of a model, by the model's name; `None` if the model is unknown.
    #[staticmethod]
    fn of_model(model: &str) -> Option<Self> {
        let family = match_model(model).family?;
        Some(Self(family.into()))
    }

    /// A template with LiteLLM's keys: `roles`, `initial_prompt_value`, `final_prompt_value`,
    /// `bos_token`, `eos_token`, `pre_message_sep`, `post_message_sep`.
    #[staticmethod]
    #[pyo3(signature = (**keys))]
    fn custom(keys: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        let keys = keys.map(to_json::members).transpose()?.unwrap_or_default();
        let text = Value::Object(keys).to_string();
        let template: CustomTemplate = serde_json::from_str(&text).map_err(invalid_keys)?;
        Ok(Self(template.into()))
    }

    /// A Hugging Face chat template in Jinja. Special tokens come from the JSON of a
    /// `tokenizer_config.json`, which may also have the source.
    #[staticmethod]
    #[pyo3(signature = (source = None, *, tokenizer_config = None, name = "template"))]
    fn jinja(
        source: Option<&str>,
        tokenizer_config: Option<&Bound<'_, PyAny>>,
        name: &str,
    ) -> PyResult<Self> {
        let config = tokenizer_config.map(config_text).transpose()?;
        let template = match (source, &config) {
            (Some(source), None) => ChatTemplate::compile(name, source),
            (Some(source), Some(config)) => ChatTemplate::compile(name, source)
                .and_then(|template| template.with_tokenizer_config(config)),
            (None, Some(config)) => ChatTemplate::from_tokenizer_config(name, config),
            (None, None) => {
                let message = "give the source of the template, or tokenizer_config";
                return Err(PyValueError::new_err(message));
            }
        };
        Ok(Self(template.map_err(invalid)?.into()))
    }

    /// Renders the prompt for messages in OpenAI's schema.
    #[pyo3(signature = (
        messages, *, bos = false, add_generation_prompt = true, continue_final_message = false,
        control_tokens = "neutralise", strictness = "strict", thinking = None, now = None,
        tools = None, **variables
    ))]
    #[allow(clippy::too_many_arguments, reason = "the options of a template")]
    fn render(
        &self,
        py: Python<'_>,
        messages: &Bound<'_, PyAny>,
        bos: bool,
        add_generation_prompt: bool,
        continue_final_message: bool,
        control_tokens: &str,
        strictness: &str,
        thinking: Option<bool>,
        now: Option<&Bound<'_, PyAny>>,
        tools: Option<&Bound<'_, PyAny>>,
        variables: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<String> {
        let messages = to_json::value("messages", messages)?.to_string();
        let messages: Vec<Message> = llm_types::parse(messages.as_bytes())
            .map_err(|error| PyValueError::new_err(format!("messages: {error}")))?;
        let messages: Vec<PromptMessage<'_>> = messages.iter().map(PromptMessage::from).collect();
        let mut options = Options::new()
            .with_bos(bos)
            .with_generation_prompt(add_generation_prompt)
            .with_continue_final(continue_final_message)
            .with_control_tokens(control_tokens_of(control_tokens)?)
            .with_strictness(strictness_of(strictness)?);
        options.thinking = thinking;
        options.now = now.map(now_of).transpose()?;
        if let Some(tools) = tools {
            let Value::Array(tools) = to_json::value("tools", tools)? else {
                return Err(PyValueError::new_err("tools: expected a list"));
            };
            options.tools = tools.iter().map(Value::to_string).collect();
        }
        if let Some(variables) = variables {
            let variables = to_json::members(variables)?.into_iter();
            options.variables = variables
                .map(|(name, value)| (name, value.to_string()))
                .collect();
        }
        let rendered = py.detach(|| self.0.render(&messages, &options));
        rendered.map_err(invalid)
    }

    /// The name of the family or of the chat template; `custom` for a custom one.
    #[getter]
    fn name(&self) -> &str {
        self.0.name()
    }

    /// The stop sequences that the template defines.
    #[getter]
    fn stop(&self) -> Vec<&str> {
        self.0.stop()
    }

    fn __repr__(&self) -> String {
        format!("Template({:?})", self.0.name())
    }
}

/// The names of the built-in formats.
#[pyfunction]
pub(crate) fn families() -> Vec<&'static str> {
    Family::ALL.iter().map(|family| family.name()).collect()
}

/// Registers a template for the models with this name, in which `*` matches any characters.
#[pyfunction]
pub(crate) fn register_template(py: Python<'_>, model: &str, template: &Template) -> PyResult<()> {
    let template = template.0.clone();
    let registered = runtime::with(py, |state| Ok(state.accounts.register(model, template)))?;
    registered.map_err(|error| errors::raise(py, &error, Some(model)))
}

/// A `tokenizer_config.json`: its text, or the object that it describes.
fn config_text(config: &Bound<'_, PyAny>) -> PyResult<String> {
    Ok(match to_json::value("tokenizer_config", config)? {
        Value::String(text) => text,
        object => object.to_string(),
    })
}

fn control_tokens_of(name: &str) -> PyResult<ControlTokens> {
    Ok(match name {
        "keep" => ControlTokens::Keep,
        "neutralise" => ControlTokens::Neutralise,
        "reject" => ControlTokens::Reject,
        _ => return Err(choice("control_tokens", "keep, neutralise or reject")),
    })
}

fn strictness_of(name: &str) -> PyResult<Strictness> {
    Ok(match name {
        "fold" => Strictness::Fold,
        "official" => Strictness::Official,
        "strict" => Strictness::Strict,
        _ => return Err(choice("strictness", "fold, official or strict")),
    })
}

/// The clock: a `datetime`, or seconds since 1970.
fn now_of(now: &Bound<'_, PyAny>) -> PyResult<Now> {
    let seconds: f64 = if now.hasattr("timestamp")? {
        now.call_method0("timestamp")?.extract()?
    } else {
        now.extract()?
    };
    if !seconds.is_finite() {
        return Err(choice("now", "a datetime, or seconds since 1970"));
    }
    Ok(Now::from_unix(seconds.floor() as i64))
}

fn choice(name: &str, expected: &str) -> PyErr {
    PyValueError::new_err(format!("{name}: expected {expected}"))
}

fn invalid(error: Error) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// The error without its position, which is that of a text that the caller does not have.
fn invalid_keys(error: serde_json::Error) -> PyErr {
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    PyValueError::new_err(format!("invalid template: {message}"))
}
