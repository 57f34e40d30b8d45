//! The input of the rules, collected once.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use super::dependencies;
use crate::tool;

/// The packages, files and dependency trees of the workspace.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) packages: Vec<Package>,
    pub(super) files: Vec<File>,
    pub(super) trees: Vec<Tree>,
}

/// A member of the workspace.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    /// Relative to the root, such as `crates/llm-types`.
    pub(super) folder: String,
    /// The members that it depends on, optional ones too, without dev-dependencies.
    pub(super) dependencies: Vec<String>,
    /// Without `default`.
    pub(super) features: Vec<String>,
    /// The oldest Rust that compiles it.
    pub(super) rust_version: String,
}

/// A file that git tracks or would add.
#[derive(Debug)]
pub(crate) struct File {
    /// Relative to the root, with slashes.
    pub(crate) path: String,
    /// Empty if it is not UTF-8.
    pub(crate) text: String,
}

/// The packages that are built for a package with certain features.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) package: &'static str,
    pub(super) features: &'static str,
    pub(super) packages: BTreeSet<String>,
}

impl Facts {
    pub(super) fn collect() -> Result<Self> {
        let root = tool::root();
        let metadata = tool::output(&mut tool::command(
            "cargo metadata --format-version 1 --no-deps",
        ))?;
        let packages = packages(&serde_json::from_str(&metadata)?, &root)
            .context("unexpected output of cargo metadata")?;
        let trees = dependencies::TREES
            .iter()
            .filter(|(name, _)| packages.iter().any(|package| package.name == *name))
            .map(|&(package, features)| tree(package, features))
            .collect::<Result<_>>()?;
        Ok(Self {
            packages,
            files: files(&root)?,
            trees,
        })
    }

    pub(super) fn package(&self, name: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name)
    }

    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }
}

fn packages(metadata: &Value, root: &Path) -> Option<Vec<Package>> {
    let members = metadata["packages"].as_array()?;
    members
        .iter()
        .map(|package| {
            let manifest = Path::new(package["manifest_path"].as_str()?);
            let folder = manifest.parent()?.strip_prefix(root).ok()?;
            let dependencies = package["dependencies"].as_array()?;
            let dependencies = dependencies
                .iter()
                .filter(|other| other["kind"] != "dev" && other["path"].is_string())
                .filter_map(|other| other["name"].as_str().map(str::to_owned));
            let features = package["features"].as_object().into_iter().flatten();
            let features = features.map(|(name, _)| name.clone());
            let rust_version = package["rust_version"].as_str().unwrap_or_default();
            Some(Package {
                name: package["name"].as_str()?.to_owned(),
                folder: folder.to_str()?.replace('\\', "/"),
                dependencies: dependencies.collect(),
                features: features.filter(|name| name != "default").collect(),
                rust_version: rust_version.to_owned(),
            })
        })
        .collect()
}

fn tree(package: &'static str, features: &'static str) -> Result<Tree> {
    let line = format!("cargo tree -p {package} -e normal --prefix none {features}");
    let printed = tool::output(&mut tool::command(&line))?;
    let names = printed
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    Ok(Tree {
        package,
        features,
        packages: names.map(str::to_owned).collect(),
    })
}

/// The files that git tracks or would add.
pub(crate) fn files(root: &Path) -> Result<Vec<File>> {
    let listed = tool::output(&mut tool::command(
        "git ls-files -z --cached --others --exclude-standard",
    ))?;
    let paths: BTreeSet<_> = listed.split_terminator('\0').collect();
    let mut files = Vec::new();
    for path in paths {
        let bytes = match std::fs::read(root.join(path)) {
            Ok(bytes) => bytes,
            // Deleted, but still in the index.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("cannot read {path}")),
        };
        let text = String::from_utf8(bytes).unwrap_or_default();
        files.push(File {
            path: path.to_owned(),
            text,
        });
    }
    Ok(files)
}

#[cfg(test)]
impl Facts {
    /// Sample facts for the tests of the rules: names and dependencies, paths and texts.
    pub(super) fn sample(packages: &[(&str, &[&str])], files: &[(&str, &str)]) -> Self {
        let package = |&(name, dependencies): &(&str, &[&str])| Package {
            name: name.to_owned(),
            folder: format!("crates/{name}"),
            dependencies: dependencies.iter().map(|&name| name.to_owned()).collect(),
            features: vec!["fast".to_owned()],
            rust_version: "1.95".to_owned(),
        };
        let file = |&(path, text): &(&str, &str)| File {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        Self {
            packages: packages.iter().map(package).collect(),
            files: files.iter().map(file).collect(),
            trees: Vec::new(),
        }
    }

    pub(super) fn with_tree(
        mut self,
        package: &'static str,
        features: &'static str,
        packages: &[&str],
    ) -> Self {
        let packages = packages.iter().map(|&name| name.to_owned()).collect();
        self.trees.push(Tree {
            package,
            features,
            packages,
        });
        self
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dev_dependencies_and_external_crates_are_left_out() {
        let metadata = json!({"packages": [{
            "name": "llm-types",
            "manifest_path": "/r/crates/llm-types/Cargo.toml",
            "dependencies": [
                {"name": "serde", "kind": null},
                {"name": "sse-codec", "kind": null, "path": "/r/crates/sse-codec"},
                {"name": "llm-provider", "kind": "build", "path": "/r/crates/llm-provider"},
                {"name": "llm-sim", "kind": "dev", "path": "/r/crates/llm-sim"},
            ],
        }]});
        let packages = packages(&metadata, Path::new("/r")).unwrap();
        assert_eq!(packages[0].folder, "crates/llm-types");
        assert_eq!(packages[0].dependencies, ["sse-codec", "llm-provider"]);
    }
}
