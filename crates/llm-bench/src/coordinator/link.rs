//! One end of a session: what it sends is sealed, what it receives is authentic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::TryRng;
use rand::rngs::SysRng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use super::bus::{Bus, Publisher};
use super::seal::{Envelope, Id, Seal, SessionSecret, Side};
use super::{AGAIN, CoordinatorError, subjects};

/// Sends what one side says and receives what the other says, both of one session.
pub(super) struct Link<T> {
    pub(super) sender: Sender,
    received: mpsc::Receiver<(Envelope<T>, Vec<u8>)>,
    _reader: Task,
}

/// Seals and sends; its clones count on together.
#[derive(Clone)]
pub(super) struct Sender(Arc<Inner>);

struct Inner {
    publisher: Publisher,
    subject: String,
    seal: Seal,
    number: AtomicU64,
}

/// A task that ends with its owner.
pub(super) struct Task(pub(super) AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T: DeserializeOwned + Send + 'static> Link<T> {
    pub(super) fn new(
        mut bus: Bus,
        session: &str,
        secret: &SessionSecret,
        side: Side,
    ) -> Result<Self, CoordinatorError> {
        let (to_leader, to_workers) = subjects(session)?;
        let (subject, other) = match side {
            Side::Leader => (to_workers, Side::Worker),
            Side::Worker => (to_leader, Side::Leader),
        };
        let sender = Sender(Arc::new(Inner {
            publisher: bus.publisher.clone(),
            subject,
            seal: Seal::new(secret, session, side),
            number: AtomicU64::new(0),
        }));
        let seal = Seal::new(secret, session, other);
        let (receive, received) = mpsc::channel(WAITING);
        // It reads whatever comes, also while nobody asks for messages: others may write as much
        // as they like, and none of that is kept.
        let reader = tokio::spawn(async move {
            while let Ok(message) = bus.next().await {
                if let Some(opened) = seal.open(&message) {
                    // When there is no room, it is lost, as any message may be.
                    let _ = receive.try_send(opened);
                }
            }
        });
        Ok(Self {
            sender,
            received,
            _reader: Task(reader.abort_handle()),
        })
    }

    /// The next authentic message of the other side, of whichever measurement.
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
        let sealed = inner.seal.close(&envelope, bytes)?;
        let sent = inner.publisher.publish(&inner.subject, sealed);
        match tokio::time::timeout(20 * AGAIN, sent).await {
            Ok(sent) => sent,
            Err(_) => Err(CoordinatorError::Silent("the coordinator".to_owned())),
        }
    }
}

/// A new number, from the operating system's randomness.
pub(super) fn new_id() -> Result<Id, CoordinatorError> {
    let next = || SysRng.try_next_u64().map_err(CoordinatorError::engine);
    Ok([next()?, next()?])
}

/// Messages that were received and not asked for yet.
const WAITING: usize = 4096;
