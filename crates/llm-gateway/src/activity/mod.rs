//! What the dashboard shows of calls: the recent ones with their attempts, and totals of each minute.
//!
//! All of it is in memory, bounded, and without prompts and replies. It outlives a reload.

mod minutes;
mod request;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use gateway_store::Timestamp;
use http::header::HeaderValue;

use self::minutes::Minutes;
pub(crate) use self::minutes::Point;
pub(crate) use self::request::{ActiveRequest, RecentRequest};

/// The calls that a gateway has served.
#[derive(Default)]
pub(crate) struct Activity(Mutex<State>);

#[derive(Default)]
struct State {
    /// The newest last.
    recent: VecDeque<RecentRequest>,
    minutes: Minutes,
}

impl Activity {
    /// Begins to record a request. It is kept once its client is known
    /// ([`ActiveRequest::identify`]).
    pub(crate) fn begin(
        self: &Arc<Self>,
        route: &'static str,
        id: &HeaderValue,
        started: Instant,
    ) -> Arc<ActiveRequest> {
        ActiveRequest::new(Arc::clone(self), route, id, started)
    }

    /// The latest calls, the newest first.
    pub(crate) fn recent(&self, limit: usize, only_failed: bool) -> Vec<RecentRequest> {
        let state = self.state();
        let newest = state.recent.iter().rev();
        let chosen = newest.filter(|request| !only_failed || request.has_failed());
        chosen.take(limit).cloned().collect()
    }

    /// The totals of the last `minutes`, in at most `points` steps of equal length, the oldest first.
    pub(crate) fn points(&self, minutes: u64, points: u64) -> Vec<Point> {
        self.state().minutes.points(now(), minutes, points)
    }

    fn record(&self, request: RecentRequest) {
        let mut state = self.state();
        state.minutes.add(now(), &request);
        if state.recent.len() >= MAX_RECENT {
            state.recent.pop_front();
        }
        state.recent.push_back(request);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Activity").finish_non_exhaustive()
    }
}

/// The time in minutes of Unix time.
fn now() -> u64 {
    Timestamp::from(SystemTime::now())
        .as_millis()
        .unsigned_abs()
        / 60_000
}

/// How many calls are kept.
const MAX_RECENT: usize = 500;
