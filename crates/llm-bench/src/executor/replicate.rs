use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::Value;

use crate::clock::nanos;
use crate::executor::{Completion, ExchangeTimes, Executor, RawRecord, address, post};
use crate::record::{Failure, FailureKind, Outcome, PredictionTimes};
use crate::request::{PreparedRequest, ReplicateModel};
use crate::response::{JsonResponse, PredictionStream, StreamState};
use crate::target::{Origin, ServerTarget};

impl Executor {
    /// Measures a prediction: creates it, reads its stream to the end, and gets its token counts.
    pub(super) async fn prediction(
        &self,
        target: &ServerTarget,
        request: &PreparedRequest,
        raw: &mut RawRecord,
        keep_text: bool,
    ) {
        let mut state = PredictionProgress {
            stream: StreamState::new(keep_text),
            ..PredictionProgress::default()
        };
        let ended = self
            .bounded(self.predict(target, request, raw, &mut state))
            .await;
        match ended {
            Completion::Done(()) => {}
            Completion::Failed(failure) => raw.record.outcome = Outcome::Failed(failure),
            Completion::Cancelled => raw.record.outcome = Outcome::Cancelled,
        }
        raw.record.end_ns = state.end_ns.unwrap_or_else(|| self.clock.now());
        if let Some(prediction) = &state.prediction {
            if !prediction.is_over() {
                self.cancel(target, prediction).await;
            }
            prediction.record(raw, self.cold_after);
        }
        raw.record.first_output_ns = state.stream.first_output;
        raw.chunks = state.stream.chunks;
        raw.text = state.stream.text;
    }

    async fn predict(
        &self,
        target: &ServerTarget,
        request: &PreparedRequest,
        raw: &mut RawRecord,
        state: &mut PredictionProgress,
    ) -> Result<(), Failure> {
        let path = target.path(&ReplicateModel::parse(&self.model).endpoint());
        let send = || post(target, &path, &request.body, "application/json");
        let (sent, created) = self.request(target.origin(), send, raw).await?;
        raw.sent(&sent);
        let stream_url = created.urls.stream.clone();
        state.prediction = Some(created);
        match stream_url {
            Some(url) => self.follow(target, &url, raw, state).await?,
            None => self.poll_until_done(target, raw, state).await?,
        }
        self.poll_metrics(target, raw, state).await?;
        if let Some(failure) = state.stream.failure.take() {
            return Err(failure);
        }
        if state.stream.chunks.is_empty() {
            return Err(Failure {
                kind: FailureKind::Empty,
                message: "the prediction has no output".to_owned(),
            });
        }
        Ok(())
    }

    /// Reads the event stream until `done`. Replicate closes streams that are idle for 30 seconds;
    /// they are reopened where they broke until the prediction ends.
    async fn follow(
        &self,
        target: &ServerTarget,
        url: &str,
        raw: &mut RawRecord,
        state: &mut PredictionProgress,
    ) -> Result<(), Failure> {
        let uri: Uri = url
            .parse()
            .map_err(|_| protocol("the stream has no valid URL"))?;
        let origin = Origin::of(&uri).ok_or_else(|| protocol("the stream has no valid URL"))?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut last_event_id = String::new();
        loop {
            let mut answer = PredictionStream::new(std::mem::take(&mut state.stream));
            let send = || {
                let mut request = get(target, &origin, path, "text/event-stream");
                if let Ok(id) = HeaderValue::from_str(&last_event_id)
                    && !id.is_empty()
                {
                    request.headers_mut().insert("last-event-id", id);
                }
                request
            };
            let done = self.send(&origin, send, &mut answer).await;
            raw.record.response_bytes += answer.head.bytes;
            answer.last_event_id().clone_into(&mut last_event_id);
            let refused = answer.head.failure();
            state.stream = answer.stream;
            state.end_ns = answer.done_at;
            if let Some(refused) = refused {
                return Err(refused);
            }
            if state.stream.done || state.stream.failure.is_some() {
                return Ok(());
            }
            // Broken by an idle timeout, or because the prediction had ended.
            done.map(drop).or_else(|failure| match failure.kind {
                FailureKind::Disconnected => Ok(()),
                _ => Err(failure),
            })?;
            self.poll(target, raw, state).await?;
            if state.is_over() {
                return Ok(());
            }
            tokio::time::sleep(REOPEN_DELAY).await;
        }
    }

    /// Polls a prediction without a stream until it ends. New output counts as arrived when it is
    /// seen.
    async fn poll_until_done(
        &self,
        target: &ServerTarget,
        raw: &mut RawRecord,
        state: &mut PredictionProgress,
    ) -> Result<(), Failure> {
        let mut seen = 0;
        loop {
            let at = self.poll(target, raw, state).await?;
            let pieces = state.prediction.as_ref().map(Prediction::pieces);
            for piece in pieces.unwrap_or_default().into_iter().skip(seen) {
                seen += 1;
                state.stream.piece(at, &piece);
            }
            if state.is_over() {
                state.end_ns = Some(at);
                return Ok(());
            }
            tokio::time::sleep(self.poll_interval).await;
        }
    }

    /// Polls until the prediction has its metrics, which arrive after the end of the stream.
    async fn poll_metrics(
        &self,
        target: &ServerTarget,
        raw: &mut RawRecord,
        state: &mut PredictionProgress,
    ) -> Result<(), Failure> {
        let mut wait = Duration::from_millis(20);
        for _ in 0..MAX_METRIC_POLLS {
            if state.is_over() {
                break;
            }
            self.poll(target, raw, state).await?;
            if !state.is_over() {
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(self.poll_interval);
            }
        }
        match state.prediction.as_ref().and_then(Prediction::failure) {
            Some(failure) => Err(state.stream.failure.take().unwrap_or(failure)),
            None => Ok(()),
        }
    }

