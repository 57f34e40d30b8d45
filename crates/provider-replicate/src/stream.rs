//! A prediction's text as it is written, whole whatever happens to the connection.
//!
//! Three sources are glued together without loss or repetition: the event stream, the event
//! stream resumed where it broke, and the growing output of the prediction itself.

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

use crate::answer::Answer;
use crate::client::Started;
use crate::run::{Failure, Run};

/// Follows what has started to its end. What goes wrong is the last item.
pub(crate) fn follow(started: Started) -> impl Stream<Item = Result<ReplyEvent>> + Send + 'static {
    // A caller who reads slowly holds the upstream back.
    let (sender, mut receiver) = mpsc::channel(WAITING);
    // The work is done while the stream is polled, and dropped with it: nothing runs ahead but the
    // limit of the run.
    let work = async move {
        let follow = |run: Run| {
            let follower = Follower {
                answer: started.answer.of(&run.prediction),
                run,
                told: String::new(),
                sender: sender.clone(),
                seen: Seen::default(),
            };
            follower.follow()
        };
        let followed = started.order.finish(started.run, follow).await;
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
    answer: Answer,
    /// The text that the caller has got.
    told: String,
    sender: mpsc::Sender<Result<ReplyEvent>>,
    seen: Seen,
}

/// The events that came.
#[derive(Default)]
struct Seen {
    /// In earlier connections.
    earlier: HashSet<String>,
    /// In the present one.
    now: HashSet<String>,
    /// The event to resume behind.
    last: Option<String>,
    /// Some events have no id of their own, so that resuming would repeat them.
    has_gaps: bool,
    /// The bytes of all ids, with the overhead of keeping them.
    size: usize,
}

/// How an event stream ends.
enum End {
    Broken,
    Done,
    /// `canceled` or `error`, and what is known of that.
    Failed(String, Value),
}

impl Follower {
    async fn follow(mut self) -> Result<(), Failure> {
        let passed = self.run.passed();
        let done = tokio::select! {
            biased;
            () = passed => None,
            done = self.tell_all() => Some(done),
        };
        let done = done.unwrap_or_else(|| Err(self.run.watch.too_late()));
        done.map_err(|error| Failure {
            error,
            is_told: !self.told.is_empty(),
        })
    }

    async fn tell_all(&mut self) -> Result<()> {
        self.report_progress().await;
        let url = self.run.prediction.url("stream").map(str::to_owned);
        let Some(url) = url.filter(|_| !self.run.prediction.status.is_terminal()) else {
            return self.output().await;
        };
        let mut failures = 0;
        loop {
            let (told, since) = (self.told.len(), Instant::now());
            match self.events(&url).await? {
                End::Broken => {}
                End::Done => return self.settle(None).await,
                End::Failed(reason, error) => return self.settle(Some((reason, error))).await,
            }
            // A cold boot outlasts many idle streams: only those that break at once are failures.
            let was_useful = self.told.len() > told || since.elapsed() >= USEFUL;
            failures = if was_useful { 0 } else { failures + 1 };
            if failures > 1 {
                self.run.watch.pause().await?;
            }
            if !self.run.prediction.status.is_terminal() {
                self.refresh().await?;
            }
            let may_resume = self.told.is_empty() || self.seen.last.is_some();
            if self.run.prediction.status.is_terminal() || !may_resume || failures > MAX_FAILURES {
                return self.output().await;
            }
        }
    }

    /// Reads the event stream from its beginning, or from where it broke.
    async fn events(&mut self, url: &str) -> Result<End> {
        let last = self.seen.last.as_deref().unwrap_or_default();
        let opened = tokio::select! {
            opened = self.run.client.events(url, last) => opened,
            error = self.run.watch.deadline() => return Err(error),
        };
        let Ok(body) = opened else {
            return Ok(End::Broken);
        };
        self.seen.earlier.extend(self.seen.now.drain());
        // Without a `data` line, a `done` would be dropped as WHATWG wants it.
        let mut events = EventStream::new(body).with_empty_events(true);
        let mut pause = FIRST_LOOK;
        let mut next_look = Instant::now() + pause;
        loop {
            let event = tokio::select! {
                // What is there already comes before any timer.
                biased;
                event = events.next() => event,
                // Silence may be a boot, of which the caller wants to know, or a dead connection.
                () = sleep_until(next_look), if self.told.is_empty() => {
                    self.refresh().await?;
                    if self.run.prediction.status.is_terminal() {
                        return Ok(End::Broken);
                    }
                    pause = (pause * 2).min(LONGEST_LOOK);
                    next_look = Instant::now() + pause;
                    continue;
                }
                error = self.run.watch.deadline() => return Err(error),
            };
            // What is cut off is sent again, or found in the prediction's output.
            let event = event.and_then(Result::ok);
            let Some(event) = event.filter(|event| !event.is_incomplete()) else {
                return Ok(End::Broken);
            };
            let said = || serde_json::from_slice::<Value>(&event.data).unwrap_or_default();
            match event.name() {
                "output" => self.take(&event).await?,
                "done" => match said()["reason"].as_str() {
                    Some(reason) => return Ok(End::Failed(reason.to_owned(), Value::Null)),
                    None => return Ok(End::Done),
                },
                "error" => return Ok(End::Failed("error".to_owned(), said()["detail"].clone())),
                _ => {}
            }
        }
    }

