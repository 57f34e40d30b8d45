//! Predictions: created in three ways, got, listed, cancelled and streamed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::clock::read_date;
use crate::http::{self, Answer, Call, set};
use crate::log::unguessable;
use crate::replicate::api::{Api, json_answer};
use crate::replicate::catalog::Model;
use crate::replicate::create::{Body, Ids, Target, create, wait};
use crate::replicate::pages::page;
use crate::replicate::prediction::{StreamUrl, View};
use crate::replicate::problem::{Invalid, Problem};
use crate::replicate::stream;
use crate::seed::{BASE32, Rng};

impl Api {
    /// `POST /v1/predictions`: `owner/name` of an official model, `owner/name:id`, or an id.
    pub(crate) async fn create_version(&self, call: &Call) -> Result<Answer, Problem> {
        let body = Body::read(&call.body, true)?;
        let version = body.version.clone().unwrap_or_default();
        let (name, id) = match version.split_once(':') {
            Some((name, id)) => (Some(name), Some(id)),
            None if version.contains('/') => (Some(version.as_str()), None),
            None => (None, Some(version.as_str())),
        };
        let model = match (name, id) {
            (Some(name), _) => {
                let (owner, name) = name.split_once('/').ok_or_else(Problem::invalid_version)?;
                Model::find(owner, name)
            }
            (None, id) => self.versions.model(id.unwrap_or_default()),
        };
        let model = model.ok_or_else(Problem::invalid_version)?;
        let good = id.map_or(model.listed.official, |id| model.has_version(id));
        if !good {
            return Err(Problem::invalid_version());
        }
        let version = id.map_or_else(|| model.latest(), str::to_owned);
        self.versions.note(&model, &version);
        self.start(
            call,
            Target {
                model,
                version,
                deployment: None,
            },
            body,
        )
        .await
    }

    pub(crate) async fn create_official(
        &self,
        call: &Call,
        owner: &str,
        name: &str,
    ) -> Result<Answer, Problem> {
        let model = self.model(owner, name)?;
        if !model.listed.official {
            return Err(Problem::not_found());
        }
        let body = Body::read(&call.body, false)?;
        self.start(
            call,
            Target {
                version: model.latest(),
                model,
                deployment: None,
            },
            body,
        )
        .await
    }

    pub(crate) async fn create_deployed(
        &self,
        call: &Call,
        owner: &str,
        name: &str,
    ) -> Result<Answer, Problem> {
        let found = self
            .deployments
            .find(owner, name)
            .ok_or_else(Problem::not_found)?;
        let body = Body::read(&call.body, false)?;
        let deployment = Some(found.full_name());
        self.start(
            call,
            Target {
                model: found.model,
                version: found.version,
                deployment,
            },
            body,
        )
        .await
    }

    async fn start(&self, call: &Call, target: Target, body: Body) -> Result<Answer, Problem> {
        let options = &self.shared.options;
        let prediction = create(call, target, body, self.ids(), &self.store, options)?;
        let kept = self.store.add(Arc::clone(&prediction));
        kept.map_err(|_| self.limits.throttled(&self.shared.clock))?;
        self.shared.changed();
        self.webhooks.follow(&prediction, &call.base);
        let clock = &self.shared.clock;
        let Some((window, preference)) = wait(call) else {
            return Ok(json_answer(
                201,
                &prediction.body(View::Created, clock, &call.base),
            ));
        };
        prediction.finished(Instant::now() + window).await;
        let done = prediction.now().status.is_terminal();
        let body = prediction.body(View::Waited, clock, &call.base);
        let mut answer = json_answer(if done { 201 } else { 202 }, &body);
        set(&mut answer, "preference-applied", &preference);
        set(
            &mut answer,
            "location",
            &format!("{}/v1/predictions/{}", call.base, prediction.id),
        );
        Ok(answer)
    }

    pub(crate) fn get(&self, call: &Call, id: &str, view: View) -> Result<Answer, Problem> {
        let prediction = self.store.find(id).ok_or_else(Problem::not_found)?;
        Ok(json_answer(
            200,
            &prediction.body(view, &self.shared.clock, &call.base),
        ))
    }

    /// Newest first, within the requested time. No prediction here was created on the web.
    pub(crate) fn list(&self, call: &Call) -> Result<Answer, Problem> {
        let clock = &self.shared.clock;
        let [from, to] = ["created_after", "created_before"].map(|name| date(call, name));
        let (from, to) = (from?.unwrap_or_default(), to?.unwrap_or(Duration::MAX));
        let web = call.query("source").as_deref() == Some("web");
        let mut all = if web { Vec::new() } else { self.store.all() };
        all.retain(|one| (from..to).contains(&clock.wall(one.timeline.created)));
        all.reverse();
        page(
            call,
            &all,
            |one| one.id.clone(),
            |one| one.body(View::InList, clock, &call.base),
        )
    }

    pub(crate) fn cancel(&self, call: &Call, id: &str) -> Result<Answer, Problem> {
        let prediction = self.store.find(id).ok_or_else(Problem::not_found)?;
        let running = !prediction.now().status.is_terminal();
        prediction.request_cancel();
        self.shared.changed();
        self.get(call, id, if running { View::Cancelled } else { View::Got })
    }

    pub(crate) fn stream(&self, call: &Call, token: &str) -> Result<Answer, Problem> {
        let prediction = self
            .store
            .find_stream(token)
            .filter(|prediction| !prediction.is_removed())
            .ok_or_else(Problem::not_found)?;
        let events = stream::events(
            prediction,
            &self.shared.clock,
            &call.trace,
            call.header("last-event-id"),
            self.shared.options.timing.stream_idle,
        );
        let mut answer = http::stream("text/event-stream", events);
        set(&mut answer, "cache-control", "no-store");
        Ok(answer)
    }

    fn ids(&self) -> Ids {
        let number = self.created.fetch_add(1, Ordering::Relaxed);
        Ids {
            id: Rng(number).word(BASE32, 26),
            stream: StreamUrl {
                // The only part that must not be guessable.
                token: (0_u8..4)
                    .map(|part| Rng(unguessable((number, part))).word(BASE32, 13))
                    .collect(),
                host: self.stream_host.get().cloned(),
            },
        }
    }
}

/// A time from the query, since the Unix epoch.
fn date(call: &Call, name: &str) -> Result<Option<Duration>, Problem> {
    let Some(text) = call.query(name) else {
        return Ok(None);
    };
    let date = read_date(&text);
    date.map(Some).ok_or_else(|| {
        Problem::invalid(Invalid::new(
            "format",
            name,
            "Does not match format 'date-time'",
        ))
    })
}
