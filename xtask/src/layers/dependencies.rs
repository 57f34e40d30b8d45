//! The rules for dependencies between crates.

use super::Violation;
use super::facts::{Facts, Tree};

/// The layer of each crate, which may depend only on crates of lower layers. A provider that is not
/// listed is in layer [`PROVIDERS`]. A crate may be listed before it exists.
const LAYERS: &[(&str, u8)] = &[
    ("llm-types", 0),
    ("sse-codec", 0),
    ("prompt-templates", 0),
    ("llm-adapters", 1),
    ("llm-provider", 1),
    ("llm-http", 2),
    ("llm-router", 2),
    ("timed-socket", 2),
    ("llm-sim", 3),
    // For tests only: see `conformance_is_for_tests`.
    ("provider-conformance", 3),
    // Other providers use its wire.
    ("provider-openai", 3),
    ("replicate-api", 3),
    ("gateway-store", 4),
    ("llm-gateway", 5),
    ("llm-bench", 5),
    ("bench-report", 6),
    ("polyllm", 6),
    ("polyllm-cli", 7),
    ("polyllm-python", 7),
    // Not part of the product: they may depend on every crate, and no crate depends on them.
    ("vectors", 8),
    ("xtask", 8),
];

const PROVIDERS: u8 = 4;

/// Allowed dependencies within a layer, each behind a feature and with its reason.
const SIDEWAYS: &[(&str, &str)] = &[
    // Feature `openai`: conversions from the messages of OpenAI's schema.
    ("prompt-templates", "llm-types"),
];

/// The dependency trees that the rules use.
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

/// The crates above layer 0 that must not depend on [`NETWORK`].
const WITHOUT_NETWORK: &[&str] = &["llm-adapters"];

/// The crates that must not depend on [`HTTP`].
const WITHOUT_HTTP: &[&str] = &["llm-provider", "llm-router"];

pub(super) fn point_to_lower_layers(facts: &Facts) -> Vec<Violation> {
    let mut violations = Vec::new();
    for package in &facts.packages {
        let at = format!("{}/Cargo.toml", package.folder);
        let Some(own) = layer(&package.name) else {
            let fix = format!(
                "{} has no layer: add it to LAYERS in xtask/src/layers/dependencies.rs",
                package.name
            );
            violations.push(Violation::new(at, fix));
            continue;
        };
        for dependency in &package.dependencies {
            // A dependency without a layer is reported at its own package.
            let Some(below) = layer(dependency) else {
                continue;
            };
            if below >= own && !SIDEWAYS.contains(&(&package.name, dependency)) {
                let fix = format!(
                    "{} (layer {own}) may not depend on {dependency} (layer {below}): \
                     move the code that it needs to a lower layer",
                    package.name
                );
                violations.push(Violation::new(&at, fix));
            }
        }
    }
    violations
}

pub(super) fn layer_0_without_network(facts: &Facts) -> Vec<Violation> {
    let without = |name: &str| is_leaf(name) || WITHOUT_NETWORK.contains(&name);
    let leaves = facts.trees.iter().filter(|tree| without(tree.package));
    let known = leaves.flat_map(|tree| {
        let known = NETWORK.iter().filter(|name| tree.packages.contains(**name));
        known.map(|name| {
            violation(
                facts,
                tree,
                &format!("builds {name}: remove that dependency"),
            )
        })
    });
    known.collect()
}

pub(super) fn contract_without_http(facts: &Facts) -> Vec<Violation> {
    let trees = facts.trees.iter();
    let trees = trees.filter(|tree| WITHOUT_HTTP.contains(&tree.package));
    let known = trees.flat_map(|tree| {
        let known = HTTP.iter().filter(|name| tree.packages.contains(**name));
        known.map(|name| {
            violation(
                facts,
                tree,
                &format!("builds {name}: move that code to llm-http"),
            )
        })
    });
    known.collect()
}

pub(super) fn conformance_is_for_tests(facts: &Facts) -> Vec<Violation> {
    let users = facts.packages.iter();
    let users = users.filter(|package| package.dependencies.iter().any(|name| name == CONFORMANCE));
    let fix = format!("builds {CONFORMANCE}: make it a dev-dependency");
    users
        .map(|package| Violation::new(format!("{}/Cargo.toml", package.folder), &fix))
        .collect()
}

