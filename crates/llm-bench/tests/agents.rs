//! Jobs of agents against the simulation.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::time::Duration;

use http::HeaderValue;
use llm_bench::summary::{Metric, RunSummary};
use llm_bench::{
    Access, Backend, Experiment, ReplayLoad, RequestRecord, Run, RunEnd, RunLimits, RunSettings,
    Runner, ServerTarget, Side, Task, Trace, Workload,
};
use llm_sim::{Faults, Sim, SimOptions, Timing};
use serde_json::{Value, json};
use tokio::sync::watch;

const MODEL: &str = "meta-llama/Llama-2-7b-chat-hf";

async fn sim() -> Sim {
    let timing = Timing::default().with_first_token(Duration::from_millis(20));
    Sim::start(SimOptions::default().with_timing(timing))
        .await
        .unwrap()
}

fn target(sim: &Sim) -> ServerTarget {
    let key = HeaderValue::from_static("Bearer key");
    ServerTarget::new(Backend::Together, sim.together_url(), Some(key)).unwrap()
}

fn trace(lines: &[Value]) -> Trace {
    let file = tempfile::NamedTempFile::new().unwrap();
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    fs::write(file.path(), lines.join("\n")).unwrap();
    Trace::read(file.path(), &Access::all()).unwrap()
}

async fn replay(settings: RunSettings, trace: &Trace, load: ReplayLoad) -> Run {
    let workload = Workload::new(Task::TextToText, Backend::Together, MODEL).unwrap();
    let mut limits = RunLimits::default();
    limits.max_requests = 1000;
    limits.max_seconds = 20.0;
    let spec = workload.replay(trace, 1.0, load, limits).unwrap();
    let (_interrupt, interrupts) = watch::channel(0);
    let runner = Runner::new(settings, interrupts);
    runner.run(spec, &mut ()).await.unwrap()
}

/// A planner whose first turn starts two helpers; its second turn waits for both.
fn job(id: &str) -> Vec<Value> {
    let helper = |name: &str| format!("{id}/{name}");
    vec![
        json!({"session_id": id, "turns": [
            {"messages": [{"role": "system", "content": "You plan."},
                          {"role": "user", "content": "plan"}],
             "output_length": 4, "spawns": [helper("a"), helper("b")]},
            {"text": "the results", "output_length": 5, "delay": 60},
        ]}),
        json!({"session_id": helper("a"), "turns": [
            {"input_length": 30, "output_length": 3},
            {"input_length": 10, "output_length": 3, "delay": 80},
        ]}),
        json!({"session_id": helper("b"), "turns": [{"input_length": 20, "output_length": 2}]}),
    ]
}

fn place(record: &RequestRecord) -> (u64, u32) {
    let turn = record.turn.unwrap();
    (turn.conversation, turn.turn)
}

#[tokio::test]
async fn turns_wait_for_tools_and_helpers() {
    let sim = sim().await;
    let settings = RunSettings::new(target(&sim), MODEL);
    let run = replay(settings, &trace(&job("j")), ReplayLoad::Concurrency(1)).await;
    assert_eq!((run.end, run.records.len()), (RunEnd::Requests, 5));
    let at = |conversation, turn| {
        let mut records = run.records.iter();
        records
            .find(|record| place(record) == (conversation, turn))
            .unwrap()
    };
    let (plan, last) = (at(0, 0), at(0, 1));
    let (first, second, other) = (at(1, 0), at(1, 1), at(2, 0));
    let after = |record: &RequestRecord, earlier: &RequestRecord, ms: u64| {
        assert!(record.dispatched_ns >= earlier.end_ns + ms * 1_000_000);
    };
    after(first, plan, 0);
    after(other, plan, 0);
    assert!(
        other.dispatched_ns < first.end_ns,
        "helpers run in parallel"
    );
    after(second, first, 80);
    after(last, second, 60);
    after(last, other, 60);

    // The conversation has the model's own response, and helpers have none of it.
    let bodies: Vec<Value> = sim
        .together()
        .requests()
        .iter()
        .map(|seen| seen.json())
        .collect();
    let roles = |body: &Value| -> Vec<String> {
        let messages = body["messages"].as_array().unwrap().iter();
        messages
            .map(|message| message["role"].as_str().unwrap().to_owned())
            .collect()
    };
    let long = bodies.iter().find(|body| body["max_tokens"] == 5).unwrap();
    assert_eq!(roles(long), ["system", "user", "assistant", "user"]);
    assert_ne!(long["messages"][2]["content"], "");
    let alone = bodies.iter().find(|body| body["max_tokens"] == 2).unwrap();
    assert_eq!(roles(alone), ["user"]);

    let summary = RunSummary::new(&Experiment::default(), &run);
    let jobs = summary.aggregated.extra.jobs.clone().unwrap();
    assert_eq!((jobs.completed, jobs.incomplete), (1, 0));
    let mean = |metric| summary.aggregated.stats[&metric].mean.unwrap();
    let time = (last.end_ns - plan.dispatched_ns) as f64 / 1e9;
    assert!((mean(Metric::JobTime) - time).abs() < 1e-9);
    assert_eq!(mean(Metric::JobRequests), 5.0);
    assert_eq!(mean(Metric::JobOutputTokens), 4.0 + 5.0 + 3.0 + 3.0 + 2.0);
    sim.shutdown().await;
}

