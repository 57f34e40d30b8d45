//! One prediction, and its representations.

use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::{Clock, later};
use crate::replicate::catalog::Output;
use crate::replicate::timeline::{Moment, SimStatus, Timeline};
use crate::replicate::webhook::Hook;

#[derive(Debug)]
pub(crate) struct Prediction {
    pub(crate) id: String,
    pub(crate) model: String,
    /// `hidden` for official models.
    pub(crate) version: String,
    pub(crate) deployment: Option<String>,
    pub(crate) input: Map<String, Value>,
    pub(crate) output: Output,
    pub(crate) tokens: Vec<String>,
    pub(crate) prompt_tokens: usize,
    pub(crate) error: Option<&'static str>,
    pub(crate) logs: String,
    pub(crate) timeline: Timeline,
    /// Whether `"stream": true` was requested.
    pub(crate) stream_requested: bool,
    /// The URL of the event stream, if there is one.
    pub(crate) stream: Option<StreamUrl>,
    /// How long after the creation input, output and logs are kept.
    pub(crate) retention: Option<Duration>,
    pub(crate) hook: Option<Hook>,
    pub(crate) cancel: watch::Sender<Cancel>,
}

/// The path of an event stream; it grants access.
#[derive(Clone, Debug, Default)]
pub(crate) struct StreamUrl {
    pub(crate) token: String,
    /// The host of streams, if it is separate.
    pub(crate) host: Option<String>,
}

impl StreamUrl {
    fn url(&self, base: &str) -> String {
        let host = self.host.as_deref().unwrap_or(base);
        format!("{host}/v1/streams/{}", self.token)
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cancel {
    pub(crate) at: Option<Instant>,
    pub(crate) calls: usize,
}

/// The kind of a response: recorded bodies leave out what is not known yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum View {
    Cancelled,
    Created,
    /// An example on a model's page: never removed.
    Example,
    /// Created with `Prefer: wait`.
    Waited,
    Got,
    InList,
}

impl Prediction {
    pub(crate) fn now(&self) -> Moment {
        self.timeline.at(Instant::now(), self.cancelled())
    }

    pub(crate) fn cancelled(&self) -> Option<Instant> {
        self.cancel.borrow().at
    }

    pub(crate) fn cancel_calls(&self) -> usize {
        self.cancel.borrow().calls
    }

    pub(crate) fn request_cancel(&self) {
        self.cancel.send_modify(|cancel| {
            cancel.calls += 1;
            cancel.at.get_or_insert_with(Instant::now);
        });
    }

    /// Whether input, output and logs have been removed, some time after the creation.
    pub(crate) fn is_removed(&self) -> bool {
        self.removal().is_some_and(|at| at <= Instant::now())
    }

    /// The next time at which anything changes.
    pub(crate) fn next_change(&self, now: Instant) -> Option<Instant> {
        let next = self.timeline.next_change(now, self.cancelled());
        next.or_else(|| self.removal().filter(|at| *at > now))
    }

    fn removal(&self) -> Option<Instant> {
        let (end, _) = self.timeline.end(self.cancelled());
        let removal = later(self.timeline.created, self.retention?);
        Some(removal.max(end))
    }

    /// Waits until the output is complete or cannot be completed, but not beyond `latest`.
    pub(crate) async fn finished(&self, latest: Instant) {
        let mut cancels = self.cancel.subscribe();
        loop {
            let (end, _) = self.timeline.end(cancels.borrow_and_update().at);
            tokio::select! {
                () = tokio::time::sleep_until(end.min(latest)) => return,
                // The sender lives as long as `self`.
                _ = cancels.changed() => {}
            }
        }
    }

    pub(crate) fn body(&self, view: View, clock: &Clock, base: &str) -> Value {
        self.body_at(self.now(), view, clock, base)
    }

