use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, interval, timeout_at};

use super::bus::Bus;
use super::channel::{Channel, Task, new_id};
use super::message::{LeaderMessage, WorkerMessage};
use super::signature::{Envelope, Id, ReplayWindow, Role, SessionSecret};
use super::{
    CoordinatorError, HEARTBEAT, PART, REPEAT_INTERVAL, TIMEOUT, is_name, shown, subjects,
};
use crate::Results;

/// A worker: it measures what a leader's plan says, when the leader starts it.
pub struct Worker {
    channel: Channel<LeaderMessage>,
    id: Id,
    leader: Id,
    /// The message numbers of the leader that were received.
    numbers: ReplayWindow,
    _heartbeat: Task,
}

impl Worker {
    /// Waits for a leader, without a timeout, and returns its plan. The plan is authentic but not
    /// checked otherwise.
    ///
    /// # Errors
    /// If the name of the session or of the worker is invalid, or the engine cannot be reached.
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
        let mut channel = Channel::new(bus, session, secret, Role::Worker)?;
        let id = new_id()?;
        let hello = WorkerMessage::Hello {
            name: name.to_owned(),
        };
        let Plan {
            leader,
            numbers,
            plan,
        } = wait_for_plan(&mut channel, id, &hello).await?;
        let sender = channel.sender.clone();
        let heartbeat = tokio::spawn(async move {
            let mut beat = interval(HEARTBEAT);
            loop {
                beat.tick().await;
                // If it cannot be sent, the leader times out by itself.
                let alive = sender.send(leader, Some(id), &WorkerMessage::Alive, &[]);
                let _ = tokio::time::timeout(HEARTBEAT, alive).await;
            }
        });
        let worker = Self {
            channel,
            id,
            leader,
            numbers,
            _heartbeat: Task(heartbeat.abort_handle()),
        };
        Ok((worker, plan))
    }

    /// Waits until all workers are ready for a run. Call it right before the run starts.
    ///
    /// # Errors
    /// If the leader stops or times out.
    pub async fn ready(&mut self, run: u32) -> Result<(), CoordinatorError> {
        let go = |message| {
            matches!(message, LeaderMessage::Go { run: started } if started == run).then_some(())
        };
        self.request(&WorkerMessage::Ready { run }, &[], go).await
    }

    /// Sends the results to the leader.
    ///
    /// # Errors
    /// If the leader stops or times out.
    pub async fn finish(mut self, results: &Results) -> Result<(), CoordinatorError> {
        let packed = results.pack();
        let parts: Vec<&[u8]> = packed.chunks(PART).collect();
        let mut next = 0;
        while let Some(bytes) = parts.get(next as usize) {
            let message = WorkerMessage::Part {
                part: next,
                parts: parts.len() as u32,
            };
            let requested_part = |message| match message {
                LeaderMessage::Part { part } if part > next => Some(part),
                _ => None,
            };
            next = self.request(&message, bytes, requested_part).await?;
        }
        Ok(())
    }

    /// Reports to the leader why there will be no results.
    ///
    /// # Errors
    /// If the engine cannot be reached.
    pub async fn fail(self, message: impl Into<String>) -> Result<(), CoordinatorError> {
        let message = WorkerMessage::Failed {
            message: shown(&message.into()),
        };
        let sender = &self.channel.sender;
        sender.send(self.leader, Some(self.id), &message, &[]).await
    }

    /// Repeats a message until the leader responds.
    async fn request<T>(
        &mut self,
        message: &WorkerMessage,
        bytes: &[u8],
        mut answer: impl FnMut(LeaderMessage) -> Option<T>,
    ) -> Result<T, CoordinatorError> {
        let mut last_message = Instant::now();
        loop {
            let sender = &self.channel.sender;
            sender
                .send(self.leader, Some(self.id), message, bytes)
                .await?;
            let again = Instant::now() + REPEAT_INTERVAL;
            while let Ok(received) = timeout_at(again, self.channel.next()).await {
                let Some(message) = self.new_message(received?.0) else {
                    continue;
                };
                last_message = Instant::now();
                if let LeaderMessage::Stop { reason } = message {
                    return Err(CoordinatorError::Stopped(shown(&reason)));
                }
                if let Some(answer) = answer(message) {
                    return Ok(answer);
                }
            }
            if last_message.elapsed() > TIMEOUT {
                return Err(CoordinatorError::TimedOut("the leader".to_owned()));
            }
        }
    }

    /// The message, if it is a new one of this worker's leader.
    fn new_message(&mut self, envelope: Envelope<LeaderMessage>) -> Option<LeaderMessage> {
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
    numbers: ReplayWindow,
    plan: Value,
}

/// Responds to invitations until a leader sends a plan. The plan contains the worker's random
/// number, so a recorded one is not accepted.
async fn wait_for_plan(
    channel: &mut Channel<LeaderMessage>,
    id: Id,
    hello: &WorkerMessage,
) -> Result<Plan, CoordinatorError> {
    // Recent callers. One of them may be gone, or its call may be a replay.
    let mut callers: Vec<(Id, Instant)> = Vec::new();
    loop {
        for (leader, _) in &callers {
            channel.sender.send(*leader, Some(id), hello, &[]).await?;
        }
        let again = Instant::now() + REPEAT_INTERVAL;
        while let Ok(received) = timeout_at(again, channel.next()).await {
            let (envelope, _) = received?;
            let leader = envelope.leader;
            match envelope.message {
                LeaderMessage::Plan { plan } if envelope.worker == Some(id) => {
                    let numbers = ReplayWindow::after(envelope.number);
                    return Ok(Plan {
                        leader,
                        numbers,
                        plan,
                    });
                }
                LeaderMessage::Call => {
                    let known = callers.iter().any(|(caller, _)| *caller == leader);
                    callers.retain(|(caller, _)| *caller != leader);
                    if callers.len() == MAX_CALLERS {
                        callers.remove(0);
                    }
                    callers.push((leader, Instant::now()));
                    if !known {
                        channel.sender.send(leader, Some(id), hello, &[]).await?;
                    }
                }
                _ => {}
            }
        }
        callers.retain(|(_, called)| called.elapsed() < CALLER_TIMEOUT);
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

/// The leaders whose calls are answered until their plan arrives.
const MAX_CALLERS: usize = 4;

/// How long after its last call a leader's plan may arrive.
const CALLER_TIMEOUT: Duration = Duration::from_secs(30);
