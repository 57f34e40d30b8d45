use tokio::task::AbortHandle;
use tokio::time::{Instant, interval, timeout};

use super::bus::Bus;
use super::message::{FromLeader, FromWorker, decode, encode};
use super::{AGAIN, CoordinatorError, HEARTBEAT, PART, SILENCE, subjects};
use crate::report::Results;

/// A machine that measures what a leader says, when it says.
pub struct Worker {
    bus: Bus,
    to_leader: String,
    id: u64,
    heartbeat: Heartbeat,
}

/// Ends with its worker.
struct Heartbeat(Option<AbortHandle>);

impl Drop for Heartbeat {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl Worker {
    /// Waits for a leader, for as long as it takes, and gives the arguments of `polyllm bench`
    /// that say what to measure.
    ///
    /// # Errors
    /// When the engine cannot be reached, or the leader gives up.
    pub async fn join(
        url: &str,
        session: &str,
        name: &str,
    ) -> Result<(Self, Vec<String>), CoordinatorError> {
        let (_, listen) = subjects(session)?;
        let bus = Bus::open(url, &listen).await?;
        Self::with_bus(bus, session, name).await
    }

    pub(super) async fn with_bus(
        bus: Bus,
        session: &str,
        name: &str,
    ) -> Result<(Self, Vec<String>), CoordinatorError> {
        let mut worker = Self {
            bus,
            to_leader: subjects(session)?.0,
            id: fastrand::u64(..),
            heartbeat: Heartbeat(None),
        };
        let hello = FromWorker::Hello {
            worker: worker.id,
            name: name.to_owned(),
        };
        let id = worker.id;
        let arguments = worker
            .ask(&hello, &[], None, |said| match said {
                FromLeader::Plan { worker, arguments } if worker == id => Some(arguments),
                _ => None,
            })
            .await?;
        worker.start_heartbeat();
        Ok((worker, arguments))
    }

    /// Waits until all workers are ready for a run: call it right before the run starts.
    ///
    /// # Errors
    /// When the leader stops, or falls silent.
    pub async fn ready(&mut self, run: u32) -> Result<(), CoordinatorError> {
        let ready = FromWorker::Ready {
            worker: self.id,
            run,
        };
        let go =
            |said| matches!(said, FromLeader::Go { run: started } if started == run).then_some(());
        self.ask(&ready, &[], Some(SILENCE), go).await
    }

    /// Hands over what was measured.
    ///
    /// # Errors
    /// When the leader stops, or falls silent.
    pub async fn finish(mut self, results: &Results) -> Result<(), CoordinatorError> {
        let packed = results.pack();
        let parts: Vec<&[u8]> = packed.chunks(PART).collect();
        let id = self.id;
        let mut next = 0;
        while let Some(bytes) = parts.get(next as usize) {
            let message = FromWorker::Part {
                worker: id,
                part: next,
                parts: parts.len() as u32,
            };
            let wanted = |said| match said {
                FromLeader::Part { worker, part } if worker == id && part > next => Some(part),
                _ => None,
            };
            next = self.ask(&message, bytes, Some(SILENCE), wanted).await?;
        }
        Ok(())
    }

    /// Tells the leader why there will be no results.
    ///
    /// # Errors
    /// When the engine cannot be reached.
    pub async fn fail(self, message: impl Into<String>) -> Result<(), CoordinatorError> {
        let message = FromWorker::Failed {
            worker: self.id,
            message: message.into(),
        };
        let message = encode(&message, &[]);
        self.bus.publisher.publish(&self.to_leader, message).await
    }

    /// Says something again and again until the leader answers.
    async fn ask<T>(
        &mut self,
        message: &FromWorker,
        bytes: &[u8],
        patience: Option<std::time::Duration>,
        mut answer: impl FnMut(FromLeader) -> Option<T>,
    ) -> Result<T, CoordinatorError> {
        let message = encode(message, bytes);
        let mut heard = Instant::now();
        loop {
            self.bus
                .publisher
                .publish(&self.to_leader, message.clone())
                .await?;
            let again = Instant::now() + AGAIN;
            while let Ok(said) = tokio::time::timeout_at(again, self.bus.next()).await {
                let said = said?;
                let Some((said, _)) = decode(&said) else {
                    continue;
                };
                heard = Instant::now();
                match said {
                    // Before it has a plan, a worker does not care for an earlier leader's end.
                    FromLeader::Stop { reason } if patience.is_some() => {
                        return Err(CoordinatorError::Stopped(reason));
                    }
                    said => {
                        if let Some(answer) = answer(said) {
                            return Ok(answer);
                        }
                    }
                }
            }
            if patience.is_some_and(|patience| heard.elapsed() > patience) {
                return Err(CoordinatorError::Silent("the leader".to_owned()));
            }
        }
    }

    fn start_heartbeat(&mut self) {
        let publisher = self.bus.publisher.clone();
        let subject = self.to_leader.clone();
        let alive = encode(&FromWorker::Alive { worker: self.id }, &[]);
        let task = tokio::spawn(async move {
            let mut beat = interval(HEARTBEAT);
            loop {
                beat.tick().await;
                // When it cannot be told, the leader notices by itself.
                let _ = timeout(HEARTBEAT, publisher.publish(&subject, alive.clone())).await;
            }
        });
        self.heartbeat = Heartbeat(Some(task.abort_handle()));
    }
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
