//! The spreadsheet, with genai-bench's sheets and columns.

use llm_bench::Results;
use llm_bench::stats::{Statistic, Stats};
use llm_bench::summary::{Achieved, Metric, RunSummary, Unit};
use llm_bench::{IterationType, Task};
use rust_xlsxwriter::{Format, FormatAlign, Workbook, Worksheet, XlsxError};
use serde_json::Value;

/// The content of the workbook file. `statistic` is that of the latencies in the appendix and of
/// the speed in the summary.
pub(super) fn workbook(results: &Results, statistic: Statistic) -> Result<Vec<u8>, XlsxError> {
    let mut book = Workbook::new();
    summary(
        book.add_worksheet().set_name("Summary")?,
        results,
        statistic,
    )?;
    appendix(
        book.add_worksheet().set_name("Appendix")?,
        results,
        statistic,
    )?;
    metadata(
        book.add_worksheet().set_name("Experiment Metadata")?,
        results,
    )?;
    aggregated(
        book.add_worksheet()
            .set_name("Aggregated Metrics for Each Run")?,
        results,
    )?;
    individual(
        book.add_worksheet()
            .set_name("Individual Request Metrics")?,
        results,
    )?;
    book.save_to_buffer()
}

/// Per scenario, the highest load with an acceptable speed for a user.
fn summary(
    sheet: &mut Worksheet,
    results: &Results,
    statistic: Statistic,
) -> Result<(), XlsxError> {
    let embeddings = is_embeddings(results);
    let (load, what) = match results.experiment.iteration_type {
        IterationType::BatchSize => ("Batch Size", "throughput"),
        _ => ("Concurrency", "speed"),
    };
    let target = if embeddings { 100.0 } else { 10.0 };
    let mut rows = SheetWriter::new(sheet);
    rows.head(&[
        "GPU Type".to_owned(),
        "Use Case".to_owned(),
        format!("{load} at target {what} (>{target} tokens/s)"),
        "Total Throughput (tokens/min)".to_owned(),
    ])?;
    for scenario in scenarios(results) {
        let runs = results
            .runs
            .iter()
            .filter(|run| run.aggregated.scenario == scenario);
        let best = fast_enough(runs, target, embeddings, statistic);
        let per_minute =
            |run: &RunSummary| run.aggregated.mean_total_tokens_throughput_tokens_per_s * 60.0;
        rows.add(vec![
            gpu(results).into(),
            use_case(scenario).into(),
            best.map_or_else(|| "N/A".into(), |run| iteration(results, run).into()),
            best.map_or_else(|| "N/A".into(), |run| per_minute(run).into()),
        ])?;
    }
    rows.finish()
}

/// The run with the highest load whose speed is above the target. As in genai-bench, the search
/// ends where a higher load changes neither throughput nor requests per second by 5 %.
fn fast_enough<'a>(
    runs: impl Iterator<Item = &'a RunSummary>,
    target: f64,
    embeddings: bool,
    statistic: Statistic,
) -> Option<&'a RunSummary> {
    let mut best: Option<&RunSummary> = None;
    for run in runs {
        let numbers = &run.aggregated;
        let speed = if embeddings {
            Some(numbers.mean_total_tokens_throughput_tokens_per_s)
        } else {
            numbers.get(statistic, Metric::OutputInferenceSpeed)
        };
        if !speed.is_some_and(|speed| speed > target) {
            continue;
        }
        if let Some(before) = best {
            let before = &before.aggregated;
            let close = |now: f64, then: f64| (now - then).abs() < 0.05 * then;
            if close(
                numbers.mean_total_tokens_throughput_tokens_per_s,
                before.mean_total_tokens_throughput_tokens_per_s,
            ) && close(numbers.requests_per_second, before.requests_per_second)
            {
                break;
            }
        }
        best = Some(run);
    }
    best
}

