use llm_bench::JobPart;
use llm_bench::stats::Statistic;
use llm_bench::test_util::{experiment, refused};

use super::*;

/// The results of two machines; the second started a quarter of a second later.
fn machines() -> [Results; 2] {
    ["one", "two"].map(|worker| {
        let (mut experiment, mut runs) = experiment();
        experiment.name = format!("load_{worker}");
        experiment.machine.worker = Some(worker.to_owned());
        if worker == "two" {
            for run in &mut runs {
                run.started_at_ms += 250;
            }
            runs[0].records.push(refused(40, 1_000_000, 429));
        }
        Results::new(experiment, &runs)
    })
}

#[test]
fn requests_histograms_and_loads_add_up() {
    let parts = machines();
    let joined = merge(&parts).unwrap();
    assert_eq!(joined.experiment.name, "load_merged");
    assert_eq!(
        joined.experiment.machine.worker.as_deref(),
        Some("one, two")
    );
    let loads: Vec<String> = joined
        .runs
        .iter()
        .map(|run| run.run.load.to_string())
        .collect();
    assert_eq!(loads, ["concurrency 2", "concurrency 8", "concurrency 32"]);
    let (run, part) = (&joined.runs[0], &parts[0].runs[0]);
    let numbers = &run.aggregated;
    assert_eq!(numbers.num_requests, 81);
    assert_eq!(numbers.num_error_requests, 1);
    assert_eq!(numbers.num_concurrency, 2);
    assert!((numbers.run_duration - part.aggregated.run_duration - 0.25).abs() < 1e-6);
    let tokens = |run: &RunSummary| run.aggregated.extra.histograms[&Metric::Itl].count();
    assert_eq!(tokens(run), 2 * tokens(part));
    assert_eq!(
        numbers.get(Statistic::Percentile(99.9), Metric::Itl),
        part.aggregated
            .get(Statistic::Percentile(99.9), Metric::Itl)
    );
    let ids: HashSet<u64> = run.rows.iter().map(|row| row.id).collect();
    assert_eq!(ids.len(), 81);
    assert!(numbers.extra.cautions.is_empty());
}

#[test]
fn rates_of_ramps_add_up() {
    let rate = |ramp: &str| -> Load {
        let ramp = format!(r#"{{"kind":"rate","per_second":20,"arrivals":"constant"{ramp}}}"#);
        serde_json::from_str(&ramp).unwrap()
    };
    let one = rate(r#","ramp":{"from":2,"seconds":1}"#);
    let label = |loads: &[&Load]| merged_load(loads).map(|load| load.to_string());
    let both = label(&[&one, &one]);
    assert_eq!(both.as_deref(), Some("4..40/s in 1s constant"));
    assert_eq!(label(&[&one, &rate("")]), None);
}

#[test]
fn jobs_of_different_machines_are_different_jobs() {
    let parts = machines().map(|mut results| {
        for run in &mut results.runs {
            for row in &mut run.rows {
                row.job = (row.id < 40).then(|| JobPart::new(row.id / 4, 4));
            }
        }
        results
    });
    let joined = merge(&parts).unwrap();
    let jobs = joined.runs[0].aggregated.extra.jobs.clone().unwrap();
    assert_eq!((jobs.completed, jobs.incomplete), (20, 0));
}

#[test]
fn measurements_at_different_times_cause_a_warning() {
    let [one, mut two] = machines();
    for run in &mut two.runs {
        run.run.started_at_ms += 3_600_000;
    }
    let joined = merge(&[one, two]).unwrap();
    let cautions = &joined.runs[0].aggregated.extra.cautions;
    assert!(
        cautions[0].contains("not measure at the same time"),
        "{cautions:?}"
    );
    assert!(joined.runs[0].aggregated.run_duration < 60.0);
}

#[test]
fn different_experiments_are_not_merged() {
    assert_eq!(merge(&[]).unwrap_err(), MergeError::Nothing);
    let [one, _] = machines();
    let twice = merge(&[one.clone(), one]).unwrap_err();
    assert_eq!(twice, MergeError::Repeated("load_one".to_owned()));
    let [one, mut two] = machines();
    two.experiment.model = "other".to_owned();
    let error = merge(&[one.clone(), two]).unwrap_err().to_string();
    assert!(error.ends_with("model: meta/llama, and other"), "{error}");
    let [_, mut two] = machines();
    two.runs.pop();
    assert!(merge(&[one.clone(), two]).is_err());
    let [_, mut two] = machines();
    two.runs[1].run.scenario = "D(1,1)".to_owned();
    assert!(merge(&[one.clone(), two]).is_err());
    assert_eq!(merge(std::slice::from_ref(&one)).unwrap().runs.len(), 3);
}
