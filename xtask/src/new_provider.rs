//! `cargo xtask new-provider`: the start of a provider crate, from `xtask/template`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use lexopt::{Arg, ValueExt};

use crate::{Command, tool};

pub(crate) const COMMAND: Command = Command {
    name: "new-provider",
    usage: "NAME",
    about: "Generate a provider crate",
    details: "\
Writes crates/provider-NAME, a complete provider for an OpenAI-compatible upstream that passes the
conformance suite against a simulated upstream. Adds it to the workspace and, behind a feature NAME, to
the crate polyllm. The library, the gateway and the command line take their providers from there, so no
other list has to be edited. Existing files of the crate are never overwritten.

NAME consists of lower-case letters, digits and hyphens, such as acme or fire-works. Its model names
start with NAME/ (with underscores for hyphens).",
    run,
};

fn run(mut args: lexopt::Parser) -> Result<()> {
    let mut name = None;
    while let Some(arg) = args.next()? {
        match arg {
            Arg::Value(value) if name.is_none() => name = Some(value.string()?),
            _ => return Err(arg.unexpected().into()),
        }
    }
    let Some(name) = name else {
        return Err(lexopt::Error::from("new-provider needs a NAME").into());
    };
    let names = Names::new(&name)?;
    write(&tool::root(), &names)?;
    let Names { kebab, snake, .. } = &names;
    println!(
        "wrote crates/provider-{kebab}, and entered it in Cargo.toml and crates/polyllm

Next:
  cargo test -p provider-{kebab}     it passes the conformance suite as it is
  crates/provider-{kebab}/src        config.rs: address and variables; wire.rs: what is different
                                     from OpenAI; error.rs: its codes; client.rs: what it can do
  crates/provider-{kebab}/tests      let the simulated upstream behave like the real one
  crates/provider-{kebab}/README.md  say what is translated

The library, the gateway and the command serve {snake}/… models already."
    );
    Ok(())
}

/// Writes and builds a provider in a copy of the workspace and runs its suite: what CI proves.
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
    let names = Names::new("scaffold-test")?;
    write(copy, &names)?;
    fs::write(copy.join("crates/polyllm/tests/scaffold.rs"), IS_REGISTERED)?;
    let target = tool::target()?;
    for line in [
        "cargo fmt --check -p provider-scaffold-test -p polyllm",
        "cargo clippy --offline -p provider-scaffold-test --all-targets -- -D warnings",
        "cargo test --offline -p provider-scaffold-test",
        "cargo check --offline -p polyllm --no-default-features --features scaffold-test",
        "cargo test --offline -p polyllm --test scaffold",
    ] {
        println!("{line}");
        let mut command = tool::command(line);
        command.current_dir(copy).env("CARGO_TARGET_DIR", &target);
        tool::run(&mut command)?;
    }
    let took = begin.elapsed();
    if took > LONGEST {
        bail!("the scaffold took {took:?}, which is more than {LONGEST:?}");
    }
    Ok(())
}

/// A provider's name in every spelling.
#[derive(Debug)]
struct Names {
    /// `fire-works`: in package and feature.
    kebab: String,
    /// `fire_works`: in Rust, and in front of model names.
    snake: String,
    /// `FireWorks`: the type.
    camel: String,
    /// `FIRE_WORKS`: in environment variables.
    upper: String,
}

