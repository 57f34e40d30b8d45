//! When bytes arrived and were written.

#![allow(clippy::unwrap_used, reason = "test helpers")]
#![allow(
    clippy::disallowed_methods,
    reason = "a busy program does not run its tasks"
)]

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream as Peer};
use std::time::Duration;

use timed_socket::{Observer, TimedSocket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[derive(Debug, Default)]
struct Log {
    waited: RefCell<Vec<Duration>>,
    writes: Cell<usize>,
}

impl Observer for Log {
    fn read(&self, waited: Duration) {
        self.waited.borrow_mut().push(waited);
    }

    fn written(&self) {
        self.writes.set(self.writes.get() + 1);
    }
}

async fn connected() -> (TimedSocket<Log>, Peer) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let socket = TcpStream::connect(listener.local_addr().unwrap()).await;
    let (peer, _) = listener.accept().unwrap();
    (TimedSocket::new(socket.unwrap(), Log::default()), peer)
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn bytes_count_from_their_arrival_at_the_kernel() {
    let (mut socket, mut peer) = connected().await;
    let pause = Duration::from_millis(100);
    // The kernel begins to take times a moment after the first socket asks for them.
    for _ in 0..3 {
        peer.write_all(b"a").unwrap();
        std::thread::sleep(pause);
        assert_eq!(socket.read(&mut [0; 8]).await.unwrap(), 1);
    }
    let waited = socket.observer().waited.borrow();
    assert_eq!(waited.len(), 3);
    assert!(waited.iter().any(|waited| *waited >= pause), "{waited:?}");
}

#[tokio::test]
async fn reads_and_writes_are_those_of_the_socket() {
    let (mut socket, mut peer) = connected().await;
    let sent: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let reader = std::thread::spawn(move || {
        let mut received = vec![0; 300_000];
        peer.read_exact(&mut received).unwrap();
        peer.write_all(&received).unwrap();
    });
    socket.write_all(&sent).await.unwrap();
    let mut received = Vec::new();
    socket.read_to_end(&mut received).await.unwrap();
    reader.join().unwrap();
    assert_eq!(received, sent);
    let log = socket.observer();
    assert!(
        log.writes.get() >= 1 && !log.waited.borrow().is_empty(),
        "{log:?}"
    );
    // The end of the stream is not a read.
    let reads = log.waited.borrow().len();
    assert_eq!(socket.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(socket.observer().waited.borrow().len(), reads);
}
