//! Runs batches on a database, in order, on one task per connection.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use llm_provider::text::excerpt;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::faults::Faulty;
use super::sqlite::{Place, Sqlite};
use super::{Batch, Driver, Faults, Outcome, Row, Statement};
use crate::{Error, ErrorKind, Health, Result, StoreOptions};

/// The maximum number of batches in a queue; further callers wait.
const WAITING: usize = 1024;

/// A database that runs batches in their order. Clones are the same database.
#[derive(Clone, Debug)]
pub(crate) struct Database {
    writes: mpsc::Sender<Job>,
    /// The connection of reads that may take long; that of the writes for a database in memory.
    reads: mpsc::Sender<Job>,
    shared: Arc<Shared>,
    /// Waits for announcements of other processes.
    _listener: Option<Arc<Listener>>,
}

/// A task that ends with its owner.
#[derive(Debug)]
struct Listener(JoinHandle<()>);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Debug)]
struct Shared {
    timeout: Duration,
    health: watch::Sender<Health>,
    /// How reads and writes fail; empty while they succeed. A full database may still be read.
    failures: Mutex<[HashSet<ErrorKind>; 2]>,
    changed: Notify,
}

#[derive(Debug)]
enum Job {
    Run {
        batch: Batch,
        reply: oneshot::Sender<Result<Outcome>>,
    },
    /// Close the connection.
    Close { reply: oneshot::Sender<()> },
}

impl Database {
    /// Opens the database of a URL. Nothing is read before the first batch.
    ///
    /// The tasks of the database end when its last clone is dropped.
    pub(crate) fn open(url: &str, options: &StoreOptions) -> Result<Self> {
        let shared = Shared::new(options.timeout);
        match Target::parse(url)? {
            Target::Sqlite(Place::Memory) => {
                let writes = serve(Sqlite::new(Place::Memory, options.timeout), &shared);
                let reads = writes.clone();
                Ok(Self {
                    writes,
                    reads,
                    shared,
                    _listener: None,
                })
            }
            Target::Sqlite(place) => Ok(Self {
                writes: serve(Sqlite::new(place.clone(), options.timeout), &shared),
                reads: serve(Sqlite::new(place, options.timeout), &shared),
                shared,
                _listener: None,
            }),
            #[cfg(feature = "postgres")]
            Target::Postgres(config) => {
                use super::postgres::{Postgres, listen};
                let writes = serve(Postgres::new(config.clone(), options.timeout), &shared);
                let reads = serve(Postgres::new(config.clone(), options.timeout), &shared);
                let changes = Arc::clone(&shared);
                let listener = tokio::spawn(listen(config, move || {
                    changes.changed.notify_waiters();
                }));
                Ok(Self {
                    writes,
                    reads,
                    shared,
                    _listener: Some(Arc::new(Listener(listener))),
                })
            }
        }
    }

    /// This database as another process sees it, whose operations may fail. It gets no
    /// announcements.
    pub(crate) fn with_faults(&self, faults: &Faults) -> Self {
        let shared = Shared::new(self.shared.timeout);
        let driver = |is_reader| Faulty {
            database: self.clone(),
            is_reader,
            faults: Arc::clone(faults),
        };
        Self {
            writes: serve(driver(false), &shared),
            reads: serve(driver(true), &shared),
            shared,
            _listener: None,
        }
    }

    /// Runs a batch of another `Database` on this one.
    pub(super) async fn pass(&self, batch: Batch, is_reader: bool) -> Result<Outcome> {
        match is_reader {
            true => self.send(&self.reads, batch).await,
            false => self.run(batch).await,
        }
    }

    /// Runs a batch that writes, or a short read that has to see earlier writes.
    pub(crate) async fn run(&self, batch: Batch) -> Result<Outcome> {
        let is_announced = batch.is_announced;
        let outcome = self.send(&self.writes, batch).await;
        if is_announced && matches!(outcome, Ok(Outcome::Done(_))) {
            self.shared.changed.notify_waiters();
        }
        outcome
    }

    /// Reads rows. Writes do not wait for it.
    pub(crate) async fn rows(&self, statement: Statement) -> Result<Vec<Row>> {
        let outcome = self.send(&self.reads, Batch::read(statement)).await?;
        Ok(outcome.rows()?.pop().unwrap_or_default())
    }

    /// Waits for a change that was announced. Some announcements may be lost.
    pub(crate) async fn changed(&self) {
        self.shared.changed.notified().await;
    }

    /// How long the database may take for one batch.
    pub(crate) fn timeout(&self) -> Duration {
        self.shared.timeout
    }

    /// Whether the database answers.
    pub(crate) fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    /// Closes the connections after the batches that wait. All later ones fail.
    ///
    /// One connection after the other: two that are closed at once leave SQLite's log behind.
    pub(crate) async fn close(&self) {
        for jobs in [&self.reads, &self.writes] {
            let (reply, closed) = oneshot::channel();
            if jobs.send(Job::Close { reply }).await.is_ok() {
                // An error says that it is closed already.
                let _ = closed.await;
            }
        }
    }

