//! The server: accepts a limited number of connections at a time, and cleans up when it stops.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use llm_provider::cleanup;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::Gateway;
use crate::connection::Server;
use crate::guard::Exposure;

impl Gateway {
    /// Serves HTTP/1.1 and HTTP/2 on `listener` until `shutdown` ends, with
    /// [`tls`](crate::GatewayOptions::tls) if the options have it. Without TLS, HTTP/2 is served to
    /// clients that begin with it (prior knowledge).
    ///
    /// Then it accepts no more connections, gives running requests
    /// [`grace`](crate::GatewayOptions::grace) to end, and waits for the cleanup of abandoned
    /// upstream calls. Finally it writes the remaining usage records.
    ///
    /// Without a master key, requests that a web page may have caused are rejected: those of
    /// another site (`Origin`, `Sec-Fetch-Site`), bodies that are not `application/json`, and, where
    /// the listener's address is a loopback address, those to any other host (`Host`).
    ///
    /// A client that closes its writing half is treated as disconnected, since the server cannot
    /// distinguish the two, and its upstream call is cancelled.
    ///
    /// # Errors
    /// If the listener has no address. A failure to accept a connection is only logged.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let options = self.state.current().options.clone();
        let address = listener.local_addr()?;
        tracing::info!(%address, tls = options.tls.is_some(), "serving");
        let (stop, stopped) = watch::channel(false);
        let server = Server::new(self, Exposure::of(address.ip()), &options, stopped);
        let mut acceptor = Acceptor::new(listener, options.max_connections);
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        loop {
            let (socket, place) = tokio::select! {
                () = &mut shutdown => break,
                _ = heartbeat.tick() => continue,
                accepted = acceptor.accept() => accepted,
            };
            // Remove finished tasks, so that the set does not grow.
            while connections.try_join_next().is_some() {}
            let server = server.clone();
            connections.spawn(async move {
                server.serve(socket).await;
                drop(place);
            });
        }
        drop(acceptor);
        stop.send_replace(true);
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(options.grace, ended).await.is_err() {
            tracing::warn!(
                requests = connections.len(),
                "stopped while requests were running"
            );
        }
        // Dropping a request drops its upstream call, which may need cleanup.
        connections.shutdown().await;
        if !cleanup::finish(CLEANUP).await {
            tracing::warn!(
                left = cleanup::pending(),
                "upstream work could not be cancelled in time"
            );
        }
        if let Some(keys) = &options.virtual_keys
            && !matches!(
                tokio::time::timeout(CLEANUP, keys.close()).await,
                Ok(Ok(()))
            )
        {
            tracing::error!("the last usage records could not be written");
        }
        Ok(())
    }
}

/// Accepts connections while there are places for them.
struct Acceptor {
    listener: TcpListener,
    places: Arc<Semaphore>,
    /// Whether the log says that all places are taken.
    is_full: bool,
    /// Whether the log says that connections cannot be accepted.
    has_failed: bool,
}

impl Acceptor {
    fn new(listener: TcpListener, places: usize) -> Self {
        Self {
            listener,
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
            is_full: false,
            has_failed: false,
        }
    }

    /// The next connection and its place. A failure, such as too many open files, does not stop the
    /// server. The future may be dropped at any time.
    async fn accept(&mut self) -> (TcpStream, Option<OwnedSemaphorePermit>) {
        let is_full = self.places.available_permits() == 0;
        if is_full && !self.is_full {
            tracing::warn!("all connections are in use: new ones wait (`max_connections`)");
        }
        self.is_full = is_full;
        // The semaphore is never closed.
        let place = Arc::clone(&self.places).acquire_owned().await.ok();
        loop {
            match self.listener.accept().await {
                Ok((socket, _)) => {
                    self.has_failed = false;
                    // Small frames must not wait for each other.
                    if let Err(error) = socket.set_nodelay(true) {
                        tracing::debug!(%error, "TCP_NODELAY");
                    }
                    return (socket, place);
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.has_failed, true) {
                        tracing::warn!(%error, "cannot accept connections");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long abandoned upstream calls may take to be cancelled. Some upstreams return the id of a call
/// after several seconds, and it cannot be cancelled before.
const CLEANUP: Duration = Duration::from_secs(10);
/// Setting a timer that is due before all others costs a system call. This timer is always due before
/// the timeouts of requests, so setting those costs none.
const HEARTBEAT: Duration = Duration::from_millis(500);
