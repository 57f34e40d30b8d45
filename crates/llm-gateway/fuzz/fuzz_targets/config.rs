//! Any text as a config: no panic, and every problem is at a place in the text and fits on a line.
//!
//! `cargo +nightly fuzz run config`, in the folder of the crate (a corpus to begin with: the files
//! in `tests/it/configs`).

#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use llm_gateway::{Config, Position};
use llm_provider::{Capabilities, Provider, Registry, Settings};

/// Providers that take any settings.
static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let mut registry = Registry::new();
    for name in ["acme", "other_ai"] {
        registry.register(name, |_: Settings| Ok(Arc::new(Silent) as Arc<dyn Provider>));
    }
    registry
});

fuzz_target!(|text: &str| {
    let outcome = Config::parse(text, &REGISTRY, &|name| {
        (!name.starts_with('X')).then(|| VARIABLE.to_owned())
    });
    let problems = match &outcome {
        Ok(config) => &config.warnings,
        Err(error) => error.problems(),
    };
    for problem in problems {
        assert!(problem.at.is_some_and(|at| is_inside(text, at)), "{problem}");
        let words = [Some(&problem.message), problem.help.as_ref()];
        for words in words.into_iter().flatten() {
            assert!(words.len() < 1_000, "{problem}");
            assert!(!words.contains(|c: char| c.is_control()), "{problem:?}");
            assert!(!words.contains(VARIABLE), "{problem}");
        }
    }
});

/// Whether the position is in the text, or at its end.
fn is_inside(text: &str, at: Position) -> bool {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let line = text.split(['\n', '\r']).nth(at.line - 1);
    line.is_some_and(|line| at.column <= line.chars().count() + 1)
}

/// The value of every environment variable, which may be a key.
const VARIABLE: &str = "Sk-Canary-1";

/// A provider without any operation.
#[derive(Debug)]
struct Silent;

impl Provider for Silent {
    fn name(&self) -> &'static str {
        "silent"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new([])
    }
}
