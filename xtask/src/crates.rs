//! The number of crates that the default build of the binary compiles.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::tool;

/// Checks that `cargo build` compiles at most [`MAX_CRATES`] crates, build scripts included.
pub(crate) fn check() -> Result<()> {
    let tree = tool::output(&mut tool::command(
        "cargo tree -p polyllm-cli -e normal,build --prefix none",
    ))?;
    let metadata = tool::output(&mut tool::command("cargo metadata --format-version 1"))?;
    let count = count(&tree, &serde_json::from_str(&metadata)?)
        .context("cargo metadata lists no packages")?;
    println!("the default build of polyllm-cli compiles {count} crates, build scripts included");
    ensure!(
        count <= MAX_CRATES,
        "at most {MAX_CRATES} are allowed: put parts that few users need behind a feature of polyllm-cli"
    );
    Ok(())
}

/// Counts like Cargo's progress bar: each package once, and twice more if it has a build script, which
/// is compiled and run.
fn count(tree: &str, metadata: &Value) -> Option<usize> {
    // `name v1.2.3 (…)`.
    let key = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let lines = tree.lines().filter(|line| !line.is_empty());
    let built: BTreeSet<String> = lines.map(key).collect();
    let packages = metadata["packages"].as_array()?;
    let scripts = packages.iter().filter(|package| {
        let name = package["name"].as_str().unwrap_or_default();
        let version = package["version"].as_str().unwrap_or_default();
        let targets = package["targets"].as_array().into_iter().flatten();
        let mut kinds = targets.filter_map(|target| target["kind"][0].as_str());
        built.contains(&format!("{name} v{version}")) && kinds.any(|kind| kind == "custom-build")
    });
    Some(built.len() + 2 * scripts.count())
}

const MAX_CRATES: usize = 210;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn packages_count_once_and_build_scripts_twice() {
        let package = |name: &str, kinds: &[&str]| {
            let targets: Vec<_> = kinds.iter().map(|kind| json!({"kind": [kind]})).collect();
            json!({"name": name, "version": "1.0.0", "targets": targets})
        };
        let metadata = json!({"packages": [
            package("ring", &["lib", "custom-build"]),
            package("serde", &["lib"]),
            package("redis", &["lib", "custom-build"]),
        ]});
        let tree = "polyllm-cli v0.1.0 (/polyllm)\nring v1.0.0\nserde v1.0.0\n\nring v1.0.0 (*)\n\
                    serde v2.0.0 (proc-macro)\n";
        assert_eq!(count(tree, &metadata), Some(6));
        assert_eq!(count(tree, &json!({})), None);
    }
}
