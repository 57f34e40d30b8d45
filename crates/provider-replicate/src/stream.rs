//! A prediction's text as it is written, whole whatever happens to the connection.
//!
//! Three sources are glued together without loss or repetition: the event stream, the event
//! stream resumed where it broke, and the growing output of the prediction itself.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use llm_provider::{Body, ChatEvent, Error, ErrorKind, Progress, Result};
use serde_json::Value;
use sse_codec::{EventStream, OwnedEvent};
use tokio::time::{Instant, sleep_until, timeout};

use crate::answer::Answer;
use crate::cancel::CancelGuard;
use crate::client::Client;
use crate::error;
use crate::poll::Watch;
use crate::wire::{Prediction, Status};

/// Follows `prediction` to its end. What goes wrong is the last item.
pub(crate) fn follow(
    client: Client,
    prediction: Prediction,
    guard: CancelGuard,
    answer: Answer,
    deadline: Option<Instant>,
) -> impl Stream<Item = Result<ChatEvent>> + Send + 'static {
    let watch = Watch::new(client.clone(), &prediction, deadline);
    let source = Source::start(&prediction);
    let mut follower = Follower {
        client,
        guard,
        answer,
        watch,
        source,
        prediction,
        told: Told::default(),
        ready: VecDeque::new(),
        next_look: Instant::now() + FIRST_LOOK,
        pause: FIRST_LOOK,
    };
    follower.report_progress();
    stream::unfold(Some(follower), |follower| async move {
        let mut follower = follower?;
        match follower.next().await {
            Ok(Some(event)) => Some((Ok(event), Some(follower))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
}

struct Follower {
    client: Client,
    guard: CancelGuard,
    answer: Answer,
    watch: Watch,
    source: Source,
    /// As it was seen last.
    prediction: Prediction,
    told: Told,
    ready: VecDeque<ChatEvent>,
    /// When to look at the prediction itself while its event stream is silent.
    next_look: Instant,
    pause: Duration,
}

/// Where the text comes from.
enum Source {
    /// An event stream that is still to be opened, after `failures` that gave nothing.
    Connect {
        url: String,
        failures: u32,
    },
    Events {
        connection: Connection,
        events: Box<EventStream<Body>>,
    },
    /// The output of the prediction, asked for now and then.
    Output,
    /// The event stream has ended as it should: the prediction has what is still to be known.
    Settle {
        since: Instant,
        reason: Option<String>,
    },
    End,
}

struct Connection {
    url: String,
    failures: u32,
    since: Instant,
}

/// What the caller has got.
#[derive(Default)]
struct Told {
    text: String,
    /// The events that it came in, over all connections but the present one.
    earlier: HashSet<String>,
    /// Those of the present one.
    events: HashSet<String>,
    /// The event to resume behind; `None` as long as there is none.
    last_id: Option<String>,
    /// Some events have no id of their own, so that resuming would repeat them.
    has_gaps: bool,
}

impl Source {
    fn start(prediction: &Prediction) -> Self {
        match prediction.url(|urls| &urls.stream) {
            _ if prediction.status.is_terminal() => Self::Output,
            Some(url) => Self::Connect {
                url: url.to_owned(),
                failures: 0,
            },
            None => Self::Output,
        }
    }
}

impl Follower {
    /// The next event; `None` behind the last one.
    async fn next(&mut self) -> Result<Option<ChatEvent>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            match std::mem::replace(&mut self.source, Source::End) {
                Source::Connect { url, failures } => self.connect(url, failures).await?,
                Source::Events { connection, events } => self.read(connection, events).await?,
                Source::Output => self.grow().await?,
                Source::Settle { since, reason } => self.settle(since, reason).await?,
                Source::End => return Ok(None),
            }
        }
    }

    async fn connect(&mut self, url: String, failures: u32) -> Result<()> {
        let last_id = self.told.last_id.as_deref().unwrap_or_default();
        let opened = tokio::select! {
            opened = self.client.events(&url, last_id) => opened,
            error = self.watch.deadline() => return Err(error),
        };
        let connection = Connection {
            url,
            failures,
            since: Instant::now(),
        };
        let Ok(body) = opened else {
            return self.broken(connection).await;
        };
        self.told.earlier.extend(self.told.events.drain());
        // Without a `data` line, a `done` would be dropped as WHATWG wants it.
        let events = Box::new(EventStream::new(body).with_empty_events(true));
        self.source = Source::Events { connection, events };
        Ok(())
    }

    async fn read(
        &mut self,
        mut connection: Connection,
        mut events: Box<EventStream<Body>>,
    ) -> Result<()> {
        let event = tokio::select! {
            // What is there already comes before any timer.
            biased;
            event = events.next() => event,
            () = sleep_until(self.next_look), if self.told.text.is_empty() => {
                self.look().await?;
                if matches!(self.source, Source::End) {
                    self.source = Source::Events { connection, events };
                }
                return Ok(());
            }
            error = self.watch.deadline() => return Err(error),
        };
        match event {
            // What is cut off is sent again, or found in the prediction's output.
            Some(Ok(event)) if !event.is_incomplete() => {
                connection.failures = 0;
                if !self.take(&event).await? {
                    self.source = Source::Events { connection, events };
                }
                Ok(())
            }
            _ => self.broken(connection).await,
        }
    }

    /// Takes an event; `true` when it is the last of the stream.
    async fn take(&mut self, event: &OwnedEvent) -> Result<bool> {
        match event.name() {
            "output" => {
                self.take_output(event);
                Ok(false)
            }
            "error" => {
                let said: Option<Value> = serde_json::from_slice(&event.data).ok();
                let detail = said.as_ref().and_then(|said| said.get("detail")?.as_str());
                self.failed(detail).await?;
                Ok(true)
            }
            "done" => {
                let said: Option<Value> = serde_json::from_slice(&event.data).ok();
                let reason = said.as_ref().and_then(|said| said.get("reason")?.as_str());
                let reason = reason.map(str::to_owned);
                self.source = Source::Settle {
                    since: Instant::now(),
                    reason,
                };
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn take_output(&mut self, event: &OwnedEvent) {
        let id = event.id();
        if self.told.earlier.contains(id) {
            return;
        }
        self.tell(&event.text());
        // An event without an id is given that of the one before.
        self.told.has_gaps |= id.is_empty() || !self.told.events.insert(id.to_owned());
        self.told.last_id = Some(id.to_owned()).filter(|_| !self.told.has_gaps);
    }

    /// The event stream is gone before its end: there the prediction is asked, and the stream is
    /// resumed where that is possible.
    async fn broken(&mut self, connection: Connection) -> Result<()> {
        // A cold boot outlasts many idle streams: only those that break at once are failures.
        let was_useful = connection.since.elapsed() >= USEFUL;
        let failures = if was_useful { 0 } else { connection.failures };
        if failures > 0 {
            self.watch.pause().await?;
        }
        self.refresh().await?;
        let may_resume = self.told.text.is_empty() || self.told.last_id.is_some();
        self.source = if self.prediction.status.is_terminal() {
            Source::Output
        } else if may_resume && failures < MAX_FAILURES {
            Source::Connect {
                url: connection.url,
                failures: failures + 1,
            }
        } else {
            Source::Output
        };
        Ok(())
    }

    /// Looks at the prediction while its event stream is silent, to report how far it is, and in
    /// case that the stream stays silent for ever.
    async fn look(&mut self) -> Result<()> {
        self.refresh().await?;
        self.pause = (self.pause * 2).min(LONGEST_LOOK);
        self.next_look = Instant::now() + self.pause;
        if self.prediction.status.is_terminal() {
            self.source = Source::Output;
        }
        Ok(())
    }

    /// Tells by how much the prediction's output has grown.
    async fn grow(&mut self) -> Result<()> {
        if !self.prediction.status.is_terminal() {
            self.watch.pause().await?;
            self.refresh().await?;
        }
        match &self.prediction.status {
            Status::Succeeded => {
                let text = self.prediction.text()?;
                if text.is_none() && self.prediction.data_removed == Some(true) {
                    return Err(error::data_removed());
                }
                let text = text.unwrap_or_default();
                let more = text
                    .strip_prefix(self.told.text.as_str())
                    .ok_or_else(contradiction)?;
                self.tell(more);
                self.finish()
            }
            status if status.is_terminal() => self.finish(),
            _ => {
                let text = self.prediction.text()?.unwrap_or_default();
                match text.strip_prefix(self.told.text.as_str()) {
                    Some(more) => self.tell(more),
                    // The output may lag behind the events.
                    None if self.told.text.starts_with(&text) => {}
                    None => return Err(contradiction()),
                }
                self.source = Source::Output;
                Ok(())
            }
        }
    }

    /// Waits for the prediction's last word, which may come a little after the stream's.
    async fn settle(&mut self, since: Instant, reason: Option<String>) -> Result<()> {
        let limit = SETTLE.saturating_sub(since.elapsed());
        let asked = timeout(limit, self.refresh()).await;
        let is_terminal = self.prediction.status.is_terminal();
        if matches!(asked, Ok(Ok(()))) && !is_terminal && since.elapsed() < SETTLE {
            self.watch.pause().await?;
            self.source = Source::Settle { since, reason };
            return Ok(());
        }
        match (reason.as_deref(), &self.prediction.status) {
            // Files are other text in the events than in the output: then the events count.
            (_, Status::Succeeded) => {
                let text = self.prediction.text().ok().flatten().unwrap_or_default();
                self.tell(
                    text.strip_prefix(self.told.text.as_str())
                        .unwrap_or_default(),
                );
            }
            (Some("canceled"), _) if !is_terminal => {
                return Err(Error::new(
                    ErrorKind::Cancelled,
                    "the prediction was cancelled",
                ));
            }
            (Some(_), _) if !is_terminal => return Err(error::from_reason(error::NO_REASON)),
            _ => {}
        }
        self.finish()
    }

    /// The model has failed, as the event stream says in `detail`.
    async fn failed(&mut self, detail: Option<&str>) -> Result<()> {
        // The prediction's own account says more, but may come later than the stream's.
        let asked = timeout(SETTLE, self.refresh()).await;
        let has_account = self.prediction.status.is_terminal() && self.prediction.error.is_some();
        match asked {
            Ok(Ok(())) if has_account => Err(error::from_prediction(&self.prediction)),
            _ => Err(error::from_reason(detail.unwrap_or(error::NO_REASON))),
        }
    }

    /// Ends the answer, for better or worse.
    fn finish(&mut self) -> Result<()> {
        match &self.prediction.status {
            Status::Aborted | Status::Canceled | Status::Failed => {
                Err(error::from_prediction(&self.prediction))
            }
            _ => {
                self.open();
                self.ready
                    .extend(self.answer.ending(&self.prediction, &self.told.text));
                self.source = Source::End;
                Ok(())
            }
        }
    }

    async fn refresh(&mut self) -> Result<()> {
        self.prediction = self.watch.now(&self.prediction.id).await?;
        self.guard.saw(&self.prediction);
        self.report_progress();
        Ok(())
    }

    fn report_progress(&mut self) {
        let has_text = !self.told.text.is_empty() || self.prediction.output.is_some();
        if !has_text && !self.prediction.status.is_terminal() {
            let status = self.prediction.status.as_str();
            let progress = Progress::new(status, self.watch.elapsed());
            self.ready.push_back(ChatEvent::Progress(progress));
        }
    }

    fn tell(&mut self, text: &str) {
        if !text.is_empty() {
            self.open();
            self.told.text.push_str(text);
            self.ready.push_back(self.answer.piece(text));
        }
    }

    fn open(&mut self) {
        if self.told.text.is_empty() {
            self.watch.answered();
            self.ready.push_back(self.answer.opening());
        }
    }
}

fn contradiction() -> Error {
    let message = "the prediction's output is not what its event stream began with";
    Error::new(ErrorKind::UnexpectedBody, message)
}

const FIRST_LOOK: Duration = Duration::from_millis(500);
const LONGEST_LOOK: Duration = Duration::from_secs(5);
const SETTLE: Duration = Duration::from_secs(3);
const USEFUL: Duration = Duration::from_secs(5);
const MAX_FAILURES: u32 = 3;