pub(super) fn templates_without_dependencies(facts: &Facts) -> Vec<Violation> {
    let alone = |tree: &&Tree| {
        tree.package == "prompt-templates" && tree.features == "--no-default-features"
    };
    let others = facts.trees.iter().filter(alone).flat_map(|tree| {
        let others = tree.packages.iter().filter(|name| *name != tree.package);
        others.map(|name| {
            violation(
                facts,
                tree,
                &format!("builds {name}: put it behind a feature"),
            )
        })
    });
    others.collect()
}

pub(super) fn library_without_simulation(facts: &Facts) -> Vec<Violation> {
    let linked = facts
        .trees
        .iter()
        .filter(|tree| tree.package == "polyllm" && tree.packages.contains("llm-sim"));
    linked
        .map(|tree| violation(facts, tree, "builds llm-sim: make it a dev-dependency"))
        .collect()
}

/// Whether a crate is in layer 0.
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

fn violation(facts: &Facts, tree: &Tree, what: &str) -> Violation {
    let folder = facts
        .package(tree.package)
        .map_or(tree.package, |package| &package.folder);
    Violation::new(
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
    fn check(violations: &[Violation], expected: &[&str]) {
        let texts: Vec<_> = violations
            .iter()
            .map(|b| format!("{}: {}", b.at, b.fix))
            .collect();
        assert_eq!(texts.len(), expected.len(), "{texts:#?}");
        for (text, part) in texts.iter().zip(expected) {
            assert!(text.contains(part), "{text:?} lacks {part:?}");
        }
    }

    #[test]
    fn a_dependency_on_the_same_or_a_higher_layer_is_a_violation() {
        let facts = Facts::sample(
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
            &point_to_lower_layers(&facts),
            &[
                "crates/llm-types/Cargo.toml: llm-types (layer 0) may not depend on llm-provider",
                "provider-x (layer 4) may not depend on provider-y (layer 4)",
                "llm-router (layer 2) may not depend on llm-http (layer 2)",
            ],
        );
    }

    #[test]
    fn a_crate_without_a_layer_is_a_violation() {
        let facts = Facts::sample(&[("llm-new", &["llm-types"])], &[]);
        check(
            &point_to_lower_layers(&facts),
            &["llm-new has no layer: add it to LAYERS"],
        );
    }

    #[test]
    fn a_runtime_in_layer_0_is_a_violation() {
        let facts = Facts::sample(&[("sse-codec", &[])], &[])
            .with_tree(
                "sse-codec",
                "--all-features",
                &["sse-codec", "memchr", "tokio"],
            )
            .with_tree("llm-adapters", "--all-features", &["llm-types", "http"])
            .with_tree("polyllm", "--all-features", &["polyllm", "tokio"]);
        check(
            &layer_0_without_network(&facts),
            &[
                "sse-codec/Cargo.toml: `cargo tree -p sse-codec",
                "`cargo tree -p llm-adapters",
            ],
        );
    }

    #[test]
    fn a_transport_in_the_contract_or_the_router_is_a_violation() {
        let facts = Facts::sample(&[("llm-provider", &[]), ("llm-router", &[])], &[])
            .with_tree(
                "llm-provider",
                "--all-features",
                &["http", "hyper", "tokio"],
            )
            .with_tree("llm-router", "--all-features", &["llm-provider", "ring"])
            .with_tree("polyllm", "--all-features", &["hyper", "rustls"]);
        check(
            &contract_without_http(&facts),
            &[
                "`cargo tree -p llm-provider -e normal --all-features` builds hyper",
                "`cargo tree -p llm-router -e normal --all-features` builds ring",
            ],
        );
    }

    #[test]
    fn a_build_with_the_conformance_suite_is_a_violation() {
        let facts = Facts::sample(
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
    fn a_dependency_of_templates_without_features_is_a_violation() {
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
            &templates_without_dependencies(&facts),
            &["builds serde: put it behind a feature"],
        );
    }

    #[test]
    fn a_linked_simulation_is_a_violation() {
        let facts = Facts::default().with_tree(
            "polyllm",
            "--all-features",
            &["polyllm", "llm-provider", "llm-sim"],
        );
        check(&library_without_simulation(&facts), &["builds llm-sim"]);
    }
}
