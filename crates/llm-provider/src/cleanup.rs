//! Work that has to outlive the caller who caused it.
//!
//! A dropped call leaves work upstream that must be stopped, and dropping cannot wait. Such work
//! is spawned here, so that a process which stops can wait for it.

use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Runs `work` on `runtime`, beyond the life of its caller.
pub fn spawn(runtime: &Handle, work: impl Future<Output = ()> + Send + 'static) {
    tracker().spawn_on(work, runtime);
}

/// How many pieces of work are still at it.
pub fn pending() -> usize {
    tracker().len()
}

/// Waits until all work is done; `false` when `limit` passed before.
///
/// Call it before a process ends, after the last call has been dropped.
pub async fn finish(limit: Duration) -> bool {
    let tracker = tracker();
    tracker.close();
    let done = tokio::time::timeout(limit, tracker.wait()).await.is_ok();
    tracker.reopen();
    done
}

fn tracker() -> &'static TaskTracker {
    static TRACKER: OnceLock<TaskTracker> = OnceLock::new();
    TRACKER.get_or_init(TaskTracker::new)
}
