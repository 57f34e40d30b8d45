use std::fs;
use std::path::PathBuf;

use super::*;
use crate::Load;
use crate::made_up::{experiment, refused, run};

/// A folder that goes away with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("llm-bench-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn written(scratch: &Scratch) -> Results {
    let (experiment, mut runs) = experiment();
    for id in 40..44 {
        runs[2].records.push(refused(id, id * 1_000_000, 429));
    }
    let folder = Folder::create(&scratch.0, &experiment).unwrap();
    let mut results = Results::default();
    for run in &runs {
        results.runs.push(folder.add(&experiment, run).unwrap());
    }
    results.experiment = experiment;
    folder.write_reports(&results).unwrap();
    results
}

#[test]
fn a_folder_is_read_back_as_it_was_written() {
    let scratch = Scratch::new("roundtrip");
    let results = written(&scratch);
    let all = Results::load_all(std::slice::from_ref(&scratch.0)).unwrap();
    assert_eq!(all.len(), 1);
    // Floats may come back from JSON with another last bit, so not everything is equal.
    assert_eq!(all[0].experiment, results.experiment);
    assert_eq!(markdown(&all[0]), markdown(&results));
    for (read, written) in all[0].runs.iter().zip(&results.runs) {
        assert_eq!(read.run, written.run);
        assert_eq!(read.rows.len(), written.rows.len());
        assert_eq!(read.aggregated.stats.len(), written.aggregated.stats.len());
        let (read, written) = (&read.aggregated.extra, &written.aggregated.extra);
        assert_eq!(read.histograms, written.histograms);
        assert_eq!(read.outcomes, written.outcomes);
        assert_eq!(read.intervals.len(), written.intervals.len());
    }
}

#[test]
fn files_are_named_as_genai_bench_names_them() {
    let scratch = Scratch::new("names");
    written(&scratch);
    let mut names: Vec<String> = fs::read_dir(&scratch.0)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let sheets = names.extract_if(.., |name| name.ends_with(".xlsx"));
    let wanted = cfg!(feature = "xlsx").then(|| "made_up_summary.xlsx".to_owned());
    assert_eq!(sheets.collect::<Vec<_>>(), Vec::from_iter(wanted));
    insta::assert_snapshot!(names.join("\n"));
}

#[test]
fn two_runs_alike_have_a_file_each() {
    let scratch = Scratch::new("alike");
    let (experiment, _) = experiment();
    let folder = Folder::create(&scratch.0, &experiment).unwrap();
    let run = run(Load::default(), 3);
    folder.add(&experiment, &run).unwrap();
    folder.add(&experiment, &run).unwrap();
    assert_eq!(Results::load(&scratch.0).unwrap().runs.len(), 2);
}

#[test]
fn the_summary_says_how_many_were_refused() {
    let scratch = Scratch::new("markdown");
    insta::assert_snapshot!(markdown(&written(&scratch)));
}

#[test]
fn records_are_a_line_each_with_their_time_by_the_clock() {
    let scratch = Scratch::new("lines");
    written(&scratch);
    let file = scratch
        .0
        .join("D100_20_text-to-text_num_concurrency_4_time_2s.jsonl");
    let text = fs::read_to_string(file).unwrap();
    assert_eq!(text.lines().count(), 40);
    let line: serde_json::Value = serde_json::from_str(text.lines().nth(4).unwrap()).unwrap();
    assert!(line["at_ms"].as_f64().unwrap() > 1_700_000_000_200.0);
    serde_json::from_value::<crate::RequestRecord>(line).unwrap();
}

/// Writes a folder to look at and to try genai-bench's commands on: see the README.
#[test]
#[ignore = "writes to LLM_BENCH_FOLDER"]
fn write_a_folder() {
    let path = PathBuf::from(std::env::var_os("LLM_BENCH_FOLDER").unwrap());
    let scratch = std::mem::ManuallyDrop::new(Scratch(path));
    written(&scratch);
}

#[test]
fn hostile_names_stay_text() {
    let (mut experiment, runs) = experiment();
    experiment.name = "<script>alert(1)</script>".to_owned();
    experiment.model = "\"><img src=x onerror=alert(2)>".to_owned();
    experiment.scenarios = vec!["</script><b>".to_owned()];
    let mut runs = runs;
    runs[0].scenario = "</script><b>".to_owned();
    let mut failed = refused(99, 0, 500);
    if let crate::Outcome::Failed(failure) = &mut failed.outcome {
        failure.message = "</svg><script>alert(3)</script>\u{0}".to_owned();
    }
    runs[0].records.push(failed);
    let page = html::page(&[Results::new(experiment, &runs)]);
    assert_eq!(page.matches("<script>").count(), 1, "only our own");
    assert!(!page.contains("<img"));
    assert!(!page.contains('\u{0}'));
}

