//! The crates that work without an operating system, for WebAssembly.

use std::path::Path;

use anyhow::Result;

use crate::tool;

/// The reason why the check cannot run, if any.
pub(crate) fn missing() -> Option<String> {
    let line = format!("rustc --print target-libdir --target {TARGET}");
    let folder = tool::output(&mut tool::command(&line)).unwrap_or_default();
    let is_installed = Path::new(folder.trim()).is_dir();
    (!is_installed).then(|| format!("not installed: `rustup target add {TARGET}`"))
}

/// Checks that the crates compile. The optional parts that need an operating system are left out.
pub(crate) fn check() -> Result<()> {
    for line in LINES {
        println!("{line}");
        tool::run(&mut tool::command(&format!("{line} --target {TARGET}")))?;
    }
    Ok(())
}

const TARGET: &str = "wasm32-unknown-unknown";

const LINES: [&str; 3] = [
    "cargo check -p llm-adapters -p llm-types -p sse-codec -p prompt-templates",
    "cargo check -p llm-types -p prompt-templates --all-features",
    "cargo check -p sse-codec --all-features",
];
