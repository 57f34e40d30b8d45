//! Complete runs against the simulation.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use http::HeaderValue;
use llm_bench::summary::RunSummary;
use llm_bench::{
    ArrivalProcess, Backend, Experiment, FailureKind, LoadSpec, Outcome, Phase, RateProfile, Run,
    RunEnd, RunLimits, RunSettings, Runner, ServerTarget, Side, Task, TokenSource, TrafficScenario,
    Workload,
};
use llm_sim::{Faults, Sim, SimOptions, Timing};
use tokio::sync::watch;

const CHAT: &str = "openai/gpt-oss-20b";

async fn sim(timing: Timing) -> Sim {
    Sim::start(SimOptions::default().with_timing(timing))
        .await
        .unwrap()
}

fn target(backend: Backend, base: &str, key: &'static str) -> ServerTarget {
    ServerTarget::new(backend, base, Some(HeaderValue::from_static(key))).unwrap()
}

fn together(sim: &Sim) -> RunSettings {
    let target = target(Backend::Together, sim.together_url(), "Bearer key");
    let mut settings = RunSettings::new(target, CHAT);
    settings.timeout = Duration::from_secs(10);
    settings
}

fn limits(max_requests: u64) -> RunLimits {
    let mut limits = RunLimits::default();
    limits.max_requests = max_requests;
    limits.max_seconds = 20.0;
    limits
}

fn chat() -> Workload {
    Workload::new(Task::TextToText, Backend::Together, CHAT).unwrap()
}

async fn run(
    settings: RunSettings,
    workload: &Workload,
    scenario: &str,
    load: LoadSpec,
    batch: u32,
    limits: RunLimits,
) -> Run {
    let (_interrupt, interrupts) = watch::channel(0);
    let scenario: TrafficScenario = scenario.parse().unwrap();
    let spec = workload.run(0, scenario, load, batch, limits).unwrap();
    let runner = Runner::new(settings, interrupts);
    runner.run(spec, &mut ()).await.unwrap()
}

fn rate(per_second: f64, max_concurrency: Option<u32>) -> LoadSpec {
    LoadSpec::Rate {
        per_second,
        profile: RateProfile::steady(per_second).unwrap(),
        arrivals: ArrivalProcess::Constant,
        max_concurrency,
    }
}

#[tokio::test]
async fn every_request_has_a_record_with_all_times() {
    let sim = sim(Timing::default().with_first_token(Duration::from_millis(20))).await;
    let load = LoadSpec::Concurrency(4);
    let run = run(together(&sim), &chat(), "D(20,10)", load, 1, limits(13)).await;
    assert_eq!(run.end, RunEnd::Requests);
    assert_eq!(run.records.len(), 13);
    assert_eq!(sim.together().request_count(), 13);
    for (id, record) in (0..).zip(&run.records) {
        assert!(record.is_ok(), "{record:?}");
        assert_eq!(record.id, id);
        let sent = record.sent_ns.unwrap();
        let (byte, token) = (
            record.first_byte_ns.unwrap(),
            record.first_token_ns.unwrap(),
        );
        assert!(record.dispatched_ns <= sent && sent <= byte && byte <= token);
        assert!(token - record.dispatched_ns >= 20_000_000);
        assert!(record.last_token_ns().unwrap() <= record.end_ns + 1000);
        assert_eq!(record.tokens.output_source, TokenSource::Server);
        assert_eq!(record.tokens.output, 10);
        assert_eq!(
            record.connect, None,
            "connections are opened before the run"
        );
        let chunks = record.arrivals.gaps_us.len() + 1;
        let spread = record.arrivals.tokens.iter().sum::<u32>();
        assert!(chunks == 10 || spread == 10, "{chunks} {spread}");
    }
    sim.shutdown().await;
}

#[tokio::test]
async fn new_connections_count_as_part_of_the_request() {
    let sim = sim(Timing::default()).await;
    let mut settings = together(&sim);
    settings.new_connections = true;
    let load = LoadSpec::Concurrency(2);
    let run = run(settings, &chat(), "D(5,3)", load, 1, limits(6)).await;
    for record in &run.records {
        assert!(record.connect.unwrap().tcp_ns > 0);
    }
}

