//! The templates of the files of a provider crate.

/// What the API of a provider's upstream is like.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Form {
    /// A schema of its own.
    Custom,
    /// OpenAI's, with differences.
    OpenAi,
}

impl Form {
    /// The paths in the crate, and their templates.
    pub(super) fn templates(self) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
        let files = match self {
            Self::Custom => CUSTOM,
            Self::OpenAi => OPENAI,
        };
        files.iter().chain(SHARED)
    }

    /// The files in `src` that differ between providers.
    pub(super) fn sources(self) -> &'static str {
        match self {
            Self::Custom => "config.rs, wire.rs, stream.rs, error.rs and client.rs",
            Self::OpenAi => "config.rs, wire.rs, error.rs and client.rs",
        }
    }
}

/// The templates for an OpenAI-compatible upstream. The provider is called `acme` in all templates.
const OPENAI: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../template/Cargo.toml")),
    ("README.md", include_str!("../../template/README.md")),
    (
        "src/client.rs",
        include_str!("../../template/src/client.rs"),
    ),
    ("src/error.rs", include_str!("../../template/src/error.rs")),
    ("src/lib.rs", include_str!("../../template/src/lib.rs")),
    ("src/wire.rs", include_str!("../../template/src/wire.rs")),
    (
        "tests/conformance/main.rs",
        include_str!("../../template/tests/conformance/main.rs"),
    ),
    (
        "tests/conformance/upstream.rs",
        include_str!("../../template/tests/conformance/upstream.rs"),
    ),
];

/// The templates for an upstream with its own API.
const CUSTOM: &[(&str, &str)] = &[
    (
        "Cargo.toml",
        include_str!("../../template/custom/Cargo.toml"),
    ),
    ("README.md", include_str!("../../template/custom/README.md")),
    (
        "src/client.rs",
        include_str!("../../template/custom/src/client.rs"),
    ),
    (
        "src/error.rs",
        include_str!("../../template/custom/src/error.rs"),
    ),
    (
        "src/lib.rs",
        include_str!("../../template/custom/src/lib.rs"),
    ),
    (
        "src/stream.rs",
        include_str!("../../template/custom/src/stream.rs"),
    ),
    (
        "src/wire.rs",
        include_str!("../../template/custom/src/wire.rs"),
    ),
    (
        "tests/conformance/main.rs",
        include_str!("../../template/custom/tests/conformance/main.rs"),
    ),
    (
        "tests/conformance/upstream.rs",
        include_str!("../../template/custom/tests/conformance/upstream.rs"),
    ),
];

/// The templates for both.
const SHARED: &[(&str, &str)] = &[
    ("LICENSE-APACHE", include_str!("../../../LICENSE-APACHE")),
    ("LICENSE-MIT", include_str!("../../../LICENSE-MIT")),
    (
        "src/config.rs",
        include_str!("../../template/src/config.rs"),
    ),
    (
        "tests/conformance/server.rs",
        include_str!("../../template/tests/conformance/server.rs"),
    ),
];
