use crate::answer::{ChatAnswer, WholeAnswer};
use crate::perform::{Ended, Performer, Raw, post};
use crate::record::Outcome;
use crate::request::Prepared;
use crate::target::ServerTarget;

impl Performer {
    /// A streamed chat.
    pub(super) async fn chat(
        &self,
        target: &ServerTarget,
        request: &Prepared,
        raw: &mut Raw,
        keep_text: bool,
    ) {
        let path = target.path("/chat/completions");
        let mut answer = ChatAnswer::new(keep_text);
        let send = || post(target, &path, &request.body, "text/event-stream");
        let ended = self
            .bounded(self.send(target.origin(), send, &mut answer))
            .await;
        raw.record.end_ns = self.clock.now();
        let mut failure = None;
        match ended {
            Ended::Well(sent) => {
                raw.sent(&sent);
                raw.record.end_ns = sent.end_ns;
                answer.finish(sent.end_ns);
                failure = answer
                    .head
                    .failure()
                    .or_else(|| answer.stream.failure.take());
            }
            // An error that the server told explains why the connection closed.
            Ended::Badly(broken) => failure = Some(answer.stream.failure.take().unwrap_or(broken)),
            Ended::GivenUp => raw.record.outcome = Outcome::Cancelled,
        }
        raw.head(&answer.head);
        raw.usage = answer.stream.usage;
        raw.chunks = answer.stream.chunks;
        raw.text = answer.stream.text;
        if let Some(failure) = failure {
            raw.record.outcome = Outcome::Failed(failure);
        } else if raw.record.is_ok() {
            let finish_reason = answer.stream.finish_reason;
            raw.record.outcome = Outcome::Ok { finish_reason };
        }
    }

    /// Embeddings or a rerank. What they give is whole or nothing: its first token is its end.
    pub(super) async fn whole(
        &self,
        target: &ServerTarget,
        endpoint: &str,
        request: &Prepared,
        raw: &mut Raw,
    ) {
        let path = target.path(endpoint);
        let mut answer = WholeAnswer::default();
        let send = || post(target, &path, &request.body, "application/json");
        let ended = self
            .bounded(self.send(target.origin(), send, &mut answer))
            .await;
        raw.record.end_ns = self.clock.now();
        match ended {
            Ended::Well(sent) => {
                raw.sent(&sent);
                raw.record.end_ns = sent.end_ns;
                let usage = match answer.head.failure() {
                    Some(failure) => Err(failure),
                    None => answer.usage(),
                };
                match usage {
                    Ok(usage) => {
                        raw.usage = usage;
                        raw.record.first_token_ns = Some(sent.end_ns);
                    }
                    Err(failure) => raw.record.outcome = Outcome::Failed(failure),
                }
            }
            Ended::Badly(failure) => raw.record.outcome = Outcome::Failed(failure),
            Ended::GivenUp => raw.record.outcome = Outcome::Cancelled,
        }
        raw.head(&answer.head);
    }
}
