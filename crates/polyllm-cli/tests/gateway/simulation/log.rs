//! The lines of a history, with their time.

use std::sync::{Arc, Mutex};

use tokio::time::Instant;

/// Clones write to the same log.
#[derive(Clone, Debug)]
pub(super) struct Log {
    start: Instant,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Log {
    /// An empty log, whose time begins now.
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            lines: Arc::default(),
        }
    }

    /// Milliseconds since the start.
    pub(super) fn now(&self) -> u64 {
        self.start.elapsed().as_millis().try_into().unwrap()
    }

    pub(super) fn write(&self, line: impl std::fmt::Display) {
        let line = format!("{:>7} {line}", self.now());
        self.lines.lock().unwrap().push(line);
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}
