//! Runs the jobs of agents.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::agent::{AgentContext, AgentJob, AgentSession, History};
use crate::clock::nanos;
use crate::record::Side;
use crate::request::PreparedRequest;
use crate::run::worker::Worker;

impl Worker {
    /// Runs a job: with two targets, the whole job on one after the other.
    pub(super) async fn agent_job(
        self: &Rc<Self>,
        agent: AgentJob,
        first: PreparedRequest,
        scheduled_ns: Option<u64>,
    ) {
        for (place, side) in self.sides().into_iter().enumerate() {
            if place > 0 && self.is_stopped() {
                return;
            }
            let start = SessionStart {
                side,
                context: Arc::clone(&agent.context),
                history: History::default(),
                scheduled_ns: scheduled_ns.filter(|_| place == 0),
                first: Some(first.clone()),
                // Recorded times are those of the first target.
                is_timed: place == 0,
            };
            Rc::clone(self).session(agent.root.clone(), start).await;
        }
    }

    /// Runs a conversation and its helpers; returns whether it is complete. Its future is boxed, since
    /// helpers have helpers.
    fn session(
        self: Rc<Self>,
        session: AgentSession,
        start: SessionStart,
    ) -> LocalBoxFuture<'static, bool> {
        async move {
            let mut helpers: Vec<(usize, JoinHandle<bool>)> = Vec::new();
            let complete = self.turns(&session, start, &mut helpers).await;
            // A job ends when its last helper does, even if it failed.
            join(&mut helpers, usize::MAX).await && complete
        }
        .boxed_local()
    }

    async fn turns(
        self: &Rc<Self>,
        session: &AgentSession,
        start: SessionStart,
        helpers: &mut Vec<(usize, JoinHandle<bool>)>,
    ) -> bool {
        let SessionStart {
            side,
            context,
            mut history,
            mut scheduled_ns,
            mut first,
            is_timed,
        } = start;
        let clock = self.executor.clock;
        let mut ended = clock.now();
        for (id, (number, turn)) in (session.first_id..).zip(session.turns.iter().enumerate()) {
            if helpers.iter().any(|(join_at, _)| *join_at <= number) {
                if !join(helpers, number).await {
                    return false;
                }
                ended = clock.now();
            }
            let begun = self.feed.begun();
            let recorded = turn.not_before_ns.filter(|_| is_timed);
            let recorded = recorded.map_or(0, |at| begun.saturating_add(at));
            let due = ended.saturating_add(nanos(turn.wait)).max(recorded);
            if !self.wait_until(due).await {
                return false;
            }
            let prepared = session.request(number, &mut history, &context);
            let request = first.take().unwrap_or(prepared);
            let answer = self
                .send(id, &request, side, scheduled_ns.take(), true)
                .await;
            ended = answer.end_ns;
            let Some(text) = answer.text else {
                return false;
            };
            history.answered(&text, &context);
            for started in &turn.helpers {
                for helper in &started.sessions {
                    let start = SessionStart {
                        side,
                        context: Arc::clone(&context),
                        history: match started.inherit {
                            true => history.clone(),
                            false => History::default(),
                        },
                        scheduled_ns: None,
                        first: None,
                        is_timed,
                    };
                    let running = Rc::clone(self).session(helper.clone(), start);
                    helpers.push((started.join_at, tokio::task::spawn_local(running)));
                }
            }
        }
        true
    }

    /// Waits until a time of the run; false if no more requests may start.
    async fn wait_until(&self, at: u64) -> bool {
        loop {
            if self.is_stopped() {
                return false;
            }
            let left = self.executor.clock.until(at);
            if left.is_zero() {
                return true;
            }
            tokio::time::sleep_until(Instant::now() + left.min(STOP_CHECK)).await;
        }
    }

    fn is_stopped(&self) -> bool {
        self.state.stop.load(Ordering::Relaxed)
    }
}

/// The state of a conversation at its start.
struct SessionStart {
    side: Side,
    context: Arc<AgentContext>,
    history: History,
    scheduled_ns: Option<u64>,
    /// The first request, if it is prepared.
    first: Option<PreparedRequest>,
    is_timed: bool,
}

/// Waits for the helpers that a turn needs; returns whether all of them are complete.
async fn join(helpers: &mut Vec<(usize, JoinHandle<bool>)>, number: usize) -> bool {
    let (needed, later): (Vec<_>, Vec<_>) = std::mem::take(helpers)
        .into_iter()
        .partition(|(join_at, _)| *join_at <= number);
    *helpers = later;
    let mut complete = true;
    for (_, helper) in needed {
        complete &= helper.await.unwrap_or(false);
    }
    complete
}

/// How often a wait looks whether the run has ended.
const STOP_CHECK: Duration = Duration::from_millis(100);
