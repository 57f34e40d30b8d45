//! `cargo xtask deploy`: the files for Docker, Kubernetes, Prometheus and Grafana.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::clients::servers::Server;
use crate::clients::{self, clean};
use crate::{python, tool};

pub(crate) const COMMAND: crate::Command = crate::Command {
    name: "deploy",
    usage: "",
    about: "Check the files in crates/polyllm-cli/deploy",
    details: "\
Lints the Dockerfile (hadolint), checks the Kubernetes manifests against their schemas
(kubernetes-validate), checks and tests the alert rules (promtool), checks the metrics of a running
gateway (promtool), compares the metrics in rules and dashboards with the gateway's sources, and runs
`polyllm check` on the configuration for Kubernetes.

Installs the packages pinned in xtask/deploy/requirements.txt under target/deploy. Needs Python,
promtool (`apt-get install prometheus`), kubectl and curl.",
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
    tool::missing(&["promtool", "kubectl", "curl", "python3"])
}

/// Runs all checks.
pub(crate) fn check() -> Result<()> {
    let sources = tool::root().join("crates/polyllm-cli/deploy");
    let folder = tool::target()?.join("deploy");
    let requirements = tool::root().join("xtask/deploy/requirements.txt");
    let python = python::environment(&folder.join("python"), &requirements)?;

    let hadolint = python.with_file_name("hadolint");
    let dockerfile = sources.join("Dockerfile");
    tool::run(Command::new(hadolint).arg(&dockerfile))?;
    image(&fs::read_to_string(dockerfile).context("cannot read the Dockerfile")?)?;
    kubernetes(&sources, &folder, &python)?;
    prometheus(&sources.join("prometheus"))?;
    let known = metrics_in_sources()?;
    for file in ["prometheus/alerts.yaml", "grafana/polyllm.json"] {
        let used = known_metrics(&sources.join(file), &known)?;
        println!("{file}: {used} metrics of the gateway");
    }
    running_gateway(&folder)
}

/// Prints what the image contains, and checks that it has what a binary alone lacks.
fn image(dockerfile: &str) -> Result<()> {
    let files = image_files(dockerfile);
    println!("the image contains {}", files.join(", "));
    for needed in ["/etc/ssl/certs/ca-certificates.crt", "/polyllm", "/data"] {
        ensure!(files.contains(&needed), "the image has no {needed}");
    }
    Ok(())
}

/// The files and folders that the last stage of a Dockerfile copies.
fn image_files(dockerfile: &str) -> Vec<&str> {
    let last = dockerfile.rsplit("\nFROM ").next().unwrap_or_default();
    let copies = last.lines().filter(|line| line.starts_with("COPY "));
    copies
        .filter_map(|line| line.split_whitespace().next_back())
        .collect()
}

fn kubernetes(sources: &Path, folder: &Path, python: &Path) -> Result<()> {
    let mut kustomize = Command::new("kubectl");
    let manifests = tool::output(kustomize.arg("kustomize").arg(sources.join("kubernetes")))?;
    let path = folder.join("manifests.yaml");
    fs::write(&path, manifests).with_context(|| format!("cannot write {}", path.display()))?;
    let validate = python.with_file_name("kubernetes-validate");
    tool::run(Command::new(validate).arg("--strict").arg(path))
}

fn prometheus(folder: &Path) -> Result<()> {
    for line in [
        "promtool check rules alerts.yaml",
        "promtool test rules alerts.test.yaml",
        "promtool check config --syntax-only prometheus.yaml",
    ] {
        tool::run(tool::command(line).current_dir(folder))?;
    }
    Ok(())
}

/// Checks that a file uses no unknown metric, and returns how many it uses.
fn known_metrics(path: &Path, known: &BTreeSet<String>) -> Result<usize> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    if path
        .extension()
        .is_some_and(|extension| extension == "json")
    {
        let _: Value = serde_json::from_str(&text)
            .with_context(|| format!("{} is not JSON", path.display()))?;
    }
    let used: BTreeSet<String> = metric_names(&text).collect();
    for name in &used {
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| name.strip_suffix(end))
            .unwrap_or(name);
        ensure!(
            known.contains(base),
            "{}: the gateway has no metric `{name}`",
            path.display()
        );
    }
    ensure!(!used.is_empty(), "{} uses no metric", path.display());
    Ok(used.len())
}

