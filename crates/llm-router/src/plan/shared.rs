//! The choice of a deployment by the shared state.

use std::sync::Arc;

use fastrand::Rng;

use super::Plan;
use crate::cache::{Entry, Slot};
use crate::deployment::{Lease, State};
use crate::refusal::Refusal;
use crate::shared::{Begin, Choice};

/// The answer of the shared state.
pub(super) enum Answer {
    /// The value that was looked up.
    Found(Vec<u8>),
    Admitted(Box<Lease>),
    Refused(Refusal),
}

/// What the shared state is asked besides the limits of the deployments.
#[derive(Default)]
pub(super) struct Question {
    /// The key of a value.
    pub(super) lookup: Option<String>,
    /// Whether the session stays at the deployment that it has, or else at the one chosen.
    pub(super) pins: bool,
}

impl Plan {
    /// Looks the reply up in the shared state, where replies are shared. The same exchange admits the
    /// call, for its first attempt, if the reply is not there.
    pub(crate) async fn look_up(&mut self, slot: &Slot) -> Option<Entry> {
        let key = slot.shared_key()?;
        let question = Question {
            lookup: Some(key),
            pins: true,
        };
        match Box::pin(self.ask(question)).await? {
            Answer::Found(value) => {
                let states = self.core.states.iter();
                let mut names = states.map(|state| state.deployment.provider.name());
                let provider = |name: &str| names.find(|known| *known == name);
                slot.entry_of(&value, self.core.clock.now(), provider)
            }
            Answer::Admitted(lease) => {
                self.early = Some(Box::new(Ok(*lease)));
                None
            }
            Answer::Refused(refusal) => {
                self.early = Some(Box::new(Err(refusal)));
                None
            }
        }
    }

    /// Asks the shared state for a deployment; `None` if there is no such state now.
    pub(super) async fn ask(&mut self, question: Question) -> Option<Answer> {
        let shared = self.core.shared.clone()?;
        let states = self.ranked();
        if states.is_empty() && question.lookup.is_none() {
            return Some(Answer::Refused(self.refusal()));
        }
        let choices = states.iter().map(|state| Choice {
            is_full: state.is_full(),
            subjects: vec![state.subject(&self.demand)],
        });
        let claim = self.route.claim.as_ref();
        let holders = claim.and_then(|claim| Some((claim.clone(), claim.subjects()?)));
        let (claim, holders) = holders.unzip();
        let begin = Begin {
            lookup: question.lookup,
            holders: holders.unwrap_or_default(),
            session: self.shared_session().filter(|_| question.pins),
            choices: choices.collect(),
        };
        let begun = shared.begin(begin).await?;
        if let Some(claim) = claim {
            claim.decide(&shared, &begun);
        }
        if begun.is_denied {
            return Some(Answer::Refused(self.refusal()));
        }
        if let Some(found) = begun.found {
            return Some(Answer::Found(found));
        }
        let now = self.core.clock.now();
        for (state, level) in states.iter().zip(&begun.levels) {
            state.adopt(level, now);
        }
        let chosen = begun
            .chosen
            .and_then(|index| states.get(index).zip(begun.levels.get(index)));
        let Some((state, level)) = chosen else {
            return Some(Answer::Refused(self.refusal()));
        };
        let Some(permit) = state.admit_shared(&self.demand, level, begun.is_probe, now) else {
            // Another call took the last of the parallel calls meanwhile.
            shared.end(state.unsent(&self.demand, level, begun.is_probe));
            return Some(Answer::Refused(self.refusal()));
        };
        if question.pins {
            self.pin(state.index, now);
        }
        let state = Arc::clone(state);
        let lease = self.lease(state, permit, now);
        Some(Answer::Admitted(Box::new(lease)))
    }

    /// The deployments that may serve the call, the best first.
    fn ranked(&self) -> Vec<Arc<State>> {
        let now = self.core.clock.now();
        let mut ranked = self.pool.ranked(&self.choice(now), &mut Rng::new());
        // The shared state knows where the session is, unless it has lost its data.
        let affinity = self.core.affinity.as_ref().zip(self.session);
        let pinned = affinity.and_then(|(affinity, session)| affinity.get(session, now));
        if let Some(place) = ranked.iter().position(|state| Some(state.index) == pinned)
            && let Some(first) = ranked.get_mut(..=place)
        {
            first.rotate_right(1);
        }
        ranked
    }

    /// Why no deployment serves the call now.
    pub(super) fn refusal(&self) -> Refusal {
        let now = self.core.clock.now();
        self.pool.refusal(&self.choice(now))
    }

    fn shared_session(&self) -> Option<(String, std::time::Duration)> {
        let affinity = self.core.affinity.as_ref()?;
        let key = format!("polyllm:session:{:016x}", self.session?);
        Some((key, affinity.options.time_to_live))
    }
}