    async fn take(&mut self, event: &OwnedEvent) -> Result<()> {
        let id = event.id();
        if self.seen.earlier.contains(id) {
            return Ok(());
        }
        self.tell(&event.text()).await?;
        // An event without an id is given that of the one before.
        if id.is_empty() || !self.seen.now.insert(id.to_owned()) {
            self.seen.has_gaps = true;
        } else {
            self.seen.size += id.len() + ID_OVERHEAD;
        }
        self.seen.last = Some(id.to_owned()).filter(|_| !self.seen.has_gaps);
        self.check_size()
    }

    /// Tells by how much the prediction's output grows, to its end.
    async fn output(&mut self) -> Result<()> {
        loop {
            let is_over = self.run.prediction.status.is_terminal();
            if let Some(error) = self.run.prediction.failure() {
                return Err(error);
            }
            let text = self.run.prediction.text()?;
            match text.strip_prefix(self.told.as_str()) {
                Some(more) => self.tell(more).await?,
                // While it grows, the output may lag behind the events.
                None if !is_over && self.told.starts_with(&text) => {}
                None => {
                    let message = "the prediction's output is not what its events began with";
                    return Err(Error::new(ErrorKind::UnexpectedBody, message));
                }
            }
            if is_over {
                self.end().await;
                return Ok(());
            }
            self.run.watch.pause().await?;
            self.refresh().await?;
        }
    }

    /// Waits a little for the prediction's last word, which may come later than the stream's.
    async fn settle(&mut self, failure: Option<(String, Value)>) -> Result<()> {
        let _ = timeout(SETTLE, self.refresh_until_over()).await;
        if let Some(error) = self.run.prediction.failure() {
            return Err(error);
        }
        if let Some((reason, error)) = failure {
            return Err(self.run.client.failure(&reason, &error));
        }
        // Files are other text in the events than in the output: then the events count.
        let text = self.run.prediction.text().unwrap_or_default();
        if let Some(more) = text.strip_prefix(self.told.as_str()) {
            self.tell(more).await?;
        }
        self.end().await;
        Ok(())
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
        let has_text = !self.told.is_empty() || !self.run.prediction.output.is_null();
        if !has_text && !self.run.prediction.status.is_terminal() {
            let status = excerpt(&self.run.prediction.status.0);
            let progress = Progress::new(status, self.run.watch.elapsed());
            self.send(ReplyEvent::Progress(progress)).await;
        }
    }

    async fn tell(&mut self, text: &str) -> Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if self.told.is_empty() {
            self.run.answered();
        }
        self.told.push_str(text);
        self.check_size()?;
        self.send(self.answer.piece(text)).await;
        Ok(())
    }

    /// Text and ids are kept, to go on where a stream broke. A model writes far less.
    fn check_size(&self) -> Result<()> {
        if self.told.len() + self.seen.size <= MAX_SIZE {
            return Ok(());
        }
        let mebibytes = MAX_SIZE >> 20;
        let message = format!("the events of the prediction are longer than {mebibytes} MiB");
        Err(Error::new(ErrorKind::UnexpectedBody, message))
    }

    async fn end(&self) {
        for event in self.answer.ending(&self.run.prediction, &self.told) {
            self.send(event).await;
        }
    }

    async fn send(&self, event: ReplyEvent) {
        // The receiver is dropped together with this.
        let _ = self.sender.send(Ok(event)).await;
    }
}

const FIRST_LOOK: Duration = Duration::from_millis(500);
const LONGEST_LOOK: Duration = Duration::from_secs(5);
const SETTLE: Duration = Duration::from_secs(3);
const USEFUL: Duration = Duration::from_secs(5);
const MAX_FAILURES: u32 = 3;
/// The text and the ids of a prediction's events, in bytes: as long as a response of Replicate may
/// be.
const MAX_SIZE: usize = 64 << 20;
/// Events that wait for the caller.
const WAITING: usize = 16;
/// What a set needs for an entry, besides its text.
const ID_OVERHEAD: usize = 64;
