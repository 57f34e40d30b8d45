//! A PostgreSQL server for tests, in a folder that is removed when the server ends.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::tool;

/// The environment variable with the URL, without a database, of a server that already runs.
pub(super) const VARIABLE: &str = "GATEWAY_STORE_POSTGRES";

/// Where Debian and Ubuntu install the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// A server that was started here. It is killed when this is dropped.
pub(crate) struct Postgres {
    programs: PathBuf,
    folder: PathBuf,
    user: Option<&'static str>,
    port: u16,
    server: Child,
}

impl Postgres {
    pub(crate) fn is_installed() -> bool {
        programs().is_some()
    }

    /// Starts a server with an empty database on a free port, and waits until it accepts connections.
    pub(crate) fn start() -> Result<Self> {
        let programs = programs().context("PostgreSQL is not installed")?;
        let folder = std::env::temp_dir().join(format!("xtask-postgres-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        let user = unprivileged(&folder)?;
        let mut init = as_user(user, &programs.join("initdb"));
        init.args([
            "--no-sync",
            "--auth=trust",
            "--username=postgres",
            "--pgdata",
        ]);
        tool::run(init.arg(folder.join("data")).stdout(Stdio::null()))?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let server = launch(&programs, user, &folder, port)?;
        let started = Self {
            programs,
            folder,
            user,
            port,
            server,
        };
        started.wait()?;
        Ok(started)
    }

    /// The URL of the server, without a database.
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}", self.port)
    }

    /// Ends the server: all connections are closed, and its data stay.
    pub(crate) fn stop(&mut self) -> Result<()> {
        // SIGINT: a fast shutdown, which waits for no client.
        let id = self.server.id().to_string();
        tool::run(Command::new("kill").args(["-INT", &id]))?;
        self.server.wait()?;
        Ok(())
    }

    /// Starts a stopped server again on the same port.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.server = launch(&self.programs, self.user, &self.folder, self.port)?;
        self.wait()
    }

    fn wait(&self) -> Result<()> {
        let begin = Instant::now();
        let port = self.port.to_string();
        loop {
            let mut probe = Command::new(self.programs.join("pg_isready"));
            probe.args(["--quiet", "--host=127.0.0.1", "--port", &port]);
            if probe.status().is_ok_and(|status| status.success()) {
                return Ok(());
            }
            if begin.elapsed() > Duration::from_secs(60) {
                bail!("postgres does not accept connections on port {port}");
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // It may have ended by itself; what is left in the folder is harmless.
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn launch(programs: &Path, user: Option<&str>, folder: &Path, port: u16) -> Result<Child> {
    let mut command = as_user(user, &programs.join("postgres"));
    command.arg("-D").arg(folder.join("data"));
    command.arg("-k").arg(folder);
    command.args(["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-p"]);
    command
        .arg(port.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.spawn().context("cannot run postgres")
}

/// The folder of the newest version that has a server.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir(VERSIONS).ok()?.flatten();
    let folders = versions.map(|version| version.path().join("bin"));
    let number = |path: &PathBuf| {
        let version = path.parent().and_then(Path::file_name);
        version.and_then(|name| name.to_str()?.parse::<u32>().ok())
    };
    folders
        .filter(|folder| folder.join("postgres").exists() && folder.join("initdb").exists())
        .max_by_key(number)
}

/// The user to run the server as if this process is root, as which PostgreSQL refuses to run. Makes
/// that user the owner of the folder.
fn unprivileged(folder: &Path) -> Result<Option<&'static str>> {
    let id = tool::output(Command::new("id").arg("-u"))?;
    if id.trim() != "0" {
        return Ok(None);
    }
    tool::run(Command::new("chown").arg(USER).arg(folder))?;
    Ok(Some(USER))
}

/// `setpriv` replaces itself with the program, so signals to the child reach the program.
fn as_user(user: Option<&str>, program: &Path) -> Command {
    let Some(user) = user else {
        return Command::new(program);
    };
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", user, "--clear-groups"]);
    command.arg(program);
    command
}

/// The user that the package of Debian creates.
const USER: &str = "postgres";
