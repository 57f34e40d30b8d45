//! The routes of the simulated Replicate.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::Method;
use serde_json::Value;
use tokio::time::Instant;

use crate::http::{self, Answer, Call, empty, full, set};
use crate::log::unguessable;
use crate::replicate::catalog::Model;
use crate::replicate::create::{Body, Ids, Target, create, wait};
use crate::replicate::deployments::{Deployments, account, hardware};
use crate::replicate::pages::page;
use crate::replicate::prediction::{Prediction, View};
use crate::replicate::problem::Problem;
use crate::replicate::store::Store;
use crate::replicate::stream;
use crate::replicate::versions::Versions;
use crate::replicate::webhook::Webhooks;
use crate::seed::{BASE32, Rng};
use crate::upstream::{Shared, Upstream};

#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) shared: Shared,
    pub(crate) store: Store,
    pub(crate) deployments: Deployments,
    pub(crate) versions: Versions,
    pub(crate) webhooks: Arc<Webhooks>,
    pub(crate) created: AtomicU64,
}

impl Upstream for Api {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    async fn answer(&self, call: Call) -> Answer {
        let path = call.path();
        let mut answer = match self.route(&call, &path).await {
            Ok(answer) => answer,
            Err(problem) => problem.into_answer(),
        };
        let remaining = match (&call.method, path.as_slice()) {
            (&Method::POST, [.., "predictions"]) => "599",
            (&Method::GET, ["v1", "predictions", _]) => "59999",
            _ => "2999",
        };
        if !answer.headers().contains_key("ratelimit-remaining") {
            set(&mut answer, "ratelimit-remaining", remaining);
            set(&mut answer, "ratelimit-reset", "1");
        }
        answer
    }

    fn error(&self, status: u16, message: Option<&str>) -> Answer {
        Problem::of_status(status, message).into_answer()
    }
}

impl Api {
    async fn route(&self, call: &Call, path: &[&str]) -> Result<Answer, Problem> {
        // The URL of a stream is its own key: some clients send none (replicate-javascript).
        if let (&Method::GET, ["v1", "streams", token]) = (&call.method, path) {
            return self.stream(call, token);
        }
        if let (&Method::GET, ["_sim", "predictions"]) = (&call.method, path) {
            return Ok(json_answer(200, &self.store.counts().json()));
        }
        let key = call.key(&["Bearer", "Token"]);
        if !key.is_some_and(|key| self.shared.options.keys.accept(key)) {
            return Err(Problem::unauthenticated());
        }
        let ["v1", rest @ ..] = path else {
            return Err(Problem::not_found());
        };
        let base = call.base.as_str();
        match (call.method.as_str(), rest) {
            ("GET", ["account"]) => Ok(json_answer(200, &account())),
            ("GET", ["webhooks", "default", "secret"]) => Ok(json_answer(
                200,
                &serde_json::json!({"key": self.webhooks.secret()}),
            )),
            ("GET", ["hardware"]) => Ok(json_answer(200, &hardware())),

            ("POST", ["predictions"]) => self.create_version(call).await,
            ("POST", ["models", owner, name, "predictions"]) => {
                self.create_official(call, owner, name).await
            }
            ("POST", ["deployments", owner, name, "predictions"]) => {
                self.create_deployed(call, owner, name).await
            }
            ("GET", ["predictions"]) => Ok(self.list(call)),
            ("GET", ["predictions", id]) => self.get(call, id, View::Got),
            ("POST", ["predictions", id, "cancel"]) => self.cancel(call, id),

            ("GET", ["models", owner, name]) => {
                Ok(json_answer(200, &self.model(owner, name)?.entry(base)))
            }
            ("GET", ["models", owner, name, "versions"]) => {
                let model = self.model(owner, name)?;
                let versions: Vec<_> = model
                    .versions()
                    .iter()
                    .map(|id| model.version(id))
                    .collect();
                Ok(json_answer(
                    200,
                    &page(call, &path[1..].join("/"), versions),
                ))
            }
            ("GET", ["models", owner, name, "versions", id]) => {
                let model = self.model(owner, name)?;
                if !model.has_version(id) {
                    return Err(Problem::not_found());
                }
                Ok(json_answer(200, &model.version(id)))
            }

            ("GET", ["deployments"]) => {
                let all = self
                    .deployments
                    .all()
                    .iter()
                    .map(|one| one.entry())
                    .collect();
                Ok(json_answer(200, &page(call, "deployments", all)))
            }
            ("POST", ["deployments"]) => {
                let now = self.shared.clock.rfc3339(Instant::now(), 6);
                // 200, not 201.
                Ok(json_answer(
                    200,
                    &self.deployments.create(&call.body, now)?.entry(),
                ))
            }
            ("GET", ["deployments", owner, name]) => {
                let found = self
                    .deployments
                    .find(owner, name)
                    .ok_or_else(Problem::not_found)?;
                Ok(json_answer(200, &found.entry()))
            }
            ("PATCH", ["deployments", owner, name]) => Ok(json_answer(
                200,
                &self.deployments.update(owner, name, &call.body)?.entry(),
            )),
            ("DELETE", ["deployments", owner, name]) => {
                self.deployments
                    .delete(owner, name, self.is_idle(owner, name))?;
                Ok(empty(204))
            }
            _ => Err(Problem::not_found()),
        }
    }

