//! [`Running`]: a call from its admission to its usage record.

use std::sync::Arc;

use gateway_store::{Money, Reservation, UsageOutcome, UsageRecord};
use http::Response;
use http::header::HeaderName;
use llm_provider::{Error, ErrorKind, Metadata, Reply, ReplyStream, Result};
use llm_router::TokenCounts;
use tokio::time::Instant;

use super::limits::{Permits, RatesOfCall};
use super::prices::PriceBook;
use super::stream::Recorded;
use super::tokens::Tokens;
use crate::activity::ActiveRequest;
use crate::error::ApiError;
use crate::headers;

/// A call that was admitted. Dropping it records that the client left.
#[derive(Debug)]
pub(crate) struct Running(Option<Box<Open>>);

/// What a reply in one piece cost, and the rate limits of the call, for the headers of the response.
#[derive(Debug)]
pub(crate) struct Bill(Option<(Option<Money>, RatesOfCall)>);

/// The part of a call that is recorded.
#[derive(Debug)]
struct Open {
    /// `None` after the call was settled.
    reservation: Option<Reservation>,
    record: UsageRecord,
    started: Instant,
    prices: Arc<PriceBook>,
    permits: Permits,
    /// The tokens of the prompt, and those that the reply may have.
    estimate: TokenCounts,
    /// The chunks with output so far, of about one token each.
    streamed: u64,
    tokens: Option<Tokens>,
    /// What deployments streamed whose streams broke and were continued by others, and its cost.
    earlier: Option<(TokenCounts, Option<Money>)>,
    /// Whether the reply came from a cache, which costs nothing.
    is_cached: bool,
    /// Knows the attempts of the call.
    active: Option<Arc<ActiveRequest>>,
}

impl Running {
    /// A call of a gateway without a database.
    pub(super) fn unrecorded() -> Self {
        Self(None)
    }

    pub(super) fn new(
        reservation: Reservation,
        record: UsageRecord,
        started: Instant,
        prices: Arc<PriceBook>,
        permits: Permits,
        estimate: TokenCounts,
    ) -> Self {
        Self(Some(Box::new(Open {
            reservation: Some(reservation),
            record,
            started,
            prices,
            permits,
            estimate,
            streamed: 0,
            tokens: None,
            earlier: None,
            is_cached: false,
            active: None,
        })))
    }

    /// Sets what knows the attempts of the call.
    pub(super) fn observed_by(mut self, active: Option<Arc<ActiveRequest>>) -> Self {
        if let Some(open) = &mut self.0 {
            open.active = active;
        }
        self
    }

    /// Waits for a reply in one piece, and records it.
    pub(crate) async fn send(
        mut self,
        reply: impl Future<Output = Result<Reply>>,
    ) -> Result<(Reply, Bill), ApiError> {
        let reply = reply.await;
        let Some(open) = &mut self.0 else {
            return Ok((reply?, Bill(None)));
        };
        match reply {
            Ok(reply) => {
                open.served_by(&reply.metadata);
                open.tokens = Some(match Tokens::of(&reply) {
                    Some(tokens) => tokens,
                    None => open.guess(reply.body.bytes().len()),
                });
                let cost = open.settle(UsageOutcome::Complete);
                Ok((reply, Bill(Some((cost, open.permits.rates().clone())))))
            }
            Err(error) => {
                open.fail(&error);
                let bill = self.rates();
                Err(bill.error(error))
            }
        }
    }

    /// Waits for a stream, which records itself at its end.
    pub(crate) async fn stream(
        mut self,
        stream: impl Future<Output = Result<ReplyStream>>,
    ) -> Result<ReplyStream> {
        if let Some(open) = &mut self.0 {
            open.record.is_streamed = true;
        }
        let stream = stream.await;
        let Some(open) = &mut self.0 else {
            return stream;
        };
        match stream {
            Ok(stream) => {
                open.served_by(&stream.metadata);
                Ok(stream.map_events(|events| Recorded::new(events, self)))
            }
            Err(error) => {
                open.fail(&error);
                Err(error)
            }
        }
    }

