//! Tests with hostile folders.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use llm_bench::stats::Statistic;
use llm_bench::summary::Metric;
use llm_bench::test_util::{experiment, refused, run};
use llm_bench::{Experiment, Folder, FolderErrorKind, Load, Outcome, Results};
use serde_json::{Value, json};
use tempfile::tempdir;

use super::tests::formats;
use super::*;
use crate::compare::{Comparison, Quantity};

/// The two files of an experiment with one small run.
fn files() -> (Value, Value) {
    let (mut experiment, _) = experiment();
    experiment.loads.truncate(1);
    let mut run = run(Load::Concurrency { concurrency: 1 }, 3);
    run.records.push(refused(3, 0, 429));
    let results = Results::new(experiment, &[run]);
    let dir = tempdir().unwrap();
    let folder = Folder::create(dir.path(), &results.experiment).unwrap();
    let stem = folder.add_summary(&results.experiment, &results.runs[0]);
    let read = |name: &str| {
        let text = fs::read(dir.path().join(name)).unwrap();
        serde_json::from_slice(&text).unwrap()
    };
    (read(METADATA), read(&(stem.unwrap() + ".json")))
}

const METADATA: &str = "experiment_metadata.json";

const RUN: &str = "D100_20_text-to-text_num_concurrency_1_time_1s.json";

fn write_files(dir: &Path, metadata: &Value, run: &Value) {
    fs::write(dir.join(METADATA), metadata.to_string()).unwrap();
    fs::write(dir.join(RUN), run.to_string()).unwrap();
}

/// Creates all reports and comparisons.
fn create_all_reports(results: &Results) {
    let pair = [results.clone(), results.clone()];
    html::page(&pair[..1]);
    markdown(results);
    csv::runs(results);
    csv::requests(results);
    let dir = tempdir().unwrap();
    let folder = Folder::create(dir.path(), &results.experiment).unwrap();
    for summary in &results.runs {
        folder.add_summary(&results.experiment, summary).unwrap();
    }
    for pair in Comparison::new(&pair[0], &pair[1]).pairs {
        let p99 = Statistic::Percentile(99.0);
        Quantity::Statistic(p99, Metric::Ttft).change(pair);
    }
    if let Ok(merged) = merge(&pair) {
        markdown(&merged);
    }
}

/// The paths to all values. The items of a list share a path, and so do the values of all metrics.
fn paths(value: &Value, way: &str, all: &mut BTreeSet<String>) {
    all.insert(way.to_owned());
    match value {
        Value::Object(fields) if BY_METRIC.iter().any(|name| way.ends_with(name)) => fields
            .values()
            .for_each(|value| paths(value, &format!("{way}/*"), all)),
        Value::Object(fields) => {
            let fields = fields.iter();
            fields.for_each(|(name, value)| paths(value, &format!("{way}/{name}"), all));
        }
        Value::Array(items) => {
            items
                .iter()
                .for_each(|item| paths(item, &format!("{way}/*"), all));
        }
        _ => {}
    }
}

const BY_METRIC: [&str; 3] = ["/stats", "/intervals", "/histograms"];

fn set(value: &mut Value, way: &str, to: &Value) {
    let Some((first, rest)) = way.strip_prefix('/').map(|way| {
        let end = way.find('/').unwrap_or(way.len());
        way.split_at(end)
    }) else {
        to.clone_into(value);
        return;
    };
    match value {
        Value::Array(items) if first == "*" => {
            items.iter_mut().for_each(|item| set(item, rest, to));
        }
        Value::Object(fields) if first == "*" => {
            fields.values_mut().for_each(|field| set(field, rest, to));
        }
        Value::Object(fields) => {
            if let Some(field) = fields.get_mut(first) {
                set(field, rest, to);
            }
        }
        _ => {}
    }
}