#[tokio::test]
async fn rate_limited_requests_are_counted_as_failures() {
    let sim = sim(Timing::default()).await;
    let fault: Faults = "status=429".parse().unwrap();
    sim.together()
        .inject(llm_sim::FaultRule::from(fault).times(23));
    let load = LoadSpec::Concurrency(3);
    let run = run(together(&sim), &chat(), "D(5,3)", load, 1, limits(87)).await;
    assert_eq!(run.records.len(), 87);
    let limited = run.records.iter().filter(|record| {
        record.http_status == Some(429)
            && matches!(&record.outcome, Outcome::Failed(failure) if failure.kind == FailureKind::RateLimited)
    });
    assert_eq!(limited.count(), 23);
    assert_eq!(
        run.records.iter().filter(|record| record.is_ok()).count(),
        64
    );
}

#[tokio::test]
async fn an_open_loop_follows_its_schedule() {
    let sim = sim(Timing::default().with_first_token(Duration::from_millis(30))).await;
    let run = run(
        together(&sim),
        &chat(),
        "D(5,3)",
        rate(100.0, None),
        1,
        limits(50),
    )
    .await;
    assert_eq!(run.records.len(), 50);
    let first = run.records[0].scheduled_ns.unwrap();
    for record in &run.records {
        let scheduled = record.scheduled_ns.unwrap();
        assert_eq!(scheduled - first, record.id * 10_000_000);
        assert!(record.dispatched_ns >= scheduled);
    }
}

#[tokio::test]
async fn a_concurrency_limit_delays_scheduled_requests() {
    let sim = sim(Timing::default().with_first_token(Duration::from_millis(50))).await;
    let run = run(
        together(&sim),
        &chat(),
        "D(5,1)",
        rate(200.0, Some(1)),
        1,
        limits(8),
    )
    .await;
    let last = run.records.last().unwrap();
    let late = last.dispatched_ns - last.scheduled_ns.unwrap();
    assert!(late > 250_000_000, "{late}");
}

#[tokio::test]
async fn the_time_limit_ends_a_run_after_a_drain() {
    let sim = sim(Timing::default().with_first_token(Duration::from_millis(200))).await;
    let mut limits = limits(1000);
    limits.max_seconds = 0.3;
    let load = LoadSpec::Concurrency(5);
    let run = run(together(&sim), &chat(), "D(5,1)", load, 1, limits).await;
    assert_eq!(run.end, RunEnd::Time);
    // A slow machine has no time for the second five.
    assert!(
        (5..=10).contains(&run.records.len()),
        "{}",
        run.records.len()
    );
    assert!(run.records.iter().all(llm_bench::RequestRecord::is_ok));
}

#[tokio::test]
async fn a_drain_is_limited_and_cancelled_requests_are_recorded() {
    let sim = sim(Timing::default().with_first_token(Duration::from_secs(60))).await;
    let mut settings = together(&sim);
    settings.drain = Duration::from_millis(100);
    let mut limits = limits(1000);
    limits.max_seconds = 0.5;
    let load = LoadSpec::Concurrency(3);
    let run = run(settings, &chat(), "D(5,1)", load, 1, limits).await;
    let outcomes: Vec<_> = run.records.iter().map(|record| &record.outcome).collect();
    assert_eq!(outcomes, [&Outcome::Cancelled; 3]);
    sim.together().idle().await;
}

#[tokio::test]
async fn an_interrupt_drains_and_a_second_cancels() {
    let sim = sim(Timing::default().with_first_token(Duration::from_secs(2))).await;
    let (interrupt, interrupts) = watch::channel(0);
    let scenario = "D(5,1)".parse().unwrap();
    let load = LoadSpec::Concurrency(2);
    let spec = chat().run(0, scenario, load, 1, limits(1000)).unwrap();
    let runner = Runner::new(together(&sim), interrupts);
    let interrupting = async {
        sim.together().requests_until(|seen| seen.len() == 2).await;
        interrupt.send_replace(1);
    };
    let mut observer = ();
    let (run, ()) = tokio::join!(runner.run(spec, &mut observer), interrupting);
    let run = run.unwrap();
    assert_eq!(run.end, RunEnd::Interrupted);
    assert_eq!(run.records.len(), 2);
    assert!(run.records[1].is_ok());
}

#[tokio::test]
async fn an_invalid_key_ends_the_run_and_is_not_shown() {
    let sim = sim(Timing::default()).await;
    let target = target(
        Backend::Together,
        sim.together_url(),
        "Bearer invalid-secret",
    );
    let settings = RunSettings::new(target, CHAT);
    let load = LoadSpec::Concurrency(1);
    let run = run(settings, &chat(), "D(5,1)", load, 1, limits(1000)).await;
    assert_eq!(run.end, RunEnd::Failing);
    assert!(run.records.len() < 40, "{}", run.records.len());
    let text = serde_json::to_string(&run).unwrap();
    assert!(text.contains("401") && !text.contains("invalid-secret"));
}