/// A row per run.
fn appendix(
    sheet: &mut Worksheet,
    results: &Results,
    statistic: Statistic,
) -> Result<(), XlsxError> {
    let embeddings = is_embeddings(results);
    let load = match results.experiment.iteration_type {
        IterationType::BatchSize => "Batch Size",
        _ => "Concurrency",
    };
    let mut head = vec!["GPU Type", "Use Case", load, "TTFT (s)"];
    if !embeddings {
        head.extend([
            "Output Inference Speed per Request (tokens/s)",
            "Output Throughput of Server (tokens/s)",
        ]);
    }
    head.extend([
        "End-to-End Latency per Request (s)",
        "Request Throughput (RPS)",
        "Total Throughput (Input + Output) of Server (tokens/s)",
        // Not in genai-bench.
        "Error Rate",
        "Requests in Flight",
        "Requests Started per Second",
    ]);
    let mut rows = SheetWriter::new(sheet);
    rows.head(&head.map_to_owned())?;
    for run in &results.runs {
        let numbers = &run.aggregated;
        let chosen = |metric| value(numbers.get(statistic, metric));
        let achieved =
            |part: fn(&Achieved) -> f64| value(numbers.extra.achieved.as_ref().map(part));
        let mut row = vec![
            gpu(results).into(),
            use_case(&numbers.scenario).into(),
            iteration(results, run).into(),
            chosen(Metric::Ttft),
        ];
        if !embeddings {
            row.push(chosen(Metric::OutputInferenceSpeed));
            row.push(numbers.mean_output_throughput_tokens_per_s.into());
        }
        row.extend([
            chosen(Metric::E2eLatency),
            numbers.requests_per_second.into(),
            numbers.mean_total_tokens_throughput_tokens_per_s.into(),
            numbers.error_rate.into(),
            achieved(|load| load.in_flight),
            achieved(|load| load.starts_per_second),
        ]);
        rows.add(row)?;
    }
    rows.finish()
}

/// The configuration, a name and a value per row.
fn metadata(sheet: &mut Worksheet, results: &Results) -> Result<(), XlsxError> {
    let fields = results.experiment.metadata();
    let bold = Format::new().set_bold();
    let mut rows = SheetWriter::new(sheet);
    for name in METADATA {
        let value = fields.get(name).cloned().unwrap_or_default();
        let value = match value {
            Value::Array(values) => Value::String(
                values
                    .iter()
                    .map(|value| {
                        value
                            .as_str()
                            .map_or_else(|| value.to_string(), str::to_owned)
                    })
                    .collect::<Vec<_>>()
                    .join(", "),
            ),
            Value::Object(_) => Value::String(value.to_string()),
            value => value,
        };
        rows.sheet.write_with_format(rows.next, 0, name, &bold)?;
        rows.cell(1, &value)?;
        rows.next += 1;
    }
    rows.finish()
}

/// All statistics of each run; those of a metric are JSON.
fn aggregated(sheet: &mut Worksheet, results: &Results) -> Result<(), XlsxError> {
    let fields = |run: &RunSummary| match serde_json::to_value(&run.aggregated) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let mut head = vec!["scenario", results.experiment.iteration_type.name()].map_to_owned();
    head.extend(RUN_FIELDS.map(str::to_owned));
    let metrics: Vec<Metric> = Metric::ALL
        .into_iter()
        .filter(|metric| {
            let known = |run: &RunSummary| run.aggregated.stats.contains_key(metric);
            metric.is_genai_bench() || results.runs.iter().any(known)
        })
        .collect();
    head.extend(metrics.iter().map(|metric| titled(*metric)));
    let mut rows = SheetWriter::new(sheet);
    rows.head(&head)?;
    for run in &results.runs {
        let fields = fields(run);
        let mut row = vec![
            run.aggregated.scenario.clone().into(),
            iteration(results, run).into(),
        ];
        row.extend(RUN_FIELDS.map(|name| match fields.get(name) {
            Some(value @ Value::Object(_)) => value.to_string().into(),
            Some(value) => value.clone(),
            None => Value::Null,
        }));
        row.extend(metrics.iter().map(|metric| {
            let stats = run
                .aggregated
                .stats
                .get(metric)
                .copied()
                .unwrap_or_default();
            statistics(&stats, metric.unit()).into()
        }));
        rows.add(row)?;
    }
    rows.hide_empty()?;
    rows.finish()
}

