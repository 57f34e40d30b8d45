//! The recorder against a server that repeats everything private in every place.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use super::*;

const KEY: &str = "tgp_v1_canary-Key0123456789";
const CANARIES: &[&str] = &[
    KEY,
    "tgp_v1_c",
    "23456789",
    "canary-owner",
    "Canary Person",
    "canary@mail.test",
    "canaryid01canaryid01",
    "7f0e6a5c-2b1d-4c3e-9f8a-0b1c2d3e4f5a",
    "2026-11-22",
    "1795332608",
    "203.0.113.77",
];

#[test]
fn no_canary_reaches_a_file() {
    if missing().is_some() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let address = base.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let _ = answer(stream, &address);
        }
    });
    let folder = tool::scratch("record");
    let options = Options::default();
    for provider in PROVIDERS {
        let upstream = Upstream {
            base: base.clone(),
            key: KEY.to_owned(),
        };
        assert!(record(provider, &upstream, &options, &folder).unwrap() >= 10);
        let mut files = 0;
        for entry in fs::read_dir(folder.join(provider.name)).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            for canary in CANARIES {
                assert!(
                    !text.contains(canary),
                    "{canary} in {}:\n{text}",
                    path.display()
                );
            }
            assert!(text.contains("greetings"), "{text}");
            files += 1;
        }
        assert!(files >= 10);
    }
    assert!(!folder.join("replicate/account.json").exists());
}

/// Answers one request, and closes the connection.
fn answer(stream: TcpStream, base: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    while reader.read_line(&mut head)? > 2 {
        let last = head.lines().last().unwrap_or_default().to_ascii_lowercase();
        if let Some(value) = last.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or_default();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let is_stream = String::from_utf8_lossy(&body).contains("\"stream\":true")
        && !head.contains("predictions")
        || head.to_ascii_lowercase().contains("text/event-stream");
    let json = json!({
        "id": "canaryid01canaryid01",
        "trace": "7f0e6a5c-2b1d-4c3e-9f8a-0b1c2d3e4f5a",
        "created": 1_795_332_608,
        "created_at": "2026-11-22T07:30:08.5Z",
        "created_by": {"type": "user", "username": "canary-owner", "name": "Canary Person"},
        "username": "canary-owner",
        "github_url": "https://github.com/canary-owner",
        "text": format!(
            "greetings {KEY} tgp_v1_c****6789 Canary Person at canary@mail.test from 203.0.113.77, \
             canaryid01canaryid01 on 2026-11-22T07:30:08Z"
        ),
        "urls": {
            "get": format!("{base}/v1/predictions/canaryid01canaryid01"),
            "cancel": format!("{base}/v1/predictions/canaryid01canaryid01/cancel"),
            "stream": format!("{base}/v1/streams/canaryid01canaryid01"),
        },
    });
    let (kind, text) = match is_stream {
        true => (
            "text/event-stream",
            format!("id: 1795332608:0\ndata: {json}\n\ndata: greetings {KEY}\n\n"),
        ),
        false => ("application/json", json.to_string()),
    };
    let mut stream = reader.into_inner();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nX-Key: {KEY}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{text}",
        text.len()
    )
}

#[test]
fn the_key_goes_to_the_upstream_only() {
    let exchanges = PROVIDERS[1].exchanges(&[]);
    let stream = exchanges.iter().find(|one| one.name == "stream").unwrap();
    let request = |url: &str| {
        stream.request("https://api.replicate.com", KEY, |_, _| {
            Some(url.to_owned())
        })
    };
    let own = request("https://api.replicate.com/v1/streams/x").unwrap();
    assert!(own.headers.iter().any(|header| header.contains(KEY)));
    let foreign = request("https://stream.replicate.com/x").unwrap();
    assert!(!foreign.headers.iter().any(|header| header.contains(KEY)));
    assert!(request("http://stream.replicate.com/x").is_err());
}

#[test]
fn models_and_providers_are_checked() {
    let mut options = Options::default();
    options.model("chat=acme/other").unwrap();
    let chat = &PROVIDERS[0].exchanges(&options.models)[0];
    assert_eq!(chat.body.as_ref().unwrap()["model"], "acme/other");
    for wrong in ["chat", "chat=", "speech=acme/x"] {
        assert!(
            options
                .model(wrong)
                .is_err_and(|error| error.is::<lexopt::Error>())
        );
    }
    assert!(
        options
            .only("acme")
            .is_err_and(|error| error.is::<lexopt::Error>())
    );
}