impl Names {
    fn new(name: &str) -> Result<Self> {
        let mut words = name.split('-');
        let is_word = |word: &str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        if !words.all(is_word) || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
            bail!(lexopt::Error::from(format!(
                "'{name}' cannot be a provider's name: use lower-case letters, digits and hyphens, \
                 a letter first"
            )));
        }
        if TAKEN.contains(&name) {
            bail!(lexopt::Error::from(format!(
                "'{name}' cannot be a provider's name: it means something else in Rust or in the \
                 umbrella"
            )));
        }
        let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
        Ok(Self {
            kebab: name.to_owned(),
            snake: name.replace('-', "_"),
            camel: name.split('-').map(capital).collect(),
            upper: name.replace('-', "_").to_uppercase(),
        })
    }

    /// A file of the template for this provider.
    fn fill(&self, template: &str) -> String {
        let spellings = [
            ("provider-acme", format!("provider-{}", self.kebab)),
            ("acme.example", format!("{}.example", self.kebab)),
            ("acme", self.snake.clone()),
            ("Acme", self.camel.clone()),
            ("ACME", self.upper.clone()),
        ];
        let mut filled = String::new();
        let mut rest = template;
        // The first that fits, at each place: a name may itself hold "acme".
        while let Some(next) = rest.chars().next() {
            let spelling = spellings.iter().find(|(word, _)| rest.starts_with(word));
            let (word, own) = match spelling {
                Some((word, own)) => (*word, own.as_str()),
                None => (&rest[..next.len_utf8()], &rest[..next.len_utf8()]),
            };
            filled += own;
            rest = &rest[word.len()..];
        }
        filled
    }
}

/// Writes the crate and enters it; or changes nothing.
fn write(root: &Path, names: &Names) -> Result<()> {
    for (path, text) in changes(root, names)? {
        fs::create_dir_all(path.parent().context("a file without a folder")?)?;
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    // A name of another length breaks lines elsewhere.
    let fmt = format!("cargo fmt -p provider-{} -p polyllm", names.kebab);
    tool::run(tool::command(&fmt).current_dir(root))
}

/// The files of the crate, and those that list the providers, as they will be.
fn changes(root: &Path, names: &Names) -> Result<Vec<(PathBuf, String)>> {
    let folder = root
        .join("crates")
        .join(format!("provider-{}", names.kebab));
    if folder.exists() {
        bail!("{} is there already", folder.display());
    }
    let Names {
        kebab,
        snake,
        camel,
        ..
    } = names;
    let mut changed = Vec::new();
    for (file, entries) in [
        (
            "Cargo.toml",
            &[(
                "provider-",
                " = { path",
                format!("provider-{kebab} = {{ path = \"crates/provider-{kebab}\" }}"),
            )][..],
        ),
        (
            "crates/polyllm/Cargo.toml",
            &[
                ("    \"", "\",", format!("    \"{kebab}\",")),
                (
                    "",
                    " = [\"dep:provider-",
                    format!("# Models on {camel}.\n{kebab} = [\"dep:provider-{kebab}\"]"),
                ),
                (
                    "provider-",
                    " = { workspace",
                    format!("provider-{kebab} = {{ workspace = true, optional = true }}"),
                ),
            ],
        ),
        (
            "crates/polyllm/src/lib.rs",
            &[
                (
                    "pub use provider_",
                    " as ",
                    format!("#[cfg(feature = \"{kebab}\")]\npub use provider_{snake} as {snake};"),
                ),
                (
                    "    provider_",
                    "::register(",
                    format!(
                        "    #[cfg(feature = \"{kebab}\")]\n    \
                         provider_{snake}::register(&mut registry);"
                    ),
                ),
            ],
        ),
    ] {
        let path = root.join(file);
        let mut text = fs::read_to_string(&path).with_context(|| format!("cannot read {file}"))?;
        for (start, inside, entry) in entries {
            text = enter(&text, start, inside, entry)
                .with_context(|| format!("{file} has no place for {entry:?}"))?;
        }
        changed.push((path, text));
    }
    for (file, template) in TEMPLATE {
        changed.push((folder.join(file), names.fill(template)));
    }
    Ok(changed)
}

/// Puts `entry` in alphabetical order among the lines that begin with `start` and hold `inside`.
///
/// An entry of two lines has a comment or an attribute first, as its neighbours have.
fn enter(text: &str, start: &str, inside: &str, entry: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    let own = entry.lines().next_back()?;
    let above = entry.lines().count() - 1;
    let is_sibling = |line: &str| line.starts_with(start) && line.contains(inside);
    let siblings: Vec<usize> = (0..lines.len())
        .filter(|&at| is_sibling(lines[at]))
        .collect();
    let at = match siblings.iter().find(|&&at| lines[at] > own) {
        Some(after) => after.checked_sub(above)?,
        None => siblings.last()? + 1,
    };
    let mut lines = lines;
    lines.splice(at..at, entry.lines());
    Some(lines.join("\n") + "\n")
}

/// The provider that the template is: `acme`.
const TEMPLATE: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../template/Cargo.toml")),
    ("README.md", include_str!("../template/README.md")),
    ("src/client.rs", include_str!("../template/src/client.rs")),
    ("src/config.rs", include_str!("../template/src/config.rs")),
    ("src/error.rs", include_str!("../template/src/error.rs")),
    ("src/lib.rs", include_str!("../template/src/lib.rs")),
    ("src/wire.rs", include_str!("../template/src/wire.rs")),
    (
        "tests/conformance/main.rs",
        include_str!("../template/tests/conformance/main.rs"),
    ),
    (
        "tests/conformance/upstream.rs",
        include_str!("../template/tests/conformance/upstream.rs"),
    ),
];