    async fn send(&self, jobs: &mpsc::Sender<Job>, batch: Batch) -> Result<Outcome> {
        let (reply, answer) = oneshot::channel();
        let work = async {
            let job = Job::Run { batch, reply };
            jobs.send(job).await.map_err(|_| stopped())?;
            answer.await.map_err(|_| stopped())?
        };
        // Each connection has a timeout of its own: this one covers the wait in the queue, too.
        let limit = self.shared.timeout.saturating_mul(2);
        timeout(limit, work).await.unwrap_or_else(|_| {
            let message = "the database does not answer in time";
            Err(Error::new(ErrorKind::Unavailable, message))
        })
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Unavailable, "the store was closed")
}

fn serve(mut driver: impl Driver, shared: &Arc<Shared>) -> mpsc::Sender<Job> {
    let (jobs, mut queue) = mpsc::channel::<Job>(WAITING);
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        while let Some(job) = queue.recv().await {
            let (batch, reply) = match job {
                // The caller gave up, so the batch must not run later.
                Job::Run { reply, .. } if reply.is_closed() => continue,
                Job::Run { batch, reply } => (batch, reply),
                Job::Close { reply } => {
                    drop(driver);
                    let _ = reply.send(());
                    return;
                }
            };
            let is_write = batch.is_write;
            let outcome = driver.run(batch).await;
            shared.report(is_write, outcome.as_ref().err());
            // The caller may have left.
            let _ = reply.send(outcome);
        }
    });
    jobs
}

impl Shared {
    fn new(timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            timeout,
            health: watch::Sender::new(Health::Available),
            failures: Mutex::default(),
            changed: Notify::new(),
        })
    }

    /// Logs when reads or writes begin to fail, when they fail in another way, such as after a
    /// failover to a server that only reads, and when they succeed again.
    fn report(&self, is_write: bool, error: Option<&Error>) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(kinds) = failures.get_mut(usize::from(is_write)) else {
            return;
        };
        let work = if is_write { "writing" } else { "reading" };
        match error {
            Some(error) if error.is_outage() => {
                if !kinds.insert(error.kind()) {
                    return;
                }
                let error = error.to_string();
                tracing::warn!(
                    work,
                    error = &*excerpt(&error),
                    "the database is unavailable"
                );
            }
            Some(_) => return,
            None if kinds.is_empty() => return,
            None => {
                kinds.clear();
                tracing::info!(work, "the database is available again");
            }
        }
        let health = match failures.iter().all(HashSet::is_empty) {
            true => Health::Available,
            false => Health::Unavailable,
        };
        self.health.send_replace(health);
    }
}

/// Which database a URL names.
#[derive(Debug)]
pub(crate) enum Target {
    Sqlite(Place),
    #[cfg(feature = "postgres")]
    Postgres(Box<tokio_postgres::Config>),
}

impl Target {
    /// Reads `sqlite::memory:`, `sqlite:PATH`, `sqlite://PATH` or `postgres://…`.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                "" => Err(invalid("`database_url` names no file: write sqlite:PATH")),
                ":memory:" => Ok(Self::Sqlite(Place::Memory)),
                path => Ok(Self::Sqlite(Place::File(path.into()))),
            };
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return postgres(url);
        }
        Err(invalid(
            "`database_url` has an unknown scheme: write sqlite:PATH or \
             postgres://USER:PASSWORD@HOST/DATABASE",
        ))
    }
}

#[cfg(feature = "postgres")]
fn postgres(url: &str) -> Result<Target> {
    // The parser's own message may quote parts of the URL, and so the password.
    let config: tokio_postgres::Config = without_prisma(url).parse().map_err(|_| {
        invalid(
            "`database_url` is not a PostgreSQL URL: write postgres://USER:PASSWORD@HOST/DATABASE, \
             with special characters of the password percent-encoded",
        )
    })?;
    if config.get_hosts().is_empty() {
        return Err(invalid(
            "`database_url` names no host: write postgres://USER:PASSWORD@HOST/DATABASE",
        ));
    }
    Ok(Target::Postgres(Box::new(config)))
}

/// Removes the parameters of Prisma, LiteLLM's database library, which the parser rejects.
#[cfg(feature = "postgres")]
fn without_prisma(url: &str) -> String {
    const PRISMA: [&str; 4] = ["connection_limit", "pgbouncer", "pool_timeout", "schema"];
    let Some((place, parameters)) = url.split_once('?') else {
        return url.to_owned();
    };
    let is_kept = |parameter: &&str| !PRISMA.contains(&parameter.split('=').next().unwrap_or(""));
    let kept: Vec<_> = parameters.split('&').filter(is_kept).collect();
    match kept.as_slice() {
        [] => place.to_owned(),
        kept => format!("{place}?{}", kept.join("&")),
    }
}

#[cfg(not(feature = "postgres"))]
fn postgres(_: &str) -> Result<Target> {
    Err(Error::new(
        ErrorKind::Unsupported,
        "this program was built without PostgreSQL: run `cargo build --release -p polyllm-cli \
         --features postgres`, or use sqlite:PATH",
    ))
}

fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidUrl, message)
}
