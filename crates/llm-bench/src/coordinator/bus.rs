//! Publish and subscribe over the built-in engines.

#![cfg_attr(
    not(any(feature = "nats", feature = "redis")),
    allow(
        dead_code,
        unused_variables,
        reason = "a build without engines opens no bus"
    )
)]

use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::{CoordinatorError, MAX_MESSAGE};

/// A subscription to one subject, and a publisher to others.
pub(super) struct Bus {
    pub(super) publisher: Publisher,
    messages: BoxStream<'static, Vec<u8>>,
}

#[derive(Clone)]
pub(super) enum Publisher {
    // Builds without engines keep it, since an enum needs a variant.
    #[cfg(any(test, not(any(feature = "nats", feature = "redis"))))]
    Memory(tokio::sync::broadcast::Sender<(String, Vec<u8>)>),
    #[cfg(feature = "nats")]
    Nats(async_nats::Client),
    #[cfg(feature = "redis")]
    Redis(redis::aio::MultiplexedConnection),
}

impl Bus {
    /// Connects to `redis://…` or `nats://…` and subscribes to a subject.
    pub(super) async fn open(url: &str, subject: &str) -> Result<Self, CoordinatorError> {
        match url.split_once("://").map(|(scheme, _)| scheme) {
            #[cfg(feature = "nats")]
            Some("nats") => nats(url, subject).await,
            #[cfg(feature = "redis")]
            Some("redis") => redis(url, subject).await,
            _ => Err(CoordinatorError::Unsupported(SUPPORTED)),
        }
    }

    /// A bus in memory, for tests.
    #[cfg(test)]
    pub(super) fn memory(
        all: &tokio::sync::broadcast::Sender<(String, Vec<u8>)>,
        subject: &str,
    ) -> Self {
        let subject = subject.to_owned();
        let messages = futures_util::stream::unfold(all.subscribe(), move |mut messages| {
            let subject = subject.clone();
            async move {
                loop {
                    let (to, message) = messages.recv().await.ok()?;
                    if to == subject {
                        return Some((message, messages));
                    }
                }
            }
        });
        Self {
            publisher: Publisher::Memory(all.clone()),
            messages: messages.boxed(),
        }
    }

    /// The next message; longer ones than allowed are dropped.
    pub(super) async fn next(&mut self) -> Result<Vec<u8>, CoordinatorError> {
        let message = self.messages.next().await;
        message.ok_or_else(|| CoordinatorError::engine("the connection was closed"))
    }
}

impl Publisher {
    pub(super) async fn publish(
        &self,
        subject: &str,
        message: Vec<u8>,
    ) -> Result<(), CoordinatorError> {
        match self {
            #[cfg(any(test, not(any(feature = "nats", feature = "redis"))))]
            Self::Memory(all) => {
                // The number of subscribers does not matter.
                let _ = all.send((subject.to_owned(), message));
                Ok(())
            }
            #[cfg(feature = "nats")]
            Self::Nats(client) => {
                let sent = client.publish(subject.to_owned(), message.into()).await;
                sent.map_err(CoordinatorError::engine)?;
                client.flush().await.map_err(CoordinatorError::engine)
            }
            #[cfg(feature = "redis")]
            Self::Redis(connection) => {
                let mut publish = redis::cmd("PUBLISH");
                publish.arg(subject).arg(message);
                let sent = publish.exec_async(&mut connection.clone()).await;
                sent.map_err(CoordinatorError::engine)
            }
        }
    }
}

#[cfg(feature = "nats")]
async fn nats(url: &str, subject: &str) -> Result<Bus, CoordinatorError> {
    let client = async_nats::connect(url)
        .await
        .map_err(CoordinatorError::engine)?;
    let messages = client.subscribe(subject.to_owned()).await;
    let messages = messages.map_err(CoordinatorError::engine)?;
    client.flush().await.map_err(CoordinatorError::engine)?;
    Ok(Bus {
        publisher: Publisher::Nats(client),
        messages: messages
            .filter_map(async |message| copied(&message.payload))
            .boxed(),
    })
}

#[cfg(feature = "redis")]
async fn redis(url: &str, subject: &str) -> Result<Bus, CoordinatorError> {
    let client = redis::Client::open(url).map_err(CoordinatorError::engine)?;
    let mut messages = client
        .get_async_pubsub()
        .await
        .map_err(CoordinatorError::engine)?;
    messages
        .subscribe(subject)
        .await
        .map_err(CoordinatorError::engine)?;
    let connection = client.get_multiplexed_async_connection().await;
    Ok(Bus {
        publisher: Publisher::Redis(connection.map_err(CoordinatorError::engine)?),
        messages: messages
            .into_on_message()
            .filter_map(async |message| copied(message.get_payload_bytes()))
            .boxed(),
    })
}

/// The message, if it is not too long.
fn copied(message: &[u8]) -> Option<Vec<u8>> {
    (message.len() <= MAX_MESSAGE).then(|| message.to_vec())
}

const SUPPORTED: &str = match (cfg!(feature = "redis"), cfg!(feature = "nats")) {
    (true, true) => "redis://… or nats://…",
    (true, false) => "redis://… (NATS needs the feature nats)",
    (false, true) => "nats://… (Redis needs the feature redis)",
    (false, false) => {
        "redis://… or nats://…, with the feature of that name, which is not part of this build"
    }
};
