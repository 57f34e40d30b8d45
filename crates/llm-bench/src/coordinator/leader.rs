use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::bus::Bus;
use super::channel::{Channel, new_id};
use super::message::{LeaderMessage, WorkerMessage};
use super::signature::{Envelope, Id, ReplayWindow, Role, SessionSecret};
use super::{
    CoordinatorError, HEARTBEAT, MAX_PARTS, PART, REPEAT_INTERVAL, TIMEOUT, is_name, shown,
    subjects,
};
use crate::folder;
use crate::{Interrupts, Results};

/// Coordinates workers: sends them the plan, starts their runs and collects their results.
pub struct Leader {
    channel: Channel<WorkerMessage>,
    id: Id,
    plan: Value,
    workers: Vec<WorkerState>,
}

/// Progress of a measurement with workers.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LeaderEvent {
    /// A worker has sent all of its results.
    Finished {
        /// Its name.
        worker: String,
    },
    /// All workers start a run.
    Started {
        /// Its number, from 0.
        run: u32,
    },
}

struct WorkerState {
    id: Id,
    name: String,
    /// The message numbers that were received.
    numbers: ReplayWindow,
    last_message: Instant,
    /// The run that it is ready for.
    ready: Option<u32>,
    received: Vec<u8>,
    /// The number of received parts of its results.
    parts: u32,
    results: Option<Results>,
}

impl Leader {
    /// Waits for `workers` workers and sends them the plan. The plan must not contain keys: it is
    /// not encrypted.
    ///
    /// # Errors
    /// If the engine cannot be reached, too few workers join within `patience`, or the user
    /// interrupts.
    pub async fn gather(
        url: &str,
        session: &str,
        secret: &SessionSecret,
        plan: Value,
        workers: usize,
        patience: Duration,
        interrupts: Interrupts,
    ) -> Result<Self, CoordinatorError> {
        let (listen, _) = subjects(session)?;
        let bus = Bus::open(url, &listen).await?;
        Self::with_bus(bus, session, secret, plan, workers, patience, interrupts).await
    }

    pub(super) async fn with_bus(
        bus: Bus,
        session: &str,
        secret: &SessionSecret,
        plan: Value,
        workers: usize,
        patience: Duration,
        interrupts: Interrupts,
    ) -> Result<Self, CoordinatorError> {
        let mut leader = Self {
            channel: Channel::new(bus, session, secret, Role::Leader)?,
            id: new_id()?,
            plan,
            workers: Vec::new(),
        };
        let end = Instant::now() + patience.min(MAX_PATIENCE);
        if let Err(error) = leader.invite(workers, end, interrupts).await {
            // The first error is the reason; that of a broken connection would hide it.
            let _ = leader.stop(&error.to_string()).await;
            return Err(error);
        }
        for at in 0..leader.workers.len() {
            leader.send_plan(leader.workers[at].id).await?;
        }
        Ok(leader)
    }

    /// Invites workers until there are enough.
    async fn invite(
        &mut self,
        workers: usize,
        end: Instant,
        mut interrupts: Interrupts,
    ) -> Result<(), CoordinatorError> {
        let mut again = interval(REPEAT_INTERVAL);
        while self.workers.len() < workers {
            tokio::select! {
                received = self.channel.next() => self.add_worker(received?.0),
                _ = again.tick() => self.send(None, &LeaderMessage::Call).await?,
                () = sleep_until(end) => {
                    return Err(CoordinatorError::TooFewWorkers {
                        found: self.workers.len(),
                        expected: workers,
                    });
                }
                () = interrupted(&mut interrupts) => return Err(CoordinatorError::Interrupted),
            }
        }
        Ok(())
    }

    fn add_worker(&mut self, envelope: Envelope<WorkerMessage>) {
        if let (WorkerMessage::Hello { name }, Some(id)) = (envelope.message, envelope.worker)
            && envelope.leader == self.id
            && is_name(&name)
            && self.workers.iter().all(|member| member.id != id)
        {
            self.workers.push(WorkerState {
                id,
                name,
                numbers: ReplayWindow::after(envelope.number),
                last_message: Instant::now(),
                ready: None,
                received: Vec::new(),
                parts: 0,
                results: None,
            });
        }
    }

    /// The names of the workers.
    pub fn workers(&self) -> impl Iterator<Item = &str> {
        self.workers.iter().map(|worker| worker.name.as_str())
    }

    /// Starts each run when all workers are ready, and returns when all results have arrived.
    ///
    /// # Errors
    /// If a worker fails or times out, or the user interrupts; the workers are stopped then.
    pub async fn run(
        mut self,
        mut interrupts: Interrupts,
        mut on: impl FnMut(LeaderEvent),
    ) -> Result<Vec<Results>, CoordinatorError> {
        let now = Instant::now();
        self.workers
            .iter_mut()
            .for_each(|worker| worker.last_message = now);
        let done = tokio::select! {
            done = self.run_all(&mut on) => done,
            () = interrupted(&mut interrupts) => Err(CoordinatorError::Interrupted),
        };
        let reason = match &done {
            Ok(()) => "all results have arrived".to_owned(),
            Err(error) => error.to_string(),
        };
        // After any failure, the workers must not keep waiting.
        let stopped = self.stop(&reason).await;
        done.and(stopped)?;
        Ok(self
            .workers
            .into_iter()
            .filter_map(|worker| worker.results)
            .collect())
    }

