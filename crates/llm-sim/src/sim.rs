use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::watch;

use crate::clock::Clock;
use crate::options::SimOptions;
use crate::replicate::ReplicateSim;
use crate::server::Server;
use crate::together::TogetherSim;

/// A running simulation: two upstreams on 127.0.0.1.
///
/// It runs on the tokio runtime that started it. Dropping it closes both listeners and every
/// connection immediately; [`shutdown`](Self::shutdown) lets requests finish first.
#[derive(Debug)]
pub struct Sim {
    together: (TogetherSim, Server),
    replicate: (ReplicateSim, Server),
    /// The host of Replicate's event streams, if it is separate.
    streams: Option<Server>,
    /// Dropped with the simulation, which stops the webhooks.
    _alive: watch::Sender<()>,
}

impl Sim {
    /// Starts a simulation.
    ///
    /// # Errors
    ///
    /// If a port is in use, which the message names, or if a socket or a thread cannot be created.
    pub async fn start(options: SimOptions) -> io::Result<Self> {
        let clock = Clock::start(&options.timing)?;
        let ports = (options.together_port, options.replicate_port);
        let options = Arc::new(options);
        let together = TogetherSim::new(&options, &clock);
        let (alive, lives) = watch::channel(());
        let replicate = ReplicateSim::new(&options, &clock, lives);
        let together_server = Server::start(ports.0, together.upstream()).await?;
        let replicate_server = Server::start(ports.1, replicate.upstream()).await?;
        let mut streams = None;
        if let Some(port) = options.replicate_stream_port {
            let server = Server::start(port, replicate.stream_host()).await?;
            replicate.stream_from(server.url());
            streams = Some(server);
        }
        Ok(Self {
            together: (together, together_server),
            replicate: (replicate, replicate_server),
            streams,
            _alive: alive,
        })
    }

    /// The URL of the simulated Together API: `http://127.0.0.1:PORT`, without the `/v1`.
    pub fn together_url(&self) -> &str {
        self.together.1.url()
    }

    /// The URL of the simulated Replicate API: `http://127.0.0.1:PORT`, without the `/v1`.
    pub fn replicate_url(&self) -> &str {
        self.replicate.1.url()
    }

    /// The host and port of [`together_url`](Self::together_url).
    pub fn together_address(&self) -> SocketAddr {
        self.together.1.address()
    }

    /// The host and port of [`replicate_url`](Self::replicate_url).
    pub fn replicate_address(&self) -> SocketAddr {
        self.replicate.1.address()
    }

    /// The URL of Replicate's event streams, if they have a separate host.
    pub fn replicate_stream_url(&self) -> Option<&str> {
        self.streams.as_ref().map(Server::url)
    }

    /// The requests of the simulated Together, and its faults.
    pub fn together(&self) -> &TogetherSim {
        &self.together.0
    }

    /// The requests and predictions of the simulated Replicate, and its faults.
    pub fn replicate(&self) -> &ReplicateSim {
        &self.replicate.0
    }

    /// Stops listening, gives requests in flight a second to finish, and closes the rest.
    pub async fn shutdown(self) {
        let streams = async {
            if let Some(server) = self.streams {
                server.shutdown().await;
            }
        };
        tokio::join!(
            self.together.1.shutdown(),
            self.replicate.1.shutdown(),
            streams
        );
    }
}
