use crate::executor::{Completion, Executor, RawRecord, post};
use crate::record::Outcome;
use crate::request::PreparedRequest;
use crate::response::{Chunk, JsonResponse, TextResponse};
use crate::target::ServerTarget;
use crate::text_api::TextApi;

impl Executor {
    /// Measures a streamed text.
    pub(super) async fn text_stream(
        &self,
        target: &ServerTarget,
        api: TextApi,
        request: &PreparedRequest,
        raw: &mut RawRecord,
        keep_text: bool,
    ) {
        let path = target.path(api.path());
        let mut answer = TextResponse::new(api, keep_text);
        let send = || post(target, &path, &request.body, "text/event-stream");
        let ended = self
            .bounded(self.send(target.origin(), send, &mut answer))
            .await;
        raw.record.end_ns = self.clock.now();
        let mut failure = None;
        match ended {
            Completion::Done(sent) => {
                raw.sent(&sent);
                raw.record.end_ns = sent.end_ns;
                answer.finish(sent.end_ns);
                failure = answer
                    .head
                    .failure()
                    .or_else(|| answer.stream.failure.take());
            }
            // An error of the server explains why the connection closed.
            Completion::Failed(broken) => {
                failure = Some(answer.stream.failure.take().unwrap_or(broken))
            }
            Completion::Cancelled => raw.record.outcome = Outcome::Cancelled,
        }
        raw.head(&answer.head);
        raw.usage = answer.stream.usage;
        raw.record.first_output_ns = answer.stream.first_output;
        raw.chunks = answer.stream.chunks;
        raw.text = answer.stream.text;
        if let Some(failure) = failure {
            raw.record.outcome = Outcome::Failed(failure);
        } else if raw.record.is_ok() {
            let finish_reason = answer.stream.finish_reason;
            raw.record.outcome = Outcome::Ok { finish_reason };
        }
    }

    /// Measures a text in one piece: its only chunk is the end of the response.
    pub(super) async fn text_whole(
        &self,
        target: &ServerTarget,
        api: TextApi,
        request: &PreparedRequest,
        raw: &mut RawRecord,
        keep_text: bool,
    ) {
        let answered = self.whole(target, api.path(), request, raw).await;
        let Some((answer, at)) = answered else { return };
        match answer.text(api) {
            Ok(whole) => {
                raw.usage = whole.usage;
                raw.record.first_output_ns = Some(at);
                let weight = u32::try_from(whole.text.len()).unwrap_or(u32::MAX);
                raw.chunks = vec![Chunk { at, weight }];
                raw.text = keep_text.then_some(whole.text);
                let finish_reason = whole.finish_reason;
                raw.record.outcome = Outcome::Ok { finish_reason };
            }
            Err(failure) => raw.record.outcome = Outcome::Failed(failure),
        }
    }

    /// Measures embeddings or a rerank. The end of the response counts as the first token.
    pub(super) async fn batch(
        &self,
        target: &ServerTarget,
        endpoint: &str,
        request: &PreparedRequest,
        raw: &mut RawRecord,
    ) {
        let answered = self.whole(target, endpoint, request, raw).await;
        let Some((answer, at)) = answered else { return };
        match answer.usage() {
            Ok(usage) => {
                raw.usage = usage;
                raw.record.first_token_ns = Some(at);
            }
            Err(failure) => raw.record.outcome = Outcome::Failed(failure),
        }
    }

    /// Sends a request and reads its JSON. Returns it with the time of its end if the status is a
    /// success.
    async fn whole(
        &self,
        target: &ServerTarget,
        endpoint: &str,
        request: &PreparedRequest,
        raw: &mut RawRecord,
    ) -> Option<(JsonResponse, u64)> {
        let path = target.path(endpoint);
        let mut answer = JsonResponse::default();
        let send = || post(target, &path, &request.body, "application/json");
        let ended = self
            .bounded(self.send(target.origin(), send, &mut answer))
            .await;
        raw.record.end_ns = self.clock.now();
        let mut done = None;
        match ended {
            Completion::Done(sent) => {
                raw.sent(&sent);
                raw.record.end_ns = sent.end_ns;
                match answer.head.failure() {
                    Some(failure) => raw.record.outcome = Outcome::Failed(failure),
                    None => done = Some(sent.end_ns),
                }
            }
            Completion::Failed(failure) => raw.record.outcome = Outcome::Failed(failure),
            Completion::Cancelled => raw.record.outcome = Outcome::Cancelled,
        }
        raw.head(&answer.head);
        Some((answer, done?))
    }
}
