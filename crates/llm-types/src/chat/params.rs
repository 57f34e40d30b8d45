//! Types of request parameters.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::open_enum::open_enum;
use crate::tagged::{by_form, elements, unexpected};

/// Stop sequences: one string or several, written in the form in which they were read.
#[allow(clippy::exhaustive_enums)] // OpenAI's schema has these two forms
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Stop {
    /// One string.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl Stop {
    /// The strings, in either form.
    pub fn as_slice(&self) -> &[String] {
        match self {
            Self::One(stop) => std::slice::from_ref(stop),
            Self::Many(stops) => stops,
        }
    }
}

impl<'de> Deserialize<'de> for Stop {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_form(deserializer, |value| match value {
            Value::String(stop) => Ok(Self::One(stop)),
            Value::Array(stops) => elements(stops).map(Self::Many),
            other => Err(unexpected("a string or an array of strings", &other)),
        })
    }
}

impl From<&str> for Stop {
    fn from(stop: &str) -> Self {
        Self::One(stop.to_owned())
    }
}

impl From<String> for Stop {
    fn from(stop: String) -> Self {
        Self::One(stop)
    }
}

impl<const N: usize> From<[&str; N]> for Stop {
    fn from(stops: [&str; N]) -> Self {
        Self::Many(stops.map(str::to_owned).into())
    }
}

impl From<Vec<&str>> for Stop {
    fn from(stops: Vec<&str>) -> Self {
        Self::Many(stops.into_iter().map(str::to_owned).collect())
    }
}

impl From<Vec<String>> for Stop {
    fn from(stops: Vec<String>) -> Self {
        Self::Many(stops)
    }
}

/// The options of a stream.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StreamOptions {
    /// Whether to send the token usage in a last chunk without choices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_usage: Option<bool>,
    /// Whether to pad chunks against traffic analysis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_obfuscation: Option<bool>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl StreamOptions {
    /// Creates options that leave everything to the upstream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether to send the token usage.
    #[must_use]
    pub fn with_include_usage(mut self, include_usage: bool) -> Self {
        self.include_usage = Some(include_usage);
        self
    }
}

/// Requests log probabilities: OpenAI's boolean or Together's count.
#[allow(clippy::exhaustive_enums)] // the two dialects
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum LogprobsParam {
    /// OpenAI's form; `top_logprobs` sets the number of tokens.
    Enabled(bool),
    /// The form of Together and of completions.
    Count(u64),
}

impl<'de> Deserialize<'de> for LogprobsParam {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_form(deserializer, |value| match (&value, value.as_u64()) {
            (Value::Bool(enabled), _) => Ok(Self::Enabled(*enabled)),
            (_, Some(count)) => Ok(Self::Count(count)),
            _ => Err(unexpected("a boolean or a whole number", &value)),
        })
    }
}

impl From<bool> for LogprobsParam {
    fn from(enabled: bool) -> Self {
        Self::Enabled(enabled)
    }
}

impl From<u64> for LogprobsParam {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

open_enum! {
    /// An output modality.
    pub enum Modality {
        /// Audio.
        Audio = "audio",
        /// Text.
        Text = "text",
    }
}

open_enum! {
    /// The reasoning effort.
    pub enum ReasoningEffort {
        /// None.
        None = "none",
        /// Minimal.
        Minimal = "minimal",
        /// Low.
        Low = "low",
        /// Medium.
        Medium = "medium",
        /// High.
        High = "high",
        /// Extra high.
        XHigh = "xhigh",
        /// The maximum.
        Max = "max",
    }
}

open_enum! {
    /// The service tier.
    pub enum ServiceTier {
        /// The project's setting.
        Auto = "auto",
        /// Default.
        Default = "default",
        /// Fast.
        Fast = "fast",
        /// Slower and cheaper.
        Flex = "flex",
        /// Priority.
        Priority = "priority",
        /// Reserved capacity.
        Scale = "scale",
    }
}

open_enum! {
    /// The verbosity of the output.
    pub enum Verbosity {
        /// High.
        High = "high",
        /// Low.
        Low = "low",
        /// Medium.
        Medium = "medium",
    }
}
