use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::bus::Bus;
use super::message::{FromLeader, FromWorker, decode, encode};
use super::{AGAIN, CoordinatorError, HEARTBEAT, MOST_PARTS, SILENCE, subjects};
use crate::command_line::without_secrets;
use crate::report::Results;

/// The machine that has others measure, and joins what they did.
pub struct Leader {
    bus: Bus,
    to_workers: String,
    arguments: Vec<String>,
    workers: Vec<Member>,
}

/// What happens while workers measure.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
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
    id: u64,
    name: String,
    heard: Instant,
    /// The run that it waits for.
    ready: Option<u32>,
    received: Vec<u8>,
    /// How many parts of its results have arrived.
    parts: u32,
    results: Option<Results>,
}

impl Leader {
    /// Waits for so many workers, and hands them the arguments of `polyllm bench` that say what
    /// to measure. Options with keys are left out.
    ///
    /// # Errors
    /// When the engine cannot be reached, or too few workers come within `patience`.
    pub async fn gather(
        url: &str,
        session: &str,
        arguments: impl IntoIterator<Item = String>,
        workers: usize,
        patience: Duration,
    ) -> Result<Self, CoordinatorError> {
        let (listen, _) = subjects(session)?;
        let bus = Bus::open(url, &listen).await?;
        Self::with_bus(bus, session, arguments, workers, patience).await
    }

    pub(super) async fn with_bus(
        bus: Bus,
        session: &str,
        arguments: impl IntoIterator<Item = String>,
        workers: usize,
        patience: Duration,
    ) -> Result<Self, CoordinatorError> {
        let mut leader = Self {
            bus,
            to_workers: subjects(session)?.1,
            arguments: without_secrets(arguments),
            workers: Vec::new(),
        };
        let end = Instant::now() + patience;
        while leader.workers.len() < workers {
            let Ok(message) = timeout_at(end, leader.bus.next()).await else {
                let found = leader.workers.len();
                leader.stop("not enough workers came").await?;
                return Err(CoordinatorError::Few {
                    found,
                    wanted: workers,
                });
            };
            if let Some((FromWorker::Hello { worker, name }, _)) = decode(&message?)
                && leader.workers.iter().all(|member| member.id != worker)
            {
                leader.workers.push(Member {
                    id: worker,
                    name,
                    heard: Instant::now(),
                    ready: None,
                    received: Vec::new(),
                    parts: 0,
                    results: None,
                });
            }
        }
        for at in 0..leader.workers.len() {
            leader.send_plan(leader.workers[at].id).await?;
        }
        Ok(leader)
    }

    /// The names of the workers.
    pub fn workers(&self) -> impl Iterator<Item = &str> {
        self.workers.iter().map(|worker| worker.name.as_str())
    }

    /// Starts each run when all workers are ready for it, until all have sent their results.
    ///
    /// # Errors
    /// When a worker fails or falls silent; the others are stopped.
    pub async fn conduct(
        mut self,
        mut on: impl FnMut(Step),
    ) -> Result<Vec<Results>, CoordinatorError> {
        let now = Instant::now();
        self.workers
            .iter_mut()
            .for_each(|worker| worker.heard = now);
        let done = self.conduct_all(&mut on).await;
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

    async fn conduct_all(&mut self, on: &mut impl FnMut(Step)) -> Result<(), CoordinatorError> {
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut started = None;
        while self.workers.iter().any(|worker| worker.results.is_none()) {
            tokio::select! {
                message = self.bus.next() => {
                    let message = message?;
                    if let Some((said, bytes)) = decode(&message) {
                        self.hear(said, bytes, started, on).await?;
                    }
                }
                _ = heartbeat.tick() => {
                    self.say(&FromLeader::Alive).await?;
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
                    self.say(&FromLeader::Go { run }).await?;
                    on(Step::Started { run });
                }
            }
        }
        Ok(())
    }

    async fn hear(
        &mut self,
        said: FromWorker,
        bytes: &[u8],
        started: Option<u32>,
        on: &mut impl FnMut(Step),
    ) -> Result<(), CoordinatorError> {
        let Some(worker) = self
            .workers
            .iter_mut()
            .find(|worker| worker.id == said.worker())
        else {
            return Ok(());
        };
        worker.heard = Instant::now();
        let answer = match said {
            FromWorker::Alive { .. } => return Ok(()),
            FromWorker::Failed { message, .. } => {
                return Err(CoordinatorError::Worker {
                    worker: worker.name.clone(),
                    message,
                });
            }
            // The plan has not arrived.
            FromWorker::Hello { worker, .. } => return self.send_plan(worker).await,
            FromWorker::Ready { run, .. } => {
                worker.ready = Some(run);
                if started != Some(run) {
                    return Ok(());
                }
                // It has not heard that the run has started.
                FromLeader::Go { run }
            }
            FromWorker::Part {
                worker: id,
                part,
                parts,
            } => {
                if part == worker.parts && worker.results.is_none() && parts <= MOST_PARTS {
                    worker.received.extend_from_slice(bytes);
                    worker.parts += 1;
                }
                if worker.parts == parts && worker.results.is_none() {
                    let results = Results::unpack(&std::mem::take(&mut worker.received));
                    worker.results = Some(results.map_err(|source| CoordinatorError::Results {
                        worker: worker.name.clone(),
                        source,
                    })?);
                    on(Step::Finished {
                        worker: worker.name.clone(),
                    });
                }
                FromLeader::Part {
                    worker: id,
                    part: worker.parts,
                }
            }
        };
        self.say(&answer).await
    }

    async fn send_plan(&self, worker: u64) -> Result<(), CoordinatorError> {
        let arguments = self.arguments.clone();
        self.say(&FromLeader::Plan { worker, arguments }).await
    }

    async fn stop(&self, reason: &str) -> Result<(), CoordinatorError> {
        let reason = reason.to_owned();
        self.say(&FromLeader::Stop { reason }).await
    }

    async fn say(&self, message: &FromLeader) -> Result<(), CoordinatorError> {
        let message = encode(message, &[]);
        let sent = self.bus.publisher.publish(&self.to_workers, message);
        match tokio::time::timeout(20 * AGAIN, sent).await {
            Ok(sent) => sent,
            Err(_) => Err(CoordinatorError::Silent("the coordinator".to_owned())),
        }
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
