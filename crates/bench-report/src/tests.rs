use std::fs;
use std::path::Path;

use llm_bench::test_util::{experiment, refused};
use llm_bench::{Folder, Outcome, Results};
use tempfile::tempdir;

use super::*;

/// The formats of this build.
pub(super) fn formats() -> Vec<Format> {
    // Images need a font on this machine.
    let all = Format::ALL.into_iter();
    Vec::from_iter(all.filter(|f| f.is_supported() && *f != Format::Png))
}

fn written(dir: &Path) -> Results {
    let (experiment, mut runs) = experiment();
    for id in 40..44 {
        runs[2].records.push(refused(id, id * 1_000_000, 429));
    }
    let folder = Folder::create(dir, &experiment).unwrap();
    let mut results = Results::default();
    for run in &runs {
        results.runs.push(folder.add(&experiment, run).unwrap());
    }
    results.experiment = experiment;
    write_reports(&folder, &results, &formats()).unwrap();
    results
}

#[test]
fn a_folder_round_trips() {
    let dir = tempdir().unwrap();
    let results = written(dir.path());
    assert_eq!(
        markdown(&Results::load(dir.path()).unwrap()),
        markdown(&results)
    );
}

#[test]
fn file_names_match_genai_bench() {
    let dir = tempdir().unwrap();
    written(dir.path());
    let mut names: Vec<String> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let parquet = names.extract_if(.., |name| name == "requests.parquet");
    assert_eq!(parquet.count() == 1, cfg!(feature = "parquet"));
    let sheets = names.extract_if(.., |name| name.ends_with(".xlsx"));
    let expected = cfg!(feature = "xlsx").then(|| "made_up_summary.xlsx".to_owned());
    assert_eq!(sheets.collect::<Vec<_>>(), Vec::from_iter(expected));
    insta::assert_snapshot!(names.join("\n"));
}

#[test]
fn the_summary_contains_the_rejections() {
    let dir = tempdir().unwrap();
    insta::assert_snapshot!(markdown(&written(dir.path())));
}

/// Writes a folder for genai-bench's commands: `cargo xtask genai-bench` runs this.
#[test]
#[ignore = "writes to LLM_BENCH_FOLDER"]
fn write_a_folder() {
    let path = std::env::var_os("LLM_BENCH_FOLDER").unwrap();
    written(Path::new(&path));
}

#[test]
fn hostile_names_are_escaped() {
    let (mut experiment, runs) = experiment();
    experiment.name = "<script>alert(1)</script>".to_owned();
    experiment.model = "\"><img src=x onerror=alert(2)>".to_owned();
    experiment.scenarios = vec!["</script><b>".to_owned()];
    let mut runs = runs;
    runs[0].scenario = "</script><b>".to_owned();
    let mut failed = refused(99, 0, 500);
    if let Outcome::Failed(failure) = &mut failed.outcome {
        failure.message = "</svg><script>alert(3)</script>\u{0}".to_owned();
    }
    runs[0].records.push(failed);
    let page = html::page(&[Results::new(experiment, &runs)]);
    assert_eq!(
        page.matches("<script>").count(),
        1,
        "only the report's own script"
    );
    assert!(!page.contains("<img"));
    assert!(!page.contains('\u{0}'));
}

#[test]
fn the_page_needs_no_network() {
    let (experiment, runs) = experiment();
    let page = html::page(&[Results::new(experiment, &runs)]);
    for reference in ["src=", "@import", "url(", "<link", "http://"] {
        assert!(!page.contains(reference), "{reference}");
    }
}

#[test]
fn an_experiment_without_runs_has_a_report() {
    let dir = tempdir().unwrap();
    let (experiment, _) = experiment();
    let folder = Folder::create(dir.path(), &experiment).unwrap();
    let results = Results::new(experiment, &[]);
    write_reports(&folder, &results, &formats()).unwrap();
    assert_eq!(Results::load(dir.path()).unwrap(), results);
}

#[test]
fn the_error_rate_of_a_genai_bench_folder_is_computed_again() {
    let dir = tempdir().unwrap();
    fs::create_dir_all(dir.path()).unwrap();
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
        dir.path().join("experiment_metadata.json"),
        metadata.to_string(),
    )
    .unwrap();
    let name = "D100_100_text-to-text_num_concurrency_4_time_2s.json";
    fs::write(dir.path().join(name), run.to_string()).unwrap();
    let results = Results::load(dir.path()).unwrap();
    let numbers = &results.runs[0].aggregated;
    assert_eq!(numbers.extra.outcomes.rate_limited, 1);
    assert!((numbers.error_rate - 1.0 / 3.0).abs() < 1e-9);
    assert_eq!(numbers.requests_per_second, 1.0);
    assert_eq!(results.runs[0].rows[0].ttft, Some(0.05));
    assert!(!format!("{results:?}").contains("sk-secret"));
    assert!(!html::page(&[results]).contains("sk-secret"));
}

#[test]
fn only_the_requested_formats_are_written() {
    let dir = tempdir().unwrap();
    let (experiment, runs) = experiment();
    let folder = Folder::create(dir.path(), &experiment).unwrap();
    let results = Results::new(experiment, &runs);
    let files = write_reports(&folder, &results, &[Format::Csv]).unwrap();
    let names = ["runs.csv", "requests.csv"];
    assert_eq!(files, names.map(|name| dir.path().join(name)));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1 + names.len());

    let written = write_reports(&folder, &results, &[Format::Xlsx]);
    assert_eq!(written.is_ok(), Format::Xlsx.is_supported(), "{written:?}");
    let missing = matches!(written, Err(ReportError::Unsupported(Format::Xlsx)));
    assert_eq!(missing, !cfg!(feature = "xlsx"));
    let written = write_plots(&folder, &[results], Format::Png);
    let missing = matches!(written, Err(ReportError::Unsupported(Format::Png)));
    assert_eq!(missing, !cfg!(feature = "png"));
}

