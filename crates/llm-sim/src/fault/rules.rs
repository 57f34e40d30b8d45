//! When faults apply.

use std::sync::{Mutex, PoisonError};

use super::Faults;

/// When faults apply; without conditions, always.
#[derive(Clone, Debug)]
pub struct FaultRule {
    pub(crate) faults: Faults,
    pub(crate) method: Option<String>,
    pub(crate) path: Option<String>,
    /// The number of times it still applies.
    pub(crate) times: Option<usize>,
}

impl FaultRule {
    /// Applies to every request.
    pub fn new(faults: impl Into<Faults>) -> Self {
        Self {
            faults: faults.into(),
            method: None,
            path: None,
            times: None,
        }
    }

    /// Applies only to requests with this method.
    #[must_use]
    pub fn on_method(mut self, method: impl Into<String>) -> Self {
        self.method = Some(method.into());
        self
    }

    /// Applies only to requests whose path contains this.
    #[must_use]
    pub fn on_path(mut self, part: impl Into<String>) -> Self {
        self.path = Some(part.into());
        self
    }

    /// Applies only to this many matching requests.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = Some(times);
        self
    }

    fn applies_to(&mut self, method: &str, path: &str) -> bool {
        let matches = self
            .method
            .as_ref()
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self
                .path
                .as_ref()
                .is_none_or(|part| path.contains(part.as_str()));
        match &mut self.times {
            _ if !matches => false,
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}

impl<T: Into<Faults>> From<T> for FaultRule {
    fn from(faults: T) -> Self {
        Self::new(faults)
    }
}

/// The rules in force at one upstream.
#[derive(Debug)]
pub(crate) struct FaultRules(Mutex<Vec<FaultRule>>);

impl FaultRules {
    pub(crate) fn new(rules: Vec<FaultRule>) -> Self {
        Self(Mutex::new(rules))
    }

    pub(crate) fn add(&self, rule: FaultRule) {
        self.rules().push(rule);
    }

    pub(crate) fn clear(&self) {
        self.rules().clear();
    }

    pub(crate) fn list(&self) -> Vec<FaultRule> {
        self.rules().clone()
    }

    pub(crate) fn take(&self, method: &str, path: &str) -> Faults {
        let mut faults = Faults::default();
        for rule in self.rules().iter_mut() {
            if rule.applies_to(method, path) {
                faults.add(rule.faults.clone());
            }
        }
        faults
    }

    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<FaultRule>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
