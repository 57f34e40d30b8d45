//! The destinations of the key and the headers.

use crate::harness::{Harness, KEY, PROMPT, TEXT, assert_discreet};
use crate::tap::{Tap, answer};
use crate::{Scenario, Simulation};
use llm_provider::ErrorKind;
use std::net::Ipv4Addr;
use tokio::net::TcpSocket;

pub(crate) async fn secrets(simulation: &dyn Simulation) {
    let harness = Harness::new(simulation, Scenario::Reply(TEXT.to_owned())).await;
    harness.answers(&harness.chat(PROMPT)).await;
    for request in harness.tap.requests() {
        let with_key: Vec<&str> = request.lines().filter(|line| line.contains(KEY)).collect();
        let names = with_key.iter().filter_map(|line| line.split_once(':'));
        let names: Vec<String> = names.map(|(name, _)| name.to_lowercase()).collect();
        if request.is_post() {
            assert!(names.len() == 1, "the key is in {names:?}");
        }
        assert!(
            names.len() == with_key.len() && names.iter().all(|name| HEADERS.contains(&&**name)),
            "the key is where it does not belong: {names:?}"
        );
        let body = String::from_utf8_lossy(&request.body);
        assert!(!body.contains(KEY), "the key is in a body");
    }
    let shown = format!("{:?}", harness.provider);
    assert!(!shown.contains(KEY), "Debug of the provider shows the key");
}

pub(crate) async fn extra_headers(simulation: &dyn Simulation) {
    const VALUE: &str = "team-blue-5d12";
    let harness = Harness::with(
        simulation,
        Scenario::Reply(TEXT.to_owned()),
        |mut settings| {
            let added = settings.extra_headers.insert("X-Team", VALUE);
            added.unwrap_or_else(|error| panic!("{error}"));
            settings
        },
    );
    let harness = harness.await;
    harness.answers(&harness.chat(PROMPT)).await;
    let header = format!("x-team: {VALUE}");
    let requests = harness.tap.requests();
    let mut posts = requests.iter().filter(|request| request.is_post());
    assert!(
        posts.all(|post| post.lines().any(|line| line.eq_ignore_ascii_case(&header))),
        "a call went without the extra header"
    );
    let shown = format!("{:?}", harness.provider);
    assert!(
        !shown.contains(VALUE),
        "Debug of the provider shows an extra header"
    );
}

pub(crate) async fn foreign_hosts(simulation: &dyn Simulation) {
    let harness = Harness::new(simulation, Scenario::Reply(TEXT.to_owned())).await;
    let foreign = Tap::start(harness.upstream.address()).await;
    let url = format!("http://{}/v1/chat/completions", foreign.address);
    for status in ["301 x", "302 x", "307 x", "308 x"] {
        for target in [&*url, "/elsewhere"] {
            let page = format!("<a href=\"{target}\">moved</a>");
            let head = format!("location: {target}\r\ncontent-type: text/html\r\n");
            harness.tap.play(answer(status, &head, &page));
            for (how, error) in harness.failures(&harness.chat(PROMPT)).await {
                let what = format!("{how}, {status}: {error:?}");
                assert_eq!(error.kind(), ErrorKind::UnexpectedBody, "{what}");
                assert_discreet(&error);
            }
        }
    }
    assert!(
        foreign.requests().is_empty(),
        "another host than the upstream's got a request"
    );
    let requests = harness.tap.requests();
    let elsewhere = requests
        .iter()
        .any(|request| request.path() == "/elsewhere");
    assert!(!elsewhere, "a redirect was followed");
}

pub(crate) async fn unreachable_upstream(simulation: &dyn Simulation) {
    // A bound socket keeps its port and refuses connections until it listens.
    let bound = TcpSocket::new_v4().and_then(|socket| {
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        Ok((socket.local_addr()?, socket))
    });
    let (address, _socket) = bound.unwrap_or_else(|error| panic!("no free port: {error}"));
    let harness = Harness::with(simulation, Scenario::Echo, |settings| {
        settings.with_api_base(format!("http://{address}"))
    });
    let harness = harness.await;
    for (how, error) in harness.failures(&harness.chat(PROMPT)).await {
        assert_eq!(error.kind(), ErrorKind::Transport, "{how}: {error:?}");
        assert!(error.is_unsent(), "{how}: {error:?}");
        assert_eq!(error.provider(), Some(harness.provider.name()), "{how}");
        assert_discreet(&error);
    }
}

const HEADERS: &[&str] = &["authorization", "x-api-key", "api-key"];
