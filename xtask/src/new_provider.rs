//! `cargo xtask new-provider`: the start of a provider crate, from `xtask/template`.

mod names;
mod templates;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lexopt::{Arg, ValueExt};

use self::names::Names;
use self::templates::Form;
use crate::{Command, tool};

pub(crate) const COMMAND: Command = Command {
    name: "new-provider",
    usage: "NAME [--custom]",
    about: "Generate a provider crate",
    details: "\
Writes crates/provider-NAME, a complete provider for an OpenAI-compatible upstream that passes the
conformance suite against a simulated upstream. With --custom, the upstream is not OpenAI-compatible:
it has its own schema, a key in its own header, and streams in NDJSON. Adds the crate to the workspace
and, behind a feature NAME, to the crate polyllm. The library, the gateway and the command line take
their providers from there, so no other list has to be edited. Existing files of the crate are never
overwritten.

NAME consists of lower-case letters, digits and hyphens, such as acme or fire-works. Its model names
start with NAME/ (with underscores for hyphens).",
    run,
};

fn run(mut args: lexopt::Parser) -> Result<()> {
    let mut name = None;
    let mut form = Form::OpenAi;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Long("custom") => form = Form::Custom,
            Arg::Value(value) if name.is_none() => name = Some(value.string()?),
            _ => return Err(arg.unexpected().into()),
        }
    }
    let Some(name) = name else {
        return Err(lexopt::Error::from("new-provider needs a NAME").into());
    };
    let names = Names::new(&name)?;
    write(&tool::root(), &names, form)?;
    let Names { kebab, snake, .. } = &names;
    let sources = form.sources();
    println!(
        "wrote crates/provider-{kebab}, and added it to Cargo.toml and crates/polyllm

Next (.github/CONTRIBUTING.md has the details):
  cargo test -p provider-{kebab}     passes without changes
  crates/provider-{kebab}/tests      change the simulated upstream to the provider's API
  crates/provider-{kebab}/src        change {sources} until the tests pass again
  crates/provider-{kebab}/README.md  describe what is translated
  crates/polyllm/README.md           name the feature {kebab}

The library, the gateway and the command line already serve {snake}/… models."
    );
    Ok(())
}

/// Generates a provider of each form in a copy of the workspace, and builds and tests them.
pub(crate) fn check() -> Result<()> {
    let copy = std::env::temp_dir().join(format!("polyllm-scaffold-{}", std::process::id()));
    let _ = fs::remove_dir_all(&copy);
    let outcome = check_in(&copy);
    let _ = fs::remove_dir_all(&copy);
    outcome
}

fn check_in(copy: &Path) -> Result<()> {
    let begin = Instant::now();
    let list = "git ls-files --cached --others --exclude-standard";
    let listed = tool::output(&mut tool::command(list))?;
    for file in listed.lines() {
        let from = tool::root().join(file);
        // A file may be deleted and not yet staged.
        if from.is_file() {
            let to = copy.join(file);
            fs::create_dir_all(to.parent().context("a file without a folder")?)?;
            fs::copy(&from, &to).with_context(|| format!("cannot copy {file}"))?;
        }
    }
    write(copy, &Names::new("scaffold-test")?, Form::OpenAi)?;
    write(copy, &Names::new("scaffold-custom")?, Form::Custom)?;
    fs::write(copy.join("crates/polyllm/tests/scaffold.rs"), REGISTRY_TEST)?;
    let target = tool::target()?;
    for line in [
        "cargo fmt --check -p provider-scaffold-test -p provider-scaffold-custom -p polyllm",
        "cargo clippy --offline -p provider-scaffold-test -p provider-scaffold-custom --all-targets -- -D warnings",
        "cargo test --offline -p provider-scaffold-test -p provider-scaffold-custom",
        "cargo check --offline -p polyllm --no-default-features --features scaffold-test",
        "cargo check --offline -p polyllm --no-default-features --features scaffold-custom",
        "cargo test --offline -p polyllm --test scaffold",
    ] {
        println!("{line}");
        let mut command = tool::command(line);
        command.current_dir(copy).env("CARGO_TARGET_DIR", &target);
        tool::run(&mut command)?;
    }
    let took = begin.elapsed();
    if took > TIME_LIMIT {
        bail!("the scaffold took {took:?}, which is more than {TIME_LIMIT:?}");
    }
    Ok(())
}