fn metrics_in_sources() -> Result<BTreeSet<String>> {
    let folder = tool::root().join("crates/llm-gateway/src/metrics");
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(&folder).context("cannot list the sources of the metrics")? {
        names.extend(metric_names(&fs::read_to_string(entry?.path())?));
    }
    Ok(names)
}

/// All words that begin with `polyllm_`.
fn metric_names(text: &str) -> impl Iterator<Item = String> + '_ {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| word.starts_with("polyllm_"))
        .map(str::to_owned)
}

/// Checks the metrics of a gateway that has served a call.
fn running_gateway(folder: &Path) -> Result<()> {
    let polyllm: PathBuf = clients::polyllm(false)?;
    let config = tool::root().join("crates/polyllm-cli/deploy/kubernetes/config.yaml");
    let mut check = Command::new(&polyllm);
    check.args(["check", "--config"]).arg(config);
    for name in [
        "TOGETHERAI_API_KEY",
        "REPLICATE_API_KEY",
        "POLYLLM_MASTER_KEY",
    ] {
        check.env(name, "example");
    }
    let database = "postgres://user:password@database/polyllm";
    tool::run(check.env("POLYLLM_DATABASE_URL", database))?;
    let mut serve = clean(&polyllm);
    serve.args(["serve", "--port", "0", "--json"]);
    let gateway = Server::start("gateway", &mut serve, folder)?;
    let url = gateway.field("url")?;
    let curl = |path: &str, more: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["-sSf", "--noproxy", "*"]).args(more);
        tool::output(command.arg(format!("{url}{path}")))
    };
    let body = r#"{"model":"gpt-oss","messages":[{"role":"user","content":"Hello"}]}"#;
    let json = ["-H", "content-type: application/json", "-d", body];
    curl("/v1/chat/completions", &json)?;
    let metrics = curl("/metrics", &[])?;
    ensure!(
        metrics.contains("polyllm_overhead_seconds_count"),
        "the gateway did not count the call"
    );
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .spawn()
        .context("cannot run promtool")?;
    if let Some(mut input) = promtool.stdin.take() {
        input.write_all(metrics.as_bytes())?;
    }
    let status = promtool.wait()?;
    ensure!(status.success(), "promtool check metrics found faults");
    println!("promtool check metrics: {} lines", metrics.lines().count());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_an_image_are_those_of_its_last_stage() {
        let dockerfile = "FROM rust AS build\nCOPY . .\nRUN make\n\nFROM scratch\n\
            COPY --from=build /out/polyllm /polyllm\nUSER 65532:65532\n";
        assert_eq!(image_files(dockerfile), ["/polyllm"]);
        assert!(image(dockerfile).is_err());
    }

    #[test]
    fn metrics_are_found_in_expressions() {
        let text = "rate(polyllm_a_total{x=\"polyllm\"}[5m]) / polyllm_b_bucket";
        let names: Vec<_> = metric_names(text).collect();
        assert_eq!(names, ["polyllm_a_total", "polyllm_b_bucket"]);
    }

    #[test]
    fn a_metric_that_the_gateway_does_not_have_is_a_fault() {
        let known = BTreeSet::from(["polyllm_b".to_owned()]);
        let folder = tool::scratch("deploy-metrics");
        let path = folder.join("rules.yaml");
        fs::write(&path, "polyllm_b_bucket").unwrap();
        assert_eq!(known_metrics(&path, &known).unwrap(), 1);
        fs::write(&path, "polyllm_c").unwrap();
        let error = known_metrics(&path, &known).unwrap_err();
        assert!(error.to_string().contains("`polyllm_c`"), "{error}");
        fs::remove_dir_all(folder).unwrap();
    }
}
