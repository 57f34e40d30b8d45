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

/// A server that was started here, or the URL of one that already runs.
pub(super) enum Postgres {
    Given(String),
    Started {
        url: String,
        server: Child,
        folder: PathBuf,
    },
}

impl Postgres {
    pub(super) fn url(&self) -> &str {
        match self {
            Self::Given(url) | Self::Started { url, .. } => url,
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Self::Started { server, folder, .. } = self {
            // It may have ended by itself; what is left in the folder is harmless.
            let _ = server.kill();
            let _ = server.wait();
            let _ = fs::remove_dir_all(folder);
        }
    }
}

pub(super) fn is_available() -> bool {
    given().is_some() || programs().is_some()
}

pub(super) fn start() -> Result<Postgres> {
    if let Some(url) = given() {
        return Ok(Postgres::Given(url));
    }
    let programs = programs().context("PostgreSQL is not installed")?;
    let folder = std::env::temp_dir().join(format!("xtask-postgres-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let user = unprivileged(&folder)?;
    let data = folder.join("data");
    let mut init = as_user(user, &programs.join("initdb"));
    init.args([
        "--no-sync",
        "--auth=trust",
        "--username=postgres",
        "--pgdata",
    ]);
    tool::run(init.arg(&data).stdout(Stdio::null()))?;
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port();
    let mut command = as_user(user, &programs.join("postgres"));
    command.arg("-D").arg(&data).arg("-k").arg(&folder);
    command.args(["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-p"]);
    command
        .arg(port.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let server = command.spawn().context("cannot run postgres")?;
    let url = format!("postgres://postgres@127.0.0.1:{port}");
    let started = Postgres::Started {
        url,
        server,
        folder,
    };
    wait(&programs.join("pg_isready"), port)?;
    Ok(started)
}

fn given() -> Option<String> {
    std::env::var(VARIABLE).ok()
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

/// `setpriv` replaces itself with the program, so killing the child kills the program.
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

fn wait(is_ready: &Path, port: u16) -> Result<()> {
    let begin = Instant::now();
    loop {
        let mut probe = Command::new(is_ready);
        probe.args(["--quiet", "--host=127.0.0.1", "--port", &port.to_string()]);
        if probe.status().is_ok_and(|status| status.success()) {
            return Ok(());
        }
        if begin.elapsed() > Duration::from_secs(60) {
            bail!("postgres does not accept connections on port {port}");
        }
        thread::sleep(Duration::from_millis(100));
    }
}
