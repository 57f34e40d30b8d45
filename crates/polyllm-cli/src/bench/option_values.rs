//! The values of options: how each is written on the command line.

use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum;
use llm_bench::{Backend, Task, TrafficScenario};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::args::number::not_negative;

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BackendName {
    Together,
    Openai,
    Replicate,
    Sglang,
    Vllm,
}

impl BackendName {
    /// The name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sglang => "sglang",
            Self::Vllm => "vllm",
            _ => Backend::from(self).name(),
        }
    }
}

impl From<BackendName> for Backend {
    fn from(name: BackendName) -> Self {
        match name {
            BackendName::Together => Self::Together,
            BackendName::Openai | BackendName::Sglang | BackendName::Vllm => Self::OpenAi,
            BackendName::Replicate => Self::Replicate,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TaskName {
    TextToText,
    ImageTextToText,
    TextToEmbeddings,
    TextToRerank,
    /// A task of genai-bench, which `limits::check` rejects.
    #[value(hide = true)]
    TextToSpeech,
}

impl From<TaskName> for Task {
    fn from(name: TaskName) -> Self {
        match name {
            TaskName::TextToText | TaskName::TextToSpeech => Self::TextToText,
            TaskName::ImageTextToText => Self::ImageTextToText,
            TaskName::TextToEmbeddings => Self::TextToEmbeddings,
            TaskName::TextToRerank => Self::TextToRerank,
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub(crate) enum IterationName {
    NumConcurrency,
    BatchSize,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SearchKind {
    Concurrency,
    Rate,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum TimeUnit {
    S,
    Ms,
}

/// An API key that is not shown.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) polyllm::ApiKey);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(polyllm::ApiKey::new(text)))
    }
}

/// `NAME=VALUE`; the value is not shown.
#[derive(Clone)]
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Header({}=***)", self.name)
    }
}

impl FromStr for Header {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
        Ok(Self {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// `20`, or `1..20`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rate {
    pub(crate) from: f64,
    pub(crate) to: f64,
}

impl FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| {
            let number = text.trim().parse::<f64>().ok();
            number
                .filter(|n| n.is_finite() && *n >= 0.0)
                .ok_or_else(|| "expected requests per second, as in 10 or 1..20".to_owned())
        };
        let (from, to) = text.split_once("..").unwrap_or((text, text));
        let (from, to) = (number(from)?, number(to)?);
        if to == 0.0 {
            return Err("expected a final rate above 0".to_owned());
        }
        Ok(Self { from, to })
    }
}

/// Several scenarios in one value; commas inside parentheses do not separate.
pub(crate) fn scenarios(text: &str) -> Result<Vec<TrafficScenario>, llm_bench::Error> {
    let mut depth = 0_i32;
    let parts = text.split(|c| {
        depth += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        c == ',' && depth == 0
    });
    parts.map(str::parse).collect()
}

/// Serializes a value as text for its parser.
pub(crate) mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<T: Display, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// `a`, or several values with weights: `a=3,b`. A value without a weight has 1.
pub(crate) fn weighted(text: &str) -> Result<Vec<(String, f64)>, &'static str> {
    let parts = text.split(',').map(|part| {
        let (value, weight) = match part.rsplit_once('=') {
            Some((value, weight)) => match weight.trim().parse::<f64>() {
                Ok(weight) => (value, weight),
                Err(_) => (part, 1.0),
            },
            None => (part, 1.0),
        };
        let is_valid = !value.trim().is_empty() && weight.is_finite() && weight > 0.0;
        is_valid
            .then(|| (value.trim().to_owned(), weight))
            .ok_or("expected values with weights above 0, as in a=3,b=1")
    });
    parts.collect()
}

pub(crate) fn object(text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err("expected a JSON object".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

pub(crate) fn minutes(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(minutes) => Duration::try_from_secs_f64(minutes * 60.0).map_err(|e| e.to_string()),
        Err(_) => humantime::parse_duration(text).map_err(|error| error.to_string()),
    }
}

pub(crate) fn price(text: &str) -> Result<(f64, f64), String> {
    let (input, output) = text
        .split_once(',')
        .ok_or("expected IN,OUT, as in 0.2,0.6")?;
    Ok((not_negative(input)?, not_negative(output)?))
}

pub(crate) fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("expected a number from 0 to below 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_parsed_as_documented() {
        assert_eq!(
            "1..20".parse(),
            Ok(Rate {
                from: 1.0,
                to: 20.0
            })
        );
        assert_eq!("7.5".parse(), Ok(Rate { from: 7.5, to: 7.5 }));
        assert!("0".parse::<Rate>().is_err() && "x".parse::<Rate>().is_err());
        assert_eq!(minutes("2"), Ok(Duration::from_secs(120)));
        assert_eq!(minutes("90s"), Ok(Duration::from_secs(90)));
        assert!(minutes("-1").is_err());
        assert_eq!(price("0.2, 0.6"), Ok((0.2, 0.6)));
        assert_eq!(scenarios("D(1,2),N(3,4)/(5,6)").unwrap().len(), 2);
        assert!(scenarios("D(1,2),").is_err());
        let (a, b) = ("a".to_owned(), "b".to_owned());
        assert_eq!(weighted("a=3, b"), Ok(vec![(a.clone(), 3.0), (b, 1.0)]));
        assert_eq!(weighted("a"), Ok(vec![(a, 1.0)]));
        for text in ["a=0", "a,", "=3", "a=-1", "a=inf"] {
            assert!(weighted(text).is_err(), "{text}");
        }
    }
}
