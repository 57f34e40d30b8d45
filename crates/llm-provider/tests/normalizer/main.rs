//! The normalizers of all endpoints on arbitrary and damaged replies and chunks: they do not panic,
//! they write valid JSON, a second pass changes nothing, and unknown members are kept.
#![cfg(test)]

mod accumulate;
mod documents;
mod replies;
mod streams;

use proptest::prelude::ProptestConfig;

/// `cases` cases, unless `PROPTEST_CASES` sets fewer. Failures are not written to files.
fn config(cases: u32) -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: match std::env::var_os("PROPTEST_CASES") {
            Some(_) => default.cases.min(cases),
            None => cases,
        },
        failure_persistence: None,
        ..default
    }
}
