//! Folders that somebody else made: nothing in them does harm.

use std::collections::BTreeSet;
use std::fs;

use llm_bench::stats::Statistic;
use llm_bench::summary::Metric;
use llm_bench::test_util::{experiment, refused, run};
use llm_bench::{Experiment, Folder, FolderErrorKind, Load, Outcome, Results};
use serde_json::{Value, json};

use super::tests::{Scratch, formats};
use super::*;
use crate::compare::{Comparison, Quantity};

/// An experiment of one small run, as its two files.
fn files() -> (Value, Value) {
    let (mut experiment, _) = experiment();
    experiment.loads.truncate(1);
    let mut run = run(Load::Concurrency { concurrency: 1 }, 3);
    run.records.push(refused(3, 0, 429));
    let results = Results::new(experiment, &[run]);
    let scratch = Scratch::new("hostile-files");
    let folder = Folder::create(&scratch.0, &results.experiment).unwrap();
    let stem = folder.add_summary(&results.experiment, &results.runs[0]);
    let read = |name: &str| {
        let text = fs::read(scratch.0.join(name)).unwrap();
        serde_json::from_slice(&text).unwrap()
    };
    (read(METADATA), read(&(stem.unwrap() + ".json")))
}

const METADATA: &str = "experiment_metadata.json";

const RUN: &str = "D100_20_text-to-text_num_concurrency_1_time_1s.json";

fn write_files(scratch: &Scratch, metadata: &Value, run: &Value) {
    fs::create_dir_all(&scratch.0).unwrap();
    fs::write(scratch.0.join(METADATA), metadata.to_string()).unwrap();
    fs::write(scratch.0.join(RUN), run.to_string()).unwrap();
}

