//! Optional features of `polyllm bench`; each is a cargo feature.

use anyhow::Result;
use bench_report::Format;
use llm_bench::{Task, TrafficScenario};

use crate::bench::args::Bench;
use crate::bench::setup;
use crate::output::{Colour, note};

/// A feature is missing in this build.
#[derive(Debug, thiserror::Error)]
#[error(
    "{option} needs the feature {feature}, which is not part of this build; `{INSTALL}` adds it"
)]
pub(crate) struct MissingFeature {
    option: String,
    feature: &'static str,
}

/// Checks that this build has all features that the measurement needs.
///
/// # Errors
/// [`MissingFeature`] with the first missing one; an error if a scenario is invalid.
pub(crate) fn check(args: &Bench) -> Result<()> {
    // Without tokenizers, a model's name gives an estimate.
    if let Some(path) = &args.prompts.model_tokenizer
        && (path.extension().is_some_and(|end| end == "json")
            || path.exists()
            || path.to_string_lossy().starts_with(['.', '/', '~']))
    {
        let option = || format!("--model-tokenizer {:?}", path.display().to_string());
        TOKENIZER.require(option)?;
    }
    // A trace has its own lengths and no images.
    if args.load.trace.is_none() {
        let scenarios = setup::scenarios(&args.prompts, Task::from(args.api.task))?;
        let image = |scenario: &&TrafficScenario| matches!(scenario, TrafficScenario::Image { .. });
        if let Some(scenario) = scenarios.iter().find(image) {
            IMAGES.require(|| format!("--traffic-scenario {scenario}"))?;
        }
    }
    Ok(())
}

/// How to get tokenizers, if this build has none.
pub(crate) fn tokenizer_hint() -> Option<String> {
    (!TOKENIZER.built).then(|| {
        format!(
            "it needs the feature {}; `{INSTALL}` adds it",
            TOKENIZER.feature
        )
    })
}

/// Checks that this build supports the coordinator. Other addresses are left to the engine.
///
/// # Errors
/// [`MissingFeature`] if it does not.
pub(crate) fn check_coordinator(url: &str) -> Result<(), MissingFeature> {
    // The address is not shown, since it may contain a password.
    match url.split_once("://") {
        Some(("nats", _)) => NATS.require(|| "--coordinator nats://…".to_owned()),
        Some(("redis", _)) => REDIS.require(|| "--coordinator redis://…".to_owned()),
        _ => Ok(()),
    }
}

/// Checks that this build can write reports of these formats.
///
/// # Errors
/// [`MissingFeature`] if it cannot.
pub(crate) fn check_formats(formats: &[Format]) -> Result<(), MissingFeature> {
    for (format, feature, name) in [
        (Format::Parquet, PARQUET, "parquet"),
        (Format::Png, PNG, "png"),
        (Format::Xlsx, XLSX, "xlsx"),
    ] {
        if formats.contains(&format) {
            feature.require(|| format!("--format {name}"))?;
        }
    }
    Ok(())
}

/// Checks that this build can write spreadsheets.
///
/// # Errors
/// [`MissingFeature`] if it cannot.
pub(crate) fn check_spreadsheet() -> Result<(), MissingFeature> {
    XLSX.require(|| "bench excel".to_owned())
}

/// Prints a note if this build cannot write the spreadsheet.
pub(crate) fn note_spreadsheet() {
    if !XLSX.built {
        let text = format_args!(
            "no spreadsheet is written: it needs the feature {}; `{INSTALL}` adds it",
            XLSX.feature
        );
        note("note", Colour::Yellow, text);
    }
}

struct Feature {
    feature: &'static str,
    built: bool,
}

impl Feature {
    fn require(&self, option: impl FnOnce() -> String) -> Result<(), MissingFeature> {
        if self.built {
            return Ok(());
        }
        Err(MissingFeature {
            option: option(),
            feature: self.feature,
        })
    }
}

/// The command that installs all features.
const INSTALL: &str = "cargo install --path crates/polyllm-cli --features full";

const IMAGES: Feature = Feature {
    feature: "bench-images",
    built: cfg!(feature = "bench-images"),
};

const NATS: Feature = Feature {
    feature: "bench-nats",
    built: cfg!(feature = "bench-nats"),
};

const PARQUET: Feature = Feature {
    feature: "bench-parquet",
    built: cfg!(feature = "bench-parquet"),
};

const PNG: Feature = Feature {
    feature: "bench-png",
    built: cfg!(feature = "bench-png"),
};

const REDIS: Feature = Feature {
    feature: "bench-redis",
    built: cfg!(feature = "bench-redis"),
};

const TOKENIZER: Feature = Feature {
    feature: "bench-tokenizer",
    built: cfg!(feature = "bench-tokenizer"),
};

const XLSX: Feature = Feature {
    feature: "bench-xlsx",
    built: cfg!(feature = "bench-xlsx"),
};
