//! Streamed replies.

use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use llm_provider::endpoint::Chat;
use llm_provider::{Chunk, Document, Endpoint, Error, ReplyStream};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::call::Context;
use crate::tasks::{self, Results, Task};
use crate::{errors, runtime, to_json, to_python};

/// The chunks of a reply. Dropping it stops the work upstream.
#[pyclass(frozen, module = "polyllm._native")]
pub(crate) struct Stream {
    state: Arc<State>,
    context: Context,
    facts: Py<PyDict>,
    runtime: Arc<Runtime>,
    /// The process whose runtime reads the stream.
    process: u32,
}

/// A stream whose readers take turns.
pub(crate) struct State {
    slot: Mutex<Slot>,
    /// Notified when a reader has put the stream back.
    idle: Notify,
    closed: CancellationToken,
    include_usage: bool,
}

/// The stream, unless a reader has it.
enum Slot {
    Idle(Box<ReplyStream>),
    /// A reader has it.
    Reading,
    Ended,
}

impl Stream {
    pub(crate) fn new(
        py: Python<'_>,
        stream: ReplyStream,
        facts: Py<PyDict>,
        context: Context,
    ) -> PyResult<Self> {
        let state = Arc::new(State {
            slot: Mutex::new(Slot::Idle(Box::new(stream))),
            idle: Notify::new(),
            closed: CancellationToken::new(),
            include_usage: context.include_usage,
        });
        runtime::with(py, |process| {
            process.streams.retain(|stream| stream.strong_count() > 0);
            process.streams.push(Arc::downgrade(&state));
            Ok(())
        })?;
        Ok(Self {
            state,
            context,
            facts,
            runtime: runtime::get(py)?,
            process: process::id(),
        })
    }

    fn check_process(&self) -> PyResult<()> {
        if self.process == process::id() {
            return Ok(());
        }
        let message = "the stream belongs to the parent process: start another one after the fork";
        Err(PyRuntimeError::new_err(message))
    }
}

#[pymethods]
impl Stream {
    /// The next chunk; `None` after the last.
    fn next<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.check_process()?;
        // A chunk that has arrived needs neither another thread nor a release of the GIL.
        let next = match runtime::poll(&self.runtime, self.state.next()) {
            Some(next) => next,
            None => {
                let waited = runtime::wait(py, &self.runtime, self.state.next());
                // The exception of a signal may keep this object until the process has ended.
                waited.inspect_err(|_| self.close())?
            }
        };
        convert(py, &self.context, next)
    }

    /// Like `next`, for an asynchronous caller: `future` receives the chunk. `None` if it has it
    /// already.
    fn start_next(
        &self,
        py: Python<'_>,
        results: &Results,
        future: Bound<'_, PyAny>,
    ) -> PyResult<Option<Task>> {
        self.check_process()?;
        if let Some(next) = runtime::poll(&self.runtime, self.state.next()) {
            let chunk = convert(py, &self.context, next);
            tasks::set(&future, chunk.map(|chunk| chunk.map(Bound::unbind)))?;
            return Ok(None);
        }
        let (state, context) = (Arc::clone(&self.state), self.context.clone());
        let task = results.spawn(py, future, async move {
            let next = state.next().await;
            Box::new(move |py: Python<'_>| {
                let chunk = convert(py, &context, next)?;
                Ok(chunk.map_or_else(|| py.None(), Bound::unbind))
            })
        });
        task.map(Some)
    }

    /// Stops the work upstream. Further chunks are not returned.
    fn close(&self) {
        if self.process == process::id() {
            let _context = self.runtime.enter();
            self.state.close();
        }
    }

    /// Facts about the call, such as the provider.
    #[getter]
    fn facts(&self, py: Python<'_>) -> Py<PyDict> {
        self.facts.clone_ref(py)
    }
}

impl State {
    /// Ends the stream. A reader drops it itself, since it sees that the stream is closed.
    pub(crate) fn close(&self) {
        self.closed.cancel();
        drop(self.take());
    }