/// Writes the crate and adds it to the lists of crates. Changes nothing if an edit is impossible.
fn write(root: &Path, names: &Names, form: Form) -> Result<()> {
    for (path, text) in changes(root, names, form)? {
        fs::create_dir_all(path.parent().context("a file without a folder")?)?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    // The length of the name changes where rustfmt breaks lines.
    let fmt = format!("cargo fmt -p provider-{} -p polyllm", names.kebab);
    tool::run(tool::command(&fmt).current_dir(root))
}

/// The files of the crate and those that list the providers, with their new contents.
fn changes(root: &Path, names: &Names, form: Form) -> Result<Vec<(PathBuf, String)>> {
    let folder = root
        .join("crates")
        .join(format!("provider-{}", names.kebab));
    if folder.exists() {
        bail!("{} already exists", folder.display());
    }
    let mut lists = BTreeMap::new();
    for entry in entries(names) {
        let Entry { file, text, .. } = &entry;
        let old = match lists.remove(file) {
            Some(old) => old,
            None => fs::read_to_string(root.join(file))
                .with_context(|| format!("cannot read {file}"))?,
        };
        let new = enter(&old, entry.start, entry.part, text)
            .with_context(|| format!("{file} has no place for {text:?}"))?;
        lists.insert(*file, new);
    }
    let lists = lists.into_iter();
    let mut changed: Vec<_> = lists.map(|(file, text)| (root.join(file), text)).collect();
    for (file, template) in form.templates() {
        changed.push((folder.join(file), names.fill(template)));
    }
    Ok(changed)
}

/// An entry in a list of the providers.
struct Entry {
    file: &'static str,
    /// The beginning of the lines of the list.
    start: &'static str,
    /// Another part of these lines.
    part: &'static str,
    text: String,
}

/// The entries of a provider in all lists.
fn entries(names: &Names) -> [Entry; 6] {
    let Names {
        kebab,
        snake,
        camel,
        ..
    } = names;
    let version = env!("CARGO_PKG_VERSION"); // of the workspace
    let entry = |file, start, part, text| Entry {
        file,
        start,
        part,
        text,
    };
    let manifest = "crates/polyllm/Cargo.toml";
    let library = "crates/polyllm/src/lib.rs";
    [
        entry(
            "Cargo.toml",
            "provider-",
            " = { path",
            format!(
                "provider-{kebab} = {{ path = \"crates/provider-{kebab}\", version = \"{version}\" }}"
            ),
        ),
        entry(manifest, "    \"", "\",", format!("    \"{kebab}\",")),
        entry(
            manifest,
            "",
            " = [\"dep:provider-",
            format!("# Models on {camel}.\n{kebab} = [\"dep:provider-{kebab}\"]"),
        ),
        entry(
            manifest,
            "provider-",
            " = { workspace",
            format!("provider-{kebab} = {{ workspace = true, optional = true }}"),
        ),
        entry(
            library,
            "pub use provider_",
            " as ",
            format!("#[cfg(feature = \"{kebab}\")]\npub use provider_{snake} as {snake};"),
        ),
        entry(
            library,
            "    provider_",
            "::register(",
            format!(
                "    #[cfg(feature = \"{kebab}\")]\n    provider_{snake}::register(&mut registry);"
            ),
        ),
    ]
}

/// Inserts `entry` in alphabetical order among the lines that begin with `start` and contain `part`.
///
/// If the entry has two lines, the first is a comment or an attribute, like those of its neighbours.
fn enter(text: &str, start: &str, part: &str, entry: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let last = entry.lines().next_back()?;
    let above = entry.lines().count() - 1;
    let is_sibling = |line: &str| line.starts_with(start) && line.contains(part);
    let siblings: Vec<usize> = (0..lines.len())
        .filter(|&at| is_sibling(lines[at]))
        .collect();
    let at = match siblings.iter().find(|&&at| lines[at] > last) {
        Some(after) => after.checked_sub(above)?,
        None => siblings.last()? + 1,
    };
    let mut lines = lines;
    lines.splice(at..at, entry.lines());
    Some(lines.join("\n") + "\n")
}

/// The longest time that the check may take.
const TIME_LIMIT: Duration = Duration::from_secs(600);

/// A test of the crate polyllm with its default features.
const REGISTRY_TEST: &str = "\
//! The providers of the default features.\n
#[test]
fn a_new_provider_is_known_by_default() {
    let registry = polyllm::registry();
    for added in [\"scaffold_custom\", \"scaffold_test\"] {
        assert!(registry.names().any(|name| name == added), \"{added}\");
    }
}
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{File, files};

    #[test]
    fn entries_are_sorted() {
        let text = "[features]\n# B.\nb = [\"dep:provider-b\"]\n# D.\nd = [\"dep:provider-d\"]\n";
        let enter = |name: &str| {
            let entry = format!("# New.\n{name} = [\"dep:provider-{name}\"]");
            enter(text, "", " = [\"dep:provider-", &entry).unwrap()
        };
        assert!(enter("a").starts_with("[features]\n# New.\na = "));
        assert!(enter("c").contains("# New.\nc = [\"dep:provider-c\"]\n# D.\nd = "));
        assert!(enter("e").ends_with("# New.\ne = [\"dep:provider-e\"]\n"));
        assert_eq!(super::enter("nothing", "x", "y", "x y"), None);
    }

    /// The files that list the providers, and no others.
    const LISTS: [&str; 3] = [
        "Cargo.toml",
        "crates/polyllm/Cargo.toml",
        "crates/polyllm/src/lib.rs",
    ];

    #[test]
    fn a_provider_is_added_to_every_list() {
        let root = tool::scratch("new-provider-lists");
        for file in LISTS {
            let to = root.join(file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(tool::root().join(file), to).unwrap();
        }
        let names = Names::new("fire-works").unwrap();
        let changed = changes(&root, &names, Form::Custom).unwrap();
        let text = |file: &str| {
            let path = root.join(file);
            let found = changed.iter().find(|(changed, _)| *changed == path);
            found.map_or_else(String::new, |(_, text)| text.clone())
        };
        let umbrella = text("crates/polyllm/Cargo.toml");
        let list = "providers = [\n    \"fire-works\",\n    \"openai\",\n    \"replicate\",\n    \"together\",\n]";
        assert!(umbrella.contains(list), "{umbrella}");
        assert!(
            umbrella.contains("fire-works = [\"dep:provider-fire-works\"]"),
            "{umbrella}"
        );
        assert!(
            umbrella.contains("provider-fire-works = { workspace"),
            "{umbrella}"
        );
        assert!(text("Cargo.toml").contains("provider-fire-works = { path"));
        assert!(text("crates/polyllm/src/lib.rs").contains("provider_fire_works::register("));
        // `cargo xtask layers` requires it.
        let readme = text("crates/provider-fire-works/README.md");
        let workspace = text("Cargo.toml");
        let version = workspace
            .lines()
            .find_map(|line| line.strip_prefix("rust-version = \""));
        let version = version.and_then(|rest| rest.split('"').next()).unwrap();
        assert!(
            readme.contains(&format!("Requires Rust {version}.")),
            "{readme}"
        );
    }

    #[test]
    fn nothing_else_lists_the_providers() {
        let mut lists = Vec::new();
        for File { path, text } in files(&tool::root()).unwrap() {
            let words = match path.rsplit('.').next() {
                Some("toml") => ["provider-together", "\"together\""],
                Some("rs") if path.contains("/src/") => {
                    ["provider_together::", "provider_together;"]
                }
                _ => continue,
            };
            let exempt = path.starts_with("crates/provider-") || path.starts_with("xtask/");
            if !exempt && words.iter().any(|word| text.contains(word)) {
                lists.push(path);
            }
        }
        assert_eq!(lists, LISTS, "a list that new-provider does not edit");
    }

    #[test]
    fn existing_files_are_not_overwritten() {
        let root = tool::scratch("new-provider");
        fs::create_dir_all(root.join("crates/provider-acme")).unwrap();
        let error = write(&root, &Names::new("acme").unwrap(), Form::OpenAi).unwrap_err();
        assert!(error.to_string().ends_with("already exists"), "{error}");
    }

    #[test]
    fn without_a_place_for_an_entry_nothing_is_written() {
        let root = tool::scratch("new-provider-bare");
        fs::write(root.join("Cargo.toml"), "[workspace]\n").unwrap();
        let error = write(&root, &Names::new("acme").unwrap(), Form::OpenAi).unwrap_err();
        assert!(
            error.to_string().starts_with("Cargo.toml has no place"),
            "{error}"
        );
        assert!(!root.join("crates").exists());
    }
}
