//! Who may depend on whom.

use super::Breach;
use super::facts::{Facts, Tree};

/// The layers. A crate knows crates of lower layers only; a provider that is not listed is in
/// [`PROVIDERS`]. A crate may be listed before it exists.
const LAYERS: &[(&str, u8)] = &[
    ("llm-types", 0),
    ("sse-codec", 0),
    ("prompt-templates", 0),
    ("llm-adapters", 1),
    ("llm-provider", 1),
    ("llm-http", 2),
    ("llm-router", 2),
    ("llm-sim", 3),
    // For tests only: see `conformance_is_for_tests`.
    ("provider-conformance", 3),
    // The wire that other providers build on.
    ("provider-openai", 3),
    ("replicate-api", 3),
    ("llm-gateway", 5),
    ("llm-bench", 5),
    ("bench-report", 6),
    ("polyllm", 6),
    ("polyllm-cli", 7),
    // Not part of the product: they may know all, and nothing depends on them.
    ("vectors", 8),
    ("xtask", 8),
];

const PROVIDERS: u8 = 4;

/// Arrows inside of a layer, each behind a feature and for a reason.
const SIDEWAYS: &[(&str, &str)] = &[
    // Feature `openai`: conversions from the messages of OpenAI's schema.
    ("prompt-templates", "llm-types"),
];

/// The dependency trees that the rules below look at.
pub(super) const TREES: &[(&str, &str)] = &[
    ("llm-types", "--all-features"),
    ("sse-codec", "--all-features"),
    ("prompt-templates", "--all-features"),
    ("prompt-templates", "--no-default-features"),
    ("llm-adapters", "--all-features"),
    ("llm-provider", "--all-features"),
    ("llm-router", "--all-features"),
    ("polyllm", "--all-features"),
];

/// Runtimes, HTTP, TLS and sockets.
const NETWORK: &[&str] = &[
    "async-std",
    "axum",
    "curl",
    "h2",
    "http",
    "http-body",
    "hyper",
    "hyper-util",
    "isahc",
    "mio",
    "native-tls",
    "reqwest",
    "rustls",
    "smol",
    "socket2",
    "tokio",
    "tokio-util",
    "tower",
    "ureq",
];

/// HTTP clients and servers, and TLS.
const HTTP: &[&str] = &[
    "aws-lc-rs",
    "h2",
    "hyper",
    "hyper-rustls",
    "hyper-util",
    "native-tls",
    "openssl",
    "reqwest",
    "ring",
    "rustls",
    "tower",
];

/// The crates above layer 0 that know no network.
const WITHOUT_NETWORK: &[&str] = &["llm-adapters"];

/// The crates that know the contract and no transport.
const WITHOUT_HTTP: &[&str] = &["llm-provider", "llm-router"];

pub(super) fn point_down(facts: &Facts) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for package in &facts.packages {
        let at = format!("{}/Cargo.toml", package.folder);
        let Some(own) = layer(&package.name) else {
            let mend = format!(
                "{} has no layer: enter it in LAYERS in xtask/src/layers/arrows.rs",
                package.name
            );
            breaches.push(Breach::new(at, mend));
            continue;
        };
        for need in &package.needs {
            // A need without a layer is reported where it is a package itself.
            let Some(below) = layer(need) else { continue };
            if below >= own && !SIDEWAYS.contains(&(&package.name, need)) {
                let mend = format!(
                    "{} (layer {own}) may not depend on {need} (layer {below}): \
                     move what it needs to a lower layer",
                    package.name
                );
                breaches.push(Breach::new(&at, mend));
            }
        }
    }
    breaches
}

pub(super) fn leaves_know_no_network(facts: &Facts) -> Vec<Breach> {
    let without = |name: &str| is_leaf(name) || WITHOUT_NETWORK.contains(&name);
    let leaves = facts.trees.iter().filter(|tree| without(tree.package));
    let known = leaves.flat_map(|tree| {
        let known = NETWORK.iter().filter(|name| tree.packages.contains(**name));
        known.map(|name| breach(facts, tree, &format!("builds {name}: do without it")))
    });
    known.collect()
}

pub(super) fn contract_knows_no_http(facts: &Facts) -> Vec<Breach> {
    let trees = facts.trees.iter();
    let trees = trees.filter(|tree| WITHOUT_HTTP.contains(&tree.package));
    let known = trees.flat_map(|tree| {
        let known = HTTP.iter().filter(|name| tree.packages.contains(**name));
        known.map(|name| {
            breach(
                facts,
                tree,
                &format!("builds {name}: leave that to llm-http"),
            )
        })
    });
    known.collect()
}

pub(super) fn conformance_is_for_tests(facts: &Facts) -> Vec<Breach> {
    let users = facts.packages.iter();
    let users = users.filter(|package| package.needs.iter().any(|need| need == CONFORMANCE));
    let mend = format!("builds {CONFORMANCE}: make it a dependency of tests only");
    users
        .map(|package| Breach::new(format!("{}/Cargo.toml", package.folder), &mend))
        .collect()
}

pub(super) fn templates_stand_alone(facts: &Facts) -> Vec<Breach> {
    let alone = |tree: &&Tree| {
        tree.package == "prompt-templates" && tree.features == "--no-default-features"
    };
    let others = facts.trees.iter().filter(alone).flat_map(|tree| {
        let others = tree.packages.iter().filter(|name| *name != tree.package);
        others.map(|name| {
            breach(
                facts,
                tree,
                &format!("builds {name}: put it behind a feature"),
            )
        })
    });
    others.collect()
}