/// Statistics as JSON. Counts that are whole numbers have no decimal point, as in genai-bench.
fn statistics(stats: &Stats, unit: Unit) -> String {
    let text = serde_json::to_string(stats).unwrap_or_default();
    match unit {
        Unit::Tokens => text.replace(".0,", ",").replace(".0}", "}"),
        _ => text,
    }
}

/// A row per request.
fn individual(sheet: &mut Worksheet, results: &Results) -> Result<(), XlsxError> {
    let genai = Metric::ALL
        .into_iter()
        .filter(|metric| metric.is_genai_bench());
    let genai: Vec<Metric> = genai.collect();
    let more = [
        Metric::DispatchDelay,
        Metric::Dns,
        Metric::Tcp,
        Metric::Tls,
        Metric::Send,
        Metric::Wait,
        Metric::Receive,
        Metric::Queue,
        Metric::Predict,
    ];
    let mut head = vec!["scenario", results.experiment.iteration_type.name()].map_to_owned();
    head.extend(genai.iter().map(|metric| titled(*metric)));
    head.extend(["error_code", "error_message", "outcome", "started (s)"].map(str::to_owned));
    head.extend(more.map(titled));
    let mut rows = SheetWriter::new(sheet);
    rows.head(&head)?;
    for run in &results.runs {
        for row in &run.rows {
            let mut cells = vec![
                run.aggregated.scenario.clone().into(),
                iteration(results, run).into(),
            ];
            cells.extend(genai.iter().map(|metric| value(metric.of(row))));
            cells.push(row.error_code.into());
            cells.push(row.error_message.clone().into());
            cells.push(row.outcome.name().into());
            cells.push(value(row.started));
            cells.extend(more.map(|metric| value(metric.of(row))));
            rows.add(cells)?;
            if rows.next >= LAST_ROW {
                // The limit of a sheet; the CSV has all rows.
                return rows.finish();
            }
        }
    }
    rows.hide_empty()?;
    rows.finish()
}

/// Fills a sheet from top to bottom.
struct SheetWriter<'a> {
    sheet: &'a mut Worksheet,
    next: u32,
    /// The columns with values other than empty and 0.
    filled: Vec<bool>,
}

impl<'a> SheetWriter<'a> {
    fn new(sheet: &'a mut Worksheet) -> Self {
        Self {
            sheet,
            next: 0,
            filled: Vec::new(),
        }
    }

    fn head(&mut self, titles: &[String]) -> Result<(), XlsxError> {
        let bold = Format::new().set_bold().set_align(FormatAlign::Top);
        for (column, title) in (0u16..).zip(titles) {
            self.sheet.write_with_format(0, column, title, &bold)?;
        }
        self.sheet.set_freeze_panes(1, 0)?;
        self.filled = vec![false; titles.len()];
        self.next = 1;
        Ok(())
    }

    fn add(&mut self, cells: Vec<Value>) -> Result<(), XlsxError> {
        for (column, cell) in (0u16..).zip(&cells) {
            self.cell(column, cell)?;
        }
        self.next += 1;
        Ok(())
    }

    fn cell(&mut self, column: u16, cell: &Value) -> Result<(), XlsxError> {
        let mut filled = true;
        match cell {
            Value::Null => filled = false,
            Value::Bool(value) => {
                self.sheet.write(self.next, column, *value)?;
            }
            Value::Number(number) => {
                let number = number.as_f64().unwrap_or_default();
                filled = number != 0.0;
                self.sheet.write(self.next, column, number)?;
            }
            Value::String(text) => {
                filled = text != NO_STATISTICS;
                // The limit of a cell. Strings are never interpreted as formulas.
                let text: String = text.chars().take(32_767).collect();
                self.sheet.write_string(self.next, column, text)?;
            }
            other => {
                self.sheet
                    .write_string(self.next, column, other.to_string())?;
            }
        }
        if let Some(known) = self.filled.get_mut(usize::from(column)) {
            *known |= filled;
        }
        Ok(())
    }

