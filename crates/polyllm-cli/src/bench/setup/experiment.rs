//! The description of an experiment, which is written into its folder.

use std::env;
use std::time::SystemTime;

use llm_bench::{
    CommandLine, Experiment, IterationType, Machine, RunLimits, RunSettings, ServerLabels, Task,
    TrafficScenario, redact_members,
};
use polyllm::ApiKey;

use super::{DEFAULT_REQUESTS, DEFAULT_TIME};
use crate::bench::args::Bench;
use crate::bench::option_values::IterationName;

pub(super) fn experiment(
    args: &Bench,
    settings: &RunSettings,
    task: Task,
    scenarios: Vec<TrafficScenario>,
    dataset: Option<String>,
    key: Option<&ApiKey>,
) -> Experiment {
    let now = SystemTime::now();
    let since = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let api = &args.api;
    let mut labels = ServerLabels::default();
    labels.engine.clone_from(&api.server_engine);
    labels.version.clone_from(&api.server_version);
    labels.gpu_type.clone_from(&api.server_gpu_type);
    labels.gpu_count = api.server_gpu_count;
    let backend = api.api_backend.name();
    let model = api.api_model_name.clone().unwrap_or_default();
    let mut machine = Machine::default();
    env::consts::OS.clone_into(&mut machine.os);
    env::consts::ARCH.clone_into(&mut machine.arch);
    machine.cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32);
    let words: Vec<String> = env::args().collect();
    let secrets = [key, api.against_api_key.as_ref().map(|key| &key.0)];
    let secrets = secrets.into_iter().flatten().map(ApiKey::expose);
    let headers = api.header.iter().map(|header| header.value.as_str());
    let secrets: Vec<&str> = secrets.chain(headers).collect();

    let mut experiment = Experiment::default();
    experiment.name = args
        .output
        .experiment_folder_name
        .clone()
        .unwrap_or_else(|| {
            let engine = labels.engine.as_deref();
            let parts = [
                Some(backend),
                engine,
                labels.version.as_deref(),
                Some(task.name()),
                Some(&model),
            ];
            let mut parts: Vec<_> = parts.into_iter().flatten().map(file_name).collect();
            parts.push(timestamp(now));
            parts.join("_")
        });
    experiment.command = CommandLine::redacted(words.iter().map(String::as_str), secrets);
    experiment.version = env!("CARGO_PKG_VERSION").to_owned();
    experiment.started_at_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    experiment.backend = backend.to_owned();
    if !task.has_batches() {
        experiment.text_api = api.endpoint_type.to_string();
    }
    let others = settings.others.iter().map(|(target, _)| target.to_string());
    let all = std::iter::once(settings.target.to_string()).chain(others);
    experiment.api_base = all.collect::<Vec<_>>().join(", ");
    experiment.against = settings.against.as_ref().map(ToString::to_string);
    experiment.model_label = api.model_label.clone().unwrap_or_else(|| {
        let last = model.rsplit('/').next();
        last.unwrap_or_default().to_owned()
    });
    experiment.model = model;
    let tokenizer = args.prompts.model_tokenizer.as_ref();
    experiment.tokenizer = tokenizer.map(|path| path.display().to_string());
    experiment.task = task;
    experiment.scenarios = scenarios.iter().map(ToString::to_string).collect();
    experiment.iteration_type = match args.load.iteration_type {
        Some(IterationName::BatchSize) => IterationType::BatchSize,
        Some(IterationName::NumConcurrency) => IterationType::NumConcurrency,
        None if task.has_batches() => IterationType::BatchSize,
        None => IterationType::NumConcurrency,
    };
    experiment.additional_request_params =
        api.additional_request_params.clone().unwrap_or_default();
    redact_members(&mut experiment.additional_request_params);
    experiment.server = labels;
    experiment.limits = RunLimits::default();
    let time = args.load.max_time_per_run.unwrap_or(DEFAULT_TIME);
    experiment.limits.max_seconds = time.as_secs_f64();
    experiment.limits.max_requests = args.load.max_requests_per_run.unwrap_or(DEFAULT_REQUESTS);
    experiment.limits.max_cost = args.load.max_cost;
    experiment.limits.max_errors = args.load.max_errors;
    experiment.dataset = dataset;
    (experiment.warmup_ratio, experiment.cooldown_ratio) = settings.warmup_cooldown;
    experiment.seed = args.prompts.seed;
    experiment.goodput.clone_from(&args.load.goodput);
    experiment.goodput_tiers.clone_from(&args.load.goodput_tier);
    experiment.price_per_million = args.load.price;
    experiment.new_connections = settings.new_connections;
    experiment.machine = machine;
    experiment
}

/// A text as part of a folder's name.
fn file_name(text: &str) -> String {
    let keep = |c: char| c.is_ascii_alphanumeric() || "-.".contains(c);
    text.chars()
        .map(|c| if keep(c) { c } else { '-' })
        .collect()
}

/// `20261121_094500`, in UTC.
fn timestamp(time: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(time).to_string();
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    format!("{}_{}", &digits[..8], &digits[8..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_names_are_portable() {
        assert_eq!(file_name("meta-llama/Llama-2:v1"), "meta-llama-Llama-2-v1");
        assert_eq!(timestamp(SystemTime::UNIX_EPOCH), "19700101_000000");
    }
}