#[cfg(feature = "xlsx")]
#[test]
fn the_spreadsheet_is_a_zip_file() {
    let (experiment, runs) = experiment();
    let book = {
        let statistic = llm_bench::stats::Statistic::Mean;
        xlsx::workbook(&Results::new(experiment, &runs), statistic).unwrap()
    };
    assert!(book.starts_with(b"PK"));
    assert!(book.len() > 10_000, "{}", book.len());
}

#[test]
fn a_folder_of_genai_bench_keeps_its_facts() {
    let dir = tempdir().unwrap();
    let folder = dir.path().join("together_text-to-text_m_20231114_221320");
    fs::create_dir_all(&folder).unwrap();
    let metadata = serde_json::json!({
        "cmd": "genai-bench benchmark --api-base https://me:sk-secret@h/v1 --api-key sk-secret --warmup-ratio 0.25 --cooldown-ratio 0.25",
        "benchmark_version": "0.0.5", "api_backend": "together", "api_model_name": "m",
        "model": "m", "task": "text-to-text", "num_concurrency": [4], "batch_size": [1],
        "iteration_type": "num_concurrency", "traffic_scenario": ["U(50,20)"],
        "experiment_folder_name": "/tmp/out/together_text-to-text_m_20231114_221320",
    });
    let row = |code: Option<i64>, e2e: f64| {
        serde_json::json!({"ttft": 0.05, "e2e_latency": e2e, "num_output_tokens": 9,
            "num_input_tokens": 9, "total_tokens": 18, "error_code": code})
    };
    let rows = [
        row(None, 9.0),
        row(None, 1.0),
        row(Some(503), 1.0),
        row(None, 9.0),
    ];
    let run = serde_json::json!({
        "aggregated_metrics": {"scenario": "U(50,20)", "num_concurrency": 4, "batch_size": 1,
            "iteration_type": "num_concurrency", "run_duration": 2.0, "stats": {}},
        "individual_request_metrics": rows, "_time_unit": "s",
    });
    let write = |name: &str, text: String| fs::write(folder.join(name), text).unwrap();
    write("experiment_metadata.json", metadata.to_string());
    write(
        "U50_20_text-to-text_num_concurrency_4_time_2s.json",
        run.to_string(),
    );
    let results = Results::load(&folder).unwrap();
    let text = markdown(&results);
    for fact in [
        "# together_text-to-text_m_20231114_221320",
        "at https://h/v1 (together), 2023-11-14 22:13:20 UTC",
        "by genai-bench 0.0.5.",
        "| U(50,20) concurrency 4 |",
        "| 503: 1 |",
    ] {
        assert!(text.contains(fact), "{fact}: {text}");
    }
    assert!(!text.contains("sk-secret"));
    // The first and the last quarter are not measured.
    let numbers = &results.runs[0].aggregated;
    assert_eq!(
        (numbers.num_completed_requests, numbers.num_requests),
        (1, 2)
    );
    let files = write_reports(&Folder::open(&folder), &results, &formats()).unwrap();
    assert!(files.iter().all(|file| file.parent() == Some(&folder)));
}

#[test]
fn failures_have_a_kind_instead_of_an_invented_status() {
    let (experiment, mut runs) = experiment();
    let mut cut = refused(90, 0, 500);
    cut.http_status = Some(200);
    if let Outcome::Failed(failure) = &mut cut.outcome {
        failure.kind = llm_bench::FailureKind::Disconnected;
    }
    runs[0].records.push(cut);
    let results = Results::new(experiment, &runs);
    let text = markdown(&results);
    assert!(text.contains("| disconnected: 1 |"), "{text}");
    let page = html::page(&[results]);
    assert!(!page.contains("<th>503</th>"));
    assert!(page.contains("<th></th><td class=\"text\">disconnected</td>"));
}

#[test]
fn embeddings_have_their_own_figures() {
    let (mut experiment, mut runs) = experiment();
    experiment.task = llm_bench::Task::TextToEmbeddings;
    for record in runs.iter_mut().flat_map(|run| &mut run.records) {
        record.tokens.output = 0;
    }
    let page = html::page(&[Results::new(experiment, &runs)]);
    for text in ["Documents/s", "Input throughput", "<th>Input tok/s</th>"] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("<th>Output tok/s</th>"));
}

#[test]
fn warnings_are_grouped_and_name_their_experiment() {
    let results = ["one", "two"].map(|name| {
        let (mut experiment, mut runs) = experiment();
        experiment.name = name.to_owned();
        for run in &mut runs {
            run.client.skipped_prompts = 3;
        }
        Results::new(experiment, &runs)
    });
    let page = html::page(&results);
    assert!(page.contains("5 other runs with this warning"));
    assert!(page.contains("<b>one · D(100,20) concurrency 1</b> 3 prompts could not"));
    let tile = "<small>two · D(100,20)";
    assert!(page.contains("<small>one · D(100,20)") || page.contains(tile));
}
