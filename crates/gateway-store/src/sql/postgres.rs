//! PostgreSQL, through `tokio-postgres`.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::future::poll_fn;
use std::time::Duration;

use bytes::BytesMut;
use futures_util::future::try_join_all;
use llm_provider::text::excerpt;
use tokio::time::{Instant, sleep, timeout};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, Transaction};

use super::{Batch, Driver, Outcome, Row, Statement, Value, unreadable};
use crate::{Error, ErrorKind, Result};

/// The channel on which changes are announced.
const CHANNEL: &str = "gateway_changes";
/// The advisory lock that a batch holds while it writes.
const LOCK: i64 = 0x706f_6c79_6c6c_6d31;

/// Prepared statements that are kept for each connection.
const PREPARED: usize = 64;

/// The shortest and the longest time between two attempts to connect.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// A connection that is opened when it is needed.
#[derive(Debug)]
pub(crate) struct Postgres {
    config: Box<Config>,
    timeout: Duration,
    /// `None` while a batch runs, so that a batch that is cut off takes its connection with it.
    session: Option<Session>,
    outage: Option<Outage>,
}

/// No connection is attempted before `until`.
#[derive(Debug)]
struct Outage {
    until: Instant,
    backoff: Duration,
}

struct Session {
    client: Client,
    prepared: HashMap<String, tokio_postgres::Statement>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session")
    }
}

impl Postgres {
    pub(crate) fn new(config: Box<Config>, timeout: Duration) -> Self {
        Self {
            config,
            timeout,
            session: None,
            outage: None,
        }
    }

    async fn session(&mut self) -> Result<Session> {
        if let Some(session) = self.session.take().filter(|s| !s.client.is_closed()) {
            return Ok(session);
        }
        let client = connect(&self.config).await?;
        Ok(Session {
            client,
            prepared: HashMap::new(),
        })
    }

    fn fail(&mut self) {
        let (first, last) = BACKOFF;
        let backoff = self.outage.as_ref().map(|o| (o.backoff * 2).min(last));
        let backoff = backoff.unwrap_or(first);
        self.outage = Some(Outage {
            until: Instant::now() + backoff,
            backoff,
        });
    }
}

