//! Formats Replicate's documents for users.

use polyllm::replicate::manage::{
    Account, Parameter, Prediction, ReplicateDeployment, ReplicateModel, Version,
};
use serde_json::{Map, Value};

use crate::output;

/// A document with a row in lists and a detailed form.
pub(crate) trait Tabular {
    /// The names of the columns.
    const HEAD: &'static [&'static str];

    /// The row in a list.
    fn row(&self) -> Vec<String>;

    /// The detailed form.
    fn details(&self) -> String;
}

/// A list as a table.
pub(crate) fn table<T: Tabular>(documents: &[T]) -> String {
    let head = T::HEAD.iter().map(|name| (*name).to_owned()).collect();
    let rows: Vec<_> = std::iter::once(head)
        .chain(documents.iter().map(T::row))
        .collect();
    output::table(&rows, T::HEAD.len())
}

impl Tabular for Account {
    const HEAD: &'static [&'static str] = &["ACCOUNT", "TYPE", "NAME"];

    fn row(&self) -> Vec<String> {
        vec![
            self.username.clone(),
            self.type_.clone(),
            self.name.clone().unwrap_or_default(),
        ]
    }

    fn details(&self) -> String {
        let names = ["account", "type", "name"];
        pairs(&names.into_iter().zip(self.row()).collect::<Vec<_>>())
    }
}

impl Tabular for Prediction {
    const HEAD: &'static [&'static str] = &["ID", "STATUS", "CREATED", "MODEL"];

    fn row(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.status.0.clone(),
            date(text_of(&self.extra, "created_at")),
            text_of(&self.extra, "model").to_owned(),
        ]
    }

    fn details(&self) -> String {
        let member = |name: &str| text_of(&self.extra, name).to_owned();
        let seconds = |name: &str| {
            let seconds = self.metric(name);
            seconds.map_or_else(String::new, |seconds| format!("{seconds:.2} s"))
        };
        let count = |name: &str| {
            self.metric(name)
                .map_or_else(String::new, |n| n.to_string())
        };
        let head = pairs(&[
            ("id", self.id.clone()),
            ("status", self.status.0.clone()),
            ("error", plain(&self.error)),
            ("model", member("model")),
            ("version", member("version")),
            ("deployment", member("deployment")),
            ("created", date(&member("created_at"))),
            ("run time", seconds("predict_time")),
            ("total time", seconds("total_time")),
            ("tokens in", count("input_token_count")),
            ("tokens out", count("output_token_count")),
            ("page", self.url("web").unwrap_or_default().to_owned()),
        ]);
        match text(self) {
            output if output.is_empty() => head,
            output => format!("{head}\n{output}\n"),
        }
    }
}

impl Tabular for ReplicateDeployment {
    const HEAD: &'static [&'static str] =
        &["DEPLOYMENT", "RELEASE", "MODEL", "HARDWARE", "INSTANCES"];

    fn row(&self) -> Vec<String> {
        let release = &self.current_release;
        let machines = &release.configuration;
        let number = |number: Option<u64>| {
            number.map_or_else(|| "?".to_owned(), |number| number.to_string())
        };
        vec![
            format!("{}/{}", self.owner, self.name),
            release.number.to_string(),
            release.model.clone(),
            machines.hardware.clone().unwrap_or_default(),
            format!(
                "{} to {}",
                number(machines.min_instances),
                number(machines.max_instances)
            ),
        ]
    }

    fn details(&self) -> String {
        let values = self.row();
        let names = ["deployment", "release", "model", "hardware", "instances"];
        let mut all: Vec<_> = names.into_iter().zip(values).collect();
        all.insert(3, ("version", self.current_release.version.clone()));
        let model = format!("replicate/deployments/{}/{}", self.owner, self.name);
        all.push(("model name", model));
        pairs(&all)
    }
}

impl Tabular for ReplicateModel {
    const HEAD: &'static [&'static str] = &["MODEL", "RUNS", "DESCRIPTION"];

    fn row(&self) -> Vec<String> {
        let runs = self
            .run_count
            .map_or_else(String::new, |runs| runs.to_string());
        let description = self.description.as_deref().unwrap_or_default();
        vec![
            format!("{}/{}", self.owner, self.name),
            runs,
            shortened(description),
        ]
    }

    fn details(&self) -> String {
        let version = self.latest_version.as_ref();
        let official = match self.is_official {
            Some(true) => "yes: it needs no version",
            Some(false) => "no: replicate/OWNER/NAME takes its newest version",
            None => "",
        };
        let head = pairs(&[
            ("model", format!("{}/{}", self.owner, self.name)),
            ("official", official.to_owned()),
            ("description", self.description.clone().unwrap_or_default()),
            (
                "version",
                version.map_or_else(String::new, |one| one.id.clone()),
            ),
        ]);
        match version {
            Some(version) => format!("{head}\n{}", inputs(&version.inputs())),
            None => head,
        }
    }
}

impl Tabular for Version {
    const HEAD: &'static [&'static str] = &["VERSION", "CREATED"];

    fn row(&self) -> Vec<String> {
        let created = self.created_at.as_deref().unwrap_or_default();
        vec![self.id.clone(), date(created)]
    }

    fn details(&self) -> String {
        format!("version  {}\n\n{}", self.id, inputs(&self.inputs()))
    }
}

/// The output of a prediction: text unchanged, anything else as JSON.
pub(crate) fn text(prediction: &Prediction) -> String {
    prediction
        .text()
        .unwrap_or_else(|_| plain(&prediction.output))
}

/// A value without JSON's quotation marks; null is empty.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The inputs of a model: name, type, default, range and description.
fn inputs(parameters: &[Parameter]) -> String {
    let head = ["INPUT", "TYPE", "DEFAULT", "RANGE", "DESCRIPTION"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(head.to_vec())
        .chain(parameters.iter().map(input))
        .collect();
    output::table(&rows, head.len())
}

fn input(parameter: &Parameter) -> Vec<String> {
    let default = if parameter.required {
        "required".to_owned()
    } else {
        match &parameter.default {
            Value::String(text) if !text.is_empty() => shortened(text),
            Value::Null => String::new(),
            other => shortened(&other.to_string()),
        }
    };
    let choices: Vec<_> = parameter.choices.iter().map(plain).collect();
    let range = match (plain(&parameter.minimum), plain(&parameter.maximum)) {
        _ if !choices.is_empty() => choices.join(" | "),
        (min, max) if min.is_empty() && max.is_empty() => String::new(),
        (min, max) if max.is_empty() => format!("{min} or more"),
        (min, max) if min.is_empty() => format!("up to {max}"),
        (min, max) => format!("{min} to {max}"),
    };
    vec![
        parameter.name.clone(),
        parameter.type_.clone(),
        default,
        range,
        one_line(&parameter.description),
    ]
}

/// Names and values in two columns, without empty values.
fn pairs(pairs: &[(&str, String)]) -> String {
    let there = pairs.iter().filter(|(_, value)| !value.is_empty());
    let rows: Vec<_> = there
        .map(|(name, value)| vec![(*name).to_owned(), value.clone()])
        .collect();
    output::table(&rows, 2)
}

fn text_of<'m>(members: &'m Map<String, Value>, name: &str) -> &'m str {
    members
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// `2026-11-21T09:30:00.123456Z` without fraction and zone.
fn date(rfc3339: &str) -> String {
    let seconds = rfc3339.split(['.', 'Z']).next().unwrap_or_default();
    seconds.replacen('T', " ", 1)
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn shortened(text: &str) -> String {
    let text = one_line(text);
    match text.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

const WIDTH: usize = 48;