pub(super) fn library_without_simulation(facts: &Facts) -> Vec<Breach> {
    let linked = facts
        .trees
        .iter()
        .filter(|tree| tree.package == "polyllm" && tree.packages.contains("llm-sim"));
    linked
        .map(|tree| {
            breach(
                facts,
                tree,
                "builds llm-sim: make that a dependency of tests only",
            )
        })
        .collect()
}

/// Whether a crate is of layer 0.
pub(crate) fn is_leaf(name: &str) -> bool {
    layer(name) == Some(0)
}

/// The name of a provider, if the crate is one.
pub(super) fn provider(package: &str) -> Option<&str> {
    package
        .strip_prefix("provider-")
        .filter(|_| package != CONFORMANCE)
}

fn layer(name: &str) -> Option<u8> {
    let listed = LAYERS.iter().find(|(known, _)| *known == name);
    let listed = listed.map(|(_, layer)| *layer);
    listed.or_else(|| provider(name).map(|_| PROVIDERS))
}

const CONFORMANCE: &str = "provider-conformance";

fn breach(facts: &Facts, tree: &Tree, what: &str) -> Breach {
    let folder = facts
        .package(tree.package)
        .map_or(tree.package, |package| &package.folder);
    Breach::new(
        format!("{folder}/Cargo.toml"),
        format!(
            "`cargo tree -p {} -e normal {}` {what}",
            tree.package, tree.features
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(breaches: &[Breach], expected: &[&str]) {
        let texts: Vec<_> = breaches
            .iter()
            .map(|b| format!("{}: {}", b.at, b.mend))
            .collect();
        assert_eq!(texts.len(), expected.len(), "{texts:#?}");
        for (text, part) in texts.iter().zip(expected) {
            assert!(text.contains(part), "{text:?} lacks {part:?}");
        }
    }

    #[test]
    fn an_arrow_up_or_sideways_is_a_breach() {
        let facts = Facts::made_up(
            &[
                ("llm-types", &["llm-provider"]),
                ("llm-provider", &["llm-types", "sse-codec"]),
                ("provider-x", &["llm-http", "provider-openai", "provider-y"]),
                ("llm-router", &["llm-provider", "llm-http"]),
                ("prompt-templates", &["llm-types"]),
                ("xtask", &["sse-codec"]),
            ],
            &[],
        );
        check(
            &point_down(&facts),
            &[
                "crates/llm-types/Cargo.toml: llm-types (layer 0) may not depend on llm-provider",
                "provider-x (layer 4) may not depend on provider-y (layer 4)",
                "llm-router (layer 2) may not depend on llm-http (layer 2)",
            ],
        );
    }

    #[test]
    fn a_crate_without_a_layer_is_a_breach() {
        let facts = Facts::made_up(&[("llm-new", &["llm-types"])], &[]);
        check(
            &point_down(&facts),
            &["llm-new has no layer: enter it in LAYERS"],
        );
    }

    #[test]
    fn a_runtime_in_a_leaf_is_a_breach() {
        let facts = Facts::made_up(&[("sse-codec", &[])], &[])
            .with_tree(
                "sse-codec",
                "--all-features",
                &["sse-codec", "memchr", "tokio"],
            )
            .with_tree("llm-adapters", "--all-features", &["llm-types", "http"])
            .with_tree("polyllm", "--all-features", &["polyllm", "tokio"]);
        check(
            &leaves_know_no_network(&facts),
            &[
                "sse-codec/Cargo.toml: `cargo tree -p sse-codec",
                "`cargo tree -p llm-adapters",
            ],
        );
    }

    #[test]
    fn a_transport_in_the_contract_or_the_router_is_a_breach() {
        let facts = Facts::made_up(&[("llm-provider", &[]), ("llm-router", &[])], &[])
            .with_tree(
                "llm-provider",
                "--all-features",
                &["http", "hyper", "tokio"],
            )
            .with_tree("llm-router", "--all-features", &["llm-provider", "ring"])
            .with_tree("polyllm", "--all-features", &["hyper", "rustls"]);
        check(
            &contract_knows_no_http(&facts),
            &[
                "`cargo tree -p llm-provider -e normal --all-features` builds hyper",
                "`cargo tree -p llm-router -e normal --all-features` builds ring",
            ],
        );
    }

    #[test]
    fn a_build_with_the_conformance_suite_is_a_breach() {
        let facts = Facts::made_up(
            &[
                ("provider-x", &["provider-conformance"]),
                ("provider-y", &["llm-http"]),
            ],
            &[],
        );
        check(
            &conformance_is_for_tests(&facts),
            &["crates/provider-x/Cargo.toml: builds provider-conformance"],
        );
    }

    #[test]
    fn a_dependency_of_bare_templates_is_a_breach() {
        let facts = Facts::default()
            .with_tree(
                "prompt-templates",
                "--no-default-features",
                &["prompt-templates", "serde"],
            )
            .with_tree(
                "prompt-templates",
                "--all-features",
                &["prompt-templates", "minijinja"],
            );
        check(
            &templates_stand_alone(&facts),
            &["builds serde: put it behind a feature"],
        );
    }

    #[test]
    fn a_linked_simulation_is_a_breach() {
        let facts = Facts::default().with_tree(
            "polyllm",
            "--all-features",
            &["polyllm", "llm-provider", "llm-sim"],
        );
        check(&library_without_simulation(&facts), &["builds llm-sim"]);
    }
}
