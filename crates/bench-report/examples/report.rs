//! Measures the simulation and writes a folder with all reports. Given folders, it writes a page
//! that compares them:
//!
//! ```text
//! cargo run -p bench-report --example report -- [DIR...]
//! ```

#![allow(clippy::print_stdout, reason = "an example prints")]

use std::env;
use std::path::{Path, PathBuf};

use bench_report::{Format, markdown, write_comparison, write_reports};
use llm_bench::{
    Backend, Experiment, Folder, LoadSpec, Results, RunLimits, RunSettings, Runner, ServerTarget,
    Task, Workload,
};
use llm_sim::{Sim, SimOptions};
use tokio::sync::watch;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folders: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    if !folders.is_empty() {
        let page = Path::new("comparison.html");
        write_comparison(page, &Results::load_all(&folders)?)?;
        println!("wrote {}", page.display());
        return Ok(());
    }

    let sim = Sim::start(SimOptions::default()).await?;
    let target = ServerTarget::new(
        Backend::Together,
        sim.together_url(),
        Some("Bearer any".parse()?),
    )?;
    let mut experiment = Experiment::default();
    experiment.name = "example".to_owned();
    experiment.model = MODEL.to_owned();
    let folder = Folder::create(env::temp_dir().join("bench-report-example"), &experiment)?;
    let workload = Workload::new(Task::TextToText, Backend::Together, MODEL)?;
    let (_interrupt, interrupts) = watch::channel(0);
    let runner = Runner::new(RunSettings::new(target, MODEL), interrupts);
    for slots in [1, 4] {
        let mut limits = RunLimits::default();
        limits.max_requests = 40;
        limits.max_seconds = 60.0;
        let load = LoadSpec::Concurrency(slots);
        let spec = workload.run(0, "D(100,20)".parse()?, load, 1, limits)?;
        folder.add(&experiment, &runner.run(spec, &mut ()).await?)?;
    }
    sim.shutdown().await;

    let results = Results::load(folder.path())?;
    let formats = Vec::from_iter([Format::Html, Format::Markdown, Format::Csv, Format::Svg]);
    for file in write_reports(&folder, &results, &formats)? {
        println!("wrote {}", file.display());
    }
    println!("{}", markdown(&results));
    Ok(())
}

const MODEL: &str = "openai/gpt-oss-20b";
