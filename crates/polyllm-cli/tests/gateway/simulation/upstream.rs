//! Upstreams without a network, which fail as a seed wants.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::BodyExt;
use llm_provider::{BodyStream, Error, ErrorKind, RequestBody, Result, Transport};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::bug::Bug;
use super::log::Log;

/// All upstreams of a history. Clones are the same.
#[derive(Clone)]
pub(super) struct Upstream(Arc<Shared>);

struct Shared {
    log: Log,
    bug: Option<Bug>,
    state: Mutex<State>,
}

struct State {
    random: Rng,
    is_calm: bool,
    attempts: Vec<Attempt>,
}

/// A request that an upstream received.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// The request of the client, its key, and the gateway.
    pub(super) number: usize,
    pub(super) key: usize,
    pub(super) process: usize,
    /// The tokens of the prompt and of the reply, once the gateway has them.
    pub(super) usage: Option<(u64, u64)>,
    pub(super) began: u64,
    pub(super) ended: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Fate {
    Answer,
    Refused,
    Reset,
    Status(u16),
    Silence,
    /// The body breaks after so many pieces.
    Cut(usize),
    /// The body ends after so many pieces.
    Short(usize),
}

impl Upstream {
    pub(super) fn new(log: Log, seed: u64, bug: Option<Bug>) -> Self {
        Self(Arc::new(Shared {
            log,
            bug,
            state: Mutex::new(State {
                random: Rng::with_seed(seed),
                is_calm: false,
                attempts: Vec::new(),
            }),
        }))
    }

    /// From now on, nothing fails.
    pub(super) fn calm_down(&self) {
        self.lock().is_calm = true;
    }

