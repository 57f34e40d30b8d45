use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use timed_socket::Observer;

use crate::clock::{Clock, nanos};

/// When the latest bytes of a connection arrived and were written: below TLS, so that the times are
/// those of the bytes on the wire. A connection and all its exchanges stay on one thread.
#[derive(Debug)]
pub(crate) struct IoTimes {
    clock: Clock,
    first_read: Cell<Option<u64>>,
    last_read: Cell<u64>,
    last_write: Cell<Option<u64>>,
}

impl IoTimes {
    pub(crate) fn new(clock: Clock) -> Rc<Self> {
        Rc::new(Self {
            clock,
            first_read: Cell::new(None),
            last_read: Cell::new(0),
            last_write: Cell::new(None),
        })
    }

    /// Starts an exchange: clears earlier times.
    pub(crate) fn reset(&self) {
        self.first_read.set(None);
        self.last_write.set(None);
    }

    pub(crate) fn first_read(&self) -> Option<u64> {
        self.first_read.get()
    }

    /// When the current bytes arrived.
    pub(crate) fn last_read(&self) -> u64 {
        self.last_read.get()
    }

    pub(crate) fn last_write(&self) -> Option<u64> {
        self.last_write.get()
    }
}

impl Observer for IoTimes {
    fn read(&self, waited: Duration) {
        // The kernel's clock can be set while a benchmark runs: time does not go back by it.
        let earliest = self.last_read.get().max(self.last_write.get().unwrap_or(0));
        let arrived = self.clock.now().saturating_sub(nanos(waited));
        let at = arrived.max(earliest);
        self.last_read.set(at);
        if self.first_read.get().is_none() {
            self.first_read.set(Some(at));
        }
    }

    fn written(&self) {
        self.last_write.set(Some(self.clock.now()));
    }
}
