//! `polyllm bench` over HTTPS, against the simulation behind a TLS proxy.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{polyllm, run};
use llm_sim::{Sim, SimOptions};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{ServerConfig, crypto::ring, pki_types::PrivateKeyDer};

/// A TLS proxy for a server: returns its port and the PEM of its certificate for `localhost`.
async fn tls_proxy(server: String) -> (u16, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                // A client that rejects the certificate closes the connection.
                let Ok(mut client) = acceptor.accept(client).await else {
                    return;
                };
                let mut server = TcpStream::connect(server).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (port, cert.pem())
}

struct Https {
    runtime: Runtime,
    sim: Sim,
    base: String,
    folder: PathBuf,
    certificate: PathBuf,
}

impl Https {
    fn start(name: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let sim = runtime.block_on(Sim::start(SimOptions::default())).unwrap();
        let address = sim.together_url().trim_start_matches("http://").to_owned();
        let (port, pem) = runtime.block_on(tls_proxy(address));
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let certificate = folder.join("certificate.pem");
        fs::write(&certificate, pem).unwrap();
        Self {
            runtime,
            sim,
            base: format!("https://localhost:{port}/v1"),
            folder,
            certificate,
        }
    }

    /// Standard output, standard error, status, and the record of each request.
    fn measure(&self, options: &[&str], trusted: &Path) -> (String, i32, Vec<Value>) {
        let mut bench = polyllm(&["bench", "--api-base", &self.base, "--api-key", "k"]);
        bench
            .args(["--api-model-name", "meta/llama", "--no-calibration"])
            .args(["--traffic-scenario", "D(5,5)", "--num-concurrency", "2"])
            .args(["--max-requests-per-run", "6"])
            .args(["--experiment-folder-name", "https"])
            .args(options)
            .current_dir(&self.folder)
            .env("SSL_CERT_FILE", trusted);
        let (_, errors, status) = run(&mut bench);
        let folder = self.folder.join("https");
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap());
        let mut records =
            files.filter(|file| file.file_name().to_string_lossy().ends_with("jsonl"));
        let lines = fs::read_to_string(records.next().unwrap().path()).unwrap();
        let read = |line| serde_json::from_str(line).unwrap();
        (errors, status, lines.lines().map(read).collect())
    }

    fn stop(self) {
        self.runtime.block_on(self.sim.shutdown());
    }
}

#[test]
fn the_handshake_is_measured_for_new_connections() {
    let https = Https::start("bench-handshake");
    let options = ["--new-connections"];
    let (errors, status, records) = https.measure(&options, &https.certificate);
    assert_eq!(status, 0, "{errors}");
    assert_eq!(records.len(), 6);
    for record in &records {
        let connect = &record["connect"];
        let took = |part: &str| connect[part].as_u64().unwrap();
        assert!(took("tls_ns") > 0, "{connect}");
        let wait = record["first_byte_ns"].as_u64().unwrap();
        let wait = wait - record["dispatched_ns"].as_u64().unwrap();
        assert!(wait > took("dns_ns") + took("tcp_ns") + took("tls_ns"));
        assert_eq!(record["tokens"]["output"], 5);
    }
    https.stop();
}

#[test]
fn https_connections_are_reused_and_opened_ahead() {
    let https = Https::start("bench-kept");
    let (errors, status, records) = https.measure(&[], &https.certificate);
    assert_eq!(status, 0, "{errors}");
    assert_eq!(records.len(), 6);
    assert!(records.iter().all(|record| record.get("connect").is_none()));
    https.stop();
}

#[test]
fn an_untrusted_certificate_is_reported() {
    let https = Https::start("bench-untrusted");
    let other = generate_simple_self_signed(["elsewhere".to_owned()]).unwrap();
    let trusted = https.folder.join("other.pem");
    fs::write(&trusted, other.cert.pem()).unwrap();
    let (errors, status, records) = https.measure(&[], &trusted);
    assert_eq!(status, 1, "{errors}");
    assert!(errors.contains("certificate"), "{errors}");
    for record in &records {
        assert_eq!(record["outcome"]["kind"], "tls", "{record}");
    }
    https.stop();
}

#[test]
fn another_authority_is_trusted_by_option() {
    let https = Https::start("bench-authority");
    let other = generate_simple_self_signed(["elsewhere".to_owned()]).unwrap();
    let trusted = https.folder.join("other.pem");
    fs::write(&trusted, other.cert.pem()).unwrap();
    let ca_file = https.certificate.to_str().unwrap();
    let (errors, status, records) = https.measure(&["--ca-file", ca_file], &trusted);
    assert_eq!(status, 0, "{errors}");
    assert!(
        records
            .iter()
            .all(|record| record["outcome"]["status"] == "ok")
    );
    fs::remove_dir_all(https.folder.join("https")).unwrap();

    let (errors, status, _) = https.measure(&["--insecure"], &trusted);
    assert_eq!(status, 0, "{errors}");
    assert!(errors.contains("certificates are not checked"), "{errors}");
    https.stop();
}
