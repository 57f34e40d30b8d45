//! Requests from code without `async`.
//!
//! The calls run on a runtime with one thread, which starts with the first call and lives as long
//! as the process. Requests are built as in asynchronous code:
//!
//! ```no_run
//! use polyllm::{Client, blocking};
//!
//! # fn example() -> polyllm::Result<()> {
//! let client = Client::from_env()?;
//! let chat = || client.chat("together_ai/openai/gpt-oss-20b").with_user("What is Rust?");
//! let response = blocking::wait(chat())?;
//! println!("{}", response.text().unwrap_or_default());
//!
//! let mut stream = blocking::stream(chat())?;
//! while let Some(text) = stream.next_text()? {
//!     print!("{text}");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A program that drops a stream of Replicate before its end should call [`finish_cleanup`] before
//! it exits.

use std::sync::OnceLock;
use std::time::Duration;

use llm_provider::endpoint::StreamingRequest;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::{Error, ErrorKind, ReplyEvent, ReplyStream, RequestBuilder, Result};

/// Waits for a request, or for any other future of this crate, such as
/// [`completion`](crate::completion()).
///
/// # Errors
/// Those of the future. [`ErrorKind::InvalidRequest`] on a thread of a tokio runtime, also of
/// `spawn_blocking`, which has to await the future instead.
pub fn wait<T>(future: impl IntoFuture<Output = Result<T>>) -> Result<T> {
    runtime()?.block_on(future.into_future())
}

/// Sends a request and returns the reply as it arrives.
///
/// # Errors
/// Those of [`RequestBuilder::stream`] and of [`wait`].
pub fn stream<R: StreamingRequest>(request: RequestBuilder<'_, R>) -> Result<Stream> {
    wait(request.stream()).map(Stream)
}

/// Waits until abandoned calls have been stopped upstream; `false` if `limit` passes first.
///
/// # Errors
/// Those of [`wait`].
pub fn finish_cleanup(limit: Duration) -> Result<bool> {
    wait(async { Ok(llm_provider::cleanup::finish(limit).await) })
}

/// A streamed reply, as an iterator of its events.
#[derive(Debug)]
pub struct Stream(ReplyStream);

impl Stream {
    /// The next piece of text of the first choice, skipping everything else; `None` after the last.
    ///
    /// # Errors
    /// The error with which the stream ended, and those of [`wait`].
    pub fn next_text(&mut self) -> Result<Option<String>> {
        wait(self.0.next_text())
    }
}

impl Iterator for Stream {
    type Item = Result<ReplyEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        wait(async { self.0.next().await.transpose() }).transpose()
    }
}

fn runtime() -> Result<&'static Runtime> {
    static RUNTIME: OnceLock<std::io::Result<Runtime>> = OnceLock::new();
    if Handle::try_current().is_ok() {
        let message = "a thread of a tokio runtime must not block: await the request instead";
        return Err(Error::new(ErrorKind::InvalidRequest, message));
    }
    let runtime = RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder
            .worker_threads(1)
            .thread_name("polyllm")
            .enable_all();
        builder.build()
    });
    runtime.as_ref().map_err(|error| {
        let message = format!("the runtime cannot be started: {error}");
        Error::new(ErrorKind::Transport, message).with_unsent()
    })
}
