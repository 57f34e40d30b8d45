//! Synthetic measurements for tests; equal in every run.

use crate::{
    Arrivals, ConnectTimes, Experiment, Failure, FailureKind, Load, Outcome, Phase, RequestRecord,
    Run, TokenCounts, TokenSource,
};

/// An experiment with runs at concurrency 1, 4 and 16.
pub fn experiment() -> (Experiment, Vec<Run>) {
    let loads = [1, 4, 16].map(|concurrency| Load::Concurrency { concurrency });
    let experiment = Experiment {
        name: "made_up".to_owned(),
        version: "0.0.0".to_owned(),
        started_at_ms: 1_700_000_000_000,
        backend: "together".to_owned(),
        api_base: "https://api.example".to_owned(),
        model: "meta/llama".to_owned(),
        model_label: "llama".to_owned(),
        scenarios: vec!["D(100,20)".to_owned()],
        loads: loads.to_vec(),
        batch_sizes: vec![1],
        limits: crate::RunLimits {
            max_seconds: 60.0,
            max_requests: 100,
            ..crate::RunLimits::default()
        },
        goodput: vec!["ttft:80ms tpot:12ms".to_owned()],
        price_per_million: Some((1.0, 2.0)),
        seed: 42,
        ..Experiment::default()
    };
    let runs = loads.into_iter().map(|load| run(load, 40)).collect();
    (experiment, runs)
}

/// A run whose latencies grow with its concurrency.
pub fn run(load: Load, requests: u64) -> Run {
    let concurrency = u64::from(load.concurrency().max(1));
    let mut random = fastrand::Rng::with_seed(concurrency);
    let mut slots = vec![0u64; concurrency as usize];
    let mut records = Vec::new();
    for id in 0..requests {
        let slot = (id % concurrency) as usize;
        let ttft = 50_000_000 + concurrency * 1_000_000 + random.u64(..4_000_000);
        let record = answered(id, slots[slot], ttft, 20, 10_000 + random.u32(..500));
        slots[slot] = record.end_ns;
        records.push(record);
    }
    let end = slots.into_iter().max().unwrap_or(0);
    Run {
        scenario: "D(100,20)".to_owned(),
        load,
        batch_size: 1,
        started_at_ms: 1_700_000_000_000,
        active_ns: (0, end),
        measured_ns: (0, end),
        records,
        ..Run::default()
    }
}

/// A successful request with one token per chunk.
pub fn answered(id: u64, start: u64, ttft: u64, tokens: u32, gap_us: u32) -> RequestRecord {
    let gaps = vec![gap_us; tokens as usize - 1];
    let streaming: u64 = gaps.iter().map(|gap| u64::from(*gap) * 1000).sum();
    RequestRecord {
        id,
        dispatched_ns: start,
        connect: (id == 0).then_some(ConnectTimes {
            dns_ns: 1_000_000,
            tcp_ns: 500_000,
            tls_ns: 0,
        }),
        sent_ns: Some(start + 2_000_000),
        first_byte_ns: Some(start + ttft - 1_000_000),
        first_token_ns: Some(start + ttft),
        arrivals: Arrivals {
            gaps_us: gaps,
            tokens: Vec::new(),
        },
        end_ns: start + ttft + streaming,
        tokens: TokenCounts {
            input: 100,
            input_source: TokenSource::Server,
            output: tokens.into(),
            output_source: TokenSource::Server,
            ..TokenCounts::default()
        },
        response_bytes: 4000,
        http_status: Some(200),
        outcome: Outcome::Ok {
            finish_reason: Some("stop".to_owned()),
        },
        ..RequestRecord::default()
    }
}

/// A request that failed with an HTTP status.
pub fn refused(id: u64, start: u64, status: u16) -> RequestRecord {
    RequestRecord {
        id,
        dispatched_ns: start,
        first_byte_ns: Some(start + 3_000_000),
        end_ns: start + 3_000_000,
        http_status: Some(status),
        outcome: Outcome::Failed(Failure {
            kind: match status {
                429 => FailureKind::RateLimited,
                _ => FailureKind::HttpStatus,
            },
            message: format!("status {status}"),
        }),
        phase: Phase::Measured,
        ..RequestRecord::default()
    }
}
