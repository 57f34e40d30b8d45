//! What genai-bench's own folders do not say directly.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::command_line::without_userinfo;
use crate::summary::{RowOutcome, SummaryRow};
use crate::{Experiment, FailureKind, IterationType, Load, Phase, RunLimits, ServerLabels, Task};

/// The members of genai-bench's metadata that are not in its runs.
#[derive(Deserialize)]
pub(super) struct Metadata {
    /// The command line, which may contain a key: only single options are read from it.
    #[serde(default)]
    cmd: String,
    #[serde(default)]
    benchmark_version: String,
    #[serde(default)]
    api_backend: String,
    #[serde(default)]
    api_model_name: String,
    #[serde(default)]
    server_model_tokenizer: Option<String>,
    #[serde(default)]
    model: String,
    #[serde(default)]
    task: String,
    #[serde(default)]
    num_concurrency: Vec<u32>,
    #[serde(default)]
    batch_size: Option<Vec<u32>>,
    #[serde(default)]
    iteration_type: IterationType,
    #[serde(default)]
    traffic_scenario: Vec<String>,
    #[serde(default)]
    additional_request_params: Map<String, Value>,
    server_engine: Option<String>,
    server_version: Option<String>,
    server_gpu_type: Option<String>,
    server_gpu_count: Option<String>,
    #[serde(default)]
    max_time_per_run_s: f64,
    #[serde(default)]
    max_requests_per_run: u64,
    #[serde(default)]
    experiment_folder_name: String,
    dataset_path: Option<String>,
    polyllm: Option<Experiment>,
}

impl Metadata {
    /// The experiment; genai-bench's own is named after its folder if it has no name.
    pub(super) fn into_experiment(self, folder: &Path) -> Experiment {
        if let Some(experiment) = self.polyllm {
            return experiment;
        }
        let name = name(&self.experiment_folder_name, folder);
        let share = |option_name| {
            let share: Option<f64> = option(&self.cmd, option_name).and_then(|v| v.parse().ok());
            share
                .filter(|share| (0.0..1.0).contains(share))
                .unwrap_or(0.0)
        };
        let base = option(&self.cmd, "--api-base").unwrap_or_default();
        let loads = self.num_concurrency.iter().copied();
        Experiment {
            started_at_ms: started_at_ms(&name).unwrap_or(0),
            name,
            warmup_ratio: share("--warmup-ratio"),
            cooldown_ratio: share("--cooldown-ratio"),
            api_base: without_userinfo(base.trim_matches(['\'', '"'])),
            version: format!("genai-bench {}", self.benchmark_version),
            backend: self.api_backend,
            model: self.api_model_name,
            model_label: self.model,
            tokenizer: self.server_model_tokenizer,
            task: serde_json::from_value(self.task.into()).unwrap_or(Task::TextToText),
            scenarios: self.traffic_scenario,
            loads: loads
                .map(|concurrency| Load::Concurrency { concurrency })
                .collect(),
            batch_sizes: self.batch_size.unwrap_or_else(|| vec![1]),
            iteration_type: self.iteration_type,
            additional_request_params: self.additional_request_params,
            server: ServerLabels {
                engine: self.server_engine,
                version: self.server_version,
                gpu_type: self.server_gpu_type,
                gpu_count: self.server_gpu_count.and_then(|count| count.parse().ok()),
            },
            limits: RunLimits {
                max_seconds: self.max_time_per_run_s,
                max_requests: self.max_requests_per_run,
                max_cost: None,
                max_errors: None,
            },
            dataset: self.dataset_path,
            ..Experiment::default()
        }
    }
}

/// The last part of a name that may be a path, or else the name of the folder.
fn name(given: &str, folder: &Path) -> String {
    let given = Path::new(given).file_name();
    let name = given.or_else(|| folder.file_name()).unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// The value of an option in a command line whose words are joined by spaces.
fn option<'a>(command: &'a str, name: &str) -> Option<&'a str> {
    let mut words = command.split_whitespace();
    loop {
        let word = words.next()?;
        if word == name {
            return words.next();
        }
        if let Some(value) = word
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('='))
        {
            return Some(value);
        }
    }
}

/// The time at the end of a default name, such as `..._20261121_094500`. genai-bench writes the
/// machine's local time; it is read as UTC.
fn started_at_ms(name: &str) -> Option<u64> {
    let start = name.len().checked_sub("20261121_094500".len())?;
    let (date, time) = name.get(start..)?.split_once('_')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if date.len() != 8 || time.len() != 6 || !digits(date) || !digits(time) {
        return None;
    }
    let text = format!(
        "{}-{}-{}T{}:{}:{}Z",
        &date[..4],
        &date[4..6],
        &date[6..],
        &time[..2],
        &time[2..4],
        &time[4..]
    );
    let time = humantime::parse_rfc3339(&text).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    u64::try_from(since.as_millis()).ok()
}

/// Sets what genai-bench does not write, and converts its times to seconds.
pub(super) fn normalize(row: &mut SummaryRow, id: u64, factor: f64) {
    row.id = id;
    row.output_tokens_source = crate::TokenSource::Server;
    row.outcome = match row.error_code {
        None => RowOutcome::Ok,
        Some(429) => RowOutcome::Failed(FailureKind::RateLimited),
        Some(408) => RowOutcome::Failed(FailureKind::Timeout),
        Some(_) => RowOutcome::Failed(FailureKind::HttpStatus),
    };
    let times = [
        &mut row.ttft,
        &mut row.tpot,
        &mut row.e2e_latency,
        &mut row.output_latency,
    ];
    for time in times.into_iter().flatten() {
        *time *= factor;
    }
}

/// Marks the warm-up and the cool-down as genai-bench counts them: shares of all requests in the
/// order in which they ended, which is that of its file.
pub(super) fn set_phases(rows: &mut [SummaryRow], warmup: f64, cooldown: f64) {
    let count = rows.len();
    let part = |share: f64| (count as f64 * share) as usize;
    let measured = part(warmup)..count - part(cooldown).min(count);
    for (at, row) in rows.iter_mut().enumerate() {
        row.phase = match at {
            _ if at < measured.start => Phase::Warmup,
            _ if at >= measured.end => Phase::Cooldown,
            _ => Phase::Measured,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_options_are_read_from_a_command() {
        let command =
            "genai-bench benchmark --api-key sk-1 --api-base=https://h/v1 --warmup-ratio 0.1";
        assert_eq!(option(command, "--api-base"), Some("https://h/v1"));
        assert_eq!(option(command, "--warmup-ratio"), Some("0.1"));
        assert_eq!(option(command, "--cooldown-ratio"), None);
    }

    #[test]
    fn a_default_name_contains_the_start() {
        let name = "together_SGLang_text-to-text_m_20231114_221320";
        assert_eq!(started_at_ms(name), Some(1_700_000_000_000));
        for name in ["e8", "", "x_20231399_221320", "é0231114_221320"] {
            assert_eq!(started_at_ms(name), None, "{name}");
        }
        assert_eq!(name_of("/tmp/results/e8"), "e8");
        assert_eq!(name_of(""), "folder");
    }

    fn name_of(given: &str) -> String {
        name(given, Path::new("a/folder"))
    }
}
