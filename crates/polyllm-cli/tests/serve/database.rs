//! The usage records of a gateway that is killed, that shares its database, or that loses it.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};

use super::upstream::upstream;
use super::{File, Gateway};

const MASTER: &str = "sk-1234";

/// A reply that costs 2 cents.
const REPLY: &str = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":[
    {"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],
    "usage":{"prompt_tokens":10,"completion_tokens":5,"total_tokens":15}}"#;
const COST: f64 = 0.02;

/// A configuration of a gateway over this database.
pub(super) fn config(database_url: &str) -> File {
    let base = upstream(200, "application/json", REPLY);
    let text = format!(
        "model_list:\n  - model_name: alpha\n    litellm_params:\n      \
         model: together_ai/some/model\n      api_key: any\n      api_base: {base}\n      \
         input_cost_per_token: 0.001\n      output_cost_per_token: 0.002\n\
         general_settings:\n  master_key: {MASTER}\n  database_url: {database_url}\n"
    );
    File::new("config.yaml", &text)
}

fn start(config: &File) -> Gateway {
    Gateway::start(&["--config", config.path()])
}

pub(super) fn generate(gateway: &Gateway, settings: &Value) -> String {
    let (status, made) = gateway.send_with(MASTER, "POST /key/generate", &settings.to_string());
    assert_eq!(status, 200, "{made}");
    made["key"].as_str().unwrap().to_owned()
}

/// The status, the head and the body of a response.
fn exchange(address: &str, key: &str, line: &str, body: &str) -> io::Result<(u16, String, String)> {
    let mut socket = TcpStream::connect(address)?;
    let length = body.len();
    write!(
        socket,
        "{line} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         authorization: Bearer {key}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut)?;
    if body.is_empty() {
        return Err(cut());
    }
    let status = head.get(9..12).and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(cut)?, head.to_owned(), body.to_owned()))
}

/// The value of a header.
fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    let mut lines = head.lines().filter_map(|line| line.split_once(": "));
    Some(lines.find(|(found, _)| *found == name)?.1)
}

/// Clients that send requests until they are stopped.
struct Load {
    stop: Arc<AtomicBool>,
    /// The ids of the calls whose whole replies the clients have.
    acknowledged: Arc<Mutex<Vec<String>>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(gateway: &Gateway, key: &str) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::<Mutex<Vec<String>>>::default();
        let client = |_| {
            let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
            let (address, key) = (gateway.address.clone(), key.to_owned());
            thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    // A killed gateway answers no more.
                    let Some(call_id) = call(&address, &key) else {
                        break;
                    };
                    acknowledged.lock().unwrap().push(call_id);
                }
            })
        };
        let clients = (0..3).map(client).collect();
        Self {
            stop,
            acknowledged,
            clients,
        }
    }

    fn acknowledged(&self) -> Vec<String> {
        self.acknowledged.lock().unwrap().clone()
    }

    fn stop(mut self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        for client in self.clients.drain(..) {
            client.join().unwrap();
        }
        self.acknowledged()
    }
}

/// The id of a call, after its whole reply.
pub(super) fn call(address: &str, key: &str) -> Option<String> {
    let messages = json!([{ "role": "user", "content": "x" }]);
    let body = json!({ "model": "alpha", "messages": messages, "max_tokens": 5 }).to_string();
    let answer = exchange(address, key, "POST /v1/chat/completions", &body);
    let (status, head, body) = answer.ok()?;
    assert_eq!(status, 200, "{body}");
    Some(header(&head, "x-litellm-call-id").unwrap().to_owned())
}

/// The ids of all records of successful calls, each once.
pub(super) fn records(gateway: &Gateway) -> BTreeSet<String> {
    let (mut ids, mut after) = (BTreeSet::new(), String::new());
    loop {
        let line = format!("GET /spend/logs?size=1000{after}");
        let (status, head, body) = exchange(&gateway.address, MASTER, &line, "").unwrap();
        assert_eq!(status, 200, "{body}");
        let page: Value = serde_json::from_str(&body).unwrap();
        for record in page.as_array().unwrap() {
            assert_eq!(record["spend"], COST, "{record}");
            let id = record["request_id"].as_str().unwrap().to_owned();
            assert!(ids.insert(id), "twice: {record}");
        }
        match header(&head, "x-polyllm-next-page") {
            Some(next) => after = format!("&after={next}"),
            None => return ids,
        }
    }
}

