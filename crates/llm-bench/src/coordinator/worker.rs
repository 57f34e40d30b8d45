use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, interval, timeout_at};

use super::bus::Bus;
use super::link::{Link, Task, new_id};
use super::message::{FromLeader, FromWorker};
use super::seal::{Envelope, Id, Numbers, SessionSecret, Side};
use super::{AGAIN, CoordinatorError, HEARTBEAT, PART, SILENCE, is_name, shown, subjects};
use crate::Results;

/// A machine that measures what a leader says, when it says.
pub struct Worker {
    link: Link<FromLeader>,
    id: Id,
    leader: Id,
    /// The numbers of the leader's messages.
    numbers: Numbers,
    _heartbeat: Task,
}

impl Worker {
    /// Waits for a leader, for as long as it takes, and returns the plan that it sends. The plan
    /// is authentic, but nothing else is known about it.
    ///
    /// # Errors
    /// When the session's or the worker's name is invalid, or the engine cannot be reached.
    pub async fn join(
        url: &str,
        session: &str,
        secret: &SessionSecret,
        name: &str,
    ) -> Result<(Self, Value), CoordinatorError> {
        let (_, listen) = subjects(session)?;
        check(name)?;
        let bus = Bus::open(url, &listen).await?;
        Self::with_bus(bus, session, secret, name).await
    }

    pub(super) async fn with_bus(
        bus: Bus,
        session: &str,
        secret: &SessionSecret,
        name: &str,
    ) -> Result<(Self, Value), CoordinatorError> {
        check(name)?;
        let mut link = Link::new(bus, session, secret, Side::Worker)?;
        let id = new_id()?;
        let hello = FromWorker::Hello {
            name: name.to_owned(),
        };
        let Plan {
            leader,
            numbers,
            plan,
        } = wait_for_plan(&mut link, id, &hello).await?;
        let sender = link.sender.clone();
        let heartbeat = tokio::spawn(async move {
            let mut beat = interval(HEARTBEAT);
            loop {
                beat.tick().await;
                // When it cannot be sent, the leader notices by itself.
                let alive = sender.send(leader, Some(id), &FromWorker::Alive, &[]);
                let _ = tokio::time::timeout(HEARTBEAT, alive).await;
            }
        });
        let worker = Self {
            link,
            id,
            leader,
            numbers,
            _heartbeat: Task(heartbeat.abort_handle()),
        };
        Ok((worker, plan))
    }

    /// Waits until all workers are ready for a run: call it right before the run starts.
    ///
    /// # Errors
    /// When the leader stops, or falls silent.
    pub async fn ready(&mut self, run: u32) -> Result<(), CoordinatorError> {
        let go =
            |said| matches!(said, FromLeader::Go { run: started } if started == run).then_some(());
        self.ask(&FromWorker::Ready { run }, &[], go).await
    }

    /// Hands over what was measured.
    ///
    /// # Errors
    /// When the leader stops, or falls silent.
    pub async fn finish(mut self, results: &Results) -> Result<(), CoordinatorError> {
        let packed = results.pack();
        let parts: Vec<&[u8]> = packed.chunks(PART).collect();
        let mut next = 0;
        while let Some(bytes) = parts.get(next as usize) {
            let message = FromWorker::Part {
                part: next,
                parts: parts.len() as u32,
            };
            let wanted = |said| match said {
                FromLeader::Part { part } if part > next => Some(part),
                _ => None,
            };
            next = self.ask(&message, bytes, wanted).await?;
        }
        Ok(())
    }

    /// Tells the leader why there will be no results.
    ///
    /// # Errors
    /// When the engine cannot be reached.
    pub async fn fail(self, message: impl Into<String>) -> Result<(), CoordinatorError> {
        let message = FromWorker::Failed {
            message: shown(&message.into()),
        };
        let sender = &self.link.sender;
        sender.send(self.leader, Some(self.id), &message, &[]).await
    }

    /// Says something again and again until the leader answers.
    async fn ask<T>(
        &mut self,
        message: &FromWorker,
        bytes: &[u8],
        mut answer: impl FnMut(FromLeader) -> Option<T>,
    ) -> Result<T, CoordinatorError> {
        let mut heard = Instant::now();
        loop {
            let sender = &self.link.sender;
            sender
                .send(self.leader, Some(self.id), message, bytes)
                .await?;
            let again = Instant::now() + AGAIN;
            while let Ok(received) = timeout_at(again, self.link.next()).await {
                let Some(said) = self.new_message(received?.0) else {
                    continue;
                };
                heard = Instant::now();
                if let FromLeader::Stop { reason } = said {
                    return Err(CoordinatorError::Stopped(shown(&reason)));
                }
                if let Some(answer) = answer(said) {
                    return Ok(answer);
                }
            }
            if heard.elapsed() > SILENCE {
                return Err(CoordinatorError::Silent("the leader".to_owned()));
            }
        }
    }

    /// What its own leader says to it, and did not say before.
    fn new_message(&mut self, envelope: Envelope<FromLeader>) -> Option<FromLeader> {
        let to_it = envelope.worker.is_none_or(|worker| worker == self.id);
        let is_new =
            envelope.leader == self.leader && to_it && self.numbers.is_new(envelope.number);
        is_new.then_some(envelope.message)
    }
}

fn check(name: &str) -> Result<(), CoordinatorError> {
    if is_name(name) {
        return Ok(());
    }
    Err(CoordinatorError::Name(shown(name)))
}

struct Plan {
    leader: Id,
    numbers: Numbers,
    plan: Value,
}

/// Answers those who ask for workers until one of them sends a plan. The plan names this worker's
/// number, which is new, so it cannot be an old one.
async fn wait_for_plan(
    link: &mut Link<FromLeader>,
    id: Id,
    hello: &FromWorker,
) -> Result<Plan, CoordinatorError> {
    // Who asked lately. One of them may be gone: its call may even be a recording.
    let mut callers: Vec<(Id, Instant)> = Vec::new();
    loop {
        for (leader, _) in &callers {
            link.sender.send(*leader, Some(id), hello, &[]).await?;
        }
        let again = Instant::now() + AGAIN;
        while let Ok(received) = timeout_at(again, link.next()).await {
            let (envelope, _) = received?;
            let leader = envelope.leader;
            match envelope.message {
                FromLeader::Plan { plan } if envelope.worker == Some(id) => {
                    let numbers = Numbers::after(envelope.number);
                    return Ok(Plan {
                        leader,
                        numbers,
                        plan,
                    });
                }
                FromLeader::Call => {
                    let known = callers.iter().any(|(caller, _)| *caller == leader);
                    callers.retain(|(caller, _)| *caller != leader);
                    if callers.len() == MOST_CALLERS {
                        callers.remove(0);
                    }
                    callers.push((leader, Instant::now()));
                    if !known {
                        link.sender.send(leader, Some(id), hello, &[]).await?;
                    }
                }
                _ => {}
            }
        }
        callers.retain(|(_, called)| called.elapsed() < FORGET_CALLER);
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

/// Leaders that are answered again and again until their plan arrives.
const MOST_CALLERS: usize = 4;

/// A leader has as long for its plan to arrive after its last call.
const FORGET_CALLER: Duration = Duration::from_secs(30);
