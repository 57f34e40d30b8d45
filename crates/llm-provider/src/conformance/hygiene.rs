//! Where the key may be, and where not.

use super::bench::{Bench, KEY, PROMPT, TEXT, assert_discreet};
use super::{Mood, Simulation};
use crate::ErrorKind;

/// The key goes into one header, once, and is shown nowhere.
pub async fn secrets(simulation: &dyn Simulation) {
    let bench = Bench::new(simulation, Mood::Says(TEXT.to_owned())).await;
    for answer in [
        bench.chat(bench.ask(PROMPT)).await,
        bench.stream(bench.ask(PROMPT)).await,
    ] {
        if let Err(error) = answer {
            panic!("a call failed: {error:?}");
        }
    }
    let requests = bench.tap.requests();
    for request in &requests {
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
    let shown = format!("{:?}", bench.provider);
    assert!(!shown.contains(KEY), "Debug of the provider shows the key");
}

/// The extra headers of the settings go with each call, and are shown nowhere.
pub async fn extra_headers(simulation: &dyn Simulation) {
    const VALUE: &str = "team-blue-5d12";
    let bench = Bench::with(simulation, Mood::Says(TEXT.to_owned()), |mut settings| {
        let added = settings.extra_headers.insert("X-Team", VALUE);
        added.unwrap_or_else(|error| panic!("{error}"));
        settings
    });
    let bench = bench.await;
    for answer in [
        bench.chat(bench.ask(PROMPT)).await,
        bench.stream(bench.ask(PROMPT)).await,
    ] {
        if let Err(error) = answer {
            panic!("a call failed: {error:?}");
        }
    }
    let header = format!("x-team: {VALUE}");
    let requests = bench.tap.requests();
    let mut posts = requests.iter().filter(|request| request.is_post());
    assert!(
        posts.all(|post| post.lines().any(|line| line.eq_ignore_ascii_case(&header))),
        "a call went without the extra header"
    );
    let shown = format!("{:?}", bench.provider);
    assert!(
        !shown.contains(VALUE),
        "Debug of the provider shows an extra header"
    );
}

/// An upstream that cannot be reached is [`ErrorKind::Transport`], and nothing was sent.
pub async fn unreachable_upstream(simulation: &dyn Simulation) {
    let bench = Bench::with(simulation, Mood::Echoes, |settings| {
        // A port that was free a moment ago, and is so again.
        let listener = std::net::TcpListener::bind("127.0.0.1:0");
        let address = listener.and_then(|listener| listener.local_addr());
        match address {
            Ok(address) => settings.with_api_base(format!("http://{address}")),
            Err(error) => panic!("there is no free port: {error}"),
        }
    });
    let bench = bench.await;
    for (how, error) in bench.failures(&bench.ask(PROMPT)).await {
        assert_eq!(error.kind(), ErrorKind::Transport, "{how}: {error:?}");
        assert!(error.is_unsent(), "{how}: {error:?}");
        assert_eq!(error.provider(), Some(bench.provider.name()), "{how}");
        assert_discreet(&error);
    }
}

const HEADERS: &[&str] = &["authorization", "x-api-key", "api-key"];
