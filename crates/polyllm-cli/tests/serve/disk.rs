//! A disk that is full or read-only, and a configuration that is half written.

use std::cell::Cell;
use std::fs::OpenOptions;
#[cfg(target_os = "linux")]
use std::fs::{self, Permissions};
use std::io::Write;
#[cfg(target_os = "linux")]
use std::os::unix::fs::{MetadataExt, PermissionsExt};
#[cfg(target_os = "linux")]
use std::path::Path;
use std::process::Command;

use serde_json::json;
#[cfg(target_os = "linux")]
use tempfile::TempDir;

use super::database::{call, config, eventually, generate, pause, records};
use super::{File, Gateway};

/// Lets the writes of a process fail above a size, as they do on a full disk.
#[cfg(target_os = "linux")]
fn limit_files(gateway: &Gateway, bytes: &str) {
    let id = gateway.child.id().to_string();
    let size = format!("--fsize={bytes}:unlimited");
    let limit = Command::new("prlimit").args(["--pid", &id, &size]).status();
    assert!(limit.unwrap().success());
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_outage_that_loses_no_record() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("keys.db").display());
    let config = config(&url);
    // The signal of a file above the limit would end the process; on a full disk there is none.
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]);
    shell.arg(env!("CARGO_BIN_EXE_polyllm"));
    let gateway = Gateway::start_by(shell, &["--config", config.path()]);
    let key = generate(&gateway, &json!({}));
    let calls = Cell::new(0);
    let serve = || {
        let served = call(&gateway.address, &key);
        assert!(served.is_some(), "a known key is refused");
        calls.set(calls.get() + 1);
    };
    serve();
    eventually("the first record is written", || {
        records(&gateway).len() == 1
    });
    limit_files(&gateway, "4096");
    let database = || gateway.send("GET /health/readiness", "").1["db"].clone();
    eventually("the outage is reported", || {
        serve();
        database() == "unavailable"
    });
    (0..20).for_each(|_| serve());
    let (status, answer) = gateway.send_with("sk-1234", "POST /key/generate", "{}");
    assert_eq!(status, 503, "{answer}");
    limit_files(&gateway, "unlimited");
    eventually("the end of the outage is reported", || {
        database() == "connected"
    });
    eventually("all records are written", || {
        records(&gateway).len() == calls.get()
    });
    let log = gateway.log.lock().unwrap().clone();
    assert_eq!(
        log.matches("the database is unavailable").count(),
        1,
        "{log}"
    );
}

/// The program without root's right to write everywhere, for at most a minute.
#[cfg(target_os = "linux")]
fn unprivileged(folder: &TempDir) -> Command {
    let mut command = Command::new("timeout");
    command.arg("60");
    if fs::metadata(folder.path()).unwrap().uid() == 0 {
        command.args(["setpriv", "--bounding-set=-dac_override,-dac_read_search"]);
    }
    command.arg(env!("CARGO_BIN_EXE_polyllm"));
    command
}

#[test]
#[cfg(target_os = "linux")]
fn a_read_only_database_is_one_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.db");
    let config = config(&format!("sqlite:{}", file.display()));
    let mut gateway = Gateway::start(&["--config", config.path()]);
    generate(&gateway, &json!({}));
    // After a proper end, there is only one file.
    gateway.signal("-TERM");
    gateway.child.wait().unwrap();
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    // The last case adds files.
    for (file_mode, folder_mode) in [(0o644, 0o555), (0o444, 0o555), (0o444, 0o755)] {
        for entry in fs::read_dir(folder.path()).unwrap() {
            set(&entry.unwrap().path(), file_mode);
        }
        set(folder.path(), folder_mode);
        let mut command = unprivileged(&folder);
        command.args(["serve", "--port", "0", "--config", config.path()]);
        let output = command.output().unwrap();
        set(folder.path(), 0o755);
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            output.status.code(),
            Some(1),
            "{file_mode:o} {folder_mode:o}: {log}"
        );
        assert_eq!(log.matches("cannot open the database").count(), 1, "{log}");
        assert!(log.contains("keys.db") && log.contains("writ"), "{log}");
    }
    // Nothing is lost.
    for entry in fs::read_dir(folder.path()).unwrap() {
        set(&entry.unwrap().path(), 0o644);
    }
    let gateway = Gateway::start(&["--config", config.path()]);
    let (_, keys) = gateway.send_with("sk-1234", "GET /key/list", "");
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1, "{keys}");
}

#[test]
fn a_configuration_that_is_being_written_is_read_when_it_is_whole() {
    let file = File::new("parts.yaml", &super::config("alpha"));
    let gateway = Gateway::start(&["--config", file.path()]);
    let start = gateway.log.lock().unwrap().len();
    let text = super::config("beta");
    let (half, rest) = text.split_at(text.len() / 2);
    file.write(half);
    let mut writer = OpenOptions::new().append(true).open(&file.path).unwrap();
    for part in rest.as_bytes().chunks(rest.len().div_ceil(8)) {
        pause(300);
        writer.write_all(part).unwrap();
        assert_eq!(gateway.models(), ["alpha"]);
    }
    let log = gateway.wait_for(start, "in force; models: beta");
    assert!(!log.contains("stays in force"), "{log}");
    assert_eq!(gateway.models(), ["beta"]);
}
