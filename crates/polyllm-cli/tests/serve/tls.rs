//! `polyllm serve` with TLS.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;

use super::common::{polyllm, run};
use super::{File, Gateway, config};

/// A certificate for `localhost` in files.
struct Certificate(TempDir);

impl Certificate {
    fn new() -> Self {
        let certificate = Self(tempfile::tempdir().unwrap());
        certificate.renew();
        certificate
    }

    fn renew(&self) {
        let names = ["localhost".to_owned()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        fs::write(self.key(), signing_key.serialize_pem()).unwrap();
        fs::write(self.file(), cert.pem()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.0.path().join("key.pem")
    }
}

/// What curl prints that trusts only this certificate, and its version of HTTP.
fn curl(gateway: &Gateway, certificate: &Path) -> Option<String> {
    let port = gateway.address.rsplit(':').next().unwrap();
    let url = format!("https://localhost:{port}/health/liveliness");
    let mut command = Command::new("curl");
    command.args([
        "--silent",
        "--noproxy",
        "*",
        "--write-out",
        " %{http_version}",
        "--cacert",
    ]);
    let output = command.arg(certificate).arg(url).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    output.status.success().then_some(said)
}

#[test]
fn https_and_http2_are_served_and_a_new_certificate_is_loaded() {
    let certificate = Certificate::new();
    let (cert, key) = (certificate.file(), certificate.key());
    let tls = format!(
        "general_settings:\n  ssl_certfile: {}\n  ssl_keyfile: {}\n",
        cert.display(),
        key.display()
    );
    let file = File::new("tls.yaml", &(config("alpha") + &tls));
    let gateway = Gateway::start(&["--config", file.path()]);
    assert_eq!(curl(&gateway, &cert).as_deref(), Some("\"I'm alive!\" 2"));

    let old = certificate.0.path().join("old.pem");
    fs::copy(&cert, &old).unwrap();
    certificate.renew();
    let start = gateway.log.lock().unwrap().len();
    gateway.signal("-HUP");
    gateway.wait_for(start, "cert.pem is in force");
    assert_eq!(curl(&gateway, &old), None);
    assert!(curl(&gateway, &cert).is_some());

    // Without a signal.
    let start = gateway.log.lock().unwrap().len();
    fs::write(&key, "no key").unwrap();
    let log = gateway.wait_for(start, "the old certificate stays in force");
    assert!(log.contains("key.pem has no private key"), "{log}");
    assert!(curl(&gateway, &cert).is_some());
}

#[test]
fn a_certificate_that_cannot_be_used_is_one_clear_error() {
    let certificate = Certificate::new();
    let (cert, key) = (certificate.file(), certificate.key());
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let serve = |certificate: &str, key: &str| {
        let files = [
            "--ssl_certfile_path",
            certificate,
            "--ssl_keyfile_path",
            key,
        ];
        run(polyllm(&["serve", "--port", "0"]).args(files))
    };
    for (certificate, key, expected) in [
        (
            "/no/such.pem",
            key,
            "cannot read the certificate /no/such.pem",
        ),
        (key, key, "key.pem has no certificate: expected a line"),
        (cert, cert, "cert.pem has no private key: expected a line"),
    ] {
        let (said, error, status) = serve(certificate, key);
        assert_eq!((said.as_str(), status), ("", 1), "{error}");
        assert!(error.contains(expected), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    let (_, error, status) = run(&mut polyllm(&["serve", "--ssl_certfile_path", cert]));
    assert!(
        status == 2 && error.contains("--ssl_keyfile_path"),
        "{error}"
    );
    let file = File::new(
        "half.yaml",
        &(config("alpha") + "general_settings:\n  ssl_certfile: cert.pem\n"),
    );
    let (_, error, status) = run(&mut polyllm(&["serve", "--config", file.path()]));
    assert!(
        status == 1 && error.contains("set `ssl_keyfile`, too"),
        "{error}"
    );
}
