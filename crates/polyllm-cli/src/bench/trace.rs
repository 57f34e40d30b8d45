//! `bench trace`: makes traces of agents.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use llm_bench::{Access, AgentTraceSpec, trace_of_log};
use serde_json::Value;

use crate::bench::commands::{GenerateTrace, Trace, TraceCommand};
use crate::output::print;

pub(crate) fn run(args: &Trace) -> Result<ExitCode> {
    match &args.command {
        TraceCommand::Generate(options) => write(&generate(options), options.output.as_deref())?,
        TraceCommand::Record(options) => {
            let lines = trace_of_log(&options.log, &Access::all())?;
            write(&lines, options.output.as_deref())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn generate(options: &GenerateTrace) -> Vec<Value> {
    let mut spec = AgentTraceSpec::default();
    spec.jobs = options.jobs;
    spec.jobs_per_second = options.jobs_per_second;
    spec.turns = options.turns;
    spec.helpers = options.helpers;
    spec.system_tokens = options.system_tokens;
    spec.seed = options.seed;
    spec.lines()
}

fn write(lines: &[Value], to: Option<&Path>) -> Result<()> {
    let mut text = String::new();
    for line in lines {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{line}");
    }
    match to {
        Some(path) => {
            fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
            print(format_args!("wrote {}\n", path.display()))?;
        }
        None => drop(print(text)?),
    }
    Ok(())
}
