//! The relay between a provider and its upstream.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};

/// A fault that the tap injects.
#[derive(Clone, Debug, Default)]
pub(crate) enum Fault {
    #[default]
    None,
    /// Responds to this number of POSTs itself, with these bytes.
    Answer { times: usize, bytes: String },
    /// Closes the connection in place of a reply to this number of POSTs, which do not reach the
    /// upstream.
    Close { times: usize },
    /// Closes the connection once, after this number of bytes of replies.
    Cut(usize),
    /// Holds bytes back until the upstream pauses.
    Gather,
    /// Passes bytes on in pieces of this size.
    Split(usize),
    /// Stalls all connections after this number of bytes of replies.
    Stall(usize),
    /// Passes only the head of an event stream.
    StallEvents,
}

/// Responds to every POST with this response.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Fault {
    answer_times(status, headers, body, usize::MAX)
}

/// Responds to this number of POSTs with this response.
pub(crate) fn answer_times(status: &str, headers: &str, body: &str, times: usize) -> Fault {
    let length = body.len();
    let bytes = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}");
    Fault::Answer { times, bytes }
}

/// A relay that injects faults and records requests; it ends with its runtime.
#[derive(Debug)]
pub(crate) struct Tap {
    pub(crate) address: SocketAddr,
    shared: Arc<Mutex<Notes>>,
}

#[derive(Debug, Default)]
struct Notes {
    fault: Fault,
    requests: Vec<Received>,
    /// The number of bytes of replies that were passed to the provider.
    returned: usize,
}

/// A request as sent on the wire.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn is_post(&self) -> bool {
        self.head.starts_with("POST ")
    }

    /// The path of the target, without a query.
    pub(crate) fn path(&self) -> &str {
        let target = self.head.split(' ').nth(1).unwrap_or_default();
        target.split('?').next().unwrap_or_default()
    }

    /// Method, target and version, then the headers' lines.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &str> {
        self.head.lines().filter(|line| !line.is_empty())
    }

    fn bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), &self.body].concat()
    }
}

impl Tap {
    pub(crate) async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.unwrap_or_else(|error| panic!("the tap cannot listen: {error}"));
        let address = listener.local_addr();
        let address = address.unwrap_or_else(|error| panic!("the tap has no address: {error}"));
        let shared = Arc::<Mutex<Notes>>::default();
        let notes = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(relay(client, upstream, Arc::clone(&notes)));
            }
        });
        Self { address, shared }
    }

    /// Injects this fault from now on, and restarts the count of bytes.
    pub(crate) fn play(&self, fault: Fault) {
        let mut notes = lock(&self.shared);
        notes.fault = fault;
        notes.returned = 0;
    }

    pub(crate) fn returned(&self) -> usize {
        lock(&self.shared).returned
    }

    pub(crate) fn requests(&self) -> Vec<Received> {
        lock(&self.shared).requests.clone()
    }

    pub(crate) fn posts(&self) -> usize {
        let requests = self.requests();
        requests.iter().filter(|request| request.is_post()).count()
    }

    pub(crate) fn forget_requests(&self) {
        lock(&self.shared).requests.clear();
    }
}

fn lock(shared: &Mutex<Notes>) -> MutexGuard<'_, Notes> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Relays one connection; ends it when either side does.
async fn relay(client: TcpStream, upstream: SocketAddr, notes: Arc<Mutex<Notes>>) {
    let Ok(server) = TcpStream::connect(upstream).await else {
        return;
    };
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
    }
    let (mut from_client, to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut returning = Returning {
        to_client,
        notes: Arc::clone(&notes),
        held: Vec::new(),
        stalled: false,
    };
    let mut sent = Vec::new();
    loop {
        let mut up = [0; 16 << 10];
        let mut down = [0; 16 << 10];
        let holds = !returning.held.is_empty();
        let going_on = tokio::select! {
            read = from_client.read(&mut up) => match read {
                Ok(count @ 1..) => {
                    sent.extend_from_slice(&up[..count]);
                    pass_on(&mut sent, &notes, &mut to_server, &mut returning).await
                }
                _ => return,
            },
            read = from_server.read(&mut down), if !returning.stalled => match read {
                Ok(count @ 1..) => returning.deliver(&down[..count]).await,
                _ => {
                    returning.flush().await;
                    return;
                }
            },
            () = tokio::time::sleep(QUIET), if holds => returning.flush().await,
        };
        if going_on.is_none() {
            return;
        }
    }
}