fn spend(gateway: &Gateway, key: &str) -> f64 {
    let (_, info) = gateway.send_with(MASTER, &format!("GET /key/info?key={key}"), "");
    info["info"]["spend"].as_f64().unwrap()
}

#[allow(
    clippy::disallowed_methods,
    reason = "no runtime: the server is another process"
)]
pub(super) fn pause(millis: u64) {
    thread::sleep(Duration::from_millis(millis));
}

/// Waits until a condition holds, at most 20 s.
pub(super) fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..200 {
        if condition() {
            return;
        }
        pause(100);
    }
    panic!("never: {what}");
}

fn no_acknowledged_record_is_lost_by_a_kill(database_url: &str) {
    let config = config(database_url);
    let mut gateway = start(&config);
    let key = generate(&gateway, &json!({ "max_budget": 1000 }));
    let mut old = Vec::new();
    for _ in 0..2 {
        let load = Load::start(&gateway, &key);
        pause(1_500);
        let acknowledged = load.acknowledged();
        assert!(!acknowledged.is_empty());
        old.extend(acknowledged);
        pause(1_000);
        // SIGKILL.
        gateway.child.kill().unwrap();
        gateway.child.wait().unwrap();
        load.stop();
        gateway = start(&config);
    }
    let records = records(&gateway);
    let missing: Vec<_> = old.iter().filter(|id| !records.contains(*id)).collect();
    assert!(
        missing.is_empty(),
        "{} of {} are lost",
        missing.len(),
        old.len()
    );
    let recorded = COST * f64::from(u32::try_from(records.len()).unwrap());
    let spend = spend(&gateway, &key);
    assert!((spend - recorded).abs() < 1e-6, "{spend} of {recorded}");
}

#[test]
fn a_killed_gateway_loses_no_record_older_than_a_second_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("keys.db").display());
    no_acknowledged_record_is_lost_by_a_kill(&url);
}

#[test]
fn two_gateways_may_share_a_sqlite_file() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("keys.db").display());
    let config = config(&url);
    let (one, other) = (start(&config), start(&config));
    let key = generate(&one, &json!({}));
    let loads = [&one, &other].map(|gateway| Load::start(gateway, &key));
    pause(1_000);
    let calls: Vec<_> = loads.into_iter().flat_map(Load::stop).collect();
    let flushed = records(&other).len();
    assert!(flushed > 0);
    let of_one = records(&one);
    eventually("the records of both gateways are written", || {
        records(&other).len() == calls.len()
    });
    assert!(of_one.len() <= calls.len());
    let blocked = gateway_block(&one, &key);
    assert_eq!(blocked, 200);
    eventually("the other gateway hears of the blocked key", || {
        other.send_with(&key, "GET /v1/models", "").0 == 401
    });
}

fn gateway_block(gateway: &Gateway, key: &str) -> u16 {
    let body = json!({ "key": key }).to_string();
    gateway.send_with(MASTER, "POST /key/block", &body).0
}

/// The PostgreSQL server of the tests.
fn server() -> String {
    let server = std::env::var("GATEWAY_STORE_POSTGRES").unwrap();
    server.trim_end_matches('/').to_owned()
}

/// Runs statements there.
fn execute(sql: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(async {
        let url = format!("{}/postgres", server());
        let connected = tokio_postgres::connect(&url, tokio_postgres::NoTls).await;
        let (client, connection) = connected.unwrap();
        let connection = tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap();
        connection.abort();
    });
}

/// A name that no other test has.
fn unique() -> String {
    format!("serve_{}_{}", std::process::id(), fastrand::u32(..))
}

/// A schema of its own in the PostgreSQL server of the tests, at this address of it.
fn postgres(address: Option<&str>) -> String {
    let (server, schema) = (server(), unique());
    execute(&format!("CREATE SCHEMA {schema}"));
    let server = match address {
        Some(address) => server.replace(place(&server), address),
        None => server,
    };
    format!("{server}/postgres?options=-csearch_path%3D{schema}")
}

/// The host and the port of a server's URL.
fn place(server: &str) -> &str {
    let rest = server.split_once("://").unwrap().1;
    rest.rsplit('@').next().unwrap()
}

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask ci --only services"]
fn a_killed_gateway_loses_no_record_older_than_a_second_on_postgresql() {
    no_acknowledged_record_is_lost_by_a_kill(&postgres(None));
}

