use super::*;
use crate::test_util::{answered, experiment, refused, run};
use crate::{Arrivals, Load, Outcome, Task, TokenSource};

#[track_caller]
fn close(found: f64, expected: f64) {
    assert!(
        (found - expected).abs() < 1e-9 * expected.abs().max(1.0),
        "{found} is not {expected}"
    );
}

fn summary(records: Vec<RequestRecord>) -> RunSummary {
    let end = records
        .iter()
        .map(|record| record.end_ns)
        .max()
        .unwrap_or(0);
    let run = Run {
        records,
        active_ns: (0, end),
        measured_ns: (0, end),
        ..run(Load::default(), 0)
    };
    RunSummary::new(&experiment().0, &run)
}

#[test]
fn rejections_count_as_errors() {
    let records = (0..87).map(|id| match id {
        64.. => refused(id, id * 1000, 429),
        _ => answered(id, id * 1000, 50_000_000, 10, 10_000),
    });
    let records: Vec<_> = records.collect();
    let numbers = summary(records).aggregated;
    assert_eq!(numbers.num_error_requests, 23);
    assert_eq!(numbers.num_requests, 87);
    assert_eq!(numbers.num_completed_requests, 64);
    assert_eq!(numbers.error_codes_frequency, BTreeMap::from([(429, 23)]));
    assert_eq!(numbers.extra.outcomes.rate_limited, 23);
    assert_eq!(format!("{:.1} %", numbers.error_rate * 100.0), "26.4 %");
    let interval = numbers.extra.error_rate_interval.unwrap();
    assert!(interval.contains(0.2) && !interval.contains(0.4));
}

#[test]
fn formulas_match_genai_bench() {
    let run = summary(vec![answered(1, 1_000_000_000, 50_000_000, 21, 10_000)]);
    let row = &run.rows[0];
    close(row.ttft.unwrap(), 0.05);
    close(row.e2e_latency.unwrap(), 0.25);
    close(row.output_latency.unwrap(), 0.2);
    close(row.tpot.unwrap(), 0.01);
    close(row.output_inference_speed.unwrap(), 100.0);
    close(row.output_throughput.unwrap(), 100.0);
    close(row.input_throughput.unwrap(), 2000.0);
    assert_eq!(row.total_tokens, Some(121));
    let numbers = &run.aggregated;
    close(numbers.run_duration, 1.25);
    close(numbers.requests_per_second, 0.8);
    close(numbers.mean_output_throughput_tokens_per_s, 21.0 / 1.25);
    close(numbers.mean_input_throughput_tokens_per_s, 80.0);
    close(
        numbers.mean_total_tokens_throughput_tokens_per_s,
        121.0 / 1.25,
    );
    close(numbers.extra.cost.unwrap(), (100.0 + 42.0) / 1e6);
}

#[test]
fn estimated_output_counts_are_reported() {
    let guessed = |tokens| {
        let mut record = answered(1, 0, 50_000_000, 1, 10_000);
        record.tokens.output = tokens;
        record.tokens.output_source = TokenSource::Estimate;
        summary(vec![record]).aggregated.extra.cautions
    };
    assert!(guessed(5)[0].contains("The output tokens of 1 request are estimated"));
    // As for embeddings.
    let nothing = guessed(0);
    assert!(nothing.is_empty(), "{nothing:?}");
}

#[test]
fn an_instant_output_has_no_speed() {
    let mut at_once = answered(1, 0, 50_000_000, 5, 0);
    at_once.end_ns += 500_000;
    let run = summary(vec![at_once, answered(2, 0, 50_000_000, 1, 0)]);
    for row in &run.rows {
        assert_eq!((row.tpot, row.output_inference_speed), (None, None));
    }
    assert_eq!(run.aggregated.stats[&Metric::Tpot], Stats::default());
}

#[test]
fn embeddings_have_no_output() {
    let mut record = answered(1, 0, 50_000_000, 2, 10_000);
    record.tokens.output = 0;
    let row = SummaryRow::new(&record, Task::TextToEmbeddings);
    assert_eq!(row.ttft, row.e2e_latency);
    assert_eq!(row.tpot, Some(0.0));
    assert_eq!(row.total_tokens, Some(100));
}

