//! Shared state in Redis or Valkey.
//!
//! One task owns the connection: it connects, sends what need not be waited for in batches, and
//! connects again after a failure. Calls use the connection while the status is [`Status::Up`].

mod wire;

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{BoxFuture, Either, select};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout, timeout_at};

use self::wire::Scripts;
use super::{Begin, Begun, End, SharedStateError, Store};

/// A server, and the connection to it.
pub(super) struct Redis {
    link: Arc<Link>,
    jobs: mpsc::Sender<Job>,
    /// Until the task is started, by the first call.
    idle: Mutex<Option<mpsc::Receiver<Job>>>,
}

/// What calls and the task share.
struct Link {
    client: Client,
    status: watch::Sender<Status>,
    /// The longest wait of a call.
    patience: Duration,
    /// The bytes of the values that wait to be sent.
    waiting: AtomicUsize,
    /// A simulated time in microseconds, instead of that of the server.
    #[cfg(test)]
    now: Option<Arc<std::sync::atomic::AtomicU64>>,
}

#[derive(Clone)]
enum Status {
    /// The first connection is being made.
    Starting,
    Up(Box<Connected>),
    Down,
}

#[derive(Clone)]
struct Connected {
    connection: MultiplexedConnection,
    scripts: Scripts,
    /// The number of the connection: a call that fails ends only its own.
    number: u64,
}

/// What is sent without a call that waits.
enum Job {
    End(End),
    Keep {
        key: String,
        value: Vec<u8>,
        time_to_live: Duration,
    },
}

impl Redis {
    pub(super) fn new(url: &str) -> Result<Self, SharedStateError> {
        let invalid = |reason: &str| SharedStateError::InvalidUrl(reason.to_owned());
        // The details of an error may repeat the password.
        let client = Client::open(url).map_err(|error| invalid(error.category()))?;
        Ok(Self::with_client(client))
    }

    fn with_client(client: Client) -> Self {
        let (jobs, idle) = mpsc::channel(MOST_JOBS);
        let link = Link {
            client,
            status: watch::Sender::new(Status::Starting),
            patience: LONGEST_WAIT,
            waiting: AtomicUsize::new(0),
            #[cfg(test)]
            now: None,
        };
        Self {
            link: Arc::new(link),
            jobs,
            idle: Mutex::new(Some(idle)),
        }
    }

    /// A server with a certificate of this authority, in PEM.
    #[cfg(test)]
    pub(super) fn with_authority(url: &str, authority: Vec<u8>) -> RedisResult<Self> {
        let certificates = redis::TlsCertificates {
            client_tls: None,
            root_cert: Some(authority),
        };
        Client::build_with_tls(url, certificates).map(Self::with_client)
    }

    /// A server whose time is simulated. Calls wait for it, however slow this machine is.
    #[cfg(test)]
    pub(super) fn simulated(
        url: &str,
        now: Arc<std::sync::atomic::AtomicU64>,
    ) -> Result<Self, SharedStateError> {
        let mut redis = Self::new(url)?;
        if let Some(link) = Arc::get_mut(&mut redis.link) {
            link.now = Some(now);
            link.patience = Duration::from_secs(60);
        }
        Ok(redis)
    }

    /// Records the end of a call, and waits for it.
    #[cfg(test)]
    pub(super) async fn finish(&self, end: &End) -> RedisResult<redis::Value> {
        let later = Instant::now() + self.link.patience;
        let connected = self.link.connected(later, || self.start()).await;
        let Some(Connected {
            mut connection,
            scripts,
            ..
        }) = connected
        else {
            return Err((redis::ErrorKind::Io, "not connected").into());
        };
        let command = scripts.end(end, self.link.now());
        connection.send_packed_command(&command).await
    }

    /// Starts the task, once. The caller runs in a runtime.
    fn start(&self) {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(jobs) = idle {
            tokio::spawn(Arc::clone(&self.link).run(jobs));
        }
    }