#[tokio::test]
async fn two_targets_get_whole_jobs() {
    let sim = sim().await;
    let mut settings = RunSettings::new(target(&sim), MODEL);
    settings.against = Some(target(&sim));
    let jobs: Vec<Value> = (0..4)
        .flat_map(|number| job(&format!("j{number}")))
        .collect();
    let run = replay(settings, &trace(&jobs), ReplayLoad::Concurrency(2)).await;
    assert_eq!(run.records.len(), 40);
    for number in 0..4 {
        let span = |side: Side| {
            let records = run.records.iter().filter(|record| {
                record.side == side && record.job.is_some_and(|part| part.job == number)
            });
            let spans = records.map(|record| (record.dispatched_ns, record.end_ns));
            spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap()
        };
        let (subject, against) = (span(Side::Subject), span(Side::Against));
        let apart = subject.1 <= against.0 || against.1 <= subject.0;
        assert!(apart, "job {number} runs on one target after the other");
    }
    let summary = RunSummary::new(&Experiment::default(), &run);
    let paired = summary.paired.iter();
    let jobs: Vec<u64> = paired
        .filter(|paired| paired.metric == Metric::JobTime)
        .map(|paired| paired.pairs)
        .collect();
    assert_eq!(jobs, [4]);
    sim.shutdown().await;
}

#[tokio::test]
async fn recorded_times_are_kept() {
    let sim = sim().await;
    let settings = RunSettings::new(target(&sim), MODEL);
    let row = |session: &str, at: u64| json!({"session_id": session, "timestamp": at, "input_length": 20, "output_length": 3});
    // The second turn of `a` has its own time, long after the first response.
    let lines = [row("a", 1000), row("b", 1150), row("a", 1300)];
    let load = ReplayLoad::Recorded {
        max_concurrency: None,
    };
    let run = replay(settings, &trace(&lines), load).await;
    let find = |conversation, turn| {
        let mut records = run.records.iter();
        let found = records.find(|record| place(record) == (conversation, turn));
        found.unwrap()
    };
    let origin = find(0, 0).scheduled_ns.unwrap();
    assert!(find(1, 0).dispatched_ns >= origin + 150_000_000);
    assert!(find(0, 1).dispatched_ns >= origin + 300_000_000);
    sim.shutdown().await;
}

#[tokio::test]
async fn a_failure_ends_its_job_and_no_other() {
    let sim = sim().await;
    let fault: Faults = "status=500".parse().unwrap();
    sim.together()
        .inject(llm_sim::FaultRule::from(fault).times(1));
    let settings = RunSettings::new(target(&sim), MODEL);
    let jobs: Vec<Value> = (0..3)
        .flat_map(|number| job(&format!("j{number}")))
        .collect();
    let run = replay(settings, &trace(&jobs), ReplayLoad::Concurrency(1)).await;
    assert_eq!(run.records.len(), 1 + 5 + 5);
    let summary = RunSummary::new(&Experiment::default(), &run);
    let jobs = summary.aggregated.extra.jobs.unwrap();
    assert_eq!((jobs.completed, jobs.incomplete), (2, 1));
    sim.shutdown().await;
}

#[tokio::test]
async fn rejected_requests_are_repeated_if_configured() {
    let sim = sim().await;
    let fault: Faults = "status=429".parse().unwrap();
    sim.together()
        .inject(llm_sim::FaultRule::from(fault).times(2));
    let mut settings = RunSettings::new(target(&sim), MODEL);
    settings.rate_limit_retries = 2;
    let lines = [json!({"session_id": "a", "turns": [{"text": "x", "output_length": 3}]})];
    let run = replay(settings, &trace(&lines), ReplayLoad::Concurrency(1)).await;
    let [record] = &run.records[..] else {
        panic!("{:?}", run.records)
    };
    assert!(record.is_ok(), "{record:?}");
    let backoff = record.backoff.unwrap();
    assert_eq!(backoff.attempts, 2);
    assert!(
        backoff.delay_ns >= 500_000_000 + 1_000_000_000,
        "{backoff:?}"
    );
    assert!(record.sent_ns.unwrap() >= record.dispatched_ns + backoff.delay_ns);
    sim.shutdown().await;
}

