use std::fs;
use std::path::Path;

use tempfile::tempdir;

use super::*;
use crate::Load;
use crate::test_util::{experiment, refused, run};

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
    results
}

#[test]
fn a_folder_round_trips() {
    let dir = tempdir().unwrap();
    let results = written(dir.path());
    let all = Results::load_all(&[dir.path().to_owned()]).unwrap();
    assert_eq!(all.len(), 1);
    // JSON may change the last bit of a float, so not everything is equal.
    assert_eq!(all[0].experiment, results.experiment);
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
fn equal_runs_have_different_files() {
    let dir = tempdir().unwrap();
    let (experiment, _) = experiment();
    let folder = Folder::create(dir.path(), &experiment).unwrap();
    let run = run(Load::default(), 3);
    folder.add(&experiment, &run).unwrap();
    folder.add(&experiment, &run).unwrap();
    assert_eq!(Results::load(dir.path()).unwrap().runs.len(), 2);
}

#[test]
fn records_are_lines_with_their_wall_clock_time() {
    let dir = tempdir().unwrap();
    written(dir.path());
    let file = dir
        .path()
        .join("D100_20_text-to-text_num_concurrency_4_time_2s.jsonl");
    let text = fs::read_to_string(file).unwrap();
    assert_eq!(text.lines().count(), 40);
    let line: serde_json::Value = serde_json::from_str(text.lines().nth(4).unwrap()).unwrap();
    assert!(line["at_ms"].as_f64().unwrap() > 1_700_000_000_200.0);
    serde_json::from_value::<crate::RequestRecord>(line).unwrap();
}

#[test]
fn errors_name_the_file() {
    let dir = tempdir().unwrap();
    let error = Results::load(dir.path()).unwrap_err();
    assert_eq!(error.kind(), FolderErrorKind::NoExperiment);
    let error = Results::load_all(&[dir.path().to_owned()]).unwrap_err();
    assert_eq!(error.kind(), FolderErrorKind::NoExperiment);
    fs::write(
        dir.path().join("experiment_metadata.json"),
        "{\n  \"cmd\": ",
    )
    .unwrap();
    let error = Results::load(dir.path()).unwrap_err();
    assert_eq!(error.kind(), FolderErrorKind::Malformed);
    assert!(error.to_string().contains("experiment_metadata.json"));
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("line 2"), "{source}");
}

#[test]
fn a_file_is_written_only_inside_the_folder() {
    let dir = tempdir().unwrap();
    let (experiment, _) = experiment();
    let folder = Folder::create(dir.path().join("e"), &experiment).unwrap();
    let file = folder.write("report.md", b"text").unwrap();
    assert_eq!(fs::read(file).unwrap(), b"text");
    for name in ["", "..", "../x", "/tmp/x", "a/b", "a/"] {
        let error = folder.write(name, b"text").unwrap_err();
        assert_eq!(error.kind(), FolderErrorKind::Io, "{name}");
    }
    assert!(!dir.path().join("x").exists());
}