    /// `POST /v1/predictions`: `owner/name` of an official model, `owner/name:id`, or an id.
    async fn create_version(&self, call: &Call) -> Result<Answer, Problem> {
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

    async fn create_official(
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

    async fn create_deployed(
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

    fn get(&self, call: &Call, id: &str, view: View) -> Result<Answer, Problem> {
        let prediction = self.store.find(id).ok_or_else(Problem::not_found)?;
        Ok(json_answer(
            200,
            &prediction.body(view, &self.shared.clock, &call.base),
        ))
    }

    /// Newest first. Nothing was ever made on the web here.
    fn list(&self, call: &Call) -> Answer {
        let clock = &self.shared.clock;
        let entry = |one: &Arc<Prediction>| one.body(View::InList, clock, &call.base);
        let web = call.query("source").as_deref() == Some("web");
        let all = if web { Vec::new() } else { self.store.all() };
        json_answer(
            200,
            &page(call, "predictions", all.iter().rev().map(entry).collect()),
        )
    }

    fn cancel(&self, call: &Call, id: &str) -> Result<Answer, Problem> {
        let prediction = self.store.find(id).ok_or_else(Problem::not_found)?;
        let running = !prediction.now().status.is_terminal();
        prediction.request_cancel();
        self.shared.changed();
        self.get(call, id, if running { View::Cancelled } else { View::Got })
    }

    fn stream(&self, call: &Call, token: &str) -> Result<Answer, Problem> {
        let prediction = self
            .store
            .find_stream(token)
            .ok_or_else(Problem::not_found)?;
        let events = stream::events(
            prediction,
            &self.shared.clock,
            call.header("last-event-id"),
            self.shared.options.timing.stream_idle,
        );
        let mut answer = http::stream("text/event-stream", events);
        set(&mut answer, "cache-control", "no-store");
        Ok(answer)
    }

    fn model(&self, owner: &str, name: &str) -> Result<Model, Problem> {
        let model = Model::find(owner, name).ok_or_else(Problem::not_found)?;
        self.versions.note(&model, &model.latest());
        Ok(model)
    }

    fn is_idle(&self, owner: &str, name: &str) -> bool {
        let deployment = format!("{owner}/{name}");
        let now = Instant::now();
        self.store.all().iter().all(|prediction| {
            let used = prediction
                .deployment
                .as_ref()
                .is_some_and(|one| one.eq_ignore_ascii_case(&deployment));
            let ended = prediction.now().completed;
            !used || ended.is_some_and(|ended| now.duration_since(ended) >= UNUSED)
        })
    }

    fn ids(&self) -> Ids {
        let number = self.created.fetch_add(1, Ordering::Relaxed);
        Ids {
            id: Rng(number).word(BASE32, 26),
            // The one thing that must not be guessed.
            stream_token: (0_u8..4)
                .map(|part| Rng(unguessable((number, part))).word(BASE32, 13))
                .collect(),
        }
    }
}

fn json_answer(status: u16, body: &Value) -> Answer {
    full(status, "application/json", body.to_string())
}

const UNUSED: Duration = Duration::from_secs(15 * 60);