#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask ci --only services"]
fn a_gateway_serves_and_records_all_calls_while_postgresql_is_gone() {
    let proxy = Proxy::start(place(&server()).to_owned());
    let config = config(&postgres(Some(&proxy.address)));
    let gateway = start(&config);
    let key = generate(&gateway, &json!({}));
    // From now on the key is known.
    assert!(call(&gateway.address, &key).is_some());
    let before = records(&gateway).len();
    let load = Load::start(&gateway, &key);
    pause(500);
    proxy.set_cut(true);
    let database = || gateway.send("GET /health/readiness", "").1["db"].clone();
    eventually("the outage is reported", || database() == "unavailable");
    pause(1_000);
    assert_eq!(gateway.send("GET /health/readiness", "").0, 200);
    proxy.set_cut(false);
    eventually("the end of the outage is reported", || {
        database() == "connected"
    });
    pause(500);
    let calls = load.stop();
    assert!(!calls.is_empty());
    eventually("all records are written", || {
        records(&gateway).len() == before + calls.len()
    });
    let recorded = COST * f64::from(u32::try_from(before + calls.len()).unwrap());
    assert!((spend(&gateway, &key) - recorded).abs() < 1e-6);
    let log = gateway.log.lock().unwrap().clone();
    assert!(
        log.matches("the database is unavailable").count() <= 4,
        "{log}"
    );
}

/// As after a failover to a server that only reads.
#[test]
#[ignore = "needs a PostgreSQL server: cargo xtask ci --only services"]
fn a_gateway_serves_and_records_all_calls_while_postgresql_is_read_only() {
    // A user of its own, whose sessions can be made read-only.
    let (user, server) = (unique(), server());
    execute(&format!("CREATE ROLE {user} LOGIN SUPERUSER PASSWORD 'x'"));
    let old = postgres(None);
    let (_, schema) = old.rsplit_once('/').unwrap();
    let url = format!("postgres://{user}:x@{}/{schema}", place(&server));
    let sessions =
        format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{user}'");
    let config = config(&url);
    let gateway = start(&config);
    let key = generate(&gateway, &json!({}));
    let load = Load::start(&gateway, &key);
    pause(500);
    execute(&format!(
        "ALTER ROLE {user} SET default_transaction_read_only = on; {sessions}"
    ));
    let database = || gateway.send("GET /health/readiness", "").1["db"].clone();
    eventually("the outage is reported", || database() == "unavailable");
    // Calls with a known key go on; what has to be written is refused.
    let (status, answer) = gateway.send_with(MASTER, "POST /key/generate", "{}");
    assert_eq!(status, 503, "{answer}");
    pause(1_000);
    // New connections can write again.
    execute(&format!(
        "ALTER ROLE {user} RESET default_transaction_read_only"
    ));
    eventually("the end of the outage is reported", || {
        database() == "connected"
    });
    pause(500);
    let calls = load.stop();
    assert!(!calls.is_empty());
    eventually("all records are written", || {
        records(&gateway).len() == calls.len()
    });
    let log = gateway.log.lock().unwrap().clone();
    let said = log.matches("the database is unavailable").count();
    assert!((1..=4).contains(&said), "{log}");
    assert!(
        log.contains("read-only: connect to the primary server"),
        "{log}"
    );
    drop(gateway);
    execute(&format!(
        "{sessions}; DROP OWNED BY {user} CASCADE; DROP ROLE {user}"
    ));
}

/// A proxy in front of PostgreSQL.
struct Proxy {
    address: String,
    shared: Arc<Passing>,
}

#[derive(Default)]
struct Passing {
    is_cut: AtomicBool,
    sockets: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// It runs until the test process ends.
    fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::<Passing>::default();
        let passing = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming() {
                if passing.is_cut.load(Ordering::SeqCst) {
                    continue;
                }
                let (client, server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                passing.sockets.lock().unwrap().extend([client, server]);
            }
        });
        Self { address, shared }
    }

    /// Closes all connections and accepts no others, or accepts them again.
    fn set_cut(&self, is_cut: bool) {
        self.shared.is_cut.store(is_cut, Ordering::SeqCst);
        for socket in self.shared.sockets.lock().unwrap().drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}
