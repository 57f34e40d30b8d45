//! Streams the text of a prediction, without loss or repetition even if connections break.
//!
//! The text comes from the event stream. A broken stream is resumed; if that is not possible, the
//! prediction is polled, and its growing output is used.

use std::collections::HashSet;
use std::future::ready;
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use llm_provider::text::excerpt;
use llm_provider::{Error, ErrorKind, Progress, ReplyEvent, Result};
use serde_json::Value;
use sse_codec::{EventStream, OwnedEvent};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use crate::client::Started;
use crate::reply::ReplyBuilder;
use crate::run::{Failure, Run};

/// Follows a started prediction to its end. An error is the last item.
pub(crate) fn follow(started: Started) -> impl Stream<Item = Result<ReplyEvent>> + Send + 'static {
    // The bounded channel applies backpressure to the upstream.
    let (sender, mut receiver) = mpsc::channel(CHANNEL_CAPACITY);
    // The work is part of the stream: it runs while the stream is polled and is dropped with it. Only
    // the guard of the run has its own task.
    let work = async move {
        let follow = |run: Run| {
            let follower = Follower {
                reply: started.reply.of(&run.prediction),
                run,
                sent: String::new(),
                sender: sender.clone(),
                seen: SeenEvents::default(),
            };
            follower.follow()
        };
        let followed = started.job.finish(started.run, follow).await;
        if let Err(error) = followed {
            let _ = sender.send(Err(error)).await;
        }
    };
    let events = stream::poll_fn(move |context| receiver.poll_recv(context));
    let work = stream::once(work).filter_map(|()| ready(None));
    stream::select(events, work)
}

struct Follower {
    run: Run,
    reply: ReplyBuilder,
    /// The text that was sent to the caller.
    sent: String,
    sender: mpsc::Sender<Result<ReplyEvent>>,
    seen: SeenEvents,
}

/// The ids of the events that were received.
#[derive(Default)]
struct SeenEvents {
    /// From earlier connections.
    earlier: HashSet<String>,
    /// From the current connection.
    current: HashSet<String>,
    /// The event after which to resume.
    last: Option<String>,
    /// Whether an event had no id, or that of an earlier event. Resuming could then repeat it.
    has_gaps: bool,
    /// The memory of all ids, in bytes, with overhead.
    size: usize,
}

/// How an event stream ends.
enum End {
    Broken,
    Done,
    /// The status `canceled` or `error`, and the detail.
    Failed(String, Value),
}

impl Follower {
    async fn follow(mut self) -> Result<(), Failure> {
        let timed_out = self.run.timed_out();
        let done = tokio::select! {
            biased;
            () = timed_out => None,
            done = self.follow_to_end() => Some(done),
        };
        let done = done.unwrap_or_else(|| Err(self.run.watch.timeout_error()));
        done.map_err(|error| Failure {
            error,
            has_output: !self.sent.is_empty(),
        })
    }

    async fn follow_to_end(&mut self) -> Result<()> {
        self.report_progress().await;
        let url = self.run.prediction.url("stream").map(str::to_owned);
        let Some(url) = url.filter(|_| !self.run.prediction.status.is_terminal()) else {
            return self.follow_output().await;
        };
        let mut failures = 0;
        loop {
            let (sent, since) = (self.sent.len(), Instant::now());
            match self.events(&url).await? {
                End::Broken => {}
                End::Done => return self.finish(None).await,
                End::Failed(reason, error) => return self.finish(Some((reason, error))).await,
            }
            // Many idle streams end during a cold boot. Only a stream that ends early is a failure.
            let was_useful = self.sent.len() > sent || since.elapsed() >= MIN_USEFUL_TIME;
            failures = if was_useful { 0 } else { failures + 1 };
            if failures > 1 {
                self.run.watch.pause().await?;
            }
            if !self.run.prediction.status.is_terminal() {
                self.refresh().await?;
            }
            let may_resume = self.sent.is_empty() || self.seen.last.is_some();
            if self.run.prediction.status.is_terminal() || !may_resume || failures > MAX_FAILURES {
                return self.follow_output().await;
            }
        }
    }

