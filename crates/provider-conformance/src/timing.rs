//! Time limits, retries and cancellation.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::time::Instant;

use crate::call::Request;
use crate::cuts::returned;
use crate::harness::{Harness, PROMPT, TEXT, assert_named};
use crate::tap::{Fault, answer_times};
use crate::{Scenario, Simulation};
use llm_provider::{ErrorKind, Settings};

pub(crate) async fn timeouts(simulation: &dyn Simulation) {
    let well = || Scenario::Reply(TEXT.to_owned());
    let harness = Harness::new(simulation, well()).await;
    let call = harness.chat(PROMPT).with_timeout(LIMIT);
    assert_times_out(&harness, "the call's timeout", &call).await;

    for (what, limit) in LIMITS {
        let harness = Harness::with(simulation, well(), |mut settings| {
            limit(&mut settings);
            settings
        });
        let harness = harness.await;
        assert_times_out(&harness, what, &harness.chat(PROMPT)).await;
    }
    first_chunk(simulation).await;
    idle(simulation).await;
}

/// The limit of a streamed call holds until its first chunk.
async fn first_chunk(simulation: &dyn Simulation) {
    let harness = Harness::new(simulation, Scenario::Reply(TEXT.to_owned())).await;
    harness.tap.play(Fault::StallEvents);
    let begin = Instant::now();
    let call = harness.chat(PROMPT).with_timeout(LIMIT);
    match harness.streamed(&call).await {
        // The provider got the reply from another request.
        Ok(answer) => assert_eq!(answer.text(), TEXT),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Timeout, "first chunk: {error:?}");
            let took = begin.elapsed();
            assert!(
                took < LIMIT * 10,
                "the first chunk was awaited for {took:?}"
            );
        }
    }
}

/// A provider may return to a reply that stalls, and wait again, but not until the limit of the
/// call.
async fn idle(simulation: &dyn Simulation) {
    // So long that an eighth of the response is more than its head, which has other limits.
    let text = TEXT.repeat(8);
    let harness = Harness::with(simulation, Scenario::Reply(text.clone()), |settings| {
        settings.with_idle_timeout(LIMIT)
    });
    let harness = harness.await;
    let length = returned(&harness, harness.streamed(&harness.chat(PROMPT))).await;
    let mut late = 0;
    for part in 1..8 {
        harness.tap.play(Fault::Stall(length * part / 8));
        let begin = Instant::now();
        match harness.streamed(&harness.chat(PROMPT)).await {
            // The stalled part was not needed.
            Ok(answer) => assert_eq!(answer.text(), text, "idle_timeout cut a reply"),
            Err(error) => {
                late += 1;
                let took = begin.elapsed();
                assert_eq!(error.kind(), ErrorKind::Timeout, "idle_timeout: {error:?}");
                assert!(took >= LIMIT, "idle_timeout of 3 s struck after {took:?}");
                assert!(took < CALL, "idle_timeout of 3 s struck after {took:?}");
            }
        }
    }
    assert!(late > 0, "idle_timeout never struck");
}

pub(crate) async fn retries(simulation: &dyn Simulation) {
    let harness = Harness::with(simulation, Scenario::Reply(TEXT.to_owned()), |settings| {
        settings.with_max_retries(2)
    });
    let harness = harness.await;
    for (status, times, posts) in [
        ("503 Service Unavailable", 2, Ok(3)),
        ("429 Too Many Requests", 1, Ok(2)),
        ("503 Service Unavailable", 9, Err(3)),
        ("500 Internal Server Error", 9, Err(1)),
        ("400 Bad Request", 9, Err(1)),
        ("401 Unauthorized", 9, Err(1)),
    ] {
        let fault = answer_times(status, "", "{}", times);
        assert_posts(&harness, &format!("{times} times {status}"), fault, posts).await;
    }
    // The upstream may have billed a call whose answer was lost.
    let lost = || Fault::Close { times: 1 };
    assert_posts(&harness, "a lost reply", lost(), Err(1)).await;

    let harness = Harness::with(
        simulation,
        Scenario::Reply(TEXT.to_owned()),
        |mut settings| {
            settings.retry_billed = true;
            settings.with_max_retries(2)
        },
    );
    let harness = harness.await;
    assert_posts(&harness, "a lost reply, retry_billed", lost(), Ok(2)).await;
}

