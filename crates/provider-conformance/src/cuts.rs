//! Replies that the network splits, joins or cuts.

use crate::harness::{Answer, Harness, PROMPT, TEXT, assert_discreet};
use crate::tap::Fault;
use crate::{Scenario, Simulation};
use llm_provider::{ErrorKind, Result};

pub(crate) async fn chunkings(simulation: &dyn Simulation) {
    let harness = Harness::new(simulation, Scenario::Reply(TEXT.to_owned())).await;
    let splits = [1, 2, 3, 7, 64].map(Fault::Split);
    for fault in splits.into_iter().chain([Fault::Gather]) {
        harness.tap.play(fault.clone());
        for (how, answer) in harness.both(&harness.chat(PROMPT)).await {
            match answer {
                Ok(answer) => assert_eq!(answer.text(), TEXT, "{how}, {fault:?}"),
                Err(error) => panic!("{how}: {fault:?} failed: {error:?}"),
            }
        }
    }
}

pub(crate) async fn cut_streams(simulation: &dyn Simulation) {
    let harness = Harness::new(simulation, Scenario::Reply(SHORT.to_owned())).await;
    let length = returned(&harness, harness.streamed(&harness.chat(PROMPT))).await;
    for at in positions(length) {
        harness.tap.play(Fault::Cut(at));
        let outcome = harness.streamed(&harness.chat(PROMPT)).await;
        check_cut(at, length, outcome);
    }
}

pub(crate) async fn cut_answers(simulation: &dyn Simulation) {
    let harness = Harness::new(simulation, Scenario::Reply(SHORT.to_owned())).await;
    let length = returned(&harness, harness.plain(&harness.chat(PROMPT))).await;
    for at in positions(length) {
        harness.tap.play(Fault::Cut(at));
        let outcome = harness.plain(&harness.chat(PROMPT)).await;
        check_cut(at, length, outcome);
    }
}

#[track_caller]
fn check_cut(at: usize, length: usize, outcome: Result<Answer>) {
    match outcome {
        Ok(answer) => assert!(
            answer.text() == SHORT,
            "cut at byte {at} of {length}, a reply succeeded with {:?} only",
            answer.text()
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

/// The number of bytes of a successful reply.
pub(crate) async fn returned(
    harness: &Harness<'_>,
    call: impl Future<Output = Result<Answer>>,
) -> usize {
    harness.tap.play(Fault::None);
    if let Err(error) = call.await {
        panic!("an undisturbed call failed: {error:?}");
    }
    harness.tap.returned()
}

/// Every position, or a thousand of them.
fn positions(length: usize) -> impl Iterator<Item = usize> {
    (0..length).step_by(length.div_ceil(1000).max(1))
}

const SHORT: &str = "Grüß Gott 🌍!";