    async fn exchange(&self, begin: Begin) -> Option<Begun> {
        let end = Instant::now() + self.link.patience;
        let connected = self.link.connected(end, || self.start()).await?;
        let command = connected.scripts.begin(&begin, self.link.now());
        let mut connection = connected.connection;
        let reply = timeout_at(end, connection.send_packed_command(&command)).await;
        let begun = match reply {
            Ok(Ok(reply)) => wire::begun(reply, &begin).ok_or("an unexpected reply"),
            Ok(Err(error)) => Err(describe(&error)),
            Err(_) => Err(TOO_SLOW),
        };
        match begun {
            Ok(begun) => Some(begun),
            Err(reason) => {
                self.link.fail(Some(connected.number), reason);
                None
            }
        }
    }

    /// Sends a job when the connection is up and not behind; otherwise it is lost. That is safe:
    /// what a call did not use of its reservation is then given back by time alone.
    fn send(&self, job: Job) {
        let bytes = job.bytes();
        let is_up = matches!(*self.link.status.borrow(), Status::Up(_));
        if is_up && self.link.waiting.fetch_add(bytes, Relaxed) <= MOST_BYTES {
            if self.jobs.try_send(job).is_ok() {
                return;
            }
            self.link.waiting.fetch_sub(bytes, Relaxed);
        } else if is_up {
            self.link.waiting.fetch_sub(bytes, Relaxed);
        }
    }
}

impl Store for Redis {
    fn begin(&self, begin: Begin) -> BoxFuture<'_, Option<Begun>> {
        Box::pin(self.exchange(begin))
    }

    fn end(&self, end: End) {
        self.send(Job::End(end));
    }

    fn keep(&self, key: String, value: Vec<u8>, time_to_live: Duration) {
        self.send(Job::Keep {
            key,
            value,
            time_to_live,
        });
    }

    fn is_available(&self) -> bool {
        !matches!(*self.link.status.borrow(), Status::Down)
    }
}

impl Job {
    fn bytes(&self) -> usize {
        match self {
            Self::End(_) => 0,
            Self::Keep { key, value, .. } => key.len() + value.len(),
        }
    }
}

impl Link {
    /// The connection. Waits up to `end` for the first one, which `start` begins, and for no other.
    async fn connected(&self, end: Instant, start: impl FnOnce()) -> Option<Connected> {
        if matches!(*self.status.borrow(), Status::Starting) {
            start();
            let mut status = self.status.subscribe();
            let started = status.wait_for(|status| !matches!(status, Status::Starting));
            if timeout_at(end, started).await.is_err() {
                self.fail(None, TOO_SLOW);
            }
        }
        match &*self.status.borrow() {
            Status::Up(connected) => Some((**connected).clone()),
            Status::Starting | Status::Down => None,
        }
    }

    /// The address, without user and password.
    fn server(&self) -> String {
        let address = self.client.get_connection_info().addr().to_string();
        llm_provider::text::printable(&address).into_owned()
    }

    /// Ends the use of a connection, or of the first attempt to make one. The task connects again.
    fn fail(&self, number: Option<u64>, reason: &str) {
        let has_changed = self.status.send_if_modified(|status| {
            let is_current = match (&*status, number) {
                (Status::Starting, None) => true,
                (Status::Up(connected), Some(number)) => connected.number == number,
                _ => false,
            };
            if is_current {
                *status = Status::Down;
            }
            is_current
        });
        if has_changed {
            tracing::warn!(
                server = self.server(),
                reason,
                "Redis is unavailable; this process keeps limits and cooldowns by itself until it is back"
            );
        }
    }