    /// Reads the event stream from its beginning, or from the last event.
    async fn events(&mut self, url: &str) -> Result<End> {
        let last = self.seen.last.as_deref().unwrap_or_default();
        let opened = tokio::select! {
            opened = self.run.client.events(url, last) => opened,
            error = self.run.watch.deadline() => return Err(error),
        };
        let Ok(body) = opened else {
            return Ok(End::Broken);
        };
        self.seen.earlier.extend(self.seen.current.drain());
        // The WHATWG specification drops events without a `data` line, such as a `done`.
        let mut events = EventStream::new(body).with_empty_events(true);
        let mut pause = FIRST_CHECK;
        let mut next_check = Instant::now() + pause;
        loop {
            let event = tokio::select! {
                // Events that have arrived have priority over timers.
                biased;
                event = events.next() => event,
                // No events: the model is booting, or the connection is dead.
                () = sleep_until(next_check), if self.sent.is_empty() => {
                    self.refresh().await?;
                    if self.run.prediction.status.is_terminal() {
                        return Ok(End::Broken);
                    }
                    pause = (pause * 2).min(MAX_CHECK_INTERVAL);
                    next_check = Instant::now() + pause;
                    continue;
                }
                error = self.run.watch.deadline() => return Err(error),
            };
            // An incomplete event is sent again, or its text is in the prediction's output.
            let event = event.and_then(Result::ok);
            let Some(event) = event.filter(|event| !event.is_incomplete()) else {
                return Ok(End::Broken);
            };
            let data = || serde_json::from_slice::<Value>(&event.data).unwrap_or_default();
            match event.name() {
                "output" => self.handle_output(&event).await?,
                "done" => match data()["reason"].as_str() {
                    Some(reason) if FAILURES.contains(&reason) => {
                        return Ok(End::Failed(reason.to_owned(), Value::Null));
                    }
                    // The state of the prediction says how it ended.
                    _ => return Ok(End::Done),
                },
                "error" => {
                    let detail = match data() {
                        Value::Object(mut error) => error.remove("detail").unwrap_or_default(),
                        Value::Null => event.text().into_owned().into(),
                        text => text,
                    };
                    return Ok(End::Failed("error".to_owned(), detail));
                }
                _ => {}
            }
        }
    }

    async fn handle_output(&mut self, event: &OwnedEvent) -> Result<()> {
        let id = event.id();
        if self.seen.earlier.contains(id) {
            return Ok(());
        }
        if !self.sent.is_empty() {
            self.send_text(self.reply.separator()).await?;
        }
        self.send_text(&event.text()).await?;
        // An event without an id inherits that of the previous event.
        if id.is_empty() || !self.seen.current.insert(id.to_owned()) {
            self.seen.has_gaps = true;
        } else {
            self.seen.size += id.len() + ID_OVERHEAD;
        }
        self.seen.last = Some(id.to_owned()).filter(|_| !self.seen.has_gaps);
        self.check_size()
    }

    /// Polls the prediction until it ends, and sends what is new in its output.
    async fn follow_output(&mut self) -> Result<()> {
        loop {
            let is_over = self.run.prediction.status.is_terminal();
            if let Some(error) = self.run.prediction.failure() {
                return Err(error);
            }
            let text = in_lines_of(&self.sent, self.reply.text(&self.run.prediction)?);
            match text.strip_prefix(self.sent.as_str()) {
                Some(more) => self.send_text(more).await?,
                // While the prediction runs, its output may lag behind the events.
                None if !is_over && self.sent.starts_with(&text) => {}
                None => return Err(contradiction()),
            }
            if is_over {
                self.end().await;
                return Ok(());
            }
            self.run.watch.pause().await?;
            self.refresh().await?;
        }
    }

