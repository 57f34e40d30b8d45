//! The routes of the simulated Replicate.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use hyper::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::http::{Answer, Call, empty, full};
use crate::replicate::deployments::{Deployment, Deployments, account, hardware};
use crate::replicate::files::Files;
use crate::replicate::limits::Limits;
use crate::replicate::pages::page;
use crate::replicate::prediction::View;
use crate::replicate::problem::Problem;
use crate::replicate::store::Store;
use crate::replicate::versions::Versions;
use crate::replicate::webhook::{SeenWebhook, Webhooks};
use crate::upstream::{Shared, Upstream};

#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) shared: Shared,
    pub(crate) store: Store,
    pub(crate) deployments: Deployments,
    pub(crate) versions: Versions,
    pub(crate) files: Files,
    pub(crate) limits: Limits,
    pub(crate) webhooks: Arc<Webhooks>,
    pub(crate) created: AtomicU64,
    /// The host of event streams, if it is separate.
    pub(crate) stream_host: OnceLock<String>,
}

impl Upstream for Api {
    fn shared(&self) -> &Shared {
        &self.shared
    }

    async fn answer(&self, call: Call) -> Answer {
        let path = call.path();
        // The URL of a stream is its own key: some clients send no other (replicate-javascript).
        if let (&Method::GET, ["v1", "streams", token]) = (&call.method, path.as_slice()) {
            return self
                .stream(&call, token)
                .unwrap_or_else(Problem::into_answer);
        }
        let key = call.key(&["Bearer", "Token"]);
        let Some(key) = key.filter(|key| self.shared.options.keys.accept(key)) else {
            return Problem::unauthenticated().into_answer();
        };
        let clock = &self.shared.clock;
        let allowance = match self.limits.charge(key, &call.method, &path, clock) {
            Ok(allowance) => allowance,
            Err(problem) => return problem.into_answer(),
        };
        let answer = self.route(&call, &path).await;
        let mut answer = answer.unwrap_or_else(Problem::into_answer);
        if !answer.headers().contains_key("ratelimit-remaining") {
            allowance.set_headers(&mut answer);
        }
        answer
    }

    fn state(&self, path: &[&str]) -> Option<Value> {
        match path {
            ["predictions"] => Some(self.store.counts().json()),
            ["webhooks"] => Some(self.webhooks.seen().iter().map(SeenWebhook::json).collect()),
            _ => None,
        }
    }

    fn error(&self, status: u16, message: Option<&str>) -> Answer {
        match (status, message) {
            (429, None) => self.limits.throttled(&self.shared.clock),
            _ => Problem::of_status(status, message),
        }
        .into_answer()
    }
}

impl Api {
    async fn route(&self, call: &Call, path: &[&str]) -> Result<Answer, Problem> {
        let ["v1", rest @ ..] = path else {
            return Err(Problem::not_found());
        };
        match (call.method.as_str(), rest) {
            ("GET", ["account"]) => Ok(json_answer(200, &account())),
            ("GET", ["hardware"]) => Ok(json_answer(200, &hardware())),
            ("GET", ["webhooks", "default", "secret"]) => {
                Ok(json_answer(200, &json!({"key": self.webhooks.secret()})))
            }

            ("POST", ["predictions"]) => self.create_version(call).await,
            ("POST", ["models", owner, name, "predictions"]) => {
                self.create_official(call, owner, name).await
            }
            ("POST", ["deployments", owner, name, "predictions"]) => {
                self.create_deployed(call, owner, name).await
            }
            ("GET", ["predictions"]) => self.list(call),
            ("GET", ["predictions", id]) => self.get(call, id, View::Got),
            ("POST", ["predictions", id, "cancel"]) => self.cancel(call, id),

            ("GET", ["models"]) => self.list_models(call),
            ("QUERY", ["models"]) => self.search_models(call),
            ("GET", ["models", owner, name]) => self.get_model(call, owner, name),
            ("GET", ["models", owner, name, "readme"]) => self.readme(owner, name),
            ("GET", ["models", owner, name, "examples"]) => self.examples(call, owner, name),
            ("GET", ["models", owner, name, "versions"]) => self.list_versions(call, owner, name),
            ("GET", ["models", owner, name, "versions", id]) => self.get_version(owner, name, id),
            ("GET", ["collections"]) => self.list_collections(call),
            ("GET", ["collections", slug]) => self.get_collection(call, slug),
            ("GET", ["search"]) => self.search(call),

            ("POST", ["files"]) => {
                let file = self.files.create(call)?;
                Ok(json_answer(
                    201,
                    &file.entry(&self.shared.clock, &call.base),
                ))
            }
            ("GET", ["files"]) => self.list_files(call),
            ("GET", ["files", id]) => {
                let file = self.files.find(id)?;
                Ok(json_answer(
                    200,
                    &file.entry(&self.shared.clock, &call.base),
                ))
            }
            ("DELETE", ["files", id]) => self.files.delete(id).map(|()| empty(204)),

            ("GET", ["deployments"]) => self.list_deployments(call),
            // 200, not 201.
            ("POST", ["deployments"]) => Ok(json_answer(
                200,
                &self.deployments.create(&call.body, self.now())?.entry(),
            )),
            ("GET", ["deployments", owner, name]) => {
                let found = self.deployments.find(owner, name);
                Ok(json_answer(
                    200,
                    &found.ok_or_else(Problem::not_found)?.entry(),
                ))
            }
            ("PATCH", ["deployments", owner, name]) => {
                let updated = self
                    .deployments
                    .update(owner, name, &call.body, self.now())?;
                Ok(json_answer(200, &updated.entry()))
            }
            ("DELETE", ["deployments", owner, name]) => {
                let idle = self.is_idle(owner, name);
                self.deployments.delete(owner, name, idle)?;
                Ok(empty(204))
            }
            _ => Err(Problem::not_found()),
        }
    }

    fn list_files(&self, call: &Call) -> Result<Answer, Problem> {
        let clock = &self.shared.clock;
        page(
            call,
            &self.files.all(),
            |file| file.id.clone(),
            |file| file.entry(clock, &call.base),
        )
    }

    fn list_deployments(&self, call: &Call) -> Result<Answer, Problem> {
        let all = self.deployments.all();
        page(call, &all, Deployment::full_name, Deployment::entry)
    }

    fn now(&self) -> String {
        self.shared.clock.rfc3339(Instant::now(), 6)
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
}

pub(crate) fn json_answer(status: u16, body: &Value) -> Answer {
    full(status, "application/json", body.to_string())
}

const UNUSED: Duration = Duration::from_secs(15 * 60);