#[tokio::test]
async fn an_unreachable_base_is_a_connect_failure() {
    let target = target(Backend::Together, "http://127.0.0.1:9", "Bearer k");
    let settings = RunSettings::new(target, CHAT);
    let load = LoadSpec::Concurrency(2);
    let run = run(settings, &chat(), "D(5,1)", load, 1, limits(500)).await;
    assert_eq!(run.end, RunEnd::Failing);
    let Outcome::Failed(failure) = &run.records[0].outcome else {
        panic!("{:?}", run.records[0]);
    };
    assert_eq!(failure.kind, FailureKind::Connect);
    assert!(failure.message.contains("127.0.0.1:9"), "{failure:?}");
}

#[tokio::test]
async fn an_interrupted_stream_is_a_disconnect_failure() {
    let sim = sim(Timing::default()).await;
    sim.together()
        .inject("cut-after=600".parse::<Faults>().unwrap());
    let load = LoadSpec::Concurrency(1);
    let run = run(together(&sim), &chat(), "D(5,50)", load, 1, limits(3)).await;
    for record in &run.records {
        let Outcome::Failed(failure) = &record.outcome else {
            panic!("{record:?}");
        };
        assert_eq!(failure.kind, FailureKind::Disconnected, "{failure:?}");
        assert!(record.first_token_ns.is_some());
    }
}

#[tokio::test]
async fn a_hanging_server_is_a_timeout() {
    let sim = sim(Timing::default()).await;
    sim.together().inject("hang".parse::<Faults>().unwrap());
    let mut settings = together(&sim);
    settings.timeout = Duration::from_millis(100);
    let load = LoadSpec::Concurrency(1);
    let run = run(settings, &chat(), "D(5,5)", load, 1, limits(2)).await;
    let kinds = run.records.iter().map(|record| match &record.outcome {
        Outcome::Failed(failure) => failure.kind,
        other => panic!("{other:?}"),
    });
    assert_eq!(kinds.collect::<Vec<_>>(), [FailureKind::Timeout; 2]);
}

#[tokio::test]
async fn embeddings_and_rerank_send_batches() {
    let sim = sim(Timing::default()).await;
    for (task, scenario, path, field) in [
        (Task::TextToEmbeddings, "E(16)", "/v1/embeddings", "input"),
        (Task::TextToRerank, "R(16,4)", "/v1/rerank", "documents"),
    ] {
        sim.together().forget_requests();
        let workload = Workload::new(task, Backend::Together, "org/model").unwrap();
        let load = LoadSpec::Concurrency(2);
        let run = run(together(&sim), &workload, scenario, load, 4, limits(5)).await;
        assert!(
            run.records.iter().all(|record| record.is_ok()),
            "{:?}",
            run.records[0]
        );
        assert_eq!(run.records[0].first_token_ns, Some(run.records[0].end_ns));
        assert_eq!(run.records[0].tokens.output, 0);
        assert!(run.records[0].tokens.input > 0);
        for seen in sim.together().requests() {
            assert_eq!(seen.path, path);
            assert_eq!(seen.json()[field].as_array().unwrap().len(), 4);
        }
    }
}

#[tokio::test]
async fn both_targets_receive_every_request() {
    let (one, two) = (sim(Timing::default()).await, sim(Timing::default()).await);
    let mut settings = together(&one);
    settings.against = Some(target(Backend::Together, two.together_url(), "Bearer k"));
    let load = LoadSpec::Concurrency(2);
    let run = run(settings, &chat(), "D(9,4)", load, 1, limits(7)).await;
    assert_eq!(
        (
            one.together().request_count(),
            two.together().request_count()
        ),
        (7, 7)
    );
    for pair in run.records.chunks(2) {
        assert_eq!(pair[0].id, pair[1].id);
        assert_eq!((pair[0].side, pair[1].side), (Side::Subject, Side::Against));
    }
}

#[tokio::test]
async fn replicate_times_are_split_into_queue_and_predict_time() {
    let timing = Timing::default()
        .with_boot(Duration::from_millis(300))
        .with_first_token(Duration::from_millis(20))
        .with_token(Duration::from_millis(2));
    let sim = sim(timing).await;
    let model = "meta/meta-llama-3-8b-instruct";
    let target = target(Backend::Replicate, sim.replicate_url(), "Bearer k");
    let mut settings = RunSettings::new(target, model);
    settings.cold_after = Duration::from_millis(200);
    let workload = Workload::new(Task::TextToText, Backend::Replicate, model).unwrap();
    let load = LoadSpec::Concurrency(1);
    let run = run(settings, &workload, "D(10,8)", load, 1, limits(3)).await;
    let cold = run.records.iter().map(|record| {
        assert!(record.is_ok(), "{record:?}");
        let prediction = record.prediction.unwrap();
        assert!(
            prediction.predict_ns.unwrap() >= 20_000_000,
            "{prediction:?}"
        );
        assert_eq!(record.tokens.output_source, TokenSource::Server);
        prediction.cold
    });
    assert_eq!(cold.collect::<Vec<_>>(), [true, false, false]);
}

