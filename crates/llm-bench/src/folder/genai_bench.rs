//! The files of genai-bench 0.0.5: `experiment_metadata.json` and one file per run. Our own data is
//! under the key `polyllm`, which its readers ignore.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::theirs::{self, Metadata};
use super::{FolderError, Results, validate};
use crate::summary::{Aggregated, Paired, RunSummary, SummaryRow};
use crate::{Experiment, IterationType, Load, Run};

/// The name of the file with the configuration.
pub(super) const METADATA: &str = "experiment_metadata.json";

/// The metadata of an experiment. They cannot contain a key: `auth_config` stays empty.
pub(crate) fn metadata(experiment: &Experiment) -> Value {
    let server = &experiment.server;
    let concurrency = experiment
        .loads
        .iter()
        .map(|load| load.concurrency().max(1));
    let mut concurrency: Vec<u32> = concurrency.collect();
    concurrency.dedup();
    let mut known = HashSet::new();
    let mut scenarios = Vec::new();
    for scenario in &experiment.scenarios {
        for load in &experiment.loads {
            let label = crate::summary::scenario_label(experiment, scenario, load);
            if known.insert(label.clone()) {
                scenarios.push(label);
            }
        }
    }
    json!({
        "cmd": experiment.command,
        "benchmark_version": experiment.version,
        "api_backend": experiment.backend,
        "auth_config": {},
        "api_model_name": experiment.model,
        "server_model_tokenizer": experiment.tokenizer,
        "model": experiment.model_label,
        "task": experiment.task,
        "num_concurrency": concurrency,
        "batch_size": experiment.batch_sizes,
        "iteration_type": experiment.iteration_type,
        "traffic_scenario": scenarios,
        "additional_request_params": experiment.additional_request_params,
        "server_engine": server.engine,
        "server_version": server.version,
        "server_gpu_type": server.gpu_type,
        "server_gpu_count": server.gpu_count.map(|count| count.to_string()),
        "max_time_per_run_s": experiment.limits.max_seconds.ceil() as u64,
        "max_requests_per_run": experiment.limits.max_requests,
        "experiment_folder_name": experiment.name,
        "metrics_time_unit": "s",
        "dataset_path": experiment.dataset,
        "polyllm": experiment,
    })
}

/// The content of a run's file.
pub(super) fn run(summary: &RunSummary) -> String {
    pretty(&RunFile::new(summary))
}

/// All files of an experiment in one document.
#[derive(Deserialize, Serialize)]
struct Archive {
    experiment: Experiment,
    runs: Vec<RunFile>,
}

pub(super) fn pack(results: &Results) -> Vec<u8> {
    let packed = Archive {
        experiment: results.experiment.clone(),
        runs: results.runs.iter().map(RunFile::new).collect(),
    };
    // As above, serialization does not fail.
    serde_json::to_vec(&packed).unwrap_or_default()
}

pub(super) fn unpack(bytes: &[u8]) -> Result<Results, serde_json::Error> {
    let Archive { experiment, runs } = serde_json::from_slice(bytes)?;
    let runs = runs.into_iter().map(|run| run.into_summary(&experiment));
    let results = Results {
        runs: runs.collect(),
        experiment,
    };
    validate::check(&results).map_err(serde::de::Error::custom)?;
    Ok(results)
}

/// The name of a run's file without its extension; `number` distinguishes runs with equal names.
pub(super) fn stem(experiment: &Experiment, summary: &RunSummary, number: u32) -> String {
    let numbers = &summary.aggregated;
    let (kind, value) = match numbers.iteration_type {
        IterationType::BatchSize => ("batch_size", numbers.batch_size),
        IterationType::NumConcurrency => ("num_concurrency", numbers.num_concurrency),
    };
    let again = if number > 1 {
        format!("_{number}")
    } else {
        String::new()
    };
    format!(
        "{}_{}{again}_{kind}_{value}_time_{}s",
        file_name(&numbers.scenario),
        experiment.task,
        numbers.run_duration as u64,
    )
}

/// A text as part of a file name, as genai-bench writes it: `D(100,100)` becomes `D100_100`.
pub(crate) fn file_name(text: &str) -> String {
    let kept = text.chars().filter(|c| !"()".contains(*c));
    let named = kept.map(|c| match c {
        c if c.is_alphanumeric() || "-_.".contains(c) => c,
        _ => '_',
    });
    // File systems allow 255 bytes, and more follows.
    let named: String = named.collect();
    named[..named.floor_char_boundary(MAX_NAME.min(named.len()))].to_owned()
}

