//! What a provider does when something goes wrong.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::bench::{Bench, KEY, PROMPT, TEXT, assert_discreet};
use super::tap::Fault;
use super::{Mood, Simulation};
use crate::{Error, ErrorKind, Result};

/// Answers are the same however the network splits or gathers their bytes.
pub async fn chunkings(simulation: &dyn Simulation) {
    let bench = Bench::new(simulation, Mood::Says(TEXT.to_owned())).await;
    let splits = [1, 2, 3, 7, 64].map(Fault::Split);
    for fault in splits.into_iter().chain([Fault::Gather]) {
        bench.tap.play(fault.clone());
        for answer in [
            bench.chat(bench.ask(PROMPT)).await,
            bench.stream(bench.ask(PROMPT)).await,
        ] {
            match answer {
                Ok(text) => assert_eq!(text, TEXT, "{fault:?}"),
                Err(error) => panic!("{fault:?} is too much: {error:?}"),
            }
        }
    }
}

/// A stream that is cut once, at any byte, yields the whole text or an error.
pub async fn cut_streams(simulation: &dyn Simulation) {
    let bench = Bench::new(simulation, Mood::Says(SHORT.to_owned())).await;
    let length = returned(&bench, bench.stream(bench.ask(PROMPT))).await;
    for at in positions(length) {
        bench.tap.play(Fault::Cut(at));
        let outcome = bench.stream(bench.ask(PROMPT)).await;
        check_cut(at, length, outcome);
    }
}

/// So does a plain answer.
pub async fn cut_answers(simulation: &dyn Simulation) {
    let bench = Bench::new(simulation, Mood::Says(SHORT.to_owned())).await;
    let length = returned(&bench, bench.chat(bench.ask(PROMPT))).await;
    for at in positions(length) {
        bench.tap.play(Fault::Cut(at));
        let outcome = bench.chat(bench.ask(PROMPT)).await;
        check_cut(at, length, outcome);
    }
}

