//! What is known about the models that were asked for, each looked up once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use llm_http::with_limit;
use llm_provider::{ErrorKind, Result};
use replicate_api::{ReplicateClient, Schema, Target, Version};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::NAME;

/// The models that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Models(Mutex<HashMap<Target, (Instant, Cell)>>);

type Cell = Arc<OnceCell<Arc<Known>>>;

/// What is known about one.
#[derive(Debug)]
pub(crate) struct Known {
    /// `owner/name` of the model, as far as it is known: a deployment has another name.
    pub(crate) model: String,
    /// The input that it takes.
    pub(crate) schema: Schema,
    /// The newest version.
    latest: Option<Target>,
    /// Whether it is known that it cannot be run without naming a version.
    needs_version: AtomicBool,
    /// How long to believe all that.
    life: Duration,
}

impl Models {
    /// What is known about `target`. Callers that ask at the same time share one look-up.
    ///
    /// A look-up that fails fails no call: what the model takes is guessed from its name then,
    /// and whether it exists is for the prediction's own call to tell.
    pub(crate) async fn find(&self, client: &ReplicateClient, target: &Target) -> Arc<Known> {
        let cell = self.cell(target);
        let known = cell.get_or_init(|| async {
            let guess = |life| Known::new(target, &Version::default(), life);
            Arc::new(
                match with_limit(Some(LOOK_UP), look_up(client, target)).await {
                    Some(Ok(found)) => found.unwrap_or_else(|| guess(LIFE)),
                    Some(Err(error)) if error.kind() == ErrorKind::NotFound => guess(LIFE),
                    _ => guess(SHORT_LIFE),
                },
            )
        });
        Arc::clone(known.await)
    }

    fn cell(&self, target: &Target) -> Cell {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, cell)) = cells.get(target)
            && cell.get().is_none_or(|known| since.elapsed() < known.life)
        {
            return Arc::clone(cell);
        }
        if cells.len() >= MAX_MODELS {
            // Names come from clients: they must not fill the memory.
            cells.clear();
        }
        let cell = Cell::default();
        cells.insert(target.clone(), (Instant::now(), Arc::clone(&cell)));
        cell
    }
}

impl Known {
    /// What a version, as Replicate describes it, tells about `target`.
    fn new(target: &Target, version: &Version, life: Duration) -> Self {
        let model = target.model_name();
        Self {
            schema: Schema::from_openapi(&version.openapi_schema)
                .unwrap_or_else(|| Schema::guess(&model)),
            model,
            latest: target.at_version(&version.id).ok(),
            needs_version: AtomicBool::new(false),
            life,
        }
    }

    /// What to run when `target` is asked for.
    pub(crate) fn resolve(&self, target: &Target) -> Target {
        match (target, &self.latest) {
            (Target::Model { .. }, Some(latest)) if self.needs_version.load(Ordering::Relaxed) => {
                latest.clone()
            }
            _ => target.clone(),
        }
    }

    /// Takes note that the endpoint of official models knows nothing of this one; `false` when
    /// there is no other way.
    pub(crate) fn use_version(&self) -> bool {
        self.latest.is_some() && !self.needs_version.swap(true, Ordering::Relaxed)
    }
}

/// `None` when there is nothing to ask for: an id alone does not tell whose version it is.
async fn look_up(client: &ReplicateClient, target: &Target) -> Result<Option<Known>> {
    match target {
        Target::Deployment { .. } => {
            let found = client.deployment(&target.model_name()).await?;
            let release = found.current_release;
            match Target::parse(&release.model).and_then(|model| model.at_version(&release.version))
            {
                Ok(version) => Box::pin(look_up(client, &version)).await,
                Err(_) => Ok(None),
            }
        }
        Target::Model { .. } => {
            let found = client.model(&target.model_name()).await?;
            let version = found.latest_version.unwrap_or_default();
            let mut known = Known::new(target, &version, LIFE);
            known.needs_version = AtomicBool::new(found.is_official == Some(false));
            Ok(Some(known))
        }
        Target::Version {
            owner,
            name: Some(name),
            id,
            ..
        } => {
            // `replicate/vicuna-13b:…` is found here without its first part, which is the name of
            // this provider, and of the owner as well.
            let owner = owner.as_deref().unwrap_or(NAME);
            let version = client.version(&format!("{owner}/{name}"), id).await?;
            Ok(Some(Known::new(target, &version, LIFE)))
        }
        _ => Ok(None),
    }
}

const LOOK_UP: Duration = Duration::from_secs(10);
// A model gets a new version now and then, a deployment a new release.
const LIFE: Duration = Duration::from_secs(3600);
const SHORT_LIFE: Duration = Duration::from_secs(60);
const MAX_MODELS: usize = 1024;