pub(crate) async fn retry_advice(simulation: &dyn Simulation) {
    let harness = Harness::with(simulation, Scenario::Reply(TEXT.to_owned()), |settings| {
        settings.with_max_retries(2)
    });
    let harness = harness.await;
    for streamed in [false, true] {
        let call = harness.chat(PROMPT);
        let send = async || harness.send(&call, streamed).await;
        let begin = Instant::now();
        let refusal = "429 Too Many Requests";
        harness
            .tap
            .play(answer_times(refusal, "retry-after: 20\r\n", "{}", 1));
        if let Err(error) = send().await {
            panic!("streamed {streamed}: not retried: {error:?}");
        }
        let took = begin.elapsed();
        let asked = Duration::from_secs(20);
        assert!(took >= asked, "retry-after: 20 was waited for {took:?}");
        assert!(took < asked * 3, "retry-after: 20 was waited for {took:?}");

        harness.tap.forget_requests();
        let begin = Instant::now();
        harness
            .tap
            .play(answer_times(refusal, "retry-after: 300\r\n", "{}", 1));
        match send().await {
            Ok(_) => panic!("retry-after: 300 was waited for"),
            Err(error) => {
                let advice = error.retry_after();
                assert_eq!(advice, Some(Duration::from_secs(300)), "{error:?}");
            }
        }
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "a longer advice was waited for"
        );
        assert_eq!(harness.tap.posts(), 1, "sent again before the advised time");
    }
}

pub(crate) async fn cancelling(simulation: &dyn Simulation) {
    let harness = Harness::new(simulation, Scenario::Endless).await;
    let (provider, call) = (Arc::clone(&harness.provider), harness.chat(PROMPT));
    let task = tokio::spawn(async move { call.send(&*provider).await.map(drop) });
    harness.until_running(true).await;
    task.abort();
    harness.until_running(false).await;

    match harness.chat(PROMPT).stream(&*harness.provider).await {
        Ok((_, mut stream)) => {
            assert!(stream.next().await.is_some_and(|event| event.is_ok()));
            harness.until_running(true).await;
        }
        Err(error) => panic!("an endless stream did not begin: {error:?}"),
    }
    harness.until_running(false).await;
}

async fn assert_times_out(harness: &Harness<'_>, what: &str, call: &Request) {
    harness.tap.play(Fault::Stall(0));
    let begin = Instant::now();
    for (how, error) in harness.failures(call).await {
        assert_eq!(error.kind(), ErrorKind::Timeout, "{what}, {how}: {error:?}");
        assert_named(harness, &error);
    }
    let each = begin.elapsed() / 2;
    assert!(
        (LIMIT..LIMIT * 10).contains(&each),
        "{what} of 3 s struck after {each:?}"
    );
}

/// Plain and streamed: whether the call succeeds, and how often it is sent.
async fn assert_posts(
    harness: &Harness<'_>,
    what: &str,
    fault: Fault,
    expected: Result<usize, usize>,
) {
    for streamed in [false, true] {
        harness.tap.forget_requests();
        harness.tap.play(fault.clone());
        let outcome = harness.send(&harness.chat(PROMPT), streamed).await;
        let posts = harness.tap.posts();
        let told = format!("{what}, streamed {streamed}: {outcome:?}");
        assert_eq!(
            outcome.map(|_| posts).map_err(|_| posts),
            expected,
            "{told}"
        );
    }
}

type SetLimit = fn(&mut Settings);

const LIMIT: Duration = Duration::from_secs(3);
/// The default limit of a call.
const CALL: Duration = Duration::from_secs(600);
const LIMITS: [(&str, SetLimit); 2] = [
    ("timeout", |settings| settings.timeout = Some(LIMIT)),
    ("first_byte_timeout", |settings| {
        settings.first_byte_timeout = Some(LIMIT);
    }),
];