/// Everything that is done with results.
fn use_all_of_it(results: &Results) {
    let pair = [results.clone(), results.clone()];
    html::page(&pair[..1]);
    markdown(results);
    csv::runs(results);
    csv::requests(results);
    let scratch = Scratch::new("hostile-again");
    let folder = Folder::create(&scratch.0, &results.experiment).unwrap();
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

/// The ways to all values; those in one list, or of one kind for each metric, as one.
fn ways(value: &Value, way: &str, all: &mut BTreeSet<String>) {
    all.insert(way.to_owned());
    match value {
        Value::Object(fields) if BY_METRIC.iter().any(|name| way.ends_with(name)) => fields
            .values()
            .for_each(|value| ways(value, &format!("{way}/*"), all)),
        Value::Object(fields) => {
            let fields = fields.iter();
            fields.for_each(|(name, value)| ways(value, &format!("{way}/{name}"), all));
        }
        Value::Array(items) => {
            items
                .iter()
                .for_each(|item| ways(item, &format!("{way}/*"), all));
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
fn no_value_in_a_folder_is_a_panic() {
    let scratch = Scratch::new("values");
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
        ways(original, "", &mut all);
        assert!(all.len() > 40, "{}", all.len());
        for way in all {
            for value in &hostile {
                let mut files = [metadata.clone(), run.clone()];
                set(&mut files[file], &way, value);
                write_files(&scratch, &files[0], &files[1]);
                match Results::load(&scratch.0) {
                    Ok(results) => {
                        use_all_of_it(&results);
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
    assert!(
        read > 200 && refused > 200,
        "{read} read, {refused} refused"
    );
}

#[test]
fn numbers_that_could_overflow_are_refused() {
    let scratch = Scratch::new("overflow");
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
        let most = match way.ends_with("concurrency") {
            true => u64::from(u32::MAX),
            false => u64::MAX,
        };
        set(&mut run, way, &json!(most));
        write_files(&scratch, &metadata, &run);
        let error = Results::load(&scratch.0).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("out of range"), "{way}: {source}");
    }
}

#[test]
fn what_is_unknown_takes_no_memory() {
    let scratch = Scratch::new("unknown");
    let (metadata, mut run) = files();
    // As histograms these would take gigabytes.
    let day = json!([[86_400_000_000_000_u64, 1]]);
    let histograms = &mut run["aggregated_metrics"]["extra"]["histograms"];
    for number in 0..20_000 {
        histograms[format!("metric_{number}")] = day.clone();
    }
    write_files(&scratch, &metadata, &run);
    let results = Results::load(&scratch.0).unwrap();
    let histograms = &results.runs[0].aggregated.extra.histograms;
    assert!(histograms.len() <= Metric::ALL.len());

    let mut many = metadata.clone();
    let loads = vec![json!({"kind": "concurrency", "concurrency": 1}); 1000];
    many["polyllm"]["loads"] = json!(loads);
    many["polyllm"]["scenarios"] = json!(vec!["D(1,1)"; 1000]);
    write_files(&scratch, &many, &run);
    assert!(Results::load(&scratch.0).is_err());
    let mut long = metadata;
    long["polyllm"]["name"] = json!("x".repeat(100_000));
    write_files(&scratch, &long, &run);
    assert!(Results::load(&scratch.0).is_err());
}

#[cfg(unix)]
#[test]
fn reports_are_not_written_through_links() {
    use std::os::unix::fs::symlink;

    let scratch = Scratch::new("links");
    let outside = Scratch::new("links-outside");
    fs::create_dir_all(&outside.0).unwrap();
    let (metadata, run) = files();
    write_files(&scratch, &metadata, &run);
    let victim = outside.0.join("victim");
    fs::write(&victim, "precious").unwrap();
    let reports = ["report.html", "report.md", "runs.csv", "requests.csv"];
    for name in reports {
        symlink(&victim, scratch.0.join(name)).unwrap();
    }
    symlink(outside.0.join("new"), scratch.0.join("plot_ttft_mean.svg")).unwrap();
    let results = Results::load(&scratch.0).unwrap();
    write_reports(&Folder::open(&scratch.0), &results, &formats()).unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert!(!outside.0.join("new").exists());
    for name in reports {
        let path = scratch.0.join(name);
        assert!(path.symlink_metadata().unwrap().is_file(), "{name}");
    }
    let left = fs::read_dir(&scratch.0).unwrap();
    let left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(left.filter(|name| name.starts_with('.')).count(), 0);

    // A run's file that is none: a pipe or a device would never end.
    fs::remove_file(scratch.0.join(RUN)).unwrap();
    symlink("/dev/zero", scratch.0.join(RUN)).unwrap();
    let error = Results::load(&scratch.0).unwrap_err();
    assert_eq!(error.kind(), FolderErrorKind::Malformed);
}

#[test]
fn names_stay_within_the_folder() {
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
    let scratch = Scratch::new("names-within");
    let (mut experiment, mut runs) = experiment();
    experiment.name = format!("../../{}", "x".repeat(300));
    runs[0].scenario = "../".repeat(200);
    let folder = Folder::create(&scratch.0, &experiment).unwrap();
    folder.add(&experiment, &runs[0]).unwrap();
    let results = Results::new(experiment, &runs[..1]);
    for file in write_reports(&folder, &results, &formats()).unwrap() {
        assert_eq!(
            file.parent(),
            Some(scratch.0.as_path()),
            "{}",
            file.display()
        );
    }
}

/// Results in which everything that can hold a text holds this one.
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
fn no_text_is_a_formula_in_a_spreadsheet() {
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
fn no_text_is_markup_or_an_escape_sequence() {
    let text = "a|b`c<script>alert(1)</script>[x](javascript:y)\u{1b}[2J\u{9b}\u{202e}\r\n# title";
    let results = with_text(text);
    let summary = markdown(&results);
    let columns = |line: &str| line.replace("\\|", "").matches('|').count();
    let rows = summary.lines().filter(|line| line.starts_with('|'));
    let widths: BTreeSet<_> = rows.map(columns).collect();
    assert_eq!(widths, BTreeSet::from([6, 12]), "{summary}");
    assert!(
        !summary.lines().skip(1).any(|line| line.starts_with("# ")),
        "{summary}"
    );
    // Within code nothing is markup.
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
    assert_eq!(page.matches("<script>").count(), 1, "only our own");
}