    /// What is known before the reply: the state of the rate limits.
    pub(crate) fn rates(&self) -> Bill {
        Bill(
            self.0
                .as_ref()
                .map(|open| (None, open.permits.rates().clone())),
        )
    }

    /// Counts a chunk with output.
    pub(super) fn output(&mut self) {
        if let Some(open) = &mut self.0 {
            open.streamed += 1;
            if open.record.first_token_ms.is_none() {
                open.record.first_token_ms = Some(millis(open.started));
            }
        }
    }

    /// Notes that another deployment continues the stream.
    pub(super) fn continued(&mut self, metadata: &Metadata) {
        if let Some(open) = &mut self.0 {
            open.continued(metadata);
        }
    }

    /// Sets the tokens that the upstream reports.
    pub(super) fn count(&mut self, tokens: Tokens) {
        if let Some(open) = &mut self.0 {
            open.tokens = Some(tokens);
        }
    }

    /// Records the end of a stream.
    pub(super) fn end(&mut self, error: Option<&Error>) {
        if let Some(open) = &mut self.0 {
            match error {
                Some(error) => open.fail(error),
                None => drop(open.settle(UsageOutcome::Complete)),
            }
        }
    }
}

impl Open {
    /// The deployment so far is paid for the prompt and for what it streamed.
    fn continued(&mut self, metadata: &Metadata) {
        let counts = TokenCounts::new(self.estimate.prompt, std::mem::take(&mut self.streamed));
        let cost = self.prices.cost(&self.record, &counts);
        self.earlier = Some(match self.earlier {
            Some((earlier, paid)) => (earlier.plus(counts), sum(paid, cost)),
            None => (counts, cost),
        });
        self.tokens = None;
        self.served_by(metadata);
    }

    fn served_by(&mut self, metadata: &Metadata) {
        let record = &mut self.record;
        for name in [
            &mut record.provider,
            &mut record.model,
            &mut record.deployment,
        ] {
            name.clear();
        }
        record.provider.push_str(metadata.provider);
        record.model.push_str(&metadata.model);
        if let Some(deployment) = &metadata.deployment {
            record.deployment.push_str(deployment);
        }
        record.attempts = metadata.attempts.max(1);
        self.is_cached = metadata
            .extra
            .get(CACHE)
            .is_some_and(|state| state == "hit");
    }

    fn fail(&mut self, error: &Error) {
        if self.permits.rates().refusal().is_some() || !self.was_sent(error) {
            return self.forget();
        }
        let record = &mut self.record;
        if record.model.is_empty() {
            record.model.push_str(error.model().unwrap_or_default());
        }
        // Upstreams do not charge for the prompt of a call that failed before its output.
        if self.streamed == 0 {
            self.tokens = Some(Tokens::default());
        }
        self.settle(UsageOutcome::Failed);
    }

    /// Whether a call that failed was sent to an upstream.
    fn was_sent(&self, error: &Error) -> bool {
        let attempts = self.latest_attempt().map_or(0, |(_, attempts)| attempts);
        let kind = error.kind();
        let is_invalid = matches!(kind, ErrorKind::InvalidRequest | ErrorKind::Unsupported);
        let was_tried = match &self.active {
            Some(_) => attempts > 0,
            None => error.provider().is_some(),
        };
        was_tried && (attempts > 1 || error.status().is_some() || !is_invalid)
    }

    fn latest_attempt(&self) -> Option<(String, u32)> {
        self.active.as_ref()?.latest_attempt()
    }

    /// Ends a call that was not sent: it has no record, and nothing is charged.
    fn forget(&mut self) {
        self.reservation = None;
        self.permits.cancel();
    }

