//! `cargo xtask clients`: the official clients of OpenAI, Anthropic, Together, Replicate and Cohere,
//! unchanged.

pub(crate) mod process;
pub(crate) mod script;
pub(crate) mod servers;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use lexopt::{Arg, ValueExt};

use crate::{python, tool};
use script::Tally;
use servers::Servers;

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "clients",
    usage: "[--only NAME] [--full | --proxy] [--release]",
    about: "Run the official clients against the gateway and the simulation",
    details: "\
Installs the packages pinned in xtask/clients/requirements.txt and package-lock.json under
target/clients, and builds polyllm. Starts `polyllm sim` without and with rate limits, `polyllm serve`
(with a simulation of its own) and `polyllm serve --config xtask/clients/config.yaml` on free ports,
and runs the scripts xtask/clients/*_client.py and *_client.mjs. Prints one line per check, then the
counts. The servers' logs are in target/clients.

  --only NAME   only the scripts whose name contains NAME, such as `openai` or `.mjs`
  --full        the large clients in xtask/clients/full instead: agents, Codex, llmprobe (400 MB)
  --proxy       the clients in xtask/clients/proxy instead: litellm and its key API, langchain-openai,
                and schemathesis
  --release     use the binary that is released (profile dist)",
    run,
};

fn run(mut args: lexopt::Parser) -> Result<()> {
    let (mut only, mut release, mut suite) = (String::new(), false, Suite::Quick);
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("only") => only = args.value()?.string()?,
            Arg::Long("full") => suite = Suite::Full,
            Arg::Long("proxy") => suite = Suite::Proxy,
            Arg::Long("release") => release = true,
            _ => return Err(arg.unexpected().into()),
        }
    }
    check(suite, &only, release)
}

/// Which clients are run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Suite {
    /// Those of `xtask/clients`, which CI runs for every change.
    Quick,
    /// Those of `xtask/clients/full`.
    Full,
    /// Those of `xtask/clients/proxy`, which need other versions of the packages.
    Proxy,
}

/// Runs the scripts whose name contains `only`, and prints the result of each check.
pub(crate) fn check(suite: Suite, only: &str, release: bool) -> Result<()> {
    let shared = tool::root().join("xtask/clients");
    let (sources, place) = match suite {
        Suite::Quick => (shared.clone(), ""),
        Suite::Full => (shared.join("full"), "full"),
        Suite::Proxy => (shared.join("proxy"), "proxy"),
    };
    let scripts = scripts(&sources, only)?;
    let folder = tool::target()?.join("clients");
    let packages = folder.join(place);
    let python = python::environment(&packages.join("python"), &sources.join("requirements.txt"))?;
    let has_node = scripts.iter().any(|name| name.ends_with(".mjs"));
    let node = match has_node {
        true => node_folder(&packages, &sources, &shared)?,
        false => PathBuf::new(),
    };

    let servers = Servers::start(&polyllm(release)?, &folder)?;
    let mut tally = Tally::default();
    for name in scripts {
        let mut process = if name.ends_with(".py") {
            let mut process = clean(&python);
            process
                .arg(sources.join(&name))
                .env("PYTHONPATH", &shared)
                .env("PYTHONDONTWRITEBYTECODE", "1");
            process
        } else {
            // Node.js resolves modules relative to the script.
            let copy = node.join(&name);
            fs::copy(sources.join(&name), &copy).with_context(|| format!("cannot copy {name}"))?;
            let mut process = clean(Path::new("node"));
            process.arg(copy);
            process
        };
        tally += script::run(&name, process.envs(servers.addresses()))?;
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed > 0 {
        bail!("the servers' logs are in {}", folder.display());
    }
    Ok(())
}

/// The names of the scripts, in order.
fn scripts(sources: &Path, only: &str) -> Result<Vec<String>> {
    let entries = fs::read_dir(sources).context("cannot list xtask/clients")?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_script = |name: &String| name.ends_with("_client.py") || name.ends_with("_client.mjs");
    let mut names: Vec<_> = names.filter(is_script).collect();
    names.sort();
    let known = names.join(", ");
    names.retain(|name| name.contains(only));
    if names.is_empty() {
        return Err(lexopt::Error::from(format!(
            "unknown script '{only}'; the scripts are {known}"
        ))
        .into());
    }
    Ok(names)
}

/// A folder with the packages for JavaScript, and the modules that all scripts share.
pub(crate) fn node_folder(folder: &Path, sources: &Path, shared: &Path) -> Result<PathBuf> {
    let node = folder.join("node");
    let [manifest, lock] = ["package.json", "package-lock.json"].map(|name| sources.join(name));
    python::cached(&node, &[&manifest, &lock], || {
        println!("installing {} for JavaScript", lock.display());
        fs::copy(&manifest, node.join("package.json"))?;
        fs::copy(&lock, node.join("package-lock.json"))?;
        let mut npm = Command::new("npm");
        npm.args([
            "ci",
            "--silent",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
        ]);
        tool::run(npm.current_dir(&node)).context("Node.js with npm is needed")
    })?;
    fs::copy(shared.join("checks.mjs"), node.join("checks.mjs"))?;
    Ok(node)
}

/// Builds polyllm with all optional parts, as it is released or for debugging, and returns the path of
/// the binary.
pub(crate) fn polyllm(release: bool) -> Result<PathBuf> {
    let (profile, folder) = if release {
        ("dist", "dist")
    } else {
        ("dev", "debug")
    };
    tool::run(&mut tool::command(&format!(
        "cargo build --quiet -p polyllm-cli --features full --profile {profile}"
    )))?;
    Ok(tool::target()?.join(folder).join("polyllm"))
}

/// A command for [`ChildProcess`](process::ChildProcess), without the keys, addresses and proxies in
/// the environment of this process.
pub(crate) fn clean(program: &Path) -> Command {
    without_keys(process::watched(program))
}

/// A command without the keys, addresses and proxies in the environment of this process.
pub(crate) fn without_keys(mut command: Command) -> Command {
    command
        .current_dir(tool::root())
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1");
    for (name, _) in std::env::vars_os() {
        let owners = [
            "ANTHROPIC_",
            "CODEX_",
            "CO_",
            "OPENAI_",
            "POLYLLM_",
            "REPLICATE_",
            "TOGETHER",
        ];
        if owners
            .iter()
            .any(|owner| name.to_string_lossy().starts_with(owner))
        {
            command.env_remove(&name);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_chosen_by_a_part_of_their_name() {
        let sources = tool::root().join("xtask/clients");
        assert!(
            scripts(&sources, "")
                .unwrap()
                .contains(&"openai_client.py".to_owned())
        );
        let chosen = scripts(&sources, ".mjs").unwrap();
        assert!(!chosen.is_empty() && chosen.iter().all(|name| name.ends_with("_client.mjs")));
        assert!(scripts(&sources, "no-such").is_err_and(|error| error.is::<lexopt::Error>()));
    }
}
