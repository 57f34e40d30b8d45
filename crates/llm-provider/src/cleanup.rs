//! Work that outlives its caller, such as cancelling a prediction.
//!
//! When a call is dropped, its work upstream must be stopped, but `drop` cannot wait. The request that
//! stops it is spawned here, so that a stopping process can wait for it.

use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Runs `work` on `runtime`, independently of its caller.
pub fn spawn(runtime: &Handle, work: impl Future<Output = ()> + Send + 'static) {
    tracker().spawn_on(work, runtime);
}

/// The number of running tasks.
pub fn pending() -> usize {
    tracker().len()
}

/// Waits until all tasks have ended; `false` if `limit` passes first.
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