    pub(crate) fn body_at(&self, moment: Moment, view: View, clock: &Clock, base: &str) -> Value {
        let id = &self.id;
        let mut urls = json!({
            "get": format!("{base}/v1/predictions/{id}"),
            "cancel": format!("{base}/v1/predictions/{id}/cancel"),
        });
        if let Some(stream) = &self.stream {
            urls["stream"] = json!(stream.url(base));
        }
        let mut body = json!({
            "id": id,
            "model": self.model,
            "version": self.version,
            "input": self.input,
            "error": null,
            "created_at": clock.rfc3339(self.timeline.created, 3),
        });
        if self.stream_requested {
            body["stream"] = json!(true);
        }
        if let Some(deployment) = &self.deployment {
            body["deployment"] = json!(deployment);
        }
        if let Some(deadline) = self.timeline.deadline {
            body["deadline"] = json!(clock.rfc3339(deadline, 3));
        }
        match view {
            View::Created => {
                body["logs"] = json!("");
                body["status"] = json!("starting");
            }
            View::Waited => self.add_waited_state(&mut body, moment),
            View::Cancelled | View::Example | View::Got | View::InList => {
                self.add_state(&mut body, view, moment, clock);
                if view == View::Cancelled {
                    body["webhook_completed"] = Value::Null;
                } else {
                    body["source"] = json!("api");
                    urls["web"] = json!(format!("{base}/p/{id}"));
                }
            }
        }
        if matches!(view, View::Got | View::InList) && self.is_removed() {
            body["input"] = json!({});
            body["output"] = Value::Null;
            body["data_removed"] = json!(true);
            if view == View::Got {
                body["logs"] = Value::Null;
            }
        }
        body["urls"] = urls;
        body
    }

    /// Adds the state after `Prefer: wait`, in which the status lags behind: with complete output,
    /// it is "processing", else "starting". Only a failure is reported as it is.
    fn add_waited_state(&self, body: &mut Value, moment: Moment) {
        let status = match moment.status {
            SimStatus::Succeeded => SimStatus::Processing,
            SimStatus::Processing => SimStatus::Starting,
            other => other,
        };
        let output = moment.completed.map(|_| self.output(moment));
        body["logs"] = json!("");
        body["output"] = output.unwrap_or_default();
        body["data_removed"] = json!(false);
        body["status"] = json!(status.as_str());
        if status == SimStatus::Failed {
            body["error"] = json!(self.error);
        }
    }

    pub(crate) fn output(&self, moment: Moment) -> Value {
        let tokens = &self.tokens[..moment.tokens.min(self.tokens.len())];
        match self.output {
            _ if moment.tokens == 0 => Value::Null,
            Output::Text if moment.status == SimStatus::Succeeded => json!(tokens.concat()),
            Output::Text => Value::Null,
            _ => json!(tokens),
        }
    }

    fn add_state(&self, body: &mut Value, view: View, moment: Moment, clock: &Clock) {
        body["status"] = json!(moment.status.as_str());
        match view {
            View::Cancelled => body["logs"] = Value::Null,
            View::InList => {}
            _ => {
                let logs = if moment.started.is_some() {
                    self.logs.as_str()
                } else {
                    ""
                };
                body["logs"] = json!(logs);
            }
        }
        if let Some(started) = moment.started {
            body["started_at"] = json!(clock.rfc3339(started, 9));
        }
        let output = self.output(moment);
        let Some(completed) = moment.completed else {
            if !output.is_null() {
                body["output"] = output;
            }
            return;
        };
        if moment.status == SimStatus::Failed {
            body["error"] = json!(self.error);
        }
        if moment.started.is_none() {
            body["started_at"] = Value::Null;
        }
        body["output"] = output;
        if view != View::Cancelled {
            body["data_removed"] = json!(false);
        }
        body["completed_at"] = json!(clock.rfc3339(completed, 6));
        body["metrics"] = self.metrics(moment, completed);
    }

    fn metrics(&self, moment: Moment, completed: Instant) -> Value {
        let total = seconds(self.timeline.created, completed);
        let Some(started) = moment.started else {
            return json!({"total_time": total});
        };
        let predict = seconds(started, completed);
        let mut metrics = json!({"predict_time": predict, "total_time": total});
        let counted = matches!(self.output, Output::Tokens | Output::TokensAndEnd);
        if counted && moment.status == SimStatus::Succeeded {
            metrics["input_token_count"] = json!(self.prompt_tokens);
            // The empty text at the end is no token.
            let end = usize::from(self.output == Output::TokensAndEnd);
            let tokens = moment.tokens.saturating_sub(end);
            metrics["output_token_count"] = json!(tokens);
            metrics["time_to_first_token"] = json!(self.timeline.first_token.as_secs_f64());
            if predict > 0.0 {
                metrics["tokens_per_second"] = json!(tokens as f64 / predict);
            }
        }
        metrics
    }
}

fn seconds(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64()
}
