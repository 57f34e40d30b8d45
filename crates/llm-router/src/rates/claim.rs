//! Limits that a router charges together with a deployment.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use llm_provider::{Error, ErrorKind};

use super::holder::{Holder, RateRefusal, RatesLeft};
use super::permit::{RatePermit, subjects};
use crate::clock::Clock;
use crate::shared::{Begun, SharedState, Subject};

/// A call that its holders may admit; [`RateLimiter::claim`](super::RateLimiter::claim) creates it.
///
/// A router to which a call is sent with [`RouteOptions::with_claim`](crate::RouteOptions::with_claim)
/// charges the claim when it chooses a deployment: with a shared state, both take one exchange. If the
/// holders refuse the call, the router returns an error, and [`refusal`](Self::refusal) has the reason.
/// Clones are the same claim. Dropping it lets the charge stand.
#[derive(Clone, Debug)]
pub struct RateClaim(Arc<Mutex<Claim>>);

#[derive(Debug)]
struct Claim {
    holders: Vec<Arc<Holder>>,
    state: State,
    /// Charged as soon as the claim is decided.
    permit: RatePermit,
}

#[derive(Debug)]
enum State {
    Open,
    /// With what was left then.
    Admitted(RatesLeft),
    Refused(RateRefusal),
}

impl RateClaim {
    pub(super) fn new(holders: Vec<Arc<Holder>>, permit: RatePermit) -> Self {
        Self(Arc::new(Mutex::new(Claim {
            holders,
            state: State::Open,
            permit,
        })))
    }

    /// Charges the claim now, unless that was done before.
    ///
    /// # Errors
    /// The first limit that does not admit the call.
    pub async fn take(&self, shared: Option<&SharedState>) -> Result<(), RateRefusal> {
        if let Some(shared) = shared
            && let Some(begin) = self.subjects()
            && let Some(begun) = shared.begin(begin.into()).await
        {
            self.decide(shared, &begun);
        }
        self.take_alone();
        self.refusal().map_or(Ok(()), Err)
    }

    /// Why the holders do not admit the call, if they do not.
    pub fn refusal(&self) -> Option<RateRefusal> {
        match &self.lock().state {
            State::Refused(refusal) => Some(refusal.clone()),
            State::Open | State::Admitted(_) => None,
        }
    }

    /// The tightest limits of requests and of tokens of the holders, and what is left of them: after the
    /// charge, or if there is none, now.
    pub fn left(&self) -> RatesLeft {
        let claim = self.lock();
        match claim.state {
            State::Admitted(left) => left,
            State::Open | State::Refused(_) => claim.left(),
        }
    }

    /// Corrects the tokens to those that were used. Only the first call has an effect.
    pub fn settle(&self, tokens: u64) {
        self.lock().permit.settle(tokens);
    }

    /// Returns everything, for a call that is not sent.
    pub fn cancel(&self) {
        self.lock().permit.cancel();
    }

    /// The holders, if the claim is open.
    pub(crate) fn subjects(&self) -> Option<Vec<Subject>> {
        let claim = self.lock();
        let is_open = matches!(claim.state, State::Open);
        is_open.then(|| subjects(&claim.holders, claim.permit.tokens))
    }

    /// Takes over what the shared state decided.
    pub(crate) fn decide(&self, shared: &SharedState, begun: &Begun) {
        let mut claim = self.lock();
        let Claim {
            holders, permit, ..
        } = &mut *claim;
        let decided = permit.adopt(shared, holders, begun);
        claim.close(decided);
    }

    /// Charges the claim by what this process knows, if it is open.
    pub(crate) fn take_alone(&self) {
        let mut claim = self.lock();
        if !matches!(claim.state, State::Open) {
            return;
        }
        let Claim {
            holders, permit, ..
        } = &mut *claim;
        let decided = permit.take_all_alone(holders);
        claim.close(decided);
    }

    fn lock(&self) -> MutexGuard<'_, Claim> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    fn close(&mut self, decided: Result<(), RateRefusal>) {
        self.state = match decided {
            Ok(()) => State::Admitted(self.left()),
            Err(refusal) => State::Refused(refusal),
        };
    }

    fn left(&self) -> RatesLeft {
        let clock: Clock = self.permit.clock;
        RatesLeft::of(self.holders.iter().map(|holder| &**holder), clock.now())
    }
}

/// The error of a call whose claim was refused.
pub(crate) fn denied() -> Error {
    let message = "a rate limit of the caller does not admit the call";
    Error::new(ErrorKind::RateLimited, message)
        .with_code("rate_limit_exceeded".to_owned())
        .with_unsent()
}
