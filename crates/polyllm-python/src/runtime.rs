//! The runtime of a process, and waiting for it.
//!
//! The state is locked only while the thread holds the GIL, which is not released in between. A
//! process therefore cannot be forked while it is locked.

use std::future::Future;
use std::pin::pin;
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use llm_provider::cleanup;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, interval_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accounts::Accounts;
use crate::{errors, stream};

/// What all calls of a process share.
pub(crate) struct Process {
    pub(crate) id: u32,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) accounts: Accounts,
    /// The tasks of asynchronous calls.
    pub(crate) tasks: TaskTracker,
    /// Ends these tasks when the interpreter exits.
    pub(crate) exit: CancellationToken,
    /// The streams that exist, which end when the interpreter exits.
    pub(crate) streams: Vec<Weak<stream::State>>,
    /// The cleanup tasks of the parent process, of which none runs in this one.
    inherited: usize,
}

static PROCESS: Mutex<Option<Process>> = Mutex::new(None);

/// Calls `f` with the state of this process. A forked process has no threads of its parent's
/// runtime, so it gets another runtime and other connections; templates are kept.
pub(crate) fn with<T>(_: Python<'_>, f: impl FnOnce(&mut Process) -> PyResult<T>) -> PyResult<T> {
    let mut slot = lock();
    let state = match slot.take() {
        Some(state) if state.id == process::id() => state,
        Some(mut parent) => {
            let accounts = parent.accounts.of_child();
            // Dropping a runtime waits for its threads, which do not exist in this process.
            std::mem::forget(parent);
            Process::new(accounts, cleanup::pending())?
        }
        None => Process::new(Accounts::default(), 0)?,
    };
    f(slot.insert(state))
}

/// The runtime of this process.
pub(crate) fn get(py: Python<'_>) -> PyResult<Arc<Runtime>> {
    with(py, |state| Ok(Arc::clone(&state.runtime)))
}

/// Waits for `work` without the GIL. A signal whose handler raises, such as Ctrl-C, drops the work,
/// which cancels it upstream.
pub(crate) fn wait<T: Send>(
    py: Python<'_>,
    runtime: &Runtime,
    work: impl Future<Output = T> + Send,
) -> PyResult<T> {
    py.detach(|| {
        runtime.block_on(async {
            let mut work = pin!(work);
            let mut signals = interval_at(Instant::now() + SIGNALS, SIGNALS);
            loop {
                tokio::select! {
                    biased;
                    output = &mut work => return Ok(output),
                    _ = signals.tick() => Python::attach(|py| py.check_signals())?,
                }
            }
        })
    })
}

/// Polls `work` once, and returns its output if it is ready.
pub(crate) fn poll<T>(runtime: &Runtime, work: impl Future<Output = T>) -> Option<T> {
    let _context = runtime.enter();
    work.now_or_never()
}

/// Ends streams and asynchronous calls, and waits until abandoned work is cancelled upstream. Python calls
/// it when the interpreter exits.
#[pyfunction]
pub(crate) fn shutdown(py: Python<'_>) -> PyResult<()> {
    let (runtime, tasks, streams, inherited) = {
        let mut slot = lock();
        let Some(state) = slot.as_mut().filter(|state| state.id == process::id()) else {
            return Ok(());
        };
        state.exit.cancel();
        let (tasks, streams) = (state.tasks.clone(), std::mem::take(&mut state.streams));
        (Arc::clone(&state.runtime), tasks, streams, state.inherited)
    };
    tasks.close();
    let context = runtime.enter();
    for stream in streams.iter().filter_map(Weak::upgrade) {
        stream.close();
    }
    drop(context);
    wait(py, &runtime, async {
        // Exceeding the limit is no error: the process ends, and the upstream's own limits apply.
        let _ = tokio::time::timeout(EXIT_LIMIT, tasks.wait()).await;
        if cleanup::pending() > inherited {
            cleanup::finish(EXIT_LIMIT).await;
        }
    })
}

impl Process {
    fn new(accounts: Accounts, inherited: usize) -> PyResult<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("polyllm")
            .enable_all()
            .build();
        Ok(Self {
            id: process::id(),
            runtime: Arc::new(runtime.map_err(errors::internal)?),
            accounts,
            tasks: TaskTracker::new(),
            exit: CancellationToken::new(),
            streams: Vec::new(),
            inherited,
        })
    }
}

fn lock() -> MutexGuard<'static, Option<Process>> {
    PROCESS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often a waiting call looks for signals.
const SIGNALS: Duration = Duration::from_millis(50);
/// How long an exiting interpreter waits for cancellations.
const EXIT_LIMIT: Duration = Duration::from_secs(10);
/// The threads that move bytes; callers do the rest. A second one costs wake-ups, and Python would not
/// keep it busy.
const WORKERS: usize = 1;
