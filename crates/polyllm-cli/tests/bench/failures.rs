//! Failures and usage errors.

use std::fs;

use llm_sim::{FaultRule, Faults, Timing};

use crate::support::{Bench, KEY, MODEL, number, runs};

#[test]
fn no_file_and_no_output_contains_the_key() {
    let bench = Bench::new(Timing::default());
    let (out, errors, _) = bench.run(&format!(
        "--api-base $BASE --api-key {KEY} {MODEL} --traffic-scenario 'D(5,5)' --num-concurrency 1 \
         --max-requests-per-run 3 --experiment-folder-name e --additional-request-params '{{\"user\":\"me\"}}'"
    ));
    assert!(!format!("{out}{errors}").contains(KEY));
    let mut files = 0;
    for entry in fs::read_dir(bench.folder.path().join("e")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        let hidden = !String::from_utf8_lossy(&bytes).contains(KEY);
        assert!(hidden);
        files += 1;
    }
    assert!(files > 5, "{files}");
    let metadata =
        fs::read_to_string(bench.folder.path().join("e/experiment_metadata.json")).unwrap();
    assert!(metadata.contains("--api-key ***"), "{metadata}");
}

#[test]
fn rate_limited_requests_are_reported() {
    let bench = Bench::new(Timing::default());
    let fault: Faults = "status=429".parse().unwrap();
    bench
        .sim()
        .together()
        .inject(FaultRule::from(fault).times(23));
    let runs = bench.measure(
        "e",
        &format!(
            "{MODEL} --traffic-scenario 'D(5,5)' --num-concurrency 4 --max-requests-per-run 87"
        ),
    );
    assert_eq!(number(&runs[0], "num_error_requests"), 23.0);
    assert_eq!(number(&runs[0], "num_completed_requests"), 64.0);
    assert!((number(&runs[0], "error_rate") - 23.0 / 87.0).abs() < 1e-9);
    let report = fs::read_to_string(bench.folder.path().join("e/report.md")).unwrap();
    assert!(report.contains("26.4"), "{report}");
}

#[test]
fn failures_are_explained_and_reported() {
    let bench = Bench::new(Timing::default());
    let common = "--traffic-scenario 'D(5,5)' --num-concurrency 1,2 --experiment-folder-name";
    for (arguments, said) in [
        (
            format!("--api-base http://127.0.0.1:9 {MODEL} {common} a"),
            "cannot connect",
        ),
        (
            format!("--api-base $BASE --api-key invalid-key {MODEL} {common} b"),
            "key was rejected",
        ),
        (
            format!("--api-base $BASE --api-model-name no-such/model {common} c"),
            "unknown",
        ),
    ] {
        let (_, errors, code) = bench.run(&arguments);
        assert_eq!(code, 1, "{errors}");
        assert!(errors.contains(said), "{said}: {errors}");
        assert!(errors.contains("--keep-going runs them"), "{errors}");
    }
    for folder in ["a", "b", "c"] {
        assert!(
            bench
                .folder
                .path()
                .join(folder)
                .join("report.html")
                .exists()
        );
        assert_eq!(
            runs(&bench.folder.path().join(folder)).len(),
            1,
            "the run in which nothing can succeed ends the sweep"
        );
    }
    let (_, errors, _) = bench.run(&format!(
        "--api-base $BASE --api-key invalid-key {MODEL} --keep-going {common} d"
    ));
    assert!(!errors.contains("--keep-going"), "{errors}");
    assert_eq!(runs(&bench.folder.path().join("d")).len(), 2);
}

#[test]
fn an_invalid_dataset_is_an_error_with_file_and_line() {
    let bench = Bench::new(Timing::default());
    for (name, text, said) in [
        ("empty.txt", "\n\n", "expected at least one"),
        (
            "broken.json",
            "[\"a\",\n \"b\"\n \"c\"]",
            "broken.json:3: expected a list",
        ),
        (
            "kind.json",
            "[\"a\",\n 7]",
            "kind.json:2: expected a string or an object",
        ),
        (
            "line.jsonl",
            "{\"prompt\":\"a\"}\n{\"prompt\":\n",
            "line.jsonl:2: expected a JSON",
        ),
        (
            "column.csv",
            "a,b\n1,2\n",
            "column.csv:2: expected one of prompt",
        ),
        (
            "ragged.csv",
            "prompt,b\n1,2\n3\n",
            "ragged.csv:3: invalid CSV",
        ),
        ("file.xls", "x", "expected a file that ends with"),
        ("latin.txt", "ok\n\u{e9}", ""),
    ] {
        let path = bench.write(name, text);
        if said.is_empty() {
            fs::write(&path, b"ok\n\xe9").unwrap();
        }
        let (_, errors, code) =
            bench.run(&format!("--api-base $BASE {MODEL} --dataset-path {path}"));
        assert_eq!(code, 2, "{name}: {errors}");
        let said = if said.is_empty() {
            "latin.txt:2: invalid UTF-8"
        } else {
            said
        };
        assert!(errors.contains(said), "{said}: {errors}");
    }
    for (scenario, said) in [
        ("D(0,5)", "at least 1"),
        ("X(1)", "at the start"),
        ("E(5)", "does not fit text-to-text"),
        ("dataset", "needs --dataset-path"),
        ("D(99999999999,5)", "at most 10,000,000"),
        ("I(99999,99999)", "1 to 8192 pixels"),
    ] {
        let (_, errors, code) = bench.run(&format!(
            "--api-base $BASE {MODEL} --traffic-scenario '{scenario}'"
        ));
        assert_eq!(code, 2, "{errors}");
        assert!(errors.contains(said), "{said}: {errors}");
    }
}

