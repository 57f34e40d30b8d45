//! Asynchronous calls: tasks of the runtime whose results go to futures of asyncio.
//!
//! The threads of the runtime never wait for the GIL: one blocking task wakes the event loop, which
//! takes all results that are there.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::prelude::*;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::runtime;

/// Makes the Python object of a result, with the GIL.
type Convert = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

/// The futures whose results are there.
type Waiting = Arc<Mutex<Vec<(Py<PyAny>, Convert)>>>;

/// The results for one event loop.
#[pyclass(frozen, module = "polyllm._native")]
#[derive(Default)]
pub(crate) struct Results {
    waiting: Waiting,
}

/// A running task.
#[pyclass(frozen, module = "polyllm._native")]
pub(crate) struct Task(AbortHandle);

#[pymethods]
impl Results {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    /// Passes the results to their futures, in the thread of the event loop.
    fn deliver(&self, py: Python<'_>) -> PyResult<()> {
        let waiting = std::mem::take(&mut *lock(&self.waiting));
        for (future, convert) in waiting {
            let future = future.bind(py);
            if !future.call_method0("done")?.is_truthy()? {
                set(future, convert(py).map(Some))?;
            }
        }
        Ok(())
    }
}

impl Results {
    /// Runs `work`, whose result `future` receives.
    pub(crate) fn spawn<W>(
        &self,
        py: Python<'_>,
        future: Bound<'_, PyAny>,
        work: W,
    ) -> PyResult<Task>
    where
        W: Future<Output: FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send + 'static>
            + Send
            + 'static,
    {
        let (waiting, future) = (Arc::clone(&self.waiting), future.unbind());
        runtime::with(py, |state| {
            let exit = state.exit.clone();
            let task = state.tasks.spawn_on(
                async move {
                    let convert = tokio::select! {
                        biased;
                        () = exit.cancelled() => return,
                        convert = work => convert,
                    };
                    push(&waiting, future, Box::new(convert));
                },
                state.runtime.handle(),
            );
            Ok(Task(task.abort_handle()))
        })
    }
}

#[pymethods]
impl Task {
    /// Ends the task, which stops its work upstream. A task that has ended is not affected.
    fn cancel(&self) {
        self.0.abort();
    }
}

/// Passes a result to a future that is not done.
pub(crate) fn set(future: &Bound<'_, PyAny>, result: PyResult<Option<Py<PyAny>>>) -> PyResult<()> {
    match result {
        Ok(value) => future.call_method1("set_result", (value,)),
        Err(error) => {
            let error = error.into_value(future.py());
            future.call_method1("set_exception", (error,))
        }
    }
    .map(drop)
}

/// Adds a result, and wakes the event loop unless it was woken for an earlier one.
fn push(waiting: &Waiting, future: Py<PyAny>, convert: Convert) {
    let mut results = lock(waiting);
    results.push((future, convert));
    if results.len() > 1 {
        return;
    }
    drop(results);
    let waiting = Arc::clone(waiting);
    Handle::current().spawn_blocking(move || {
        // `None` if the interpreter exits: nobody waits for the results any more.
        let woken = Python::try_attach(|py| wake(py, &waiting));
        if !matches!(woken, Some(Ok(()))) {
            // The event loop is closed.
            lock(&waiting).clear();
        }
    });
}

fn wake(py: Python<'_>, waiting: &Waiting) -> PyResult<()> {
    let first = lock(waiting)
        .first()
        .map(|(future, _)| future.clone_ref(py));
    let Some(future) = first else {
        return Ok(());
    };
    let event_loop = future.bind(py).call_method0("get_loop")?;
    let waiting = Arc::clone(waiting);
    let deliver = Bound::new(py, Results { waiting })?.getattr("deliver")?;
    let scheduled = event_loop.call_method1("call_soon_threadsafe", (deliver,));
    scheduled.map(drop)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