impl Driver for Postgres {
    async fn run(&mut self, batch: Batch) -> Result<Outcome> {
        if let Some(outage) = &self.outage
            && Instant::now() < outage.until
        {
            let message = "PostgreSQL does not answer; the next attempt follows within 2 s";
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        let limit = self.timeout;
        let work = async {
            let mut session = self.session().await?;
            let outcome = execute(&mut session, &batch).await.map_err(convert);
            Ok((session, outcome))
        };
        let done = timeout(limit, work).await.unwrap_or_else(|_| {
            let message = "PostgreSQL does not answer in time";
            Err(Error::new(ErrorKind::Unavailable, message))
        });
        match done {
            Ok((session, outcome)) => {
                // After a failover, another connection may reach the primary server.
                let is_read_only =
                    matches!(&outcome, Err(error) if error.kind() == ErrorKind::ReadOnly);
                self.session = Some(session).filter(|_| !is_read_only);
                match &outcome {
                    Err(error) if error.kind() == ErrorKind::Unavailable => self.fail(),
                    _ => self.outage = None,
                }
                outcome
            }
            Err(error) => {
                self.fail();
                Err(error)
            }
        }
    }
}

async fn connect(config: &Config) -> Result<Client> {
    let (client, connection) = config.connect(NoTls).await.map_err(convert)?;
    // It ends when the client is dropped. Its errors reach the client, too.
    tokio::spawn(async move {
        let _ = connection.await;
    });
    // A gateway that stops in the middle of a transaction must not hold the lock for long.
    let settings = "SET idle_in_transaction_session_timeout = '10s'; SET lock_timeout = '10s'";
    client.batch_execute(settings).await.map_err(convert)?;
    Ok(client)
}

async fn execute(session: &mut Session, batch: &Batch) -> Result<Outcome, tokio_postgres::Error> {
    let Session { client, prepared } = session;
    let transaction = client.transaction().await?;
    if batch.is_write {
        let lock = format!("SELECT pg_advisory_xact_lock({LOCK})");
        transaction.batch_execute(&lock).await?;
    }
    let mut results = Vec::with_capacity(batch.statements.len());
    for (index, statement) in batch.statements.iter().enumerate() {
        let Some(rows) = run(&transaction, prepared, statement).await? else {
            transaction.rollback().await?;
            return Ok(Outcome::Refused(index));
        };
        results.push(rows);
    }
    if batch.is_announced {
        transaction
            .batch_execute(&format!("NOTIFY {CHANNEL}"))
            .await?;
    }
    transaction.commit().await?;
    Ok(Outcome::Done(results))
}

/// The rows of a statement; `None` if it is required and an execution has no effect.
async fn run(
    transaction: &Transaction<'_>,
    prepared: &mut HashMap<String, tokio_postgres::Statement>,
    statement: &Statement,
) -> Result<Option<Vec<Row>>, tokio_postgres::Error> {
    let known = prepared.get(&*statement.sql).cloned();
    let plan = match known {
        Some(plan) => plan,
        None => {
            // The SQL of this crate has no other question marks.
            let plan = transaction
                .prepare(&statement.sql.replace('?', "$"))
                .await?;
            if prepared.len() >= PREPARED {
                prepared.clear();
            }
            prepared.insert(statement.sql.clone().into_owned(), plan.clone());
            plan
        }
    };
    // All executions are sent before the first answer is awaited.
    let executions = statement.executions.iter();
    let executions = executions.map(|parameters| execution(transaction, &plan, parameters));
    let done = try_join_all(executions).await?;
    if statement.is_required && done.iter().any(|(_, effect)| *effect == 0) {
        return Ok(None);
    }
    Ok(Some(done.into_iter().flat_map(|(rows, _)| rows).collect()))
}

/// The rows of one execution, and how many rows it changed or returned.
async fn execution(
    transaction: &Transaction<'_>,
    plan: &tokio_postgres::Statement,
    parameters: &Row,
) -> Result<(Vec<Row>, u64), tokio_postgres::Error> {
    let values = parameters.0.iter();
    let values: Vec<_> = values.map(|value| value as &(dyn ToSql + Sync)).collect();
    if plan.columns().is_empty() {
        return Ok((Vec::new(), transaction.execute(plan, &values).await?));
    }
    let found = transaction.query(plan, &values).await?;
    let rows: Vec<_> = found.iter().map(row).collect();
    let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    Ok((rows, count))
}

fn row(row: &tokio_postgres::Row) -> Row {
    let value = |index: usize| {
        if let Ok(value) = row.try_get::<_, Option<i64>>(index) {
            return value.into();
        }
        if let Ok(value) = row.try_get::<_, Option<i32>>(index) {
            return value.map(i64::from).into();
        }
        row.try_get::<_, Option<String>>(index)
            .unwrap_or_default()
            .into()
    };
    Row((0..row.len()).map(value).collect())
}

impl ToSql for Value {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(value) if *kind == Type::INT4 => i32::try_from(*value)?.to_sql(kind, out),
            Self::Int(value) => value.to_sql_checked(kind, out),
            Self::Text(text) => text.to_sql_checked(kind, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Calls `changed` for each announcement, and after each new connection, which may have missed
/// some.
pub(crate) async fn listen(config: Box<Config>, changed: impl Fn() + Send) {
    loop {
        // The other connections report why PostgreSQL does not answer.
        let _ = follow(&config, &changed).await;
        sleep(BACKOFF.1).await;
    }
}

async fn follow(
    config: &Config,
    changed: &(impl Fn() + Send),
) -> Result<(), tokio_postgres::Error> {
    let (client, mut connection) = config.connect(NoTls).await?;
    let listen = async move {
        client.batch_execute(&format!("LISTEN {CHANNEL}")).await?;
        changed();
        // The connection ends with its client.
        std::future::pending::<()>().await;
        drop(client);
        Ok(())
    };
    let messages = async {
        while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await {
            if let AsyncMessage::Notification(_) = message? {
                changed();
            }
        }
        Ok(())
    };
    tokio::select! {
        done = listen => done,
        done = messages => done,
    }
}

fn convert(error: tokio_postgres::Error) -> Error {
    let Some(cause) = error.as_db_error() else {
        if error.is_closed() || error.source().is_some_and(is_io) {
            let message = "PostgreSQL cannot be reached: check the host and the port of \
                           `database_url`, and that the server runs";
            return Error::new(ErrorKind::Unavailable, message).with_source(error);
        }
        return other(error);
    };
    // The detail of a message may quote values.
    let text = excerpt(cause.message()).into_owned();
    let (kind, message) = classify(cause.code(), &text);
    Error::new(
        kind,
        format!("{message} (SQLSTATE {})", cause.code().code()),
    )
}

fn is_io(source: &(dyn StdError + 'static)) -> bool {
    source.is::<std::io::Error>()
}

fn other(error: tokio_postgres::Error) -> Error {
    let text = error.to_string();
    if text.contains("column") {
        return unreadable().with_source(error);
    }
    // Failed authentication and TLS on the client's side.
    let message = format!("PostgreSQL cannot be used: {}", excerpt(&text));
    Error::new(ErrorKind::Unavailable, message).with_source(error)
}

fn classify(code: &SqlState, text: &str) -> (ErrorKind, String) {
    let class = code.code().get(..2).unwrap_or_default();
    match code.code() {
        "3D000" | "28P01" | "28000" | "3F000" => (
            ErrorKind::Unavailable,
            format!("PostgreSQL rejects the connection: {text}; correct `database_url`"),
        ),
        "25006" => (
            ErrorKind::ReadOnly,
            "the PostgreSQL database is read-only: connect to the primary server".to_owned(),
        ),
        "42501" => (
            ErrorKind::ReadOnly,
            format!("PostgreSQL denies access: {text}; grant it to the user of `database_url`"),
        ),
        "53100" | "53200" => (ErrorKind::Full, format!("PostgreSQL is full: {text}")),
        "55P03" | "40P01" | "40001" => (
            ErrorKind::Locked,
            format!("another process holds a lock in PostgreSQL: {text}"),
        ),
        "23505" => (
            ErrorKind::Conflict,
            "the name or id is already in use".to_owned(),
        ),
        _ if matches!(class, "08" | "53" | "57" | "58") => (
            ErrorKind::Unavailable,
            format!("PostgreSQL is unavailable: {text}"),
        ),
        _ => (
            ErrorKind::Internal,
            format!("PostgreSQL rejects a statement: {text}"),
        ),
    }
}