/// Features and modules of the umbrella, and words of Rust that a crate could be named after.
const TAKEN: &[&str] = &[
    "abstract",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "client",
    "const",
    "continue",
    "crate",
    "default",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "provider",
    "pub",
    "ref",
    "request",
    "return",
    "router",
    "self",
    "static",
    "struct",
    "super",
    "templates",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "types",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

const LONGEST: Duration = Duration::from_secs(300);

/// A test of the umbrella with its default features.
const IS_REGISTERED: &str = "\
//! The providers of the default features.\n
#[test]
fn a_new_provider_is_known_by_default() {
    let registry = polyllm::registry();
    assert!(registry.names().any(|name| name == \"scaffold_test\"));
}
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{File, files};

    #[test]
    fn names_are_spelled_in_every_way() {
        let names = Names::new("fire-works2").unwrap();
        let text = names.fill("provider-acme acme/x ACME_API_KEY Acme api.acme.example");
        let all = "provider-fire-works2 fire_works2/x FIRE_WORKS2_API_KEY FireWorks2 \
                   api.fire-works2.example";
        assert_eq!(text, all);
        let names = Names::new("acme2").unwrap();
        let text = names.fill("provider-acme api.acme.example");
        assert_eq!(text, "provider-acme2 api.acme2.example");
    }

    #[test]
    fn a_name_that_cannot_be_is_misuse() {
        for name in [
            "", "Acme", "a_b", "1a", "-a", "a-", "a--b", "a/b", "é", "type", "router",
        ] {
            let error = Names::new(name).unwrap_err();
            assert!(error.is::<lexopt::Error>(), "{name}: {error}");
        }
    }

    #[test]
    fn entries_come_in_order() {
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
    fn a_provider_is_entered_in_every_list() {
        let root = tool::scratch("new-provider-lists");
        for file in LISTS {
            let to = root.join(file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(tool::root().join(file), to).unwrap();
        }
        let changed = changes(&root, &Names::new("fire-works").unwrap()).unwrap();
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
    fn what_is_there_is_not_overwritten() {
        let root = tool::scratch("new-provider");
        fs::create_dir_all(root.join("crates/provider-acme")).unwrap();
        let error = write(&root, &Names::new("acme").unwrap()).unwrap_err();
        assert!(error.to_string().ends_with("is there already"), "{error}");
    }

    #[test]
    fn without_a_place_to_enter_nothing_is_written() {
        let root = tool::scratch("new-provider-bare");
        fs::write(root.join("Cargo.toml"), "[workspace]\n").unwrap();
        let error = write(&root, &Names::new("acme").unwrap()).unwrap_err();
        assert!(
            error.to_string().starts_with("Cargo.toml has no place"),
            "{error}"
        );
        assert!(!root.join("crates").exists());
    }
}