pub(super) fn load(folder: &Path) -> Result<Results, FolderError> {
    let path = folder.join(METADATA);
    if !path.is_file() {
        return Err(FolderError::no_experiment(folder));
    }
    let metadata: Metadata = read(&path)?;
    let experiment = metadata.into_experiment(folder);
    let entries = fs::read_dir(folder).map_err(|e| FolderError::io(folder, e))?;
    let mut runs = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| FolderError::io(folder, e))?.path();
        if path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(is_run)
        {
            if runs.len() == validate::MAX_RUNS {
                return Err(FolderError::invalid(folder, "too many runs"));
            }
            runs.push(read::<RunFile>(&path)?.into_summary(&experiment));
        }
    }
    let mut results = Results { experiment, runs };
    validate::check(&results).map_err(|reason| FolderError::invalid(folder, reason))?;
    results.sort();
    Ok(results)
}

/// Whether a file is that of a run: genai-bench matches
/// `^.+_.+_(?:concurrency|batch_size)_\d+_time_\d+s\.json$`.
fn is_run(name: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let parts = || {
        let (rest, seconds) = name.strip_suffix("s.json")?.rsplit_once("_time_")?;
        let (rest, value) = rest.rsplit_once('_')?;
        let kind = rest.ends_with("_concurrency") || rest.ends_with("_batch_size");
        Some(kind && number(seconds) && number(value))
    };
    parts().unwrap_or(false)
}

fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, FolderError> {
    // Reading a pipe might never end.
    if !path.is_file() {
        return Err(FolderError::invalid(path, "not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes))
        .map_err(|e| FolderError::io(path, e))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(FolderError::invalid(path, "longer than 4 GiB"));
    }
    serde_json::from_slice(&bytes).map_err(|e| FolderError::malformed(path, e))
}

pub(super) fn pretty(value: &impl Serialize) -> String {
    // Serialization does not fail: keys are strings, and floats are finite or null.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

#[derive(Deserialize, Serialize)]
struct RunFile {
    aggregated_metrics: Aggregated,
    #[serde(default)]
    individual_request_metrics: Vec<SummaryRow>,
    #[serde(rename = "_time_unit", default)]
    time_unit: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    polyllm: Option<PolyllmData>,
}

/// Our data beside genai-bench's.
#[derive(Deserialize, Serialize)]
struct PolyllmData {
    run: Run,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    against: Option<Aggregated>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    paired: Vec<Paired>,
}

impl RunFile {
    fn new(summary: &RunSummary) -> Self {
        Self {
            aggregated_metrics: summary.aggregated.clone(),
            individual_request_metrics: summary.rows.clone(),
            time_unit: "s".to_owned(),
            polyllm: Some(PolyllmData {
                run: summary.run.clone(),
                against: summary.against.clone(),
                paired: summary.paired.clone(),
            }),
        }
    }

    fn into_summary(self, experiment: &Experiment) -> RunSummary {
        let mut rows = self.individual_request_metrics;
        let Some(beside) = self.polyllm else {
            // From genai-bench's own files, only the requests and the run's length are used.
            let factor = if self.time_unit == "ms" { 1e-3 } else { 1.0 };
            for (id, row) in rows.iter_mut().enumerate() {
                theirs::normalize(row, id as u64, factor);
            }
            theirs::set_phases(
                &mut rows,
                experiment.warmup_ratio,
                experiment.cooldown_ratio,
            );
            let numbers = self.aggregated_metrics;
            let run = Run {
                scenario: numbers.scenario,
                load: Load::Concurrency {
                    concurrency: numbers.num_concurrency,
                },
                batch_size: numbers.batch_size,
                measured_ns: (0, (numbers.run_duration * 1e9) as u64),
                active_ns: (0, (numbers.run_duration * 1e9) as u64),
                ..Run::default()
            };
            return RunSummary::of_rows(experiment, run, rows);
        };
        RunSummary {
            run: Run {
                // The records are in their own file.
                records: Vec::new(),
                ..beside.run
            },
            aggregated: self.aggregated_metrics,
            against: beside.against,
            paired: beside.paired,
            rows,
        }
    }
}

/// The longest text as part of a file name, in bytes.
const MAX_NAME: usize = 150;

/// The longest file of a run, in bytes: about four million requests.
const MAX_FILE: u64 = 4 << 30;
