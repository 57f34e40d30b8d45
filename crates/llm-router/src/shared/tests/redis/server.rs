use std::ffi::{OsStr, OsString};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// A server of its own, which ends with the test.
pub(super) struct Server {
    port: u16,
    options: Vec<OsString>,
    process: Child,
}

impl Server {
    pub(super) fn start() -> Self {
        Self::start_with(&["--port"])
    }

    /// A server that speaks only TLS, with a certificate and a private key.
    pub(super) fn start_with_tls(certificate: &Path, key: &Path) -> Self {
        let options = [
            "--tls-auth-clients".as_ref(),
            "no".as_ref(),
            "--tls-cert-file".as_ref(),
            certificate.as_os_str(),
            "--tls-key-file".as_ref(),
            key.as_os_str(),
            "--tls-ca-cert-file".as_ref(),
            certificate.as_os_str(),
            "--port".as_ref(),
            "0".as_ref(),
            "--tls-port".as_ref(),
        ];
        Self::start_with(&options)
    }

    /// The port is the last option.
    fn start_with(options: &[impl AsRef<OsStr>]) -> Self {
        let options: Vec<_> = options.iter().map(|o| o.as_ref().to_owned()).collect();
        loop {
            let port = fastrand::u16(20_000..60_000);
            if let Some(process) = spawn(&options, port) {
                return Self {
                    port,
                    options,
                    process,
                };
            }
        }
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(super) fn tls_url(&self) -> String {
        format!("rediss://localhost:{}", self.port)
    }

    /// Removes all data.
    pub(super) fn flush(&self) {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_connection().unwrap();
        redis::cmd("FLUSHALL").exec(&mut connection).unwrap();
    }

    /// The server keeps its connections and answers nothing.
    pub(super) fn freeze(&self) {
        self.signal("-STOP");
    }

    pub(super) fn thaw(&self) {
        self.signal("-CONT");
    }

    pub(super) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub(super) fn restart(&mut self) {
        self.process = spawn(&self.options, self.port).unwrap();
    }

    fn signal(&self, signal: &str) {
        let id = self.process.id().to_string();
        let status = Command::new("kill").args([signal, &id]).status();
        assert!(status.unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails if it has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts a server; `None` if the port is in use, so that the server ends.
#[expect(
    clippy::disallowed_methods,
    reason = "it waits for another process, before the test goes on"
)]
fn spawn(options: &[OsString], port: u16) -> Option<Child> {
    if is_listening(port) {
        return None;
    }
    let mut process = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--save", ""])
        .args(options)
        .arg(port.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !is_listening(port) {
        if process.try_wait().unwrap().is_some() {
            return None;
        }
        sleep(Duration::from_millis(20));
    }
    Some(process)
}

fn is_listening(port: u16) -> bool {
    TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}
