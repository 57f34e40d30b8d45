//! The health of the client: whether its threads run on time.

use std::fs;
use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::clock::{Clock, nanos};
use crate::experiment::Stall;
use crate::record::RequestRecord;

/// A thread that measures how late timers fire.
#[derive(Debug)]
pub(crate) struct TimerMonitor {
    stop: mpsc::Sender<()>,
    thread: JoinHandle<Vec<(u64, u64)>>,
}

impl TimerMonitor {
    pub(crate) fn start(clock: Clock) -> io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let watch = move || {
            let mut late = Vec::new();
            loop {
                let due = clock.now() + nanos(TICK);
                match stopped.recv_timeout(TICK) {
                    Err(mpsc::RecvTimeoutError::Timeout) => {
                        late.push((due, clock.now().saturating_sub(due)));
                    }
                    Ok(()) | Err(mpsc::RecvTimeoutError::Disconnected) => return late,
                }
            }
        };
        let thread = thread::Builder::new()
            .name("bench-watch".to_owned())
            .spawn(watch)?;
        Ok(Self { stop, thread })
    }

    /// Returns the lateness of timers (median, 99th percentile, maximum), and the stalls.
    pub(crate) fn stop(self) -> ((u64, u64, u64), Vec<Stall>) {
        drop(self.stop);
        let ticks = self.thread.join().unwrap_or_default();
        let stalls = ticks.iter().filter_map(|&(due, late)| stall(due, late));
        let stalls = stalls.collect();
        let mut late: Vec<_> = ticks.iter().map(|&(_, late)| late).collect();
        late.sort_unstable();
        let at = |share: f64| {
            let index = (late.len() as f64 * share) as usize;
            late.get(index.min(late.len().saturating_sub(1)))
                .copied()
                .unwrap_or(0)
        };
        ((at(0.5), at(0.99), at(1.0)), stalls)
    }
}

/// Reports stalls of a measuring thread from within it; runs until dropped.
pub(crate) async fn watch_thread(clock: Clock, mut note: impl FnMut(Stall)) {
    loop {
        let due = clock.now() + nanos(TICK);
        tokio::time::sleep(TICK).await;
        if let Some(stall) = stall(due, clock.now().saturating_sub(due)) {
            note(stall);
        }
    }
}

fn stall(due: u64, late: u64) -> Option<Stall> {
    (late >= nanos(STALL_THRESHOLD)).then_some(Stall {
        start_ns: due,
        length_ns: late,
    })
}

/// Joins overlapping stalls, and marks the affected records.
pub(crate) fn mark(mut stalls: Vec<Stall>, records: &mut [RequestRecord]) -> Vec<Stall> {
    stalls.sort_by_key(|stall| stall.start_ns);
    let mut merged: Vec<Stall> = Vec::new();
    for stall in stalls {
        match merged.last_mut() {
            Some(last) if stall.start_ns <= last.start_ns + last.length_ns => {
                let end = stall.start_ns + stall.length_ns;
                last.length_ns = last.length_ns.max(end - last.start_ns);
            }
            _ => merged.push(stall),
        }
    }
    for record in records {
        let starts = merged
            .partition_point(|stall| stall.start_ns + stall.length_ns <= record.dispatched_ns);
        record.stalled = merged
            .get(starts)
            .is_some_and(|stall| stall.start_ns < record.end_ns);
    }
    merged
}

/// Processor time of this process so far. Available on Linux, in hundredths of a second (`proc(5)`,
/// `/proc/pid/stat`, fields 14 and 15; user space always sees 100 ticks per second).
pub(crate) fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is a name in parentheses, which may contain spaces.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / 100.0)
}

const TICK: Duration = Duration::from_millis(5);

/// A timer that fires this late counts as a stall: far more than a timer's granularity.
const STALL_THRESHOLD: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_in_a_stall_are_marked() {
        let record = |dispatched_ns, end_ns| RequestRecord {
            dispatched_ns,
            end_ns,
            ..RequestRecord::default()
        };
        let mut records = [record(0, 10), record(5, 30), record(55, 60), record(60, 70)];
        let stall = |start_ns, length_ns| Stall {
            start_ns,
            length_ns,
        };
        let stalls = mark(
            vec![stall(40, 20), stall(20, 5), stall(45, 10)],
            &mut records,
        );
        assert_eq!(stalls, [stall(20, 5), stall(40, 20)]);
        let stalled: Vec<_> = records.iter().map(|record| record.stalled).collect();
        assert_eq!(stalled, [false, true, true, false]);
    }
}
