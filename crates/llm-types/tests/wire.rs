//! Every body and stream of the shared wire samples comes out as it went in.
//!
//! The samples lie beside the project and not in it: `POLYLLM_SHARED` names the folder, or
//! `../shared` from the workspace. Where they are missing, the test says so and checks nothing;
//! `tests/fixtures.rs` checks our own always.

use std::path::{Path, PathBuf};

mod common;

#[test]
fn bodies_and_streams_come_out_as_they_went_in() {
    let Some(wire) = shared("wire") else { return };
    assert!(common::check_folder(&wire.join("together")) > 50);
    // Replicate's bodies have types in the crate of that provider; here they are plain objects.
    assert!(common::check_raw_folder(&wire.join("replicate")) > 50);
}

fn shared(folder: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let root = std::env::var_os("POLYLLM_SHARED").map_or(beside, PathBuf::from);
    let found = Some(root.join(folder)).filter(|folder| folder.is_dir());
    if found.is_none() {
        eprintln!("SKIPPED: no shared samples at {}", root.display());
    }
    found
}