    async fn run_all(&mut self, on: &mut impl FnMut(LeaderEvent)) -> Result<(), CoordinatorError> {
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut started = None;
        while self.workers.iter().any(|worker| worker.results.is_none()) {
            tokio::select! {
                received = self.channel.next() => {
                    let (envelope, bytes) = received?;
                    self.receive(envelope, &bytes, started, on).await?;
                }
                _ = heartbeat.tick() => {
                    self.send(None, &LeaderMessage::Alive).await?;
                    let mut silent = self.workers.iter().filter(|worker| worker.results.is_none());
                    if let Some(worker) = silent.find(|worker| worker.last_message.elapsed() > TIMEOUT) {
                        return Err(CoordinatorError::TimedOut(format!("the worker {}", worker.name)));
                    }
                }
            }
            let mut waiting = self
                .workers
                .iter()
                .filter(|worker| worker.results.is_none());
            let run = waiting.next().and_then(|worker| worker.ready);
            if run.is_some() && run != started && waiting.all(|worker| worker.ready == run) {
                started = run;
                if let Some(run) = run {
                    self.send(None, &LeaderMessage::Go { run }).await?;
                    on(LeaderEvent::Started { run });
                }
            }
        }
        Ok(())
    }

    async fn receive(
        &mut self,
        envelope: Envelope<WorkerMessage>,
        bytes: &[u8],
        started: Option<u32>,
        on: &mut impl FnMut(LeaderEvent),
    ) -> Result<(), CoordinatorError> {
        if envelope.leader != self.id {
            return Ok(());
        }
        let mut members = self.workers.iter_mut();
        let member = members.find(|worker| envelope.worker == Some(worker.id));
        let Some(worker) = member else {
            return Ok(());
        };
        if !worker.numbers.is_new(envelope.number) {
            return Ok(());
        }
        worker.last_message = Instant::now();
        let id = worker.id;
        let answer = match envelope.message {
            WorkerMessage::Alive => return Ok(()),
            WorkerMessage::Failed { message } => {
                return Err(CoordinatorError::Worker {
                    worker: worker.name.clone(),
                    message: shown(&message),
                });
            }
            // The plan has not arrived yet.
            WorkerMessage::Hello { .. } => return self.send_plan(id).await,
            WorkerMessage::Ready { run } => {
                worker.ready = Some(run);
                if started != Some(run) {
                    return Ok(());
                }
                // The worker has not received the start of the run.
                LeaderMessage::Go { run }
            }
            WorkerMessage::Part { part, parts } => {
                let fits = parts <= MAX_PARTS && bytes.len() <= PART;
                if part == worker.parts && worker.results.is_none() && fits {
                    worker.received.extend_from_slice(bytes);
                    worker.parts += 1;
                }
                if worker.parts == parts && worker.results.is_none() {
                    let results = Results::unpack(&std::mem::take(&mut worker.received));
                    worker.results = Some(results.map_err(|source| CoordinatorError::Results {
                        worker: worker.name.clone(),
                        source: folder::shown(&source),
                    })?);
                    on(LeaderEvent::Finished {
                        worker: worker.name.clone(),
                    });
                }
                LeaderMessage::Part { part: worker.parts }
            }
        };
        let to = match answer {
            LeaderMessage::Go { .. } => None,
            _ => Some(id),
        };
        self.send(to, &answer).await
    }

    async fn send_plan(&self, worker: Id) -> Result<(), CoordinatorError> {
        let plan = self.plan.clone();
        self.send(Some(worker), &LeaderMessage::Plan { plan }).await
    }

    async fn stop(&self, reason: &str) -> Result<(), CoordinatorError> {
        let reason = shown(reason);
        self.send(None, &LeaderMessage::Stop { reason }).await
    }

    async fn send(
        &self,
        worker: Option<Id>,
        message: &LeaderMessage,
    ) -> Result<(), CoordinatorError> {
        self.channel
            .sender
            .send(self.id, worker, message, &[])
            .await
    }
}

async fn interrupted(interrupts: &mut Interrupts) {
    if interrupts.wait_for(|count| *count > 0).await.is_err() {
        // The interrupting side is gone.
        std::future::pending().await
    }
}

impl std::fmt::Debug for Leader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let workers: Vec<&str> = self.workers().collect();
        f.debug_struct("Leader")
            .field("workers", &workers)
            .finish_non_exhaustive()
    }
}

/// Within the range of timers.
const MAX_PATIENCE: Duration = Duration::from_secs(365 * 24 * 3600);
