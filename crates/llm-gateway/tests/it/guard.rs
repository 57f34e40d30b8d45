//! Requests that a gateway without a master key rejects, since a web page may have caused them.

use std::net::SocketAddr;

use crate::support::*;
use llm_gateway::{Config, Gateway, GatewayOptions};
use llm_provider::ApiKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const JSON: &str = "content-type: application/json";
const CHAT: &str = "POST /v1/chat/completions";
const MODELS: &str = "GET /v1/models";

/// A gateway on a free port of `host`.
async fn serve(host: &str, key: Option<&str>) -> SocketAddr {
    let provider = Scripted::new([Step::Json(r#"{"choices":[]}"#)]);
    let mut config = Config::new(vec![deployment(provider)]);
    config.master_key = key.map(ApiKey::new);
    let listener = TcpListener::bind((host, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let gateway = Gateway::new(config, GatewayOptions::new());
    tokio::spawn(gateway.serve(listener, std::future::pending()));
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The status of the response, and the code of its error, if any.
async fn send_raw(address: SocketAddr, line: &str, headers: &[&str]) -> (u16, String) {
    let body = match line.starts_with("POST") {
        true => r#"{"model":"llama","messages":[{"role":"user","content":"x"}]}"#,
        false => "",
    };
    let headers: String = headers
        .iter()
        .map(|header| format!("{header}\r\n"))
        .collect();
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    let request = request.replace("PORT", &address.port().to_string());
    let mut socket = TcpStream::connect(address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let status = answer[9..12].parse().unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let code = body["error"]["code"].as_str().unwrap_or_default();
    (status, code.to_owned())
}

#[tokio::test]
async fn on_loopback_only_host_names_of_this_machine_are_accepted() {
    let address = serve("127.0.0.1", None).await;
    for host in [
        "host: localhost:PORT",
        "host: LOCALHOST",
        "host: 127.0.0.1:PORT",
        "host: 127.1.2.3",
        "host: [::1]:PORT",
        "host: 0.0.0.0:PORT",
        "host: app.localhost:PORT",
    ] {
        for (line, headers) in [(CHAT, &[host, JSON][..]), (MODELS, &[host])] {
            assert_eq!(send_raw(address, line, headers).await.0, 200, "{host}");
        }
    }
    let rebound = (403, "host_not_allowed".to_owned());
    for headers in [
        &["host: evil.example:PORT", JSON][..],
        // The browser treats it as the page's own site.
        &[
            "host: evil.example:PORT",
            "origin: http://evil.example:PORT",
            JSON,
        ],
        &["host: evil.example", "sec-fetch-site: same-origin", JSON],
        &["host: localhost.evil.example", JSON],
        &["host: 127.0.0.1.evil.example", JSON],
        &["host: 0.0.0.0.evil.example:PORT", JSON],
        &["host: 192.168.1.2:PORT", JSON],
        &["host: ", JSON],
        &["host: localhost", "host: evil.example", JSON],
    ] {
        for line in [CHAT, MODELS, "GET /nowhere"] {
            let (status, code) = send_raw(address, line, headers).await;
            // The server itself rejects invalid HTTP.
            if status != 400 {
                assert_eq!((status, code), rebound, "{line} {headers:?}");
            }
        }
    }
    let absolute = "GET http://evil.example/v1/models";
    let answer = send_raw(address, absolute, &["host: localhost"]).await;
    assert_eq!(answer, rebound);
    let health = "GET /health/liveliness";
    let answer = send_raw(address, health, &["host: evil.example"]).await;
    assert_eq!(answer.0, 200, "health checks need no key");
}

#[tokio::test]
async fn requests_of_other_sites_are_rejected() {
    for (listen, host) in [
        ("127.0.0.1", "host: 127.0.0.1:PORT"),
        ("0.0.0.0", "host: 192.168.1.2:4000"),
    ] {
        let address = serve(listen, None).await;
        for site in [
            "origin: http://localhost:3000",
            "origin: http://127.0.0.1:8080",
            "origin: https://localhost",
            "sec-fetch-site: none",
            "sec-fetch-site: same-origin",
            "user-agent: no browser",
            &host.replace("host: ", "origin: http://"),
        ] {
            for line in [CHAT, MODELS] {
                let answer = send_raw(address, line, &[host, site, JSON]).await;
                assert_eq!(answer.0, 200, "{line} {site}");
            }
        }
        for site in [
            "origin: http://evil.example",
            "origin: https://evil.example:4000",
            "origin: null",
            "origin: ",
            "origin: file://",
            "origin: chrome-extension://abcdef",
            "origin: http://localhost.evil.example",
            "origin: http://localhost@evil.example",
            "sec-fetch-site: cross-site",
        ] {
            for line in [CHAT, MODELS] {
                let answer = send_raw(address, line, &[host, site, JSON]).await;
                assert_eq!(answer, (403, "cross_site_request".into()), "{line} {site}");
            }
        }
    }
}

#[tokio::test]
async fn bodies_that_a_browser_sends_without_a_preflight_request_are_rejected() {
    for listen in ["127.0.0.1", "0.0.0.0"] {
        let address = serve(listen, None).await;
        let host = "host: localhost";
        for type_ in [
            "text/plain",
            "text/plain;charset=UTF-8",
            "text/plain; application/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "",
        ] {
            let header = format!("content-type: {type_}");
            let answer = send_raw(address, CHAT, &[host, &header]).await;
            assert_eq!(answer, (415, "unsupported_content_type".into()), "{type_}");
        }
        let answer = send_raw(address, CHAT, &[host]).await;
        assert_eq!(answer.0, 415, "a browser sends bytes without a type");
        for type_ in ["application/json; charset=utf-8", "Application/JSON"] {
            let header = format!("content-type: {type_}");
            let answer = send_raw(address, CHAT, &[host, &header]).await;
            assert_eq!(answer.0, 200, "{type_}");
        }
        let answer = send_raw(address, "POST /nowhere", &[host]).await;
        assert_eq!(answer.0, 404);
    }
}

#[tokio::test]
async fn a_master_key_replaces_the_checks() {
    let address = serve("127.0.0.1", Some("sk-1234")).await;
    let key = "authorization: Bearer sk-1234";
    for headers in [
        &[key, "host: gateway.example"][..],
        &[key, "host: localhost", "origin: http://other.example"],
        &[key, "host: localhost", "content-type: text/plain"],
    ] {
        let answer = send_raw(address, CHAT, headers).await;
        assert_eq!(answer.0, 200, "{headers:?}");
    }
    let answer = send_raw(address, CHAT, &["host: localhost", JSON]).await;
    assert_eq!(answer.0, 401);
}

#[tokio::test]
async fn a_service_in_another_server_does_not_check() {
    let gateway = gateway(Scripted::new([Step::Json(r#"{"choices":[]}"#)]));
    let mut request = chat_request("");
    for (name, value) in [
        ("host", "gateway.example"),
        ("origin", "http://other.example"),
        ("content-type", "text/plain"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    assert_eq!(send(gateway, request).await.status(), 200);
}
