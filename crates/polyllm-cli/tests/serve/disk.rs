//! A disk that is full, and a configuration that is half written.

use std::cell::Cell;
use std::fs::OpenOptions;
use std::io::Write;
use std::process::Command;

use serde_json::json;

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
