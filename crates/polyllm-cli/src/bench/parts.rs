//! Parts of `polyllm bench` that a build may lack: each is a cargo feature.

use anyhow::Result;
use bench_report::Format;
use llm_bench::{Task, TrafficScenario};

use crate::bench::args::Bench;
use crate::bench::setup;
use crate::output::{Colour, note};

/// A part that was asked for and is not in this build.
#[derive(Debug, thiserror::Error)]
#[error("{wanted} needs the feature {feature}, which this build lacks; `{INSTALL}` adds it")]
pub(crate) struct Missing {
    wanted: String,
    feature: &'static str,
}

/// Checks that this build has all parts that the measurement needs.
///
/// # Errors
/// [`Missing`] with the first that it lacks; when a scenario cannot be read.
pub(crate) fn check(args: &Bench) -> Result<()> {
    if let Some(path) = &args.prompts.model_tokenizer {
        let wanted = || format!("--model-tokenizer {:?}", path.display().to_string());
        TOKENIZER.require(wanted)?;
    }
    // A trace has its own lengths, and no images.
    if args.load.trace.is_none() {
        let scenarios = setup::scenarios(&args.prompts, Task::from(args.api.task))?;
        let image = |scenario: &&TrafficScenario| matches!(scenario, TrafficScenario::Image { .. });
        if let Some(scenario) = scenarios.iter().find(image) {
            IMAGES.require(|| format!("--traffic-scenario {scenario}"))?;
        }
    }
    Ok(())
}

/// Checks that this build can talk to a coordinator. Other addresses are left to the engine.
///
/// # Errors
/// [`Missing`] when it cannot.
pub(crate) fn check_coordinator(url: &str) -> Result<(), Missing> {
    // The address is not shown: there may be a password in it.
    match url.split_once("://") {
        Some(("nats", _)) => NATS.require(|| "--coordinator nats://…".to_owned()),
        Some(("redis", _)) => REDIS.require(|| "--coordinator redis://…".to_owned()),
        _ => Ok(()),
    }
}

/// Checks that this build can write reports of these formats.
///
/// # Errors
/// [`Missing`] when it cannot.
pub(crate) fn check_formats(formats: &[Format]) -> Result<(), Missing> {
    match formats.contains(&Format::Xlsx) {
        true => XLSX.require(|| "--format xlsx".to_owned()),
        false => Ok(()),
    }
}

/// Says that the reports are without a spreadsheet, where they are.
pub(crate) fn note_spreadsheet() {
    if !XLSX.built {
        let text = format_args!(
            "no spreadsheet is written: that needs the feature {}; `{INSTALL}` adds it",
            XLSX.feature
        );
        note("note", Colour::Yellow, text);
    }
}

struct Part {
    feature: &'static str,
    built: bool,
}

impl Part {
    fn require(&self, wanted: impl FnOnce() -> String) -> Result<(), Missing> {
        if self.built {
            return Ok(());
        }
        Err(Missing {
            wanted: wanted(),
            feature: self.feature,
        })
    }
}

/// Adds all parts.
const INSTALL: &str = "cargo install --path crates/polyllm-cli --features full";

const IMAGES: Part = Part {
    feature: "bench-images",
    built: cfg!(feature = "bench-images"),
};

const NATS: Part = Part {
    feature: "bench-nats",
    built: cfg!(feature = "bench-nats"),
};

const REDIS: Part = Part {
    feature: "bench-redis",
    built: cfg!(feature = "bench-redis"),
};

const TOKENIZER: Part = Part {
    feature: "bench-tokenizer",
    built: cfg!(feature = "bench-tokenizer"),
};

const XLSX: Part = Part {
    feature: "bench-xlsx",
    built: cfg!(feature = "bench-xlsx"),
};
