//! The server: accepts connections, and cleans up when it stops.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use llm_provider::cleanup;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::guard::Exposure;
use crate::write_timeout::WriteTimeout;
use crate::{Gateway, routes};

impl Gateway {
    /// Serves HTTP/1.1 on `listener` until `shutdown` ends.
    ///
    /// Then it accepts no more connections, gives running requests
    /// [`grace`](crate::GatewayOptions::grace) to end, and waits for the cleanup of abandoned upstream
    /// calls. At last it writes the remaining usage records.
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
        tracing::info!(%address, "serving");
        let exposure = Exposure::of(address.ip());
        let service = service_fn(move |request| {
            let shared = self.state.current();
            async move { Ok::<_, Infallible>(routes::serve(shared, exposure, request).await) }
        });
        let mut server = http1::Builder::new();
        // `half_close` stays off. With it, hyper would not notice that a client has left before its
        // response, and its upstream call would not be cancelled.
        server
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_CONNECTION);
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        loop {
            let socket = tokio::select! {
                () = &mut shutdown => break,
                _ = heartbeat.tick() => continue,
                socket = accept(&listener) => socket,
            };
            // Remove finished tasks, so that the set does not grow.
            while connections.try_join_next().is_some() {}
            let socket = TokioIo::new(WriteTimeout::new(socket, options.write_timeout));
            let connection = server.serve_connection(socket, service.clone());
            let connection = graceful.watch(connection);
            connections.spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection ended early");
                }
            });
        }
        drop(listener);
        if tokio::time::timeout(options.grace, graceful.shutdown())
            .await
            .is_err()
        {
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

/// The next connection. A failure, such as too many open files, does not stop the server.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                // Small frames must not wait for each other.
                if let Err(error) = socket.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY");
                }
                return socket;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// How long a connection may be idle.
const IDLE_CONNECTION: Duration = Duration::from_secs(75);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long abandoned upstream calls may take to be cancelled. Some upstreams return the id of a call
/// after several seconds, and it cannot be cancelled before.
const CLEANUP: Duration = Duration::from_secs(10);
/// Setting a timer that is due before all others costs a system call. This timer is always due before
/// the timeouts of requests, so setting those costs none.
const HEARTBEAT: Duration = Duration::from_millis(500);
