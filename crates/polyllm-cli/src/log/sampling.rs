//! [`Sampling`]: at most some warnings of one kind in a time, so that an outage does not flood the log.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Drops warnings and errors of a place in the code that has logged many in a short time; the next
/// one says how many were dropped. Lines of other levels are logged only on request, so all of them
/// are kept.
#[derive(Default)]
pub(crate) struct Sampling(Mutex<HashMap<Identifier, Window>>);

/// The lines of one place in the code since `start`.
#[derive(Debug)]
struct Window {
    start: Instant,
    logged: u32,
    dropped: u32,
}

impl Window {
    fn new(start: Instant) -> Self {
        Self {
            start,
            logged: 0,
            dropped: 0,
        }
    }

    /// Whether a line is logged, and how many were dropped before it.
    fn admit(&mut self, now: Instant) -> (bool, u32) {
        let mut dropped = 0;
        if now.duration_since(self.start) >= WINDOW {
            dropped = self.dropped;
            *self = Self::new(now);
        }
        let is_logged = self.logged < MAX_LINES;
        if is_logged {
            self.logged += 1;
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
        (is_logged, dropped)
    }
}

impl<S: Subscriber> Layer<S> for Sampling {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if *metadata.level() > Level::WARN || metadata.target() == module_path!() {
            return true;
        }
        let now = Instant::now();
        let (is_logged, dropped) = {
            let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let window = windows.entry(metadata.callsite());
            window.or_insert_with(|| Window::new(now)).admit(now)
        };
        if dropped > 0 {
            let place = metadata.target();
            tracing::warn!(dropped, place, "lines like the next one were dropped");
        }
        is_logged
    }
}

/// The lines of one place in a window.
const MAX_LINES: u32 = 20;
const WINDOW: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_cut_off_and_counted() {
        let start = Instant::now();
        let mut window = Window::new(start);
        let admitted = (0..1000).filter(|_| window.admit(start).0).count();
        assert_eq!(admitted, 20);
        assert_eq!(window.admit(start + WINDOW / 2), (false, 0));
        assert_eq!(window.admit(start + WINDOW), (true, 981));
        assert_eq!(window.admit(start + WINDOW), (true, 0));
    }
}