    pub(super) fn attempts(&self) -> Vec<Attempt> {
        self.lock().attempts.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    async fn serve(self, body: Value) -> Result<Response<BodyStream>> {
        let (running, fate, delay) = self.begin(&body);
        sleep(delay).await;
        let broken = || Error::new(ErrorKind::Transport, "the connection broke");
        match fate {
            Fate::Refused => return Err(running.end(broken().with_unsent())),
            Fate::Reset => return Err(running.end(broken())),
            Fate::Silence => std::future::pending().await,
            Fate::Status(status) => {
                let error = json!({ "error": { "message": "simulated", "type": "simulated" } });
                running.end(());
                let body = stream::iter([Ok(Bytes::from(error.to_string()))]).boxed();
                return Ok(response(status, "application/json", body));
            }
            Fate::Answer | Fate::Cut(_) | Fate::Short(_) => {}
        }
        let is_streamed = body["stream"] == true;
        let (mut pieces, usage) = match is_streamed {
            true => self.chunks(&body),
            false => self.whole(&body),
        };
        let is_cut = matches!(fate, Fate::Cut(_));
        if let Fate::Cut(kept) | Fate::Short(kept) = fate {
            pieces.truncate(kept);
        }
        let state = (pieces, running, usage, is_cut);
        let body = stream::unfold(state, move |(mut pieces, running, usage, is_cut)| {
            let this = self.clone();
            async move {
                let Some(piece) = pieces.pop_front() else {
                    running.end(());
                    return is_cut.then(|| (Err(broken()), (pieces, running, usage, false)));
                };
                let delay = this.lock().random.choice([0, 0, 1, 20, 400]).unwrap();
                sleep(Duration::from_millis(delay)).await;
                if piece.has_usage {
                    running.used(usage);
                }
                if pieces.is_empty() && !is_cut {
                    running.end(());
                }
                Some((Ok(piece.bytes), (pieces, running, usage, is_cut)))
            }
        });
        let kind = match is_streamed {
            true => "text/event-stream",
            false => "application/json",
        };
        Ok(response(200, kind, body.boxed()))
    }

    fn begin(&self, body: &Value) -> (Running, Fate, Duration) {
        let text = body["messages"][0]["content"].as_str().unwrap();
        let numbers: Vec<usize> = text
            .split(' ')
            .filter_map(|word| word.parse().ok())
            .collect();
        let [number, key, process] = numbers[..] else {
            panic!("{text}")
        };
        let mut state = self.lock();
        let fate = match state.is_calm {
            true => Fate::Answer,
            false => match state.random.u8(0..20) {
                0 => Fate::Refused,
                1 => Fate::Reset,
                2 => Fate::Status(429),
                3 => Fate::Status(500),
                4 => Fate::Silence,
                5 | 6 => Fate::Cut(state.random.usize(0..8)),
                7 => Fate::Short(state.random.usize(0..8)),
                _ => Fate::Answer,
            },
        };
        let delay = state.random.choice([0, 3, 100, 1_500]).unwrap();
        let index = state.attempts.len();
        state.attempts.push(Attempt {
            number,
            key,
            process,
            usage: None,
            began: self.0.log.now(),
            ended: None,
        });
        drop(state);
        self.0
            .log
            .write(format_args!("upstream: request {number} arrives: {fate:?}"));
        let upstream = self.clone();
        (
            Running { upstream, index },
            fate,
            Duration::from_millis(delay),
        )
    }

    /// The pieces of a reply, and its usage.
    fn whole(&self, body: &Value) -> (VecDeque<Piece>, (u64, u64)) {
        let (input, output) = self.usage(body);
        let text = json!({
            "id": "1", "object": "chat.completion", "created": 1, "model": body["model"],
            "choices": [{
                "index": 0, "finish_reason": "stop",
                "message": { "role": "assistant", "content": "word ".repeat(output as usize) },
            }],
            "usage": { "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output },
        })
        .to_string();
        let (one, other) = text.split_at(text.len() / 2);
        let pieces = [
            Piece::new(one.to_owned(), false),
            Piece::new(other.to_owned(), true),
        ];
        (pieces.into(), (input, output))
    }

    /// The chunks of a reply, and its usage.
    fn chunks(&self, body: &Value) -> (VecDeque<Piece>, (u64, u64)) {
        let (input, output) = self.usage(body);
        let chunk = |choices: Value| {
            json!({
                "id": "1", "object": "chat.completion.chunk", "created": 1, "model": body["model"],
                "choices": choices,
            })
        };
        let delta = |delta: Value, reason: Value| {
            chunk(json!([{ "index": 0, "delta": delta, "finish_reason": reason }]))
        };
        let mut chunks = vec![delta(
            json!({ "role": "assistant", "content": "" }),
            Value::Null,
        )];
        for _ in 0..output.min(6) {
            chunks.push(delta(json!({ "content": "word " }), Value::Null));
        }
        chunks.push(delta(json!({}), json!("stop")));
        let mut last = chunk(json!([]));
        last["usage"] = json!({ "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output });
        chunks.push(last);
        let frame =
            |chunk: &Value| Piece::new(format!("data: {chunk}\n\n"), chunk["usage"].is_object());
        let mut pieces: VecDeque<_> = chunks.iter().map(frame).collect();
        pieces.push_back(Piece::new("data: [DONE]\n\n".to_owned(), false));
        (pieces, (input, output))
    }

    /// Tokens within the estimate of the gateway.
    fn usage(&self, body: &Value) -> (u64, u64) {
        let most = body["max_tokens"].as_u64().unwrap();
        let mut state = self.lock();
        (state.random.u64(5..12), state.random.u64(1..=most))
    }
}

impl Transport for Upstream {
    fn send(&self, request: Request<RequestBody>) -> BoxFuture<'_, Result<Response<BodyStream>>> {
        let this = self.clone();
        Box::pin(async move {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            this.serve(serde_json::from_slice(&body).unwrap()).await
        })
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Upstream")
    }
}

/// A piece of a body.
struct Piece {
    bytes: Bytes,
    has_usage: bool,
}

impl Piece {
    fn new(text: String, has_usage: bool) -> Self {
        let bytes = text.into();
        Self { bytes, has_usage }
    }
}

/// Ends an attempt when it is dropped.
struct Running {
    upstream: Upstream,
    index: usize,
}

impl Running {
    fn used(&self, usage: (u64, u64)) {
        let hidden = self.upstream.0.bug.map_or(0, Bug::hidden_tokens);
        let usage = (usage.0, usage.1 + hidden);
        self.upstream.lock().attempts[self.index].usage = Some(usage);
    }

    fn end<T>(&self, result: T) -> T {
        self.finish("ends");
        result
    }

    fn finish(&self, how: &str) {
        let log = &self.upstream.0.log;
        let mut state = self.upstream.lock();
        let attempt = &mut state.attempts[self.index];
        if attempt.ended.is_none() {
            attempt.ended = Some(log.now());
            log.write(format_args!("upstream: request {} {how}", attempt.number));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.upstream.0.bug.is_some_and(Bug::keeps_calls) {
            self.finish("is cancelled");
        }
    }
}

fn response(status: u16, kind: &str, body: BodyStream) -> Response<BodyStream> {
    let response = Response::builder()
        .status(status)
        .header("content-type", kind);
    response.body(body).unwrap()
}