#[test]
fn the_page_needs_no_network() {
    let (experiment, runs) = experiment();
    let page = html::page(&[Results::new(experiment, &runs)]);
    for outside in ["src=", "@import", "url(", "<link", "http://"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

#[test]
fn an_experiment_without_runs_has_a_report() {
    let scratch = Scratch::new("empty");
    let (experiment, _) = experiment();
    let folder = Folder::create(&scratch.0, &experiment).unwrap();
    let results = Results::new(experiment, &[]);
    folder.write_reports(&results).unwrap();
    assert_eq!(Results::load(&scratch.0).unwrap(), results);
}

#[test]
fn a_folder_of_genai_bench_is_read_and_its_error_rate_mended() {
    let scratch = Scratch::new("foreign");
    fs::create_dir_all(&scratch.0).unwrap();
    let metadata = serde_json::json!({
        "cmd": "genai-bench benchmark --api-key sk-secret", "benchmark_version": "0.0.5",
        "api_backend": "together", "api_model_name": "m", "model": "m", "task": "text-to-text",
        "num_concurrency": [4], "batch_size": [1], "iteration_type": "num_concurrency",
        "traffic_scenario": ["D(100,100)"], "max_time_per_run_s": 60, "server_gpu_count": null,
        "max_requests_per_run": 3, "experiment_folder_name": "e8",
    });
    let ok = serde_json::json!({
        "ttft": 50.0, "tpot": 10.0, "e2e_latency": 1040.0, "output_latency": 990.0,
        "output_inference_speed": 100.0, "num_input_tokens": 100, "num_output_tokens": 100,
        "num_reasoning_tokens": 0, "total_tokens": 200, "input_throughput": 2000.0,
        "output_throughput": 100.0, "audio_throughput": null, "error_code": null,
        "error_message": null,
    });
    let refused = serde_json::json!({"error_code": 429, "error_message": "no"});
    let run = serde_json::json!({
        "aggregated_metrics": {"scenario": "D(100,100)", "num_concurrency": 4, "batch_size": 1,
            "iteration_type": "num_concurrency", "run_duration": 2.0, "error_rate": 0.0,
            "stats": {"ttft": {"mean": 50.0}, "later": {"mean": 1.0}}},
        "individual_request_metrics": [ok, ok, refused],
        "_time_unit": "ms",
    });
    fs::write(
        scratch.0.join("experiment_metadata.json"),
        metadata.to_string(),
    )
    .unwrap();
    let name = "D100_100_text-to-text_num_concurrency_4_time_2s.json";
    fs::write(scratch.0.join(name), run.to_string()).unwrap();
    let results = Results::load(&scratch.0).unwrap();
    let numbers = &results.runs[0].aggregated;
    assert_eq!(numbers.extra.outcomes.rate_limited, 1);
    assert!((numbers.error_rate - 1.0 / 3.0).abs() < 1e-9);
    assert_eq!(numbers.requests_per_second, 1.0);
    assert_eq!(results.runs[0].rows[0].ttft, Some(0.05));
    assert!(!format!("{results:?}").contains("sk-secret"));
    assert!(!html::page(&[results]).contains("sk-secret"));
}

#[test]
fn mistakes_name_the_file() {
    let scratch = Scratch::new("broken");
    let error = Results::load(&scratch.0).unwrap_err();
    assert_eq!(error.kind(), ReportErrorKind::NoExperiment);
    fs::create_dir_all(&scratch.0).unwrap();
    let error = Results::load_all(std::slice::from_ref(&scratch.0)).unwrap_err();
    assert_eq!(error.kind(), ReportErrorKind::NoExperiment);
    fs::write(scratch.0.join("experiment_metadata.json"), "{\n  \"cmd\": ").unwrap();
    let error = Results::load(&scratch.0).unwrap_err();
    assert_eq!(error.kind(), ReportErrorKind::Malformed);
    assert!(error.to_string().contains("experiment_metadata.json"));
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("line 2"), "{source}");
}

#[cfg(feature = "xlsx")]
#[test]
fn the_spreadsheet_is_a_zip_with_content() {
    let (experiment, runs) = experiment();
    let book = xlsx::workbook(&Results::new(experiment, &runs)).unwrap();
    assert!(book.starts_with(b"PK"));
    assert!(book.len() > 10_000, "{}", book.len());
}
