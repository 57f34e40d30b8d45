use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use llm_sim::{Script, Sim, SimLimits, SimOptions, SimReply, Timing};
use serde_json::json;

use crate::args;
use crate::output::print;
use crate::signal;

pub(crate) async fn run(args: args::Sim) -> Result<ExitCode> {
    let mut timing = if args.instant {
        Timing::default()
    } else {
        Timing::lifelike()
    };
    timing.first_token = args.first_token.unwrap_or(timing.first_token);
    timing.token = args.token.unwrap_or(timing.token);
    let mut limits = SimLimits::default();
    limits.together_requests = args.together_requests;
    limits.together_tokens = args.together_tokens;
    limits.replicate_creates = args.replicate_creates;
    let mut options = SimOptions::default()
        .with_timing(timing.with_precise(true))
        .with_limits(limits)
        .with_together_port(args.together_port)
        .with_replicate_port(args.replicate_port);
    for faults in args.fault {
        options = options.with_fault(faults);
    }
    if let Some(path) = args.script {
        let script = tokio::task::spawn_blocking(move || read_script(&path)).await??;
        options = options.with_reply(SimReply::Script(script));
    }
    let sim = Sim::start(options)
        .await
        .context("cannot start (--together-port and --replicate-port choose the ports)")?;
    let stop = signal::stop();
    let (together, replicate) = (sim.together_url(), sim.replicate_url());
    if args.json {
        print(format_args!(
            "{}\n",
            json!({ "together": together, "replicate": replicate })
        ))?;
    } else {
        print(format_args!(
            "Simulated upstreams: replies are synthetic, and any key is accepted.\n\n\
             Together   {together}\n\
             Replicate  {replicate}\n\n\
             Try:\n\
             \x20 curl {together}/v1/chat/completions -H 'Authorization: Bearer any' \
             -H 'Content-Type: application/json' \
             -d '{{\"model\": \"openai/gpt-oss-20b\", \"messages\": [{{\"role\": \"user\", \"content\": \"Hello\"}}]}}'\n\n\
             Press Ctrl-C to stop.\n"
        ))?;
    }
    stop.await;
    sim.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

fn read_script(path: &Path) -> Result<Script> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse()
        .with_context(|| format!("cannot use {}", path.display()))
}