#[test]
fn numbers_out_of_range_are_usage_errors_and_nothing_is_sent() {
    let bench = Bench::new(Timing::default());
    for (options, said) in [
        ("--request-rate 1e300", "requests per second"),
        ("--request-rate nan", "requests per second"),
        ("--request-rate 5 --arrivals gamma:1e-300", "a shape"),
        ("--drain-timeout 500000000000years", "--drain-timeout"),
        (
            "--max-requests-per-run 18446744073709551615",
            "--max-requests-per-run",
        ),
        ("--num-workers 4294967295", "--num-workers"),
        ("--timeout 0s", "--timeout"),
        ("--traffic-scenario 'D(99999999999,5)'", "10,000,000"),
        ("--price nan,1", "--price"),
        (
            "--traffic-scenario 'D(10,5)' --prefix-len 18446744073709551615",
            "--prefix-len",
        ),
        (
            "--traffic-scenario 'D(10,5)' --prefix-ratio nan",
            "--prefix-ratio",
        ),
        (
            "--task text-to-embeddings --batch-size 100000 --traffic-scenario 'E(1000)'",
            "10000000",
        ),
        (
            "--api-backend replicate --api-key r8_x --api-model-name '../account?x=/y'",
            "owner/name",
        ),
    ] {
        let model = if options.contains("--api-model-name") {
            ""
        } else {
            MODEL
        };
        let (_, errors, code) = bench.run(&format!("--api-base $BASE {model} {options}"));
        assert_eq!(code, 2, "{options}: {errors}");
        assert!(errors.contains(said), "{options}: {errors}");
    }
    assert_eq!(bench.sim().together().request_count(), 0);
}

#[test]
fn every_misuse_is_exit_status_2() {
    let bench = Bench::new(Timing::default());
    bench.write(
        "cut.jsonl",
        "{\"timestamp\": 0, \"input_length\": 5}\n{\"timestamp\":\n",
    );
    bench.write("times.jsonl", "{\"timestamp\": 0}\n");
    bench.write("turns.jsonl", "{\"session_id\": \"a\", \"turns\": []}\n");
    bench.write("rows.csv", "prompt,other\na,b\n");
    bench.write("cut.json", "{\"source\": {");
    for (options, said) in [
        ("--traffic-scenario 'D(99999999999,5)'", "10,000,000"),
        (
            "--traffic-scenario 'D(10,5)' --prefix-len 11",
            "as few as 10 tokens",
        ),
        (
            "--warmup-ratio 0.5 --cooldown-ratio 0.5",
            "below 1 in total",
        ),
        ("--api-base ftp://h", "expected http"),
        ("--dataset-path none.txt", "none.txt: cannot be read"),
        ("--dataset-config none.json", "none.json: cannot be read"),
        ("--trace none.jsonl", "none.jsonl: cannot be read"),
        ("--trace cut.jsonl", "cut.jsonl:2: expected"),
        ("--trace times.jsonl", "times.jsonl:1: expected"),
        ("--trace turns.jsonl", "turns.jsonl:1: turns"),
        (
            "--dataset-path rows.csv --dataset-prompt-column no",
            "column \"no\" not found",
        ),
        ("--dataset-config cut.json", "cut.json:1: invalid dataset"),
        (
            "--against $BASE --against-backend replicate",
            "--against-backend",
        ),
    ] {
        let (_, errors, code) = bench.run(&format!("--api-base $BASE {MODEL} {options}"));
        assert_eq!(code, 2, "{options}: {errors}");
        assert!(errors.contains(said), "{options}: {errors}");
    }
    assert_eq!(bench.sim().together().request_count(), 0);
}
