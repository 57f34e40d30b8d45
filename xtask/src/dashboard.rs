//! `cargo xtask dashboard`: the gateway's dashboard in a browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::clients::script::{self, Tally};
use crate::clients::servers::Server;
use crate::clients::{self, clean};
use crate::tool;

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "dashboard",
    usage: "",
    about: "Use the gateway's dashboard and look at a report of `polyllm bench` in headless Chromium",
    details: "\
Installs the packages pinned in xtask/dashboard/package-lock.json under target/dashboard, builds
polyllm, and starts simulated upstreams, a gateway with a master key and one without. Then
xtask/dashboard/dashboard.mjs logs in, creates, limits, uses and revokes a key, and looks at every view
in light and dark, 400 and 1280 px wide, with the keyboard, and with axe-core. xtask/dashboard/report.mjs
looks at a report of `polyllm bench` in the same sizes. Prints one line per check. Screenshots and the servers' logs are in target/dashboard.

Needs Node.js and Chromium (`apt-get install chromium`), or a browser that the variable CHROMIUM names.",
    run,
};

fn run(mut args: lexopt::Parser) -> Result<()> {
    if let Some(arg) = args.next()? {
        return Err(arg.unexpected().into());
    }
    if let Some(why) = missing() {
        bail!(why);
    }
    check()
}

/// Why the check cannot run on this machine.
pub(crate) fn missing() -> Option<String> {
    chromium()
        .is_none()
        .then(|| "Chromium is not installed: run `apt-get install chromium`".to_owned())
}

/// The browser: `CHROMIUM`, or the first one in the path.
fn chromium() -> Option<PathBuf> {
    if let Some(chosen) = std::env::var_os("CHROMIUM") {
        return Some(chosen.into());
    }
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names.into_iter().find_map(tool::find)
}

/// Runs all checks.
pub(crate) fn check() -> Result<()> {
    let sources = tool::root().join("xtask/dashboard");
    let folder = tool::target()?.join("dashboard");
    let shots = folder.join("screenshots");
    fs::create_dir_all(&shots).with_context(|| format!("cannot create {}", shots.display()))?;
    let shared = tool::root().join("xtask/clients");
    let node = clients::node_folder(&folder, &sources, &shared)?;
    let polyllm = clients::polyllm(false)?;

    let sim = Server::start(
        "sim",
        clean(&polyllm).args(["sim", "--json", "--instant"]),
        &folder,
    )?;
    let serve = ["serve", "--port", "0", "--json"];
    let demo = Server::start("demo", clean(&polyllm).args(serve), &folder)?;
    // The gateway keeps its database beside its configuration.
    let config = fresh_config(&sources, &folder)?;
    let mut gateway = clean(&polyllm);
    gateway
        .args(serve)
        .arg("--config")
        .arg(config)
        .env("TOGETHER_URL", sim.field("together")?);
    let gateway = Server::start("gateway", &mut gateway, &folder)?;

    let report = report(&polyllm, &sim, &folder)?;
    let mut tally = Tally::default();
    for name in ["dashboard.mjs", "report.mjs"] {
        let copy = node.join(name);
        fs::copy(sources.join(name), &copy).with_context(|| format!("cannot copy {name}"))?;
        let mut browser = clean(Path::new("node"));
        browser
            .arg(copy)
            .env("GATEWAY_URL", gateway.field("url")?)
            .env("DEMO_URL", demo.field("url")?)
            .env("REPORT", &report)
            .env("CHROMIUM", chromium().unwrap_or_default())
            .env("SCREENSHOTS", &shots);
        tally += script::run(name, &mut browser)?;
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed > 0 {
        bail!("screenshots and logs are in {}", folder.display());
    }
    Ok(())
}

/// The page of a small experiment with repeats and several scenarios.
fn report(polyllm: &Path, sim: &Server, folder: &Path) -> Result<PathBuf> {
    let experiment = folder.join("report");
    if experiment.exists() {
        fs::remove_dir_all(&experiment).context("cannot remove the last report")?;
    }
    let mut bench = clients::without_keys(Command::new(polyllm));
    bench
        .args(["bench", "--api-key", "any", "--no-calibration"])
        .args(["--api-base", &sim.field("together")?])
        .args(["--api-model-name", "simulated/llama-3-8b"])
        .args(["--traffic-scenario", "D(100,20)"])
        .args(["--traffic-scenario", "U(20,200)/(5,40)"])
        .args([
            "--num-concurrency",
            "1,4,16",
            "--max-requests-per-run",
            "40",
        ])
        .args(["--repeat", "2", "--goodput", "ttft:60ms"])
        .args(["--experiment-folder-name", "report"])
        .arg("--experiment-base-dir")
        .arg(folder);
    tool::output(bench.stdout(Stdio::piped()))?;
    Ok(experiment.join("report.html"))
}

/// A copy of the configuration in a folder without a database.
fn fresh_config(sources: &Path, folder: &Path) -> Result<PathBuf> {
    let place = folder.join("gateway");
    if place.exists() {
        fs::remove_dir_all(&place).with_context(|| format!("cannot empty {}", place.display()))?;
    }
    fs::create_dir_all(&place).with_context(|| format!("cannot create {}", place.display()))?;
    let config = place.join("config.yaml");
    fs::copy(sources.join("config.yaml"), &config).context("cannot copy config.yaml")?;
    Ok(config)
}
