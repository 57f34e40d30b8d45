//! What is known about the models that were asked for, each looked up once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use llm_provider::{ErrorKind, Result, with_limit};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::NAME;
use crate::client::Client;
use crate::schema::Schema;
use crate::target::Target;
use crate::wire::{Deployment, Model, Version};

/// The models that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Models(Mutex<HashMap<Target, Entry>>);

#[derive(Clone, Debug)]
struct Entry {
    since: Instant,
    model: Arc<OnceCell<Arc<Known>>>,
}

/// What is known about one.
#[derive(Debug)]
pub(crate) struct Known {
    /// `owner/name` of the model, as far as it is known: a deployment has another name.
    pub(crate) model: String,
    /// The input that it takes.
    pub(crate) schema: Schema,
    /// The newest version.
    pub(crate) version: Option<String>,
    /// Whether `/v1/models/…/predictions` is known to refuse it.
    needs_version: AtomicBool,
    is_guess: bool,
}

impl Models {
    /// What is known about `target`. Callers that ask at the same time share one look-up.
    ///
    /// A look-up that fails fails no call: what the model takes is guessed from its name then,
    /// and whether it exists is for the prediction's own call to tell.
    pub(crate) async fn find(&self, client: &Client, target: &Target) -> Arc<Known> {
        let model = self.entry(target);
        let known = model.get_or_init(|| async {
            let found = with_limit(Some(LOOK_UP), look_up(client, target)).await;
            Arc::new(match found {
                Some(Ok(Some(known))) => known,
                // What is not there, or nobody can tell, is not asked for again soon.
                Some(Ok(None)) => Known {
                    is_guess: false,
                    ..Known::guess(target)
                },
                Some(Err(error)) if error.kind() == ErrorKind::NotFound => Known {
                    is_guess: false,
                    ..Known::guess(target)
                },
                _ => Known::guess(target),
            })
        });
        Arc::clone(known.await)
    }

    fn entry(&self, target: &Target) -> Arc<OnceCell<Arc<Known>>> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.get(target).filter(|entry| entry.is_fresh()) {
            return Arc::clone(&entry.model);
        }
        if entries.len() >= MAX_ENTRIES {
            // Names come from clients: they must not fill the memory.
            entries.clear();
        }
        let entry = Entry {
            since: Instant::now(),
            model: Arc::default(),
        };
        entries.insert(target.clone(), entry.clone());
        entry.model
    }
}

impl Entry {
    fn is_fresh(&self) -> bool {
        match self.model.get() {
            Some(known) if known.is_guess => self.since.elapsed() < GUESS_LIFE,
            Some(_) => self.since.elapsed() < LIFE,
            None => true,
        }
    }
}

impl Known {
    /// The endpoint for a prediction of `target`, and the version that its body has to name.
    pub(crate) fn endpoint(&self, target: &Target) -> (String, Option<String>) {
        match target {
            Target::Deployment { owner, name } => {
                (format!("/v1/deployments/{owner}/{name}/predictions"), None)
            }
            Target::Model { owner, name } => match &self.version {
                Some(id) if self.needs_version.load(Ordering::Relaxed) => {
                    (PREDICTIONS.to_owned(), Some(id.clone()))
                }
                _ => (format!("/v1/models/{owner}/{name}/predictions"), None),
            },
            Target::Version { id, .. } => (PREDICTIONS.to_owned(), Some(id.clone())),
        }
    }

    /// Takes note that the endpoint of official models knows nothing of this one; `false` when
    /// there is no other way.
    pub(crate) fn use_version(&self) -> bool {
        self.version.is_some() && !self.needs_version.swap(true, Ordering::Relaxed)
    }

    fn guess(target: &Target) -> Self {
        let model = target.model_name();
        Self {
            schema: Schema::guess(&model),
            model,
            version: None,
            needs_version: AtomicBool::new(false),
            is_guess: true,
        }
    }

    fn from_version(model: String, version: &Version) -> Self {
        let schema = Schema::from_openapi(&version.openapi_schema);
        Self {
            schema: schema.unwrap_or_else(|| Schema::guess(&model)),
            model,
            version: version.id.clone(),
            needs_version: AtomicBool::new(false),
            is_guess: false,
        }
    }
}

/// `None` when there is nothing to ask for: an id alone does not tell whose version it is.
async fn look_up(client: &Client, target: &Target) -> Result<Option<Known>> {
    Ok(match target {
        Target::Deployment { owner, name } => {
            let path = format!("/v1/deployments/{owner}/{name}");
            let deployment: Deployment = client.get(&path).await?;
            let Some(release) = deployment.current_release else {
                return Ok(None);
            };
            let id = release
                .version
                .map(|id| format!(":{id}"))
                .unwrap_or_default();
            match Target::parse(&format!("{}{id}", release.model))? {
                Target::Deployment { .. } => None,
                target => Box::pin(look_up(client, &target)).await?,
            }
        }
        Target::Model { owner, name } => {
            let model: Model = client.get(&format!("/v1/models/{owner}/{name}")).await?;
            let mut known = match &model.latest_version {
                Some(version) => Known::from_version(target.model_name(), version),
                None => Known {
                    is_guess: false,
                    ..Known::guess(target)
                },
            };
            known.needs_version = AtomicBool::new(model.is_official == Some(false));
            Some(known)
        }
        Target::Version {
            owner,
            name: Some(name),
            id,
        } => {
            // `replicate/vicuna-13b:…` is found here without its first part, which is the name of
            // this provider, and of the owner as well.
            let owner = owner.as_deref().unwrap_or(NAME);
            let path = format!("/v1/models/{owner}/{name}/versions/{id}");
            let version: Version = client.get(&path).await?;
            Some(Known::from_version(target.model_name(), &version))
        }
        Target::Version { name: None, .. } => None,
    })
}

const PREDICTIONS: &str = "/v1/predictions";
const LOOK_UP: Duration = Duration::from_secs(10);
// A model gets a new version now and then, a deployment a new release.
const LIFE: Duration = Duration::from_secs(3600);
const GUESS_LIFE: Duration = Duration::from_secs(60);
const MAX_ENTRIES: usize = 1024;
