//! What a call was charged, and how it is corrected.

use std::sync::Arc;

use super::holder::{Holder, RateRefusal, RatesLeft, SOON, refusal};
use crate::clock::{Clock, between};
use crate::limits::{Charge, Gcra, Rate};
use crate::shared::{Begun, End, Level, Settlement, SharedState, Subject};

/// What a call was charged. Dropping it lets the charge stand.
#[derive(Debug)]
pub struct RatePermit {
    pub(super) clock: Clock,
    pub(super) shared: Option<SharedState>,
    pub(super) charges: Vec<Charged>,
    pub(super) tokens: u64,
}

#[derive(Debug)]
pub(super) struct Charged {
    holder: Arc<Holder>,
    requests: Option<Charge>,
    tokens: Option<Charge>,
    /// What the shared state charged.
    level: Option<Level>,
}

/// What a call asks of its holders.
pub(super) fn subjects(holders: &[Arc<Holder>], tokens: u64) -> Vec<Subject> {
    let subjects = holders.iter().map(|holder| Subject {
        key: Arc::clone(&holder.key),
        rpm: holder.rpm.map(Rate::at_once),
        tpm: holder.tpm.map(Rate::at_once),
        tokens,
    });
    subjects.collect()
}

impl RatePermit {
    pub(super) async fn take_shared(
        &mut self,
        shared: &SharedState,
        states: &[Arc<Holder>],
    ) -> Option<Result<(), RateRefusal>> {
        let begun = shared.begin(subjects(states, self.tokens).into()).await?;
        Some(self.adopt(shared, states, &begun))
    }

    /// Takes over what the shared state decided.
    pub(super) fn adopt(
        &mut self,
        shared: &SharedState,
        states: &[Arc<Holder>],
        begun: &Begun,
    ) -> Result<(), RateRefusal> {
        let now = self.clock.now();
        let charges = states.iter().zip(&begun.holders).map(|(state, level)| {
            let adopt = |gcra: &Option<Gcra>, owed: u64, cost| {
                let owed = owed.saturating_mul(1000);
                gcra.as_ref().map(|gcra| gcra.adopt(owed, cost, now))
            };
            Charged {
                requests: adopt(&state.requests, level.requests_owed, 1),
                tokens: adopt(&state.tokens, level.tokens_owed, self.tokens),
                holder: Arc::clone(state),
                level: Some(*level),
            }
        });
        let charges: Vec<_> = charges.collect();
        if !begun.is_denied {
            self.charges = charges;
            self.shared = Some(shared.clone());
            return Ok(());
        }
        let refusal = refusal(states, self.tokens, now, false);
        // The time between the two clocks: it would be admitted now.
        Err(refusal.unwrap_or_else(|| RateRefusal {
            holder: 0,
            is_tokens: false,
            limit: states.first().and_then(|state| state.rpm).unwrap_or(0),
            retry_after: Some(SOON),
        }))
    }

    /// Charges all holders by what this process knows, or none.
    pub(super) fn take_all_alone(&mut self, states: &[Arc<Holder>]) -> Result<(), RateRefusal> {
        for (index, state) in states.iter().enumerate() {
            if let Err(refusal) = self.take_alone(index, state) {
                self.cancel();
                return Err(refusal);
            }
        }
        Ok(())
    }

    fn take_alone(&mut self, index: usize, holder: &Arc<Holder>) -> Result<(), RateRefusal> {
        let now = self.clock.now();
        let mut charges = [None, None];
        let costs = [
            (false, holder.rpm, &holder.requests, 1),
            (true, holder.tpm, &holder.tokens, self.tokens),
        ];
        let mut refusal = None;
        for ((is_tokens, limit, gcra, cost), charge) in costs.into_iter().zip(&mut charges) {
            let Some(gcra) = gcra else { continue };
            *charge = gcra.take(cost, now);
            if charge.is_none() {
                refusal = Some(RateRefusal {
                    holder: index,
                    is_tokens,
                    limit: limit.unwrap_or(0),
                    retry_after: gcra.ready_at(cost).map(|at| between(now, at).max(SOON)),
                });
                break;
            }
        }
        let [requests, tokens] = charges;
        self.charges.push(Charged {
            holder: Arc::clone(holder),
            requests,
            tokens,
            level: None,
        });
        refusal.map_or(Ok(()), Err)
    }

    /// Corrects the tokens to those that were used. Only the first call has an effect.
    pub fn settle(&mut self, tokens: u64) {
        self.correct(1, tokens);
    }

    /// Returns everything, for a call that is not sent.
    pub fn cancel(&mut self) {
        self.correct(0, 0);
    }

    fn correct(&mut self, requests: u64, tokens: u64) {
        let now = self.clock.now();
        for charged in self.charges.drain(..) {
            let holder = &charged.holder;
            for (gcra, charge, used) in [
                (&holder.requests, charged.requests, requests),
                (&holder.tokens, charged.tokens, tokens),
            ] {
                if let (Some(gcra), Some(charge)) = (gcra, charge) {
                    gcra.settle(charge, used, now);
                }
            }
            if let (Some(shared), Some(level)) = (&self.shared, charged.level) {
                let mut end = End::new(&holder.key);
                end.requests = holder
                    .rpm
                    .filter(|_| requests == 0)
                    .map(|limit| Settlement {
                        rate: Rate::at_once(limit),
                        cost: 1,
                        paid: level.requests_paid,
                        used: requests,
                    });
                end.tokens = holder.tpm.map(|limit| Settlement {
                    rate: Rate::at_once(limit),
                    cost: self.tokens,
                    paid: level.tokens_paid,
                    used: tokens,
                });
                if !end.is_empty() {
                    shared.end(end);
                }
            }
        }
    }

    /// The tightest limits of requests and of tokens of the holders, and what is left of them now.
    pub fn left(&self) -> RatesLeft {
        let holders = self.charges.iter().map(|charged| &*charged.holder);
        RatesLeft::of(holders, self.clock.now())
    }
}