#[tokio::test]
async fn a_run_ends_at_its_limit_of_errors() {
    let sim = sim().await;
    let fault: Faults = "status=500".parse().unwrap();
    sim.together().inject(fault);
    let workload = Workload::new(Task::TextToText, Backend::Together, MODEL).unwrap();
    let mut limits = RunLimits::default();
    limits.max_requests = 1000;
    limits.max_seconds = 20.0;
    limits.max_errors = Some(5);
    let load = llm_bench::LoadSpec::Concurrency(1);
    let spec = workload
        .run(0, "D(5,3)".parse().unwrap(), load, 1, limits)
        .unwrap();
    let (_interrupt, interrupts) = watch::channel(0);
    let runner = Runner::new(RunSettings::new(target(&sim), MODEL), interrupts);
    let run = runner.run(spec, &mut ()).await.unwrap();
    assert_eq!(run.end, RunEnd::Errors);
    assert!(
        (5..=7).contains(&run.records.len()),
        "{}",
        run.records.len()
    );
    sim.shutdown().await;
}

#[tokio::test]
async fn several_targets_and_models_share_the_load_and_keep_jobs_together() {
    let (first, second) = (sim().await, sim().await);
    let mut settings = RunSettings::new(target(&first), MODEL);
    settings.weight = 3.0;
    settings.others = vec![(target(&second), 1.0)];
    let models = vec![
        (MODEL.to_owned(), 1.0),
        ("openai/gpt-oss-20b".to_owned(), 1.0),
    ];
    let workload = Workload::new(Task::TextToText, Backend::Together, MODEL)
        .unwrap()
        .with_models(models)
        .unwrap();
    let jobs: Vec<Value> = (0..16)
        .flat_map(|number| job(&format!("j{number}")))
        .collect();
    let mut limits = RunLimits::default();
    limits.max_requests = 1000;
    limits.max_seconds = 20.0;
    let load = ReplayLoad::Concurrency(8);
    let spec = workload.replay(&trace(&jobs), 10.0, load, limits).unwrap();
    let (_interrupt, interrupts) = watch::channel(0);
    let run = Runner::new(settings, interrupts)
        .run(spec, &mut ())
        .await
        .unwrap();
    assert_eq!(run.records.len(), 16 * 5);
    assert!(run.records.iter().all(RequestRecord::is_ok));
    let second_count = second.together().request_count();
    assert!(
        [3 * 5, 4 * 5, 5 * 5].contains(&second_count),
        "{second_count}"
    );
    assert_eq!(first.together().request_count() + second_count, 16 * 5);
    for number in 0..16 {
        let part = run
            .records
            .iter()
            .filter(|record| record.job.is_some_and(|part| part.job == number));
        let places: Vec<(u32, u32)> = part.map(|record| (record.target, record.model)).collect();
        assert!(places.iter().all(|place| *place == places[0]), "{places:?}");
    }
    let of_second = run.records.iter().filter(|record| record.model == 1);
    let of_second = of_second.count();
    assert!([7 * 5, 8 * 5, 9 * 5].contains(&of_second), "{of_second}");
    first.shutdown().await;
    second.shutdown().await;
}

#[tokio::test]
async fn a_turn_or_request_with_a_model_is_sent_to_it() {
    let sim = sim().await;
    let other = "meta-llama/Llama-3.3-70B-Instruct-Turbo";
    let turns = json!([
        {"text": "first", "output_length": 2},
        {"text": "second", "output_length": 2, "model": other},
        {"text": "third", "output_length": 2, "model": MODEL},
    ]);
    let rows = [
        json!({"timestamp": 0, "prompt": "first", "output_length": 2}),
        json!({"timestamp": 1, "prompt": "second", "output_length": 2, "model": other}),
        json!({"timestamp": 2, "prompt": "third", "output_length": 2, "model": MODEL}),
    ];
    for lines in [&[json!({"session_id": "j", "turns": turns})][..], &rows] {
        sim.together().forget_requests();
        let trace = trace(lines);
        assert_eq!(trace.models(), [other, MODEL]);
        let settings = RunSettings::new(target(&sim), MODEL);
        let run = replay(settings, &trace, ReplayLoad::Concurrency(1)).await;
        assert!(run.records.iter().all(RequestRecord::is_ok));
        let places: Vec<u32> = run.records.iter().map(|record| record.model).collect();
        assert_eq!(places, [0, 1, 0]);
        let sent = sim.together().requests();
        let sent: Vec<Value> = sent
            .iter()
            .map(|seen| seen.json()["model"].clone())
            .collect();
        assert_eq!(sent, [MODEL, other, MODEL]);
    }
}

#[test]
fn a_trace_with_models_is_refused_for_replicate() {
    let trace = trace(&[json!({"timestamp": 0, "prompt": "x", "model": "a/b"})]);
    let workload = Workload::new(Task::TextToText, Backend::Replicate, "a/c").unwrap();
    let load = ReplayLoad::Concurrency(1);
    let error = workload.replay(&trace, 1.0, load, RunLimits::default());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("names models"), "{error}");
}