    async fn poll(
        &self,
        target: &ServerTarget,
        raw: &mut RawRecord,
        state: &mut PredictionProgress,
    ) -> Result<u64, Failure> {
        let id = state.prediction.as_ref().map_or("", |known| &known.id);
        let path = target.path(&format!("/predictions/{id}"));
        let send = || get(target, target.origin(), &path, "application/json");
        let (sent, prediction) = self.request(target.origin(), send, raw).await?;
        state.prediction = Some(prediction);
        Ok(sent.end_ns)
    }

    async fn request(
        &self,
        origin: &Origin,
        request: impl Fn() -> Request<Full<Bytes>>,
        raw: &mut RawRecord,
    ) -> Result<(ExchangeTimes, Prediction), Failure> {
        let mut answer = JsonResponse::default();
        let sent = self.send(origin, request, &mut answer).await;
        let bytes = raw.record.response_bytes;
        raw.head(&answer.head);
        raw.record.response_bytes += bytes;
        let sent = sent?;
        if let Some(failure) = answer.head.failure() {
            return Err(failure);
        }
        let prediction: Prediction = serde_json::from_slice(&answer.body)
            .map_err(|error| protocol(&format!("the response is not a prediction: {error}")))?;
        // It becomes part of a path.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        if prediction.id.is_empty() || !prediction.id.bytes().all(plain) {
            return Err(protocol("the response has an invalid prediction id"));
        }
        Ok((sent, prediction))
    }

    /// Cancels an abandoned prediction, so that it is not billed to its end.
    async fn cancel(&self, target: &ServerTarget, prediction: &Prediction) {
        let path = target.path(&format!("/predictions/{}/cancel", prediction.id));
        let send = || post(target, &path, &Bytes::new(), "application/json");
        let mut answer = JsonResponse::default();
        let sending = self.send(target.origin(), send, &mut answer);
        // A failed cancellation cannot be repaired.
        let _ = tokio::time::timeout(CANCEL_TIMEOUT, sending).await;
    }
}

/// The progress of a prediction; it is kept when the waiting ends early.
#[derive(Debug, Default)]
struct PredictionProgress {
    stream: StreamState,
    prediction: Option<Prediction>,
    end_ns: Option<u64>,
}

impl PredictionProgress {
    fn is_over(&self) -> bool {
        self.prediction.as_ref().is_some_and(Prediction::is_over)
    }
}

/// The members of a prediction that are read; all but `id` are optional.
#[derive(Debug, Deserialize)]
struct Prediction {
    id: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    urls: Urls,
    #[serde(default)]
    output: Value,
    #[serde(default)]
    error: Value,
    created_at: Option<String>,
    started_at: Option<String>,
    metrics: Option<Metrics>,
}

#[derive(Debug, Default, Deserialize)]
struct Urls {
    stream: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Metrics {
    predict_time: Option<f64>,
    input_token_count: Option<u64>,
    output_token_count: Option<u64>,
}

impl Prediction {
    fn is_over(&self) -> bool {
        matches!(
            self.status.as_str(),
            "succeeded" | "failed" | "canceled" | "aborted"
        )
    }

    fn failure(&self) -> Option<Failure> {
        if !self.is_over() || self.status == "succeeded" {
            return None;
        }
        let error = match &self.error {
            Value::Null => format!("the prediction was {}", self.status),
            Value::String(error) => error.clone(),
            other => other.to_string(),
        };
        Some(Failure {
            kind: FailureKind::InStream,
            message: error,
        })
    }

    fn pieces(&self) -> Vec<String> {
        match &self.output {
            Value::String(text) => vec![text.clone()],
            Value::Array(items) => {
                let texts = items.iter().filter_map(Value::as_str);
                texts.map(str::to_owned).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Adds Replicate's counts and times.
    fn record(&self, raw: &mut RawRecord, cold_after: Duration) {
        let metrics = self.metrics.as_ref();
        raw.usage.input = metrics.and_then(|metrics| metrics.input_token_count);
        raw.usage.output = metrics.and_then(|metrics| metrics.output_token_count);
        let created = self.created_at.as_deref().and_then(parse_time);
        let started = self.started_at.as_deref().and_then(parse_time);
        let queue = created
            .zip(started)
            .map(|(created, started)| started.duration_since(created).unwrap_or_default());
        let predict = metrics
            .and_then(|metrics| metrics.predict_time)
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        raw.record.prediction = Some(PredictionTimes {
            queue_ns: queue.map(nanos),
            predict_ns: predict.map(nanos),
            cold: queue.is_some_and(|queue| queue > cold_after),
        });
    }
}

fn parse_time(text: &str) -> Option<SystemTime> {
    humantime::parse_rfc3339(text).ok()
}

/// A GET request. It carries the key only to the API and to Replicate's own hosts over HTTPS, since
/// a response may name any host.
fn get(
    target: &ServerTarget,
    origin: &Origin,
    path: &str,
    accept: &'static str,
) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    *request.method_mut() = Method::GET;
    address(&mut request, origin, path);
    let headers = request.headers_mut();
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    let trusted =
        origin == target.origin() || (origin.tls && replicate_api::is_replicate_host(&origin.host));
    if let Some(authorization) = target.authorization().filter(|_| trusted) {
        headers.insert(header::AUTHORIZATION, authorization.clone());
    }
    if origin == target.origin() {
        headers.extend(target.headers().clone());
    }
    request
}

fn protocol(message: &str) -> Failure {
    Failure {
        kind: FailureKind::Protocol,
        message: message.to_owned(),
    }
}

const REOPEN_DELAY: Duration = Duration::from_millis(100);

const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// How often an ended prediction is polled for its metrics.
const MAX_METRIC_POLLS: u32 = 20;
