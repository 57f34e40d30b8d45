//! Bytes that are read late have waited in the kernel.

#![allow(
    clippy::disallowed_methods,
    reason = "a busy program does not run its tasks"
)]
#![allow(clippy::print_stdout, reason = "an example prints")]

use std::io;
use std::time::Duration;

use timed_socket::{Observer, TimedSocket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

struct Print;

impl Observer for Print {
    fn read(&self, waited: Duration) {
        println!("read after {waited:?} in the kernel");
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut peer = TcpStream::connect(listener.local_addr()?).await?;
    let (socket, _) = listener.accept().await?;
    let mut socket = TimedSocket::new(socket, Print);
    for pause in [0, 10, 100] {
        peer.write_all(b"hello").await?;
        // The program is busy with something else.
        std::thread::sleep(Duration::from_millis(pause));
        socket.read_exact(&mut [0; 5]).await?;
    }
    Ok(())
}
