//! `polyllm bench report`, `compare` and `merge`.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;
use std::process::Command;

use llm_bench::{Experiment, Folder, Load, RequestRecord, Run};
use serde_json::json;
use tempfile::{TempDir, tempdir};

/// A temporary folder for experiments.
struct Experiments(TempDir);

impl Experiments {
    fn new() -> Self {
        Self(tempdir().unwrap())
    }

    /// Writes an experiment of fifty requests, some of them rejected.
    fn experiment(&self, name: &str, ttft_ms: u64, refused: u64) -> String {
        self.scenarios(name, &["D(100,10)"], ttft_ms, refused)
    }

    /// The same with a run of each scenario.
    fn scenarios(&self, name: &str, scenarios: &[&str], ttft_ms: u64, refused: u64) -> String {
        let mut experiment = Experiment::default();
        experiment.name = name.to_owned();
        experiment.scenarios = scenarios.iter().copied().map(str::to_owned).collect();
        experiment.loads = vec![Load::Concurrency { concurrency: 4 }];
        let path = self.0.path().join(name);
        let folder = Folder::create(&path, &experiment).unwrap();
        for scenario in scenarios {
            let mut run = Run::default();
            run.scenario = (*scenario).to_owned();
            run.load = Load::Concurrency { concurrency: 4 };
            run.batch_size = 1;
            run.measured_ns = (0, 5_000_000_000);
            run.active_ns = run.measured_ns;
            run.records = (0..50)
                .map(|id| record(id, ttft_ms, id < refused))
                .collect();
            folder.add(&experiment, &run).unwrap();
        }
        path.to_str().unwrap().to_owned()
    }
}

fn record(id: u64, ttft_ms: u64, refused: bool) -> RequestRecord {
    let start = id * 100_000_000;
    // A few milliseconds of jitter.
    let first = start + ttft_ms * 1_000_000 + id % 7 * 300_000;
    let outcome = if refused {
        json!({"status": "failed", "kind": "rate_limited", "message": "slow down"})
    } else {
        json!({"status": "ok"})
    };
    serde_json::from_value(json!({
        "id": id, "dispatched_ns": start, "first_token_ns": first, "end_ns": first + 90_000_000,
        "arrivals": {"gaps_us": [10_000, 10_000, 10_000, 10_000, 10_000, 10_000, 10_000, 10_000, 10_000]},
        "tokens": {"input": 100, "input_source": "server", "output": 10, "output_source": "server"},
        "http_status": if refused { 429 } else { 200 }, "outcome": outcome,
    }))
    .unwrap()
}

/// Standard output, standard error and status.
fn bench(arguments: &[&str]) -> (String, String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_polyllm"));
    let output = command.arg("bench").args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        text(output.stdout),
        text(output.stderr),
        output.status.code().unwrap(),
    )
}

#[test]
fn a_regression_is_exit_status_1() {
    let experiments = Experiments::new();
    let (old, new) = (
        experiments.experiment("old", 50, 0),
        experiments.experiment("new", 60, 0),
    );
    let gate = ["--fail-if", "p99(ttft) > +5%"];
    let (out, err, status) = bench(&[&["compare", &old, &new], &gate[..]].concat());
    assert_eq!((status, err.as_str()), (1, ""), "{out}");
    assert!(out.contains("FAIL: p99(ttft) > +5%"), "{out}");
    assert!(out.contains("+19."), "{out}");
    // In the other direction it improved.
    let (out, _, status) = bench(&[&["compare", &new, &old], &gate[..]].concat());
    assert_eq!(status, 0, "{out}");
    let page = experiments.0.path().join("page.html");
    let page = page.to_str().unwrap();
    let (out, _, status) = bench(&[
        "compare", &old, &old, "--json", "--html", page, gate[0], gate[1],
    ]);
    assert_eq!(status, 0, "{out}");
    let line: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(line["conditions"][0]["failed"], false);
    assert!(fs::read_to_string(page).unwrap().contains("old (after)"));
}

#[test]
fn a_missing_run_fails_a_comparison_with_conditions() {
    let experiments = Experiments::new();
    let old = experiments.scenarios("old", &["D(100,10)", "D(5,5)"], 50, 0);
    let new = experiments.experiment("new", 50, 0);
    let (_, err, status) = bench(&["compare", &old, &new]);
    assert_eq!(status, 0, "{err}");
    let gate = ["--fail-if", "p99(ttft) > +5%"];
    let (_, err, status) = bench(&[&["compare", &old, &new], &gate[..]].concat());
    assert_eq!(status, 1, "{err}");
    assert!(
        err.contains("only the first experiment has: D(5,5) concurrency 4"),
        "{err}"
    );
    assert!(err.contains("--fail-if cannot be checked"), "{err}");
    // A run that only the second one has is no regression.
    let (_, err, status) = bench(&[&["compare", &new, &old], &gate[..]].concat());
    assert_eq!(status, 0, "{err}");
}