/// Passes whole requests on, or answers them.
async fn pass_on(
    sent: &mut Vec<u8>,
    notes: &Mutex<Notes>,
    to_server: &mut OwnedWriteHalf,
    returning: &mut Returning,
) -> Option<()> {
    while let Some(request) = take_request(sent) {
        let bytes = request.bytes();
        let own = {
            let mut notes = lock(notes);
            let is_post = request.is_post();
            notes.requests.push(request);
            match &mut notes.fault {
                Fault::Answer { times, bytes } if is_post && *times > 0 => {
                    *times -= 1;
                    Some(bytes.clone())
                }
                Fault::Close { times } if is_post && *times > 0 => {
                    *times -= 1;
                    return None;
                }
                _ => None,
            }
        };
        match own {
            Some(answer) => returning.write(answer.as_bytes()).await?,
            None => to_server.write_all(&bytes).await.ok()?,
        }
    }
    Some(())
}

/// Takes a request off the front once all of it is there.
fn take_request(sent: &mut Vec<u8>) -> Option<Received> {
    let end = sent.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&sent[..end]).into_owned();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_length = name.eq_ignore_ascii_case("content-length");
        is_length.then(|| value.trim().parse().ok())?
    });
    let whole = end + length.unwrap_or(0);
    if sent.len() < whole {
        return None;
    }
    let rest = sent.split_off(whole);
    let body = sent.split_off(end);
    *sent = rest;
    Some(Received { head, body })
}

/// Where the head of an event stream ends, if these bytes begin with one.
fn end_of_events_head(bytes: &[u8]) -> Option<usize> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let types = ["text/event-stream", "application/x-ndjson"];
    let is_events = head.starts_with("http/") && types.iter().any(|name| head.contains(name));
    is_events.then_some(end)
}

/// Relays the replies, with the faults. `None` ends the connection.
struct Returning {
    to_client: OwnedWriteHalf,
    notes: Arc<Mutex<Notes>>,
    held: Vec<u8>,
    stalled: bool,
}

impl Returning {
    async fn deliver(&mut self, bytes: &[u8]) -> Option<()> {
        let (fault, returned) = {
            let notes = lock(&self.notes);
            (notes.fault.clone(), notes.returned)
        };
        match fault {
            Fault::None | Fault::Answer { .. } | Fault::Close { .. } => self.write(bytes).await,
            Fault::Gather => {
                self.held.extend_from_slice(bytes);
                Some(())
            }
            Fault::Split(size) => {
                for piece in bytes.chunks(size) {
                    self.write(piece).await?;
                    // So that the reader sees this piece before the next one comes.
                    tokio::task::yield_now().await;
                }
                Some(())
            }
            Fault::Cut(at) if returned + bytes.len() >= at => {
                lock(&self.notes).fault = Fault::None;
                self.write(&bytes[..at - returned]).await;
                None
            }
            Fault::Stall(at) if returned + bytes.len() >= at => {
                self.stalled = true;
                self.write(&bytes[..at.saturating_sub(returned)]).await
            }
            Fault::StallEvents => match end_of_events_head(bytes) {
                Some(end) => {
                    self.stalled = true;
                    self.write(&bytes[..end]).await
                }
                None => self.write(bytes).await,
            },
            Fault::Cut(_) | Fault::Stall(_) => self.write(bytes).await,
        }
    }

    async fn flush(&mut self) -> Option<()> {
        let held = std::mem::take(&mut self.held);
        self.write(&held).await
    }

    async fn write(&mut self, bytes: &[u8]) -> Option<()> {
        lock(&self.notes).returned += bytes.len();
        self.to_client.write_all(bytes).await.ok()
    }
}

const QUIET: Duration = Duration::from_millis(50);
