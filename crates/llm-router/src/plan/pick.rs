//! The choice of a deployment for an attempt.

use std::sync::Arc;

use fastrand::Rng;

use super::Plan;
use super::shared::{Answer, Question};
use crate::deployment::{Lease, Origin, Permit, Readiness, State};
use crate::pool::Choice;
use crate::refusal::Refusal;

impl Plan {
    /// Picks a deployment: that of the session, else the one that the strategy prefers. With a shared
    /// state, that one decides; without, or while it is unavailable, the router does.
    pub(super) async fn pick(&mut self) -> Result<Lease, Refusal> {
        if let Some(early) = self.early.take() {
            return *early;
        }
        if self.core.shared.is_none() {
            return self.claim_and_pick_alone();
        }
        let question = Question {
            pins: true,
            ..Question::default()
        };
        // The future of a router without a shared state stays small.
        match Box::pin(self.ask(question)).await {
            Some(Answer::Admitted(lease)) => Ok(*lease),
            Some(Answer::Refused(refusal)) => Err(refusal),
            Some(Answer::Found(_)) | None => self.claim_and_pick_alone(),
        }
    }

    fn claim_and_pick_alone(&mut self) -> Result<Lease, Refusal> {
        if let Some(claim) = &self.route.claim {
            claim.take_alone();
        }
        match self.is_denied() {
            true => Err(self.refusal()),
            false => self.pick_alone(),
        }
    }

    /// Picks a deployment by what this router knows.
    pub(super) fn pick_alone(&mut self) -> Result<Lease, Refusal> {
        let now = self.core.clock.now();
        let picked = self
            .pinned(now)
            .map(|(state, permit)| (Arc::clone(state), permit));
        let (state, permit) = match picked {
            Some(picked) => picked,
            None => self.choose(now)?,
        };
        self.pin(state.index, now);
        Ok(self.lease(state, permit, now))
    }

    /// The deployment that the strategy prefers, of those that have not been tried.
    pub(super) fn choose(&self, now: u64) -> Result<(Arc<State>, Permit), Refusal> {
        let (state, permit) = self.pool.pick(&self.choice(now), &mut Rng::new())?;
        Ok((Arc::clone(state), permit))
    }

    pub(super) fn choice(&self, now: u64) -> Choice<'_> {
        Choice {
            strategy: &*self.core.strategy,
            demand: &self.demand,
            tried: &self.tried,
            now,
        }
    }

    pub(super) fn lease(&mut self, state: Arc<State>, permit: Permit, now: u64) -> Lease {
        self.attempts += 1;
        let origin = Origin {
            core: Arc::clone(&self.core),
            observer: self.route.observer.clone(),
            attempt: self.attempts,
            matched: self.matched(),
            prompt: self.demand.prompt,
        };
        Lease::new(origin, state, permit, now)
    }

    /// The deployment of the session, if it can serve the call now.
    fn pinned(&self, now: u64) -> Option<(&Arc<State>, Permit)> {
        let index = self.core.affinity.as_ref()?.get(self.session?, now)?;
        let state = self.pool.get(index)?;
        if self.tried.contains(&index) {
            return None;
        }
        let is_ready = state.readiness(&self.demand, now) == Readiness::Ready;
        let permit = is_ready.then(|| state.admit(&self.demand, now)).flatten()?;
        Some((state, permit))
    }

    /// Pins the session to a deployment, unless its own is only at its limits.
    pub(super) fn pin(&self, index: u32, now: u64) {
        let (Some(affinity), Some(session)) = (&self.core.affinity, self.session) else {
            return;
        };
        let current = affinity.get(session, now).filter(|pinned| *pinned != index);
        let pinned = current.and_then(|pinned| self.pool.get(pinned));
        let is_kept = pinned.is_some_and(|state| {
            let readiness = state.readiness(&self.demand, now);
            !self.tried.contains(&state.index)
                && matches!(readiness, Readiness::At(_) | Readiness::Busy)
        });
        if !is_kept {
            affinity.pin(session, index, now);
        }
    }
}