/// Every refusal is an error of its kind that keeps the status, names provider and model, and
/// shows neither key nor prompt; advice to wait is kept; redirects are not followed.
pub async fn errors(simulation: &dyn Simulation) {
    for status in [400, 401, 402, 403, 404, 408, 422, 429, 500, 502, 503, 504] {
        let bench = Bench::new(simulation, Mood::Refuses(status)).await;
        for (how, error) in bench.failures(&bench.ask(PROMPT)).await {
            let told = format!("{how}, status {status}: {error:?}");
            assert_eq!(error.kind(), simulation.kind(status), "{told}");
            assert_named(&bench, &error);
            let kept = error.status().map(|status| status.as_u16());
            assert_eq!(kept, Some(status), "{told}");
            assert!(error.body().is_some(), "the body is not kept: {told}");
        }
    }
    let bench = Bench::new(simulation, Mood::Says(TEXT.to_owned())).await;
    let page = "<html>Bad gateway</html>";
    let advice = "retry-after: 7\r\ncontent-type: application/json\r\n";
    let echo = format!(r#"{{"error":{{"message":"{KEY} is wrong"}},"detail":"{KEY} is wrong"}}"#);
    for (status, headers, body, kind) in [
        (
            "502 Bad Gateway",
            "content-type: text/html\r\n",
            page,
            ErrorKind::UpstreamFailed,
        ),
        (
            "429 Too Many Requests",
            advice,
            "{}",
            ErrorKind::RateLimited,
        ),
        (
            "401 Unauthorized",
            "content-type: application/json\r\n",
            &echo,
            ErrorKind::Auth,
        ),
        (
            "307 Temporary Redirect",
            "location: /elsewhere\r\n",
            "",
            ErrorKind::UnexpectedBody,
        ),
    ] {
        bench.tap.play(answer(status, headers, body));
        for (how, error) in bench.failures(&bench.ask(PROMPT)).await {
            assert_eq!(error.kind(), kind, "{how}, {status}: {error:?}");
            assert_named(&bench, &error);
            let advised = (kind == ErrorKind::RateLimited).then_some(Duration::from_secs(7));
            assert_eq!(error.retry_after(), advised, "{how}, {status}");
        }
    }
    let elsewhere = |request: &super::tap::Received| request.head.contains("/elsewhere");
    assert!(
        !bench.tap.requests().iter().any(elsewhere),
        "a redirect was followed"
    );
}

/// A success that makes no sense is [`ErrorKind::UnexpectedBody`].
pub async fn garbage(simulation: &dyn Simulation) {
    let bench = Bench::new(simulation, Mood::Says(TEXT.to_owned())).await;
    for (kind, body) in [
        ("application/json", "{\"choices\":"),
        ("application/json", "[]"),
        ("application/json", ""),
        ("application/json", "\u{0}\u{1}"),
        ("text/html", "<html>Hello</html>"),
    ] {
        bench
            .tap
            .play(answer("200 OK", &format!("content-type: {kind}\r\n"), body));
        for (how, error) in bench.failures(&bench.ask(PROMPT)).await {
            assert_eq!(
                error.kind(),
                ErrorKind::UnexpectedBody,
                "{how}, {body:?}: {error:?}"
            );
            assert_named(&bench, &error);
        }
    }
}

/// What cannot have been billed is sent again when the settings say so, and nothing else.
pub async fn retries(simulation: &dyn Simulation) {
    let bench = Bench::with(simulation, Mood::Says(TEXT.to_owned()), |settings| {
        settings.with_max_retries(2)
    });
    let bench = bench.await;
    for (status, times, posts) in [
        ("503 Service Unavailable", 2, Ok(3)),
        ("429 Too Many Requests", 1, Ok(2)),
        ("503 Service Unavailable", 9, Err(3)),
        ("500 Internal Server Error", 9, Err(1)),
        ("400 Bad Request", 9, Err(1)),
    ] {
        for streamed in [false, true] {
            bench.tap.forget_requests();
            bench.tap.play(answer_times(status, "", "{}", times));
            let outcome = if streamed {
                bench.stream(bench.ask(PROMPT)).await
            } else {
                bench.chat(bench.ask(PROMPT)).await
            };
            let sent = bench.tap.posts();
            let told = format!("{times} times {status}, streamed {streamed}");
            assert_eq!(outcome.map(|_| sent).map_err(|_| sent), posts, "{told}");
        }
    }
}

/// Each limit of time is kept, and is [`ErrorKind::Timeout`].
pub async fn timeouts(simulation: &dyn Simulation) {
    let limit = Duration::from_secs(3);
    let well = || Mood::Says(TEXT.to_owned());
    let bench = Bench::new(simulation, well()).await;
    let call = bench.ask(PROMPT).with_timeout(limit);
    assert_times_out(&bench, "the limit of the call", Fault::Stall(0), call).await;

    let bench = Bench::with(simulation, well(), |settings| settings.with_timeout(limit)).await;
    let call = bench.ask(PROMPT);
    assert_times_out(&bench, "timeout", Fault::Stall(0), call).await;

    let first_byte = |mut settings: crate::Settings| {
        settings.first_byte_timeout = Some(limit);
        settings
    };
    let bench = Bench::with(simulation, well(), first_byte).await;
    let call = bench.ask(PROMPT);
    assert_times_out(&bench, "first_byte_timeout", Fault::Stall(0), call).await;

    // A provider may come back to an answer that stalls, and wait again.
    let bench = Bench::with(simulation, well(), |mut settings| {
        settings.idle_timeout = Some(limit);
        settings
    });
    let bench = bench.await;
    let length = returned(&bench, bench.stream(bench.ask(PROMPT))).await;
    let mut late = 0;
    for part in 1..8 {
        bench.tap.play(Fault::Stall(length * part / 8));
        let begin = Instant::now();
        match bench.stream(bench.ask(PROMPT)).await {
            // What stalled was not needed.
            Ok(text) => assert_eq!(text, TEXT, "idle_timeout cut an answer"),
            Err(error) => {
                late += 1;
                assert_eq!(error.kind(), ErrorKind::Timeout, "idle_timeout: {error:?}");
                assert!(begin.elapsed() >= limit, "idle_timeout struck too early");
            }
        }
    }
    assert!(late > 0, "idle_timeout never struck");
}

/// Dropping a call, or a stream in the middle, stops the work upstream.
pub async fn cancelling(simulation: &dyn Simulation) {
    let bench = Bench::new(simulation, Mood::Endless).await;
    let (provider, call) = (Arc::clone(&bench.provider), bench.ask(PROMPT));
    let task = tokio::spawn(async move { provider.chat(call).await.map(drop) });
    bench.until_running(true).await;
    task.abort();
    bench.until_running(false).await;

    match bench.provider.chat_stream(bench.ask(PROMPT)).await {
        Ok(mut stream) => {
            assert!(stream.next().await.is_some_and(|event| event.is_ok()));
            bench.until_running(true).await;
        }
        Err(error) => panic!("an endless stream did not begin: {error:?}"),
    }
    bench.until_running(false).await;
}

async fn assert_times_out(
    bench: &Bench<'_>,
    what: &str,
    fault: Fault,
    call: crate::Call<llm_types::ChatRequest>,
) {
    bench.tap.play(fault);
    let begin = Instant::now();
    for (how, error) in bench.failures(&call).await {
        assert_eq!(error.kind(), ErrorKind::Timeout, "{what}, {how}: {error:?}");
        assert_named(bench, &error);
    }
    let each = begin.elapsed() / 2;
    let right = Duration::from_secs(3)..Duration::from_secs(30);
    assert!(right.contains(&each), "{what} of 3 s struck after {each:?}");
}

#[track_caller]
fn assert_named(bench: &Bench<'_>, error: &Error) {
    assert_discreet(error);
    assert_eq!(error.provider(), Some(bench.provider.name()), "{error:?}");
    assert!(error.model().is_some(), "the model is not named: {error:?}");
}

#[track_caller]
fn check_cut(at: usize, length: usize, outcome: Result<String>) {
    match outcome {
        Ok(text) => assert!(
            text == SHORT,
            "cut at byte {at} of {length}, an answer succeeded with {text:?} only"
        ),
        Err(error) => {
            assert_discreet(&error);
            let kinds = [
                ErrorKind::Transport,
                ErrorKind::UnexpectedBody,
                ErrorKind::UpstreamFailed,
            ];
            assert!(
                kinds.contains(&error.kind()) || error.status().is_some(),
                "cut at byte {at} of {length}: {error:?}"
            );
        }
    }
}

/// How many bytes a call that goes well gets back.
async fn returned(bench: &Bench<'_>, call: impl Future<Output = Result<String>>) -> usize {
    bench.tap.play(Fault::None);
    if let Err(error) = call.await {
        panic!("a call failed that nobody disturbed: {error:?}");
    }
    bench.tap.returned()
}

/// Every position, or a thousand of them.
fn positions(length: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by(length.div_ceil(1000).max(1))
}

fn answer(status: &str, headers: &str, body: &str) -> Fault {
    answer_times(status, headers, body, usize::MAX)
}

fn answer_times(status: &str, headers: &str, body: &str, times: usize) -> Fault {
    let length = body.len();
    let bytes = format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n{body}");
    Fault::Answer { times, bytes }
}

const SHORT: &str = "Grüß Gott 🌍!";
