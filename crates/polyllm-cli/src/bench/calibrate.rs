//! Measures the client itself against the simulation, whose times are known.

use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use llm_bench::{
    Backend, ClientBias, Interrupts, Load, LoadSpec, Run, RunLimits, RunSettings, Runner,
    ServerTarget, Task, TrafficScenario, TrueTimes, Workload,
};
use llm_sim::{Memory, Sim, SimOptions, Timing, TogetherSim};
use serde_json::json;
use tokio::sync::oneshot;

use crate::bench::INTERRUPTED;
use crate::bench::args::Bench;
use crate::output::print;

/// `polyllm bench --calibrate`: measures the client's own bias.
pub(crate) async fn run(args: &Bench, interrupts: Interrupts) -> Result<ExitCode> {
    let timing = Timing::default()
        .with_first_token(Duration::from_millis(50))
        .with_token(Duration::from_millis(10));
    let calibrator = Calibrator::with(timing)?;
    let given = args.load.num_concurrency.as_slice();
    let slots = if given.is_empty() {
        &[1, 16, 64, 256]
    } else {
        given
    };
    if !args.output.json {
        print(
            "This client against a simulation on this machine: first token after 50 ms, then one \
             every 10 ms.\nMeasured minus true times (ms):\n\n\
             | in flight | requests | TTFT mean |  p99 | ITL mean |  p99 | stalls |\n\
             |----------:|---------:|----------:|-----:|---------:|-----:|-------:|\n",
        )?;
    }
    for &slots in slots {
        let tokens = 100;
        let requests = args
            .load
            .max_requests_per_run
            .unwrap_or_else(|| (4 * u64::from(slots)).max(8));
        let threads = args.measuring.num_workers;
        let run = calibrator
            .measure(
                slots,
                requests,
                tokens,
                threads,
                Duration::ZERO,
                &interrupts,
            )
            .await?;
        let bias = calibrator
            .bias(&run)
            .context("the simulation did not respond")?;
        if args.output.json {
            print(format_args!("{}\n", json!(bias)))?;
        } else {
            print(format_args!(
                "| {:>9} | {:>8} | {:>9.3} | {:>4.2} | {:>8.3} | {:>4.2} | {:>6} |\n",
                bias.concurrency,
                bias.requests,
                bias.ttft_mean_s * 1e3,
                bias.ttft_p99_s * 1e3,
                bias.itl_mean_s * 1e3,
                bias.itl_p99_s * 1e3,
                bias.stalls,
            ))?;
        }
        if *interrupts.borrow() > 0 {
            return Ok(ExitCode::from(INTERRUPTED));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Calibrates briefly at a load. `None` if it fails, which does not prevent the measurement.
pub(crate) async fn short(load: &Load, interrupts: &Interrupts) -> Option<ClientBias> {
    let slots = match load {
        Load::Concurrency { concurrency } => *concurrency,
        other => other.concurrency().clamp(1, 16),
    };
    // More would take long to connect and add no information.
    let slots = slots.min(256);
    // Few slots need more rounds. With many, a faster simulation would itself be the bottleneck.
    let (first_token, token) = match slots {
        0..=4 => (Duration::from_millis(5), Duration::from_millis(2)),
        _ => (Duration::from_millis(30), Duration::from_millis(10)),
    };
    let timing = Timing::default()
        .with_first_token(first_token)
        .with_token(token);
    let calibrator = Calibrator::with(timing).ok()?;
    let requests = (SHORT_ROUNDS * u64::from(slots)).max(SHORT_REQUESTS);
    // Slots that start together would stay together, and each token would be a burst.
    let spread = first_token + token * SHORT_TOKENS;
    let tokens = SHORT_TOKENS.into();
    let run = calibrator.measure(slots, requests, tokens, None, spread, interrupts);
    calibrator.bias(&run.await.ok()?)
}

/// A simulation on its own thread, so that it and the client do not delay each other.
struct Calibrator {
    url: String,
    together: TogetherSim,
    _stop: oneshot::Sender<()>,
}

impl Calibrator {
    fn with(timing: Timing) -> Result<Self> {
        let (started, starting) = mpsc::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let options = SimOptions::default()
            .with_timing(timing.with_precise(true))
            .with_memory(Memory::default().with_requests(MAX_REQUESTS));
        let simulate = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async move {
                let sim = Sim::start(options).await?;
                // The receiver is gone if the benchmark has ended.
                let _ = started.send((sim.together_url().to_owned(), sim.together().clone()));
                let _ = stopped.await;
                Ok::<_, std::io::Error>(())
            })
        };
        let thread = thread::Builder::new().name("bench-sim".to_owned());
        let thread = thread.spawn(simulate)?;
        match starting.recv() {
            Ok((url, together)) => Ok(Self {
                url,
                together,
                _stop: stop,
            }),
            Err(_) => Err(match thread.join() {
                Ok(Err(error)) => anyhow::Error::new(error),
                _ => anyhow!("the simulation ended"),
            }
            .context("cannot calibrate")),
        }
    }

    async fn measure(
        &self,
        slots: u32,
        requests: u64,
        tokens: u64,
        threads: Option<u32>,
        ramp_up: Duration,
        interrupts: &Interrupts,
    ) -> Result<Run> {
        self.together.forget_requests();
        let authorization = "Bearer calibration".parse()?;
        let target = ServerTarget::new(Backend::Together, &self.url, Some(authorization))?;
        let mut settings = RunSettings::new(target, MODEL);
        settings.threads = threads.filter(|threads| *threads > 0);
        settings.ramp_up = ramp_up;
        let workload = Workload::new(Task::TextToText, Backend::Together, MODEL)?;
        let scenario: TrafficScenario = format!("D(20,{tokens})").parse()?;
        let mut limits = RunLimits::default();
        limits.max_requests = requests;
        limits.max_seconds = 60.0;
        let spec = workload.run(0, scenario, LoadSpec::Concurrency(slots), 1, limits)?;
        let runner = Runner::new(settings, interrupts.clone());
        Ok(runner.run(spec, &mut ()).await?)
    }

    fn bias(&self, run: &Run) -> Option<ClientBias> {
        let truth = self.together.requests().into_iter().filter_map(|seen| {
            let times = seen.times();
            let first = times.first_token()?.as_secs_f64();
            let writes: Vec<_> = times.tokens().map(|write| write.at).collect();
            let gaps = writes
                .windows(2)
                .map(|pair| (pair[1] - pair[0]).as_secs_f64());
            Some(TrueTimes::new(first, gaps.collect()))
        });
        let truth: Vec<_> = truth.collect();
        ClientBias::of(run, &truth)
    }
}

const MODEL: &str = "simulated/llama-3-8b";

const MAX_REQUESTS: usize = 20_000;

const SHORT_TOKENS: u32 = 8;

/// Requests per slot.
const SHORT_ROUNDS: u64 = 4;

/// The fewest requests.
const SHORT_REQUESTS: u64 = 16;
