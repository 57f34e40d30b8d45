//! A cache of what is known about models: their input schema and newest version.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use llm_http::with_limit;
use llm_provider::{ErrorKind, Result};
use replicate_api::{ReplicateClient, Schema, Target, Version};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use crate::NAME;

/// The models that were looked up.
#[derive(Debug, Default)]
pub(crate) struct Models(Mutex<HashMap<Target, (Instant, Cell)>>);

type Cell = Arc<OnceCell<Arc<ModelInfo>>>;

/// The facts about one model.
#[derive(Debug)]
pub(crate) struct ModelInfo {
    /// The model's `owner/name`, which differs from the name of a deployment; only the name or the id
    /// if no more is known.
    pub(crate) model: String,
    /// The input schema.
    pub(crate) schema: Schema,
    /// The text between the items of an output.
    pub(crate) separator: &'static str,
    /// The newest version.
    latest: Option<Target>,
    /// Whether the model is known to require a version.
    needs_version: AtomicBool,
    /// How long these facts are valid.
    ttl: Duration,
}

impl Models {
    /// The facts about `target`. Concurrent callers share one look-up.
    ///
    /// A failed look-up is not an error: the schema is guessed from the model's name, and creating the
    /// prediction fails if the model does not exist.
    pub(crate) async fn find(&self, client: &ReplicateClient, target: &Target) -> Arc<ModelInfo> {
        let cell = self.cell(target);
        let info = cell.get_or_init(|| async {
            let guess = |ttl| ModelInfo::new(target, &Version::default(), ttl);
            Arc::new(
                match with_limit(Some(LOOK_UP_TIMEOUT), look_up_twice(client, target)).await {
                    Some(Ok(found)) => found.unwrap_or_else(|| guess(TTL)),
                    Some(Err(error)) if error.kind() == ErrorKind::NotFound => guess(TTL),
                    _ => guess(FAILURE_TTL),
                },
            )
        });
        Arc::clone(info.await)
    }

    /// Forgets `info` if the look-up failed for another reason than that the model does not exist; `false`
    /// if it did not.
    pub(crate) fn forget_failure(&self, target: &Target, info: &Arc<ModelInfo>) -> bool {
        if info.ttl != FAILURE_TTL {
            return false;
        }
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |cell: &Cell| cell.get().is_some_and(|known| Arc::ptr_eq(known, info));
        if cells.get(target).is_some_and(|(_, cell)| is_same(cell)) {
            cells.remove(target);
        }
        true
    }

    fn cell(&self, target: &Target) -> Cell {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, cell)) = cells.get(target)
            && cell.get().is_none_or(|info| since.elapsed() < info.ttl)
        {
            return Arc::clone(cell);
        }
        if cells.len() >= MAX_MODELS {
            // Names come from clients, so the cache must be bounded.
            cells.clear();
        }
        let cell = Cell::default();
        cells.insert(target.clone(), (Instant::now(), Arc::clone(&cell)));
        cell
    }
}

impl ModelInfo {
    /// The facts about `target` from a version's description.
    fn new(target: &Target, version: &Version, ttl: Duration) -> Self {
        let model = target.model_name();
        Self {
            schema: Schema::from_openapi(&version.openapi_schema)
                .unwrap_or_else(|| Schema::guess(&model)),
            model,
            // A language model writes pieces of one text, others write files.
            separator: if version.has_separate_outputs() {
                "\n"
            } else {
                ""
            },
            latest: target.at_version(&version.id).ok(),
            needs_version: AtomicBool::new(false),
            ttl,
        }
    }

    /// The target to run for `target`: the newest version if a version is required.
    pub(crate) fn resolve(&self, target: &Target) -> Target {
        match (target, &self.latest) {
            (Target::Model { .. }, Some(latest)) if self.needs_version.load(Ordering::Relaxed) => {
                latest.clone()
            }
            _ => target.clone(),
        }
    }

    /// Records that the model requires a version, since Replicate does not know `tried`. Returns `false`
    /// if that was the newest version, or if no version is known.
    pub(crate) fn use_version_after(&self, tried: &Target) -> bool {
        let has_other = self.latest.as_ref().is_some_and(|latest| latest != tried);
        let has_other = has_other && matches!(tried, Target::Model { .. });
        if has_other {
            self.needs_version.store(true, Ordering::Relaxed);
        }
        has_other
    }
}

/// Looks a model up, again after a failure that may pass.
async fn look_up_twice(client: &ReplicateClient, target: &Target) -> Result<Option<ModelInfo>> {
    match look_up(client, target).await {
        Err(error) if error.kind() != ErrorKind::NotFound && error.is_retryable() => {
            sleep(LOOK_UP_PAUSE).await;
            look_up(client, target).await
        }
        found => found,
    }
}

/// Looks a model up. `None` for a version id alone, which cannot be looked up without the model.
async fn look_up(client: &ReplicateClient, target: &Target) -> Result<Option<ModelInfo>> {
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
            let mut info = ModelInfo::new(target, &version, TTL);
            info.needs_version = AtomicBool::new(found.is_official == Some(false));
            Ok(Some(info))
        }
        Target::Version {
            owner,
            name: Some(name),
            id,
            ..
        } => {
            // The owner of `replicate/vicuna-13b:…` is `replicate`, which was removed as the prefix of
            // this provider.
            let owner = owner.as_deref().unwrap_or(NAME);
            let version = client.version(&format!("{owner}/{name}"), id).await?;
            Ok(Some(ModelInfo::new(target, &version, TTL)))
        }
        _ => Ok(None),
    }
}

const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(10);
const LOOK_UP_PAUSE: Duration = Duration::from_millis(200);
// Models get new versions, and deployments new releases.
const TTL: Duration = Duration::from_secs(3600);
const FAILURE_TTL: Duration = Duration::from_secs(60);
const MAX_MODELS: usize = 1024;