    /// The next chunk for the caller: a chunk with the usage only if it was requested. Readers take
    /// turns.
    async fn next(&self) -> Result<Option<Chunk>, Error> {
        let Some(mut reader) = self.reader().await else {
            return Ok(None);
        };
        let next = tokio::select! {
            biased;
            () = self.closed.cancelled() => Ok(None),
            next = reader.next(self.include_usage) => next,
        };
        if !matches!(next, Ok(Some(_))) {
            reader.stream = None;
        }
        next
    }

    /// The stream, as soon as no other reader has it; `None` after the end.
    async fn reader(&self) -> Option<Reader<'_>> {
        loop {
            let idle = self.idle.notified();
            match self.take() {
                Slot::Ended => return None,
                Slot::Reading => idle.await,
                Slot::Idle(stream) => {
                    let stream = Some(stream);
                    return Some(Reader {
                        state: self,
                        stream,
                    });
                }
            }
        }
    }

    /// Takes the stream. After that, the slot is in use by the caller, unless the stream has ended or
    /// is closed.
    fn take(&self) -> Slot {
        let mut slot = self.lock();
        let next = match &*slot {
            Slot::Ended => Slot::Ended,
            Slot::Idle(_) if self.closed.is_cancelled() => Slot::Ended,
            Slot::Idle(_) | Slot::Reading => Slot::Reading,
        };
        std::mem::replace(&mut slot, next)
    }

    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A turn of a reader. A reader that is cancelled puts the stream back.
struct Reader<'s> {
    state: &'s State,
    /// `None` after the end.
    stream: Option<Box<ReplyStream>>,
}

impl Reader<'_> {
    async fn next(&mut self, include_usage: bool) -> Result<Option<Chunk>, Error> {
        match &mut self.stream {
            Some(stream) => next_chunk(stream, include_usage).await,
            None => Ok(None),
        }
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        *self.state.lock() = self.stream.take().map_or(Slot::Ended, Slot::Idle);
        self.state.idle.notify_waiters();
    }
}

async fn next_chunk(stream: &mut ReplyStream, usage: bool) -> Result<Option<Chunk>, Error> {
    loop {
        let chunk = stream.next_chunk().await?;
        let is_usage = |chunk: &Chunk| chunk.usage().is_some() && has_no_choices(chunk.body());
        if usage || !chunk.as_ref().is_some_and(is_usage) {
            return Ok(chunk);
        }
    }
}

fn has_no_choices(chunk: &Document) -> bool {
    let mut choices = chunk.objects("choices").into_iter().flatten();
    choices.next().is_none()
}

fn convert<'py>(
    py: Python<'py>,
    context: &Context,
    next: Result<Option<Chunk>, Error>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let chunk = next.map_err(|error| context.raise(py, &error))?;
    chunk
        .map(|chunk| to_python::document(py, context.endpoint, true, chunk.body()))
        .transpose()
}

/// Joins the chunks of a chat into the reply that would have come in one piece.
#[pyfunction]
pub(crate) fn join<'py>(
    py: Python<'py>,
    chunks: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    let endpoint: &'static dyn Endpoint = &Chat;
    let fail = |error: Error| errors::raise(py, &error, None);
    let mut joined = endpoint
        .accumulator()
        .ok_or_else(|| errors::internal("chats cannot be joined"))?;
    for chunk in chunks.try_iter()? {
        let chunk = to_json::value("chunks", &chunk?)?;
        joined
            .push(&Chunk::new(Document::new(&chunk)))
            .map_err(fail)?;
    }
    to_python::document(py, endpoint, false, &joined.finish())
}

impl Drop for Stream {
    fn drop(&mut self) {
        let _context = self.runtime.enter();
        if self.process != process::id() {
            // The work is the parent's, and so is the runtime that would stop it.
            std::mem::forget(Arc::clone(&self.state));
        }
    }
}