    /// Hides columns without information, as genai-bench does.
    fn hide_empty(&mut self) -> Result<(), XlsxError> {
        for (column, filled) in (0u16..).zip(&self.filled) {
            if !filled {
                self.sheet.group_columns_collapsed(column, column)?;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<(), XlsxError> {
        self.sheet.set_autofit_max_width(300).autofit();
        Ok(())
    }
}

trait ToOwnedStrings {
    fn map_to_owned(&self) -> Vec<String>;
}

impl ToOwnedStrings for Vec<&str> {
    fn map_to_owned(&self) -> Vec<String> {
        self.iter().map(|text| (*text).to_owned()).collect()
    }
}

fn titled(metric: Metric) -> String {
    match metric.unit() {
        Unit::Seconds => format!("{metric} (s)"),
        _ => metric.to_string(),
    }
}

fn value(value: Option<f64>) -> Value {
    value.map_or(Value::Null, Value::from)
}

fn is_embeddings(results: &Results) -> bool {
    results.experiment.task == Task::TextToEmbeddings
}

fn iteration(results: &Results, run: &RunSummary) -> u32 {
    match results.experiment.iteration_type {
        IterationType::BatchSize => run.aggregated.batch_size,
        _ => run.aggregated.num_concurrency,
    }
}

/// The scenarios of the runs, without duplicates.
fn scenarios(results: &Results) -> Vec<&str> {
    let mut scenarios: Vec<&str> = Vec::new();
    for run in &results.runs {
        if !scenarios.contains(&run.aggregated.scenario.as_str()) {
            scenarios.push(&run.aggregated.scenario);
        }
    }
    scenarios
}

fn gpu(results: &Results) -> String {
    let server = &results.experiment.server;
    match (server.gpu_count, &server.gpu_type) {
        (Some(count), Some(kind)) => format!("{count}x{kind}"),
        (None, Some(kind)) => kind.clone(),
        _ => "unknown".to_owned(),
    }
}

/// genai-bench's names of its default scenarios.
fn use_case(scenario: &str) -> String {
    let words = match scenario {
        "N(480,240)/(300,150)" => "Scenario 1: Fusion ",
        "D(100,100)" => "Scenario 2: Chatbot/Dialog ",
        "D(100,1000)" => "Scenario 3: Generation Heavy ",
        "D(2000,200)" => "Scenario 4: Typical RAG ",
        "D(7800,200)" => "Scenario 5: Heavier RAG ",
        _ => "",
    };
    format!("{words}{scenario}")
}

const RUN_FIELDS: [&str; 10] = [
    "run_duration",
    "mean_output_throughput_tokens_per_s",
    "mean_input_throughput_tokens_per_s",
    "mean_total_tokens_throughput_tokens_per_s",
    "requests_per_second",
    "error_codes_frequency",
    "error_rate",
    "num_error_requests",
    "num_completed_requests",
    "num_requests",
];

/// The metadata in genai-bench's order.
const METADATA: [&str; 22] = [
    "cmd",
    "benchmark_version",
    "api_backend",
    "auth_config",
    "api_model_name",
    "server_model_tokenizer",
    "model",
    "task",
    "num_concurrency",
    "batch_size",
    "iteration_type",
    "traffic_scenario",
    "additional_request_params",
    "server_engine",
    "server_version",
    "server_gpu_type",
    "server_gpu_count",
    "max_time_per_run_s",
    "max_requests_per_run",
    "experiment_folder_name",
    "metrics_time_unit",
    "dataset_path",
];

/// The last row of a sheet.
const LAST_ROW: u32 = 1_048_575;

/// The statistics of an empty sample, as JSON.
const NO_STATISTICS: &str = concat!(
    r#"{"min":null,"max":null,"mean":null,"stddev":null,"sum":null,"p25":null,"#,
    r#""p50":null,"p75":null,"p90":null,"p95":null,"p99":null,"p99_9":null}"#
);