#[test]
fn inter_token_latency_differs_from_inter_chunk_time() {
    let mut record = answered(1, 0, 50_000_000, 3, 0);
    // Chunks of 2, 4 and 1 tokens, as with speculative decoding.
    record.arrivals = Arrivals {
        gaps_us: vec![40_000, 10_000],
        tokens: vec![2, 4, 1],
    };
    record.tokens.output = 7;
    let numbers = summary(vec![record]).aggregated;
    assert_eq!(numbers.extra.histograms[&Metric::InterChunk].count(), 2);
    assert_eq!(numbers.extra.histograms[&Metric::Itl].count(), 5);
    let mean = |metric| numbers.get(Statistic::Mean, metric).unwrap();
    assert!((mean(Metric::InterChunk) / 0.025 - 1.0).abs() < 1e-3);
    assert!((mean(Metric::Itl) / 0.010 - 1.0).abs() < 1e-3);
}

#[test]
fn warm_up_is_excluded_from_all_statistics() {
    let mut records: Vec<_> = (0..10)
        .map(|id| answered(id, id * 300_000_000, 50_000_000, 21, 10_000))
        .collect();
    records[0].phase = Phase::Warmup;
    records[0].end_ns += 1_000_000_000;
    records[9].phase = Phase::Cooldown;
    let numbers = summary(records).aggregated;
    assert_eq!(numbers.num_requests, 8);
    assert_eq!(numbers.extra.left_out, (1, 1));
    close(numbers.stats[&Metric::E2eLatency].max.unwrap(), 0.25);
}

#[test]
fn a_run_without_a_response_has_a_summary() {
    let mut cancelled = answered(2, 0, 50_000_000, 2, 1);
    cancelled.outcome = Outcome::Cancelled;
    let numbers = summary(vec![refused(1, 0, 500), cancelled]).aggregated;
    assert_eq!(numbers.error_rate, 1.0);
    assert_eq!(numbers.extra.outcomes.cancelled, 1);
    assert_eq!(numbers.num_requests, 1);
    assert_eq!(numbers.stats[&Metric::Ttft], Stats::default());
    assert!(numbers.extra.cautions[0].contains("No request completed"));
    assert_eq!(
        format!("{}", numbers.mean_output_throughput_tokens_per_s),
        "0"
    );
    let empty = summary(Vec::new()).aggregated;
    assert_eq!((empty.requests_per_second, empty.error_rate), (0.0, 0.0));
}

#[test]
fn failures_do_not_meet_objectives() {
    let records = vec![
        answered(1, 0, 70_000_000, 21, 10_000),
        answered(2, 0, 90_000_000, 21, 10_000),
        answered(3, 0, 70_000_000, 21, 13_000),
        refused(4, 0, 503),
    ];
    let goodput = summary(records).aggregated.extra.goodput.unwrap();
    assert_eq!((goodput.good, goodput.share), (1, 0.25));
}

#[test]
fn significant_client_bias_is_reported() {
    for (own, said) in [
        (0.006, "increases the TTFT by 6.00 ms"),
        (-0.006, "reduces the TTFT by 6.00 ms"),
    ] {
        let bias = crate::ClientBias {
            ttft_mean_s: own,
            itl_mean_s: 0.0001,
            ..Default::default()
        };
        let run = Run {
            bias: Some(bias),
            ..run(Load::default(), 20)
        };
        let summary = RunSummary::new(&experiment().0, &run);
        let cautions = summary.aggregated.extra.cautions;
        assert_eq!(cautions.len(), 1, "{cautions:?}");
        assert!(cautions[0].contains(said), "{cautions:?}");
    }
}

#[test]
fn a_caution_tells_that_slots_waited_for_prompts() {
    let summary = |lost_slot_ns| {
        let mut run = run(Load::Concurrency { concurrency: 4 }, 40);
        run.client.starved = 3;
        run.client.lost_slot_ns = lost_slot_ns;
        RunSummary::new(&experiment().0, &run).aggregated.extra
    };
    // The offered slot time is about ten seconds.
    let extra = summary(50_000_000);
    assert!(extra.cautions.is_empty(), "{:?}", extra.cautions);
    let achieved = extra.achieved.unwrap();
    assert!((3.9..=4.0).contains(&achieved.in_flight), "{achieved:?}");
    let cautions = summary(500_000_000).cautions.join(" ");
    assert!(cautions.contains("slots waited for prompts"), "{cautions}");
    assert!(
        cautions.contains("of 4 requests were in flight"),
        "{cautions}"
    );
}