#[test]
fn no_value_in_a_folder_causes_a_panic() {
    let dir = tempdir().unwrap();
    let (metadata, run) = files();
    let hostile = [
        json!(u64::MAX),
        json!(u32::MAX),
        json!(1e308),
        json!(-1e308),
        json!("=\u{1b}[2J<script>|`\n"),
        Value::Null,
    ];
    let (mut read, mut refused) = (0, 0);
    for (file, original) in [(0, &metadata), (1, &run)] {
        let mut all = BTreeSet::new();
        paths(original, "", &mut all);
        assert!(all.len() > 40, "{}", all.len());
        for (number, way) in all.into_iter().enumerate() {
            // Every combination would take minutes: each member gets a third of the values in turn.
            for value in hostile.iter().skip(number % 3).step_by(3) {
                let mut files = [metadata.clone(), run.clone()];
                set(&mut files[file], &way, value);
                write_files(dir.path(), &files[0], &files[1]);
                match Results::load(dir.path()) {
                    Ok(results) => {
                        create_all_reports(&results);
                        read += 1;
                    }
                    Err(error) => {
                        assert_eq!(error.kind(), FolderErrorKind::Malformed, "{way}: {error}");
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(read > 70 && refused > 70, "{read} read, {refused} refused");
}

#[test]
fn numbers_that_could_overflow_are_errors() {
    let dir = tempdir().unwrap();
    let (metadata, run) = files();
    for way in [
        "/individual_request_metrics/*/id",
        "/individual_request_metrics/*/num_input_tokens",
        "/polyllm/run/started_at_ms",
        "/polyllm/run/active_ns/*",
        "/polyllm/run/load/concurrency",
        "/aggregated_metrics/num_requests",
        "/aggregated_metrics/extra/outcomes/ok",
    ] {
        let mut run = run.clone();
        let max = match way.ends_with("concurrency") {
            true => u64::from(u32::MAX),
            false => u64::MAX,
        };
        set(&mut run, way, &json!(max));
        write_files(dir.path(), &metadata, &run);
        let error = Results::load(dir.path()).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("out of range"), "{way}: {source}");
    }
}

#[test]
fn unknown_members_take_no_memory() {
    let dir = tempdir().unwrap();
    let (metadata, mut run) = files();
    // As histograms, these would take gigabytes.
    let day = json!([[86_400_000_000_000_u64, 1]]);
    let histograms = &mut run["aggregated_metrics"]["extra"]["histograms"];
    for number in 0..20_000 {
        histograms[format!("metric_{number}")] = day.clone();
    }
    write_files(dir.path(), &metadata, &run);
    let results = Results::load(dir.path()).unwrap();
    let histograms = &results.runs[0].aggregated.extra.histograms;
    assert!(histograms.len() <= Metric::ALL.len());

    let mut many = metadata.clone();
    let loads = vec![json!({"kind": "concurrency", "concurrency": 1}); 1000];
    many["polyllm"]["loads"] = json!(loads);
    many["polyllm"]["scenarios"] = json!(vec!["D(1,1)"; 1000]);
    write_files(dir.path(), &many, &run);
    assert!(Results::load(dir.path()).is_err());
    let mut long = metadata;
    long["polyllm"]["name"] = json!("x".repeat(100_000));
    write_files(dir.path(), &long, &run);
    assert!(Results::load(dir.path()).is_err());
}

#[cfg(unix)]
#[test]
fn reports_are_not_written_through_links() {
    use std::os::unix::fs::symlink;

    let dir = tempdir().unwrap();
    let outside = tempdir().unwrap();
    let (metadata, run) = files();
    write_files(dir.path(), &metadata, &run);
    let victim = outside.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    let reports = ["report.html", "report.md", "runs.csv", "requests.csv"];
    for name in reports {
        symlink(&victim, dir.path().join(name)).unwrap();
    }
    symlink(
        outside.path().join("new"),
        dir.path().join("plot_ttft_mean.svg"),
    )
    .unwrap();
    let results = Results::load(dir.path()).unwrap();
    write_reports(&Folder::open(dir.path()), &results, &formats()).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert!(!outside.path().join("new").exists());
    for name in reports {
        let path = dir.path().join(name);
        assert!(path.symlink_metadata().unwrap().is_file(), "{name}");
    }
    let left = fs::read_dir(dir.path()).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| name.starts_with('.')).count(), 0);

    // A run's file that is not a file: reading a pipe or a device would never end.
    fs::remove_file(dir.path().join(RUN)).unwrap();
    symlink("/dev/zero", dir.path().join(RUN)).unwrap();
    let error = Results::load(dir.path()).unwrap_err();
    assert_eq!(error.kind(), FolderErrorKind::Malformed);
}

#[test]
fn file_names_cannot_leave_the_folder() {
    for name in [
        "../../x",
        "/etc/passwd",
        "..",
        "a/b\\c\u{1b}",
        &"é".repeat(500),
    ] {
        let mut experiment = Experiment::default();
        name.clone_into(&mut experiment.name);
        let name = experiment.file_name();
        assert!(
            !name.contains(['/', '\\', '\u{1b}']) && name.len() <= 150,
            "{name}"
        );
    }
    let dir = tempdir().unwrap();
    let (mut experiment, mut runs) = experiment();
    experiment.name = format!("../../{}", "x".repeat(300));
    runs[0].scenario = "../".repeat(200);
    let folder = Folder::create(dir.path(), &experiment).unwrap();
    folder.add(&experiment, &runs[0]).unwrap();
    let results = Results::new(experiment, &runs[..1]);
    for file in write_reports(&folder, &results, &formats()).unwrap() {
        assert_eq!(file.parent(), Some(dir.path()), "{}", file.display());
    }
}

/// Results with this text in every place of a text.
fn with_text(text: &str) -> Results {
    let (mut experiment, mut runs) = experiment();
    for field in [
        &mut experiment.name,
        &mut experiment.model,
        &mut experiment.model_label,
        &mut experiment.backend,
        &mut experiment.api_base,
        &mut experiment.version,
    ] {
        text.clone_into(field);
    }
    experiment.server.engine = Some(text.to_owned());
    experiment.dataset = Some(text.to_owned());
    experiment.scenarios = vec![text.to_owned()];
    for run in &mut runs {
        text.clone_into(&mut run.scenario);
        let mut failed = refused(99, 0, 500);
        if let Outcome::Failed(failure) = &mut failed.outcome {
            text.clone_into(&mut failure.message);
        }
        run.records.push(failed);
        run.records[0].outcome = Outcome::Ok {
            finish_reason: Some(text.to_owned()),
        };
    }
    let mut results = Results::new(experiment, &runs);
    results.runs[0].aggregated.extra.cautions = vec![text.to_owned()];
    results
}

#[test]
fn no_text_becomes_a_formula() {
    for text in [
        "=HYPERLINK(\"http://evil\")",
        "+1+1",
        "-2+3",
        "@SUM(A1)",
        "\t=1+1",
        "\r=1+1",
        " =1+1",
        "＝1+1",
    ] {
        let results = with_text(text);
        for table in [csv::runs(&results), csv::requests(&results)] {
            let mut reader = csv_reader(&table);
            for record in reader.records() {
                for cell in &record.unwrap() {
                    let formula = cell.trim_start().starts_with(['=', '+', '@', '＝']);
                    assert!(!formula && !cell.starts_with("-2"), "{text:?}: {cell:?}");
                }
            }
        }
    }
    let plain = with_text("=1+1");
    let table = String::from_utf8(csv::requests(&plain)).unwrap();
    assert!(table.contains("'=1+1"), "{table}");
}

fn csv_reader(table: &[u8]) -> ::csv::Reader<&[u8]> {
    ::csv::Reader::from_reader(table)
}

#[test]
fn no_text_becomes_markup_or_an_escape_sequence() {
    let text = "a|b`c<script>alert(1)</script>[x](javascript:y)\u{1b}[2J\u{9b}\u{202e}\r\n# title";
    let results = with_text(text);
    let summary = markdown(&results);
    let columns = |line: &str| line.replace("\\|", "").matches('|').count();
    let rows = summary.lines().filter(|line| line.starts_with('|'));
    let widths: BTreeSet<_> = rows.map(columns).collect();
    assert_eq!(widths, BTreeSet::from([6, 14]), "{summary}");
    assert!(
        !summary.lines().skip(1).any(|line| line.starts_with("# ")),
        "{summary}"
    );
    // Inside code, nothing is markup.
    let code = markdown::code(text);
    assert_eq!(code.matches('`').count(), 2, "{code}");
    let outside = summary.replace(&code, "");
    for markup in ["<script>", "[x](", "`c"] {
        let mut found = outside.match_indices(markup);
        let plain = found.find(|(at, _)| !outside[..*at].ends_with('\\'));
        assert_eq!(plain, None, "{summary}");
    }
    let table = String::from_utf8(csv::requests(&results)).unwrap();
    let page = html::page(std::slice::from_ref(&results));
    for shown in [&summary, &table, &page, &results.runs[0].label()] {
        let obeyed = shown.chars().find(|c| {
            c.is_control() && !"\n\t".contains(*c) || ('\u{202a}'..='\u{202e}').contains(c)
        });
        assert_eq!(obeyed, None);
    }
    assert_eq!(
        page.matches("<script>").count(),
        1,
        "only the report's own script"
    );
}