    /// The tokens of a reply of `bytes` whose upstream does not count them.
    fn guess(&self, bytes: usize) -> Tokens {
        let generates = self.estimate.completion > 0;
        let output = if generates { bytes.div_ceil(4) } else { 0 };
        Tokens {
            counts: TokenCounts::new(self.estimate.prompt, u64::try_from(output).unwrap_or(0)),
            is_estimated: true,
            ..Tokens::default()
        }
    }

    /// Writes the record, once, and returns the cost if it is known.
    fn settle(&mut self, outcome: UsageOutcome) -> Option<Money> {
        let reservation = self.reservation.take()?;
        let tokens = self.tokens.unwrap_or_else(|| Tokens {
            counts: TokenCounts::new(self.estimate.prompt, self.streamed),
            is_estimated: true,
            ..Tokens::default()
        });
        let run_time = tokens.counts.run_time;
        let counts = match run_time {
            // At most: the model may have been waiting, too.
            None if tokens.is_estimated => tokens.counts.with_run_time(self.started.elapsed()),
            _ => tokens.counts,
        };
        let (earlier, paid) = self.earlier.unwrap_or_default();
        let all = earlier.plus(counts);
        self.permits.settle(all.total());
        if self.record.deployment.is_empty()
            && let Some((deployment, attempts)) = self.latest_attempt()
        {
            self.prices.name(&mut self.record, &deployment);
            self.record.attempts = attempts;
        }
        let mut record = std::mem::replace(
            &mut self.record,
            UsageRecord::new(String::new(), gateway_store::Timestamp::default()),
        );
        let cost = match counts.total() {
            _ if self.is_cached => Some(Money::ZERO),
            0 if counts.run_time.is_none() => Some(Money::ZERO),
            // The client left before the router had chosen.
            _ if record.deployment.is_empty() => self.prices.highest(&record.model_group, &counts),
            _ => self.prices.cost(&record, &counts),
        };
        let cost = match self.earlier {
            Some(_) => sum(paid, cost),
            None => cost,
        };
        record.cost = cost.unwrap_or(Money::ZERO);
        record.has_price = cost.is_some();
        record.input_tokens = all.prompt;
        record.cached_tokens = all.cached;
        record.output_tokens = all.completion;
        record.reasoning_tokens = tokens.reasoning;
        record.predict_ms = run_time.and_then(|time| u64::try_from(time.as_millis()).ok());
        record.is_estimated = tokens.is_estimated || self.earlier.is_some();
        record.duration_ms = millis(self.started);
        record.outcome = match outcome {
            UsageOutcome::Complete if self.is_cached => UsageOutcome::Cached,
            outcome => outcome,
        };
        reservation.settle(record);
        cost
    }
}

/// A client that left is charged for the prompt and for what was streamed to it.
impl Drop for Open {
    fn drop(&mut self) {
        let is_unsent = self.active.is_some() && self.latest_attempt().is_none();
        if self.reservation.is_some() && is_unsent {
            return self.forget();
        }
        self.settle(UsageOutcome::Cancelled);
    }
}

impl Bill {
    /// Adds the cost and the state of the rate limits, whose headers depend on the client's API.
    pub(crate) fn describe<B>(&self, response: &mut Response<B>) {
        let Some((cost, rates)) = &self.0 else { return };
        if let Some(cost) = cost {
            headers::insert(response.headers_mut(), COST, Some(&cost.to_string()));
        }
        response.extensions_mut().insert(rates.left());
    }

    /// The error for the client of a call that failed: why the limits refused it, or what failed.
    pub(crate) fn error(&self, error: Error) -> ApiError {
        let refusal = self.0.as_ref().and_then(|(_, rates)| rates.refusal());
        refusal.unwrap_or_else(|| error.into())
    }
}

/// The sum of costs, if both are known.
fn sum(one: Option<Money>, other: Option<Money>) -> Option<Money> {
    Some(one? + other?)
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The fact of a reply's metadata that says whether it came from a cache.
const CACHE: &str = "cache";

const COST: HeaderName = HeaderName::from_static("x-litellm-response-cost");
