use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::bus::Bus;
use super::link::{Link, new_id};
use super::message::{FromLeader, FromWorker};
use super::seal::{Envelope, Id, Numbers, SessionSecret, Side};
use super::{
    AGAIN, CoordinatorError, HEARTBEAT, MOST_PARTS, PART, SILENCE, is_name, shown, subjects,
};
use crate::folder;
use crate::{Interrupts, Results};

/// The machine that has others measure, and joins what they did.
pub struct Leader {
    link: Link<FromWorker>,
    id: Id,
    plan: Value,
    workers: Vec<Member>,
}

/// What happens while workers measure.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum LeaderStep {
    /// The results of a worker have arrived.
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

struct Member {
    id: Id,
    name: String,
    /// The numbers of its messages.
    numbers: Numbers,
    heard: Instant,
    /// The run that it waits for.
    ready: Option<u32>,
    received: Vec<u8>,
    /// How many parts of its results have arrived.
    parts: u32,
    results: Option<Results>,
}

impl Leader {
    /// Waits for so many workers, and sends them the plan that says what to measure. Keep keys
    /// out of it: it is not encrypted.
    ///
    /// # Errors
    /// When the engine cannot be reached, too few workers come within `patience`, or somebody
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
            link: Link::new(bus, session, secret, Side::Leader)?,
            id: new_id()?,
            plan,
            workers: Vec::new(),
        };
        let end = Instant::now() + patience.min(LONGEST_PATIENCE);
        match leader.call(workers, end, interrupts).await {
            Ok(()) => {}
            Err(error) => {
                leader.stop("not enough workers came").await?;
                return Err(error);
            }
        }
        for at in 0..leader.workers.len() {
            leader.send_plan(leader.workers[at].id).await?;
        }
        Ok(leader)
    }

    /// Asks for workers until there are enough.
    async fn call(
        &mut self,
        workers: usize,
        end: Instant,
        mut interrupts: Interrupts,
    ) -> Result<(), CoordinatorError> {
        let mut again = interval(AGAIN);
        while self.workers.len() < workers {
            tokio::select! {
                received = self.link.next() => self.welcome(received?.0),
                _ = again.tick() => self.say(None, &FromLeader::Call).await?,
                () = sleep_until(end) => {
                    return Err(CoordinatorError::Few {
                        found: self.workers.len(),
                        wanted: workers,
                    });
                }
                () = interrupted(&mut interrupts) => return Err(CoordinatorError::Interrupted),
            }
        }
        Ok(())
    }

    fn welcome(&mut self, envelope: Envelope<FromWorker>) {
        if let (FromWorker::Hello { name }, Some(id)) = (envelope.message, envelope.worker)
            && envelope.leader == self.id
            && is_name(&name)
            && self.workers.iter().all(|member| member.id != id)
        {
            self.workers.push(Member {
                id,
                name,
                numbers: Numbers::after(envelope.number),
                heard: Instant::now(),
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

    /// Starts each run when all workers are ready for it, until all have sent their results.
    ///
    /// # Errors
    /// When a worker fails or falls silent, or somebody interrupts; the workers are stopped.
    pub async fn conduct(
        mut self,
        mut interrupts: Interrupts,
        mut on: impl FnMut(LeaderStep),
    ) -> Result<Vec<Results>, CoordinatorError> {
        let now = Instant::now();
        self.workers
            .iter_mut()
            .for_each(|worker| worker.heard = now);
        let done = tokio::select! {
            done = self.conduct_all(&mut on) => done,
            () = interrupted(&mut interrupts) => Err(CoordinatorError::Interrupted),
        };
        let reason = match &done {
            Ok(()) => "all results have arrived".to_owned(),
            Err(error) => error.to_string(),
        };
        // Whatever failed, the workers are not to wait.
        let told = self.stop(&reason).await;
        done.and(told)?;
        Ok(self
            .workers
            .into_iter()
            .filter_map(|worker| worker.results)
            .collect())
    }

    async fn conduct_all(
        &mut self,
        on: &mut impl FnMut(LeaderStep),
    ) -> Result<(), CoordinatorError> {
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut started = None;
        while self.workers.iter().any(|worker| worker.results.is_none()) {
            tokio::select! {
                received = self.link.next() => {
                    let (envelope, bytes) = received?;
                    self.hear(envelope, &bytes, started, on).await?;
                }
                _ = heartbeat.tick() => {
                    self.say(None, &FromLeader::Alive).await?;
                    let mut silent = self.workers.iter().filter(|worker| worker.results.is_none());
                    if let Some(worker) = silent.find(|worker| worker.heard.elapsed() > SILENCE) {
                        return Err(CoordinatorError::Silent(format!("the worker {}", worker.name)));
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
                    self.say(None, &FromLeader::Go { run }).await?;
                    on(LeaderStep::Started { run });
                }
            }
        }
        Ok(())
    }

    async fn hear(
        &mut self,
        envelope: Envelope<FromWorker>,
        bytes: &[u8],
        started: Option<u32>,
        on: &mut impl FnMut(LeaderStep),
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
        worker.heard = Instant::now();
        let id = worker.id;
        let answer = match envelope.message {
            FromWorker::Alive => return Ok(()),
            FromWorker::Failed { message } => {
                return Err(CoordinatorError::Worker {
                    worker: worker.name.clone(),
                    message: shown(&message),
                });
            }
            // The plan has not arrived.
            FromWorker::Hello { .. } => return self.send_plan(id).await,
            FromWorker::Ready { run } => {
                worker.ready = Some(run);
                if started != Some(run) {
                    return Ok(());
                }
                // It has not heard that the run has started.
                FromLeader::Go { run }
            }
            FromWorker::Part { part, parts } => {
                let fits = parts <= MOST_PARTS && bytes.len() <= PART;
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
                    on(LeaderStep::Finished {
                        worker: worker.name.clone(),
                    });
                }
                FromLeader::Part { part: worker.parts }
            }
        };
        let to = match answer {
            FromLeader::Go { .. } => None,
            _ => Some(id),
        };
        self.say(to, &answer).await
    }

    async fn send_plan(&self, worker: Id) -> Result<(), CoordinatorError> {
        let plan = self.plan.clone();
        self.say(Some(worker), &FromLeader::Plan { plan }).await
    }

    async fn stop(&self, reason: &str) -> Result<(), CoordinatorError> {
        let reason = shown(reason);
        self.say(None, &FromLeader::Stop { reason }).await
    }

    async fn say(&self, worker: Option<Id>, message: &FromLeader) -> Result<(), CoordinatorError> {
        self.link.sender.send(self.id, worker, message, &[]).await
    }
}

async fn interrupted(interrupts: &mut Interrupts) {
    if interrupts.wait_for(|count| *count > 0).await.is_err() {
        // Nobody is left who could interrupt.
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

/// Longer than anybody waits, and within the reach of timers.
const LONGEST_PATIENCE: Duration = Duration::from_secs(365 * 24 * 3600);