    /// Keeps a connection until it is no longer needed.
    async fn run(self: Arc<Self>, mut jobs: mpsc::Receiver<Job>) {
        let mut pause = FIRST_PAUSE;
        for number in 0.. {
            match self.connect(number).await {
                Ok(connected) => {
                    let begin = Instant::now();
                    let up = Status::Up(Box::new(connected.clone()));
                    let before = self.status.send_replace(up);
                    let server = self.server();
                    if matches!(before, Status::Down) {
                        // As visible as the warning of the outage.
                        tracing::warn!(server, "Redis is available again");
                    } else {
                        tracing::info!(
                            server,
                            "limits, cooldowns and sessions are shared in Redis"
                        );
                    }
                    if self.serve(&connected, &mut jobs).await.is_none() {
                        return;
                    }
                    // A server that fails again and again is tried less often.
                    if begin.elapsed() > LONGEST_PAUSE {
                        pause = FIRST_PAUSE;
                    }
                }
                Err(reason) => self.fail(None, reason),
            }
            let end = Instant::now() + pause.mul_f64(0.75 + 0.5 * fastrand::f64());
            pause = (pause * 2).min(LONGEST_PAUSE);
            // Reports of calls are lost meanwhile.
            while let Ok(job) = timeout_at(end, jobs.recv()).await {
                let Some(job) = job else { return };
                self.waiting.fetch_sub(job.bytes(), Relaxed);
            }
        }
    }

    async fn connect(&self, number: u64) -> Result<Connected, &'static str> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(BACKGROUND_TIMEOUT))
            .set_response_timeout(Some(BACKGROUND_TIMEOUT));
        let connect = async {
            let mut connection = self
                .client
                .get_multiplexed_async_connection_with_config(&config)
                .await?;
            let scripts = Scripts::load(&mut connection).await?;
            RedisResult::Ok(Connected {
                connection,
                scripts,
                number,
            })
        };
        match timeout(BACKGROUND_TIMEOUT, connect).await {
            Ok(Ok(connected)) => Ok(connected),
            Ok(Err(error)) => Err(describe(&error)),
            Err(_) => Err(TOO_SLOW),
        }
    }

    /// Sends the jobs until the connection fails; `None` if there will be no more.
    async fn serve(&self, connected: &Connected, jobs: &mut mpsc::Receiver<Job>) -> Option<()> {
        let mut status = self.status.subscribe();
        let mut connection = connected.connection.clone();
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            {
                let down = pin!(status.wait_for(|status| matches!(status, Status::Down)));
                let received = pin!(jobs.recv_many(&mut batch, BATCH));
                match select(down, received).await {
                    Either::Left(_) => return Some(()),
                    Either::Right((0, _)) => return None,
                    Either::Right(_) => {}
                }
            }
            let bytes: usize = batch.iter().map(Job::bytes).sum();
            let mut pipeline = redis::pipe();
            for job in batch.drain(..) {
                pipeline.add_command(match job {
                    Job::End(end) => connected.scripts.end(&end, self.now()),
                    Job::Keep {
                        key,
                        value,
                        time_to_live,
                    } => wire::keep(&key, &value, time_to_live),
                });
            }
            let count = pipeline.len();
            let sent = connection.send_packed_commands(&pipeline, 0, count);
            let sent = timeout(BACKGROUND_TIMEOUT, sent).await;
            self.waiting.fetch_sub(bytes, Relaxed);
            match sent {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => self.fail(Some(connected.number), describe(&error)),
                Err(_) => self.fail(Some(connected.number), TOO_SLOW),
            }
        }
    }

    fn now(&self) -> Option<u64> {
        #[cfg(test)]
        return self.now.as_ref().map(|now| now.load(Relaxed));
        #[cfg(not(test))]
        None
    }
}

/// Shows the server, without user and password.
impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = self.link.server();
        f.debug_struct("Redis").field("server", &server).finish()
    }
}

/// What failed, without the details, which may repeat what was sent.
fn describe(error: &RedisError) -> &'static str {
    if error.is_timeout() {
        TOO_SLOW
    } else if error.is_connection_refusal() {
        "the connection was refused"
    } else if error.is_connection_dropped() || error.is_io_error() {
        "the connection was lost"
    } else if error.kind() == redis::ErrorKind::AuthenticationFailed {
        "the user or the password is wrong"
    } else {
        "the server reports an error"
    }
}

/// The longest wait of a call.
const LONGEST_WAIT: Duration = Duration::from_millis(50);
/// The longest wait of the task.
const BACKGROUND_TIMEOUT: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The jobs that may wait.
const MOST_JOBS: usize = 10_000;
/// The bytes of values that may wait.
const MOST_BYTES: usize = 32 << 20;
const BATCH: usize = 100;
const TOO_SLOW: &str = "it does not answer in time";
