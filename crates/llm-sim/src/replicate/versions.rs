//! Version ids returned for models outside the catalogue: a bare id must be resolved to its model.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::replicate::catalog::Model;

#[derive(Debug, Default)]
pub(crate) struct Versions(Mutex<HashMap<String, Model>>);

impl Versions {
    pub(crate) fn note(&self, model: &Model, version: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_VERSIONS {
            known.clear();
        }
        known.insert(version.to_owned(), model.clone());
    }

    /// The model of a bare version id.
    pub(crate) fn model(&self, version: &str) -> Option<Model> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Model::of_version(version).or_else(|| known.get(version).cloned())
    }
}

/// Forgetting them causes a 422; unlimited growth would cost more.
const MAX_VERSIONS: usize = 10_000;
