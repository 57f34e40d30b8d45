//! The parameters, metrics and tags of a run in MLflow.

use llm_bench::stats::Statistic;
use llm_bench::summary::{Metric, RunSummary};
use llm_bench::{Experiment, RunEnd};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The metadata of a run: those of its experiment, and its own load.
pub(super) fn params(experiment: &Experiment, run: &RunSummary) -> Vec<Value> {
    let mut fields = object(experiment);
    // The run has its own.
    for plural in ["batch_sizes", "bias", "loads", "scenarios"] {
        fields.remove(plural);
    }
    let run = &run.run;
    fields.insert("scenario".to_owned(), run.scenario.as_str().into());
    fields.insert("load".to_owned(), run.load.to_string().into());
    fields.insert("batch_size".to_owned(), run.batch_size.into());
    fields.insert("end".to_owned(), json!(run.end));
    fields.insert("bias".to_owned(), json!(run.bias));
    let mut params = Vec::new();
    for (name, value) in fields {
        match value {
            Value::Object(parts) if NESTED.contains(&name.as_str()) => {
                let parts = parts.into_iter();
                params.extend(
                    parts.filter_map(|(part, value)| param(&format!("{name}.{part}"), &value)),
                );
            }
            value => params.extend(param(&name, &value)),
        }
    }
    params
}

/// The figures of a run at the time of its end.
pub(super) fn metrics(run: &RunSummary, at_ms: u64) -> Vec<Value> {
    let numbers = &run.aggregated;
    let extra = &numbers.extra;
    let plain = object(numbers);
    let plain = plain
        .into_iter()
        .map(|(name, value)| (name, value.as_f64()));
    let goodput = extra.goodput.as_ref();
    let achieved = extra.achieved.as_ref();
    let further = [
        ("goodput_share", goodput.map(|good| good.share)),
        (
            "goodput_requests_per_second",
            goodput.map(|good| good.requests_per_second),
        ),
        ("cost_dollars", extra.cost),
        ("cached_input_share", extra.cached_input_share),
        ("achieved_in_flight", achieved.map(|load| load.in_flight)),
        (
            "achieved_starts_per_second",
            achieved.map(|load| load.starts_per_second),
        ),
        ("slot_time_lost", achieved.map(|load| load.slot_time_lost)),
    ];
    let further = further.map(|(name, value)| (name.to_owned(), value));
    let of_metrics = Metric::ALL.into_iter().flat_map(|metric| {
        Statistic::EXPORTED.map(|statistic| {
            let value = numbers.get(statistic, metric);
            (format!("{metric}_{statistic}"), value)
        })
    });
    let all = plain.chain(further).chain(of_metrics);
    all.filter_map(|(key, value)| {
        let value = value.filter(|value| value.is_finite())?;
        Some(json!({"key": key, "value": value, "timestamp": at_ms, "step": 0}))
    })
    .collect()
}

pub(super) fn tags(experiment: &Experiment) -> Value {
    json!([
        {"key": "mlflow.source.name", "value": "polyllm bench"},
        {"key": "polyllm.experiment", "value": cut(&experiment.name)},
    ])
}

/// The status of a run, as MLflow names it.
pub(super) fn status(run: &RunSummary) -> &'static str {
    match (run.run.end, run.aggregated.num_completed_requests) {
        (RunEnd::Interrupted, _) => "KILLED",
        (_, 0) => "FAILED",
        _ => "FINISHED",
    }
}

/// The end of a run in milliseconds since the Unix epoch.
pub(super) fn end_ms(run: &RunSummary) -> u64 {
    let run = &run.run;
    run.started_at_ms
        .saturating_add(run.active_ns.1 / 1_000_000)
}

fn object(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

/// A parameter; `None` for a value that is not set.
fn param(key: &str, value: &Value) -> Option<Value> {
    let text = match value {
        Value::Null => return None,
        Value::Array(items) if items.is_empty() => return None,
        Value::Object(fields) if fields.is_empty() => return None,
        Value::String(text) if text.is_empty() => return None,
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Some(json!({"key": key, "value": cut(&text)}))
}

/// MLflow refuses longer values.
fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_VALUE)]
}

/// The longest value in bytes, by the limit of MLflow before version 2.8.
const MAX_VALUE: usize = 500;

/// Groups whose members are parameters of their own.
const NESTED: [&str; 4] = ["bias", "limits", "machine", "server"];
