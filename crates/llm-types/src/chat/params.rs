//! What the parameters of a request may be.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::open_enum::open_enum;
use crate::tagged::{by_form, elements, unexpected};

/// Where to stop writing: one string or several, written back in the form it came in.
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
    /// The strings, whichever form they came in.
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

impl From<Vec<String>> for Stop {
    fn from(stops: Vec<String>) -> Self {
        Self::Many(stops)
    }
}

/// What a stream is to tell besides the answer.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct StreamOptions {
    /// Whether to tell the token counts in a last chunk without choices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_usage: Option<bool>,
    /// Whether to pad chunks against traffic analysis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub include_obfuscation: Option<bool>,
    /// Members not named above.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl StreamOptions {
    /// Asks for the token counts.
    pub fn with_usage() -> Self {
        Self {
            include_usage: Some(true),
            ..Self::default()
        }
    }
}

/// Whether to tell log probabilities: OpenAI's boolean or Together's count.
#[allow(clippy::exhaustive_enums)] // the two dialects
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum LogprobsParam {
    /// OpenAI's form; `top_logprobs` tells of how many tokens.
    Enabled(bool),
    /// Together's and the completions' form.
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
    /// A kind of answer.
    pub enum Modality {
        /// Speech.
        Audio = "audio",
        /// Text.
        Text = "text",
    }
}

open_enum! {
    /// How much to think.
    pub enum ReasoningEffort {
        /// Not at all.
        None = "none",
        /// Hardly.
        Minimal = "minimal",
        /// A little.
        Low = "low",
        /// Some.
        Medium = "medium",
        /// A lot.
        High = "high",
        /// Very much.
        XHigh = "xhigh",
        /// As much as possible.
        Max = "max",
    }
}

open_enum! {
    /// The class of service.
    pub enum ServiceTier {
        /// As the project is set up.
        Auto = "auto",
        /// The standard.
        Default = "default",
        /// Fast.
        Fast = "fast",
        /// Slower and cheaper.
        Flex = "flex",
        /// Before others.
        Priority = "priority",
        /// Bought capacity.
        Scale = "scale",
    }
}

open_enum! {
    /// How much to say.
    pub enum Verbosity {
        /// A lot.
        High = "high",
        /// Little.
        Low = "low",
        /// Some.
        Medium = "medium",
    }
}