#[tokio::test]
async fn an_abandoned_prediction_is_cancelled() {
    let sim = sim(Timing::default().with_first_token(Duration::from_secs(30))).await;
    let model = "meta/meta-llama-3-8b-instruct";
    let target = target(Backend::Replicate, sim.replicate_url(), "Bearer k");
    let mut settings = RunSettings::new(target, model);
    settings.timeout = Duration::from_millis(150);
    let workload = Workload::new(Task::TextToText, Backend::Replicate, model).unwrap();
    let load = LoadSpec::Concurrency(1);
    run(settings, &workload, "D(10,8)", load, 1, limits(1)).await;
    let paths: Vec<_> = sim
        .replicate()
        .requests()
        .into_iter()
        .map(|seen| seen.path)
        .collect();
    assert!(paths.last().unwrap().ends_with("/cancel"), "{paths:?}");
}

#[tokio::test]
async fn warm_up_and_cool_down_are_marked() {
    let sim = sim(Timing::default()).await;
    let mut settings = together(&sim);
    settings.warmup_cooldown = (0.2, 0.1);
    let load = LoadSpec::Concurrency(1);
    let run = run(settings, &chat(), "D(5,2)", load, 1, limits(10)).await;
    let count = |phase| {
        run.records
            .iter()
            .filter(|record| record.phase == phase)
            .count()
    };
    assert_eq!(
        (
            count(Phase::Warmup),
            count(Phase::Measured),
            count(Phase::Cooldown)
        ),
        (2, 7, 1)
    );
}

#[tokio::test]
async fn heavy_prompts_are_ready_before_the_first_request() {
    let sim = sim(Timing::default().with_first_token(Duration::from_millis(5))).await;
    let load = LoadSpec::Concurrency(8);
    let run = run(together(&sim), &chat(), "D(7800,2)", load, 1, limits(64)).await;
    assert_eq!(run.records.len(), 64);
    // No slot ever waited for a prompt, however slowly prompts are written.
    assert_eq!((run.client.starved, run.client.lost_slot_ns), (0, 0));
    let summary = RunSummary::new(&Experiment::default(), &run);
    let achieved = summary.aggregated.extra.achieved.unwrap();
    assert_eq!(achieved.slot_time_lost, 0.0);
    assert!(achieved.in_flight <= 8.01, "{achieved:?}");
}

#[tokio::test]
async fn the_scheduled_rate_is_reported_beside_the_achieved_one() {
    let sim = sim(Timing::default().with_first_token(Duration::from_millis(100))).await;
    let load = rate(200.0, Some(1));
    let run = run(together(&sim), &chat(), "D(5,1)", load, 1, limits(6)).await;
    let summary = RunSummary::new(&Experiment::default(), &run);
    let extra = summary.aggregated.extra;
    let achieved = extra.achieved.unwrap();
    let scheduled = achieved.scheduled_per_second.unwrap();
    assert!((199.0..201.0).contains(&scheduled), "{achieved:?}");
    // One at a time, each takes at least a tenth of a second.
    assert!(achieved.starts_per_second < 10.1, "{achieved:?}");
    let cautions = extra.cautions.join(" ");
    assert!(
        cautions.contains("of 200.00 that were scheduled"),
        "{cautions}"
    );
}

#[tokio::test]
async fn chats_in_one_piece_end_with_their_first_token() {
    let sim = sim(Timing::default().with_first_token(Duration::from_millis(10))).await;
    let workload = chat().with_streaming(false);
    let load = LoadSpec::Concurrency(2);
    let run = run(together(&sim), &workload, "D(9,4)", load, 1, limits(4)).await;
    for record in &run.records {
        assert!(record.is_ok(), "{record:?}");
        assert_eq!(record.first_token_ns, Some(record.end_ns));
        assert_eq!(record.tokens.output, 4);
        assert_eq!(record.tokens.output_source, TokenSource::Server);
    }
    assert_eq!(sim.together().requests()[0].json()["stream"], false);
}