    /// Ends the reply after the event stream: waits briefly for the final state of the prediction, and
    /// sends what is missing.
    async fn finish(&mut self, failure: Option<(String, Value)>) -> Result<()> {
        let _ = timeout(FINAL_STATE_TIMEOUT, self.refresh_until_over()).await;
        if let Some(error) = self.run.prediction.failure() {
            return Err(error);
        }
        if let Some((reason, error)) = failure {
            return Err(self.run.client.failure(&reason, &error));
        }
        let text = match self.reply.text(&self.run.prediction) {
            Err(error) if error.kind() == ErrorKind::Unsupported => return Err(error),
            text => in_lines_of(&self.sent, text.unwrap_or_default()),
        };
        match text.strip_prefix(self.sent.as_str()) {
            Some(more) => self.send_text(more).await?,
            None if self.may_differ(&text) => {}
            None => return Err(contradiction()),
        }
        self.end().await;
        Ok(())
    }

    /// Whether the text of all events may differ from that of the output: for files, if the output is
    /// not complete or no longer there, and in white space.
    fn may_differ(&self, output: &str) -> bool {
        let words = |text: &str| -> String { text.split_whitespace().collect() };
        !self.reply.separator().is_empty()
            || !self.run.prediction.status.is_terminal()
            || self.sent.starts_with(output)
            || words(&self.sent) == words(output)
    }

    async fn refresh_until_over(&mut self) -> Result<()> {
        self.refresh().await?;
        while !self.run.prediction.status.is_terminal() {
            self.run.watch.pause().await?;
            self.refresh().await?;
        }
        Ok(())
    }

    async fn refresh(&mut self) -> Result<()> {
        self.run.refresh().await?;
        self.report_progress().await;
        Ok(())
    }

    async fn report_progress(&self) {
        let has_text = !self.sent.is_empty() || !self.run.prediction.output.is_null();
        if !has_text && !self.run.prediction.status.is_terminal() {
            let status = excerpt(&self.run.prediction.status.0);
            let progress = Progress::new(status, self.run.watch.elapsed());
            self.send(ReplyEvent::Progress(progress)).await;
        }
    }

    async fn send_text(&mut self, text: &str) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if self.sent.is_empty() {
            self.run.output_started();
        }
        self.sent.push_str(text);
        self.check_size()?;
        self.send(self.reply.chunk(text)).await;
        Ok(())
    }

    /// Limits the memory of the text and the ids, which are kept for resuming. Models write far less.
    fn check_size(&self) -> Result<()> {
        if self.sent.len() + self.seen.size <= MAX_SIZE {
            return Ok(());
        }
        let mebibytes = MAX_SIZE >> 20;
        let message = format!("the events of the prediction are longer than {mebibytes} MiB");
        Err(Error::new(ErrorKind::UnexpectedBody, message))
    }

    async fn end(&self) {
        for event in self.reply.last_chunks(&self.run.prediction, &self.sent) {
            self.send(event).await;
        }
    }

    async fn send(&self, event: ReplyEvent) {
        // The receiver is dropped only together with this future.
        let _ = self.sender.send(Ok(event)).await;
    }
}

fn contradiction() -> Error {
    let message = "the prediction's output contradicts its events";
    Error::new(ErrorKind::UnexpectedBody, message)
}

/// The output in the form of the text that was sent: the lines of events end with `\n` only.
fn in_lines_of(sent: &str, output: String) -> String {
    if output.starts_with(sent) || sent.starts_with(&output) {
        return output;
    }
    output.replace("\r\n", "\n").replace('\r', "\n")
}

/// The reasons of a `done` event that are failures.
const FAILURES: &[&str] = &["aborted", "canceled", "cancelled", "error", "failed"];
const FIRST_CHECK: Duration = Duration::from_millis(500);
const MAX_CHECK_INTERVAL: Duration = Duration::from_secs(5);
const FINAL_STATE_TIMEOUT: Duration = Duration::from_secs(3);
const MIN_USEFUL_TIME: Duration = Duration::from_secs(5);
const MAX_FAILURES: u32 = 3;
/// The maximum size of the text and the ids of a prediction's events, in bytes: that of a response.
const MAX_SIZE: usize = 64 << 20;
/// The number of events that wait for the caller.
const CHANNEL_CAPACITY: usize = 16;
/// The memory of an entry in a set besides its text, in bytes.
const ID_OVERHEAD: usize = 64;
