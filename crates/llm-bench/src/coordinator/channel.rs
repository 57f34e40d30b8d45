//! One end of a session: it signs what it sends and verifies what it receives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::TryRng;
use rand::rngs::SysRng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::bus::{Bus, Publisher};
use super::signature::{Envelope, Id, Role, SessionSecret, Signer};
use super::{CoordinatorError, TIMEOUT, subjects};

/// Sends the messages of one side and receives those of the other side of a session.
pub(super) struct Channel<T> {
    pub(super) sender: Sender,
    received: mpsc::Receiver<(Envelope<T>, Vec<u8>)>,
    _reader: Task,
}

/// Signs and sends; clones share one counter.
#[derive(Clone)]
pub(super) struct Sender(Arc<Inner>);

struct Inner {
    publisher: Publisher,
    subject: String,
    signer: Signer,
    number: AtomicU64,
}

/// A task that is aborted on drop.
pub(super) struct Task(pub(super) AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T: DeserializeOwned + Send + 'static> Channel<T> {
    pub(super) fn new(
        mut bus: Bus,
        session: &str,
        secret: &SessionSecret,
        role: Role,
    ) -> Result<Self, CoordinatorError> {
        let (to_leader, to_workers) = subjects(session)?;
        let (subject, other) = match role {
            Role::Leader => (to_workers, Role::Worker),
            Role::Worker => (to_leader, Role::Leader),
        };
        let sender = Sender(Arc::new(Inner {
            publisher: bus.publisher.clone(),
            subject,
            signer: Signer::new(secret, session, role),
            number: AtomicU64::new(0),
        }));
        let signer = Signer::new(secret, session, other);
        let (receive, received) = mpsc::channel(MAX_QUEUED);
        // Reads even while no task waits for a message: other clients of the engine may publish
        // any amount, which must not accumulate.
        let reader = tokio::spawn(async move {
            while let Ok(message) = bus.next().await {
                if let Some(verified) = signer.verify(&message) {
                    // If the channel is full, the message is lost, which may happen to any message.
                    let _ = receive.try_send(verified);
                }
            }
        });
        Ok(Self {
            sender,
            received,
            _reader: Task(reader.abort_handle()),
        })
    }

    /// The next authentic message of the other side, from any measurement.
    pub(super) async fn next(&mut self) -> Result<(Envelope<T>, Vec<u8>), CoordinatorError> {
        let message = self.received.recv().await;
        message.ok_or_else(|| CoordinatorError::engine("the connection was closed"))
    }
}

impl Sender {
    pub(super) async fn send(
        &self,
        leader: Id,
        worker: Option<Id>,
        message: &impl Serialize,
        bytes: &[u8],
    ) -> Result<(), CoordinatorError> {
        let inner = &self.0;
        let envelope = Envelope {
            leader,
            worker,
            number: inner.number.fetch_add(1, Ordering::Relaxed) + 1,
            message,
        };
        let signed = inner.signer.sign(&envelope, bytes)?;
        let sent = inner.publisher.publish(&inner.subject, signed);
        match tokio::time::timeout(TIMEOUT, sent).await {
            Ok(sent) => sent,
            Err(_) => Err(CoordinatorError::TimedOut("the coordinator".to_owned())),
        }
    }
}

/// A random number from the operating system.
pub(super) fn new_id() -> Result<Id, CoordinatorError> {
    let next = || SysRng.try_next_u64().map_err(CoordinatorError::engine);
    Ok([next()?, next()?])
}

/// Received messages that wait to be processed.
const MAX_QUEUED: usize = 4096;