#[test]
fn an_experiment_is_not_merged_with_itself() {
    let experiments = Experiments::new();
    let one = experiments.experiment("w_1", 50, 0);
    let again = format!("{one}/.");
    let joined = experiments.0.path().join("joined");
    let (_, err, status) = bench(&["merge", &one, &again, "--output", joined.to_str().unwrap()]);
    assert_eq!(status, 2, "{err}");
    assert!(err.contains("is given twice"), "{err}");
    assert!(!joined.exists());
}

#[test]
fn plots_show_the_scenarios_of_the_filter() {
    let experiments = Experiments::new();
    experiments.scenarios("old", &["D(100,10)", "D(20,5)"], 50, 0);
    let all = experiments.0.path().to_str().unwrap();
    let plot = |filter: &str| {
        bench(&[
            "plot",
            "--experiments-folder",
            all,
            "--filter-criteria",
            filter,
        ])
    };
    let (_, err, status) = plot(r#"{"traffic_scenario": ["D(20,5)", "D(1,1)"]}"#);
    assert_eq!(status, 0, "{err}");
    let chart = fs::read_to_string(experiments.0.path().join("plot_ttft_mean.svg")).unwrap();
    assert!(
        chart.contains("D(20,5)") && !chart.contains("D(100,10)"),
        "{chart}"
    );
    let (_, err, status) = plot(r#"{"num_concurrency": [4], "batch_size": []}"#);
    assert_eq!(status, 0, "{err}");
    for (filter, reason) in [
        (r#"{"traffic_scenario": ["D(1,1)"]}"#, "no experiment"),
        (r#"{"num_concurrency": [4, 8]}"#, "no experiment"),
        (r#"{"modle": "m"}"#, "unknown field"),
    ] {
        let (_, err, status) = plot(filter);
        assert_eq!(status, 2, "{filter}: {err}");
        assert!(err.contains(reason), "{filter}: {err}");
    }
}

#[test]
fn a_usage_error_is_exit_status_2_and_shows_the_position() {
    let experiments = Experiments::new();
    let old = experiments.experiment("old", 50, 0);
    let (_, err, status) = bench(&["compare", &old, &old, "--fail-if", "p99(ttft) > 5"]);
    assert_eq!(status, 2, "{err}");
    assert!(
        err.contains("expected ms, us or s\n  p99(ttft) > 5\n               ^"),
        "{err}"
    );
    let (_, err, status) = bench(&["compare", &old, "/nowhere"]);
    assert_eq!(status, 2);
    assert!(err.contains("no experiment in /nowhere"), "{err}");
    let (_, err, status) = bench(&["merge", &old, "--output", &old]);
    assert_eq!(status, 2);
    assert!(err.contains("already contains an experiment"), "{err}");
    let new = experiments.experiment("new", 50, 0);
    let (_, err, status) = bench(&["report", &old, &new, "--format", "csv"]);
    assert_eq!(status, 2);
    assert!(err.contains("needs a single experiment"), "{err}");
    fs::write(Path::new(&new).join("experiment_metadata.json"), "{").unwrap();
    let (_, err, status) = bench(&["report", &new]);
    assert_eq!(status, 2);
    assert!(err.contains("invalid benchmark file"), "{err}");
}

#[test]
fn reports_are_written_and_contain_failures() {
    let experiments = Experiments::new();
    let old = experiments.experiment("old", 50, 10);
    let (out, err, status) = bench(&["report", &old]);
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("| 10 | 50 | 20.0 % | 429: 10 |"), "{out}");
    for file in ["report.html", "report.md", "runs.csv", "requests.csv"] {
        assert!(Path::new(&old).join(file).is_file(), "{file}");
    }
    // Without its feature, the spreadsheet is omitted, with one note.
    let with_spreadsheet = cfg!(feature = "bench-xlsx");
    let note = "note: no spreadsheet is written: it needs the feature bench-xlsx; \
                `cargo install --path crates/polyllm-cli --features full` adds it\n";
    assert_eq!(err, if with_spreadsheet { "" } else { note });
    let spreadsheet = Path::new(&old).join("old_summary.xlsx");
    assert_eq!(spreadsheet.is_file(), with_spreadsheet);
    for file in fs::read_dir(&old).unwrap() {
        let file = file.unwrap().path();
        if file
            .extension()
            .is_some_and(|end| end == "csv" || end == "md")
        {
            fs::remove_file(file).unwrap();
        }
    }
    let (_, err, status) = bench(&["report", &old, "--format", "csv"]);
    assert_eq!(
        (status, err.as_str()),
        (0, ""),
        "no note: it was not asked for"
    );
    assert!(Path::new(&old).join("runs.csv").is_file());
    assert!(!Path::new(&old).join("report.md").exists());
    let (_, err, status) = bench(&["report", &old, "--format", "html,xlsx"]);
    assert_eq!(status, if with_spreadsheet { 0 } else { 2 }, "{err}");
    assert_eq!(
        err.contains("--format xlsx needs the feature bench-xlsx"),
        !with_spreadsheet
    );
    let (_, err, status) = bench(&["report", &old, "--format", "parquet"]);
    let with_parquet = cfg!(feature = "bench-parquet");
    assert_eq!(status, if with_parquet { 0 } else { 2 }, "{err}");
    let needs = "--format parquet needs the feature bench-parquet, which is not part of this build; \
                 `cargo install --path crates/polyllm-cli --features full` adds it";
    assert_eq!(err.contains(needs), !with_parquet, "{err}");
    let file = Path::new(&old).join("requests.parquet");
    assert_eq!(file.is_file(), with_parquet, "only on demand");
    let (out, _, _) = bench(&[
        "report",
        "--json",
        experiments.0.path().to_str().unwrap(),
        "--output",
        &format!("{old}/all.html"),
    ]);
    let line: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(line["aggregated_metrics"]["error_rate"], 0.2);
}

#[test]
fn results_of_machines_are_merged() {
    let experiments = Experiments::new();
    let (one, two) = (
        experiments.experiment("w_1", 50, 0),
        experiments.experiment("w_2", 60, 5),
    );
    let joined = experiments.0.path().join("joined");
    let (out, err, status) = bench(&["merge", &one, &two, "--output", joined.to_str().unwrap()]);
    assert_eq!(status, 0, "{err}");
    assert!(
        out.contains("| D(100,10) concurrency 8 | 100 | 5.0 % |"),
        "{out}"
    );
    assert!(
        joined
            .join("D100_10_text-to-text_num_concurrency_8_time_5s.json")
            .is_file()
    );
}

#[test]
fn genai_bench_commands_write_plots_and_spreadsheets() {
    let experiments = Experiments::new();
    let old = experiments.experiment("old", 50, 0);
    experiments.experiment("new", 60, 0);
    let all = experiments.0.path().to_str().unwrap();
    let (out, err, status) = bench(&["plot", "--experiments-folder", all, "--group-key", "model"]);
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("plot_ttft_mean.svg"), "{out}");
    let (out, err, status) = bench(&["plot", "--experiments-folder", all, "--format", "png"]);
    match cfg!(feature = "bench-png") {
        // A machine without fonts cannot draw.
        true if status == 1 => assert!(err.contains("no font is installed"), "{err}"),
        true => assert!(out.contains("plot_ttft_mean.png"), "{out} {err}"),
        false => assert!(
            status == 2 && err.contains("needs the feature bench-png"),
            "{err}"
        ),
    }
    let (_, err, status) = bench(&["plot", "--experiments-folder", all, "--group-key", "x"]);
    assert_eq!(status, 2);
    assert!(err.contains("expected one of"), "{err}");
    let filter = ["--filter-criteria", r#"{"experiment_folder_name": "old"}"#];
    let check = ["plot", "--experiments-folder", all, "--validate-only"];
    let (_, err, status) = bench(&[&check[..], &filter].concat());
    assert_eq!(status, 0, "{err}");
    let none = ["--filter-criteria", r#"{"model": "none"}"#];
    let (_, err, status) = bench(&[&check[..], &none].concat());
    assert_eq!(status, 2, "{err}");

    let excel = ["excel", "--experiment-folder", &old, "--excel-name", "mine"];
    let (_, err, status) = bench(&[&excel[..], &["--metric-percentile", "p90"]].concat());
    let supported = cfg!(feature = "bench-xlsx");
    assert_eq!(status, if supported { 0 } else { 2 }, "{err}");
    assert_eq!(Path::new(&old).join("mine.xlsx").is_file(), supported);
    assert_eq!(err.contains("needs the feature bench-xlsx"), !supported);
    let outside = [
        "excel",
        "--experiment-folder",
        &old,
        "--excel-name",
        "../mine",
    ];
    let (_, err, status) = bench(&outside);
    assert_eq!(status, 2, "{err}");
    let (_, err, status) = bench(&[&excel[..], &["--metric-percentile", "p91"]].concat());
    assert_eq!(status, 2, "{err}");
}
