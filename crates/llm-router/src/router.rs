use std::collections::BTreeMap;
use std::future::ready;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use llm_provider::text::excerpt;
use llm_provider::{
    Call, Capabilities, Capability, Error, ErrorKind, MAX_MODEL_NAME, Provider, Reply, ReplyStream,
    Result, nearest_names,
};
use llm_types::{Model, ModelList};

use crate::Deployment;
use crate::attempts::Attempts;
use crate::failover::Failover;
use crate::group::Group;

/// The maximum number of retries per call; higher values are reduced to it.
pub const MAX_RETRIES: usize = 100;

/// Model groups and the deployments behind them.
///
/// It holds no locks and is cheap to share by reference. The cost of a call grows with the
/// logarithm of the number of deployments.
#[derive(Debug)]
pub struct Router {
    groups: BTreeMap<String, Group>,
    retries: usize,
}

impl Router {
    /// Creates a router over `deployments`; those with the same group serve it together.
    ///
    /// The capabilities of each provider are read once, here.
    pub fn new(deployments: impl IntoIterator<Item = Deployment>) -> Self {
        let mut groups: BTreeMap<String, Vec<Arc<Deployment>>> = BTreeMap::new();
        for deployment in deployments {
            groups
                .entry(deployment.group.clone())
                .or_default()
                .push(Arc::new(deployment));
        }
        let groups = groups
            .into_iter()
            .map(|(name, deployments)| (name, Group::new(deployments)));
        Self {
            groups: groups.collect(),
            retries: 1,
        }
    }

    /// Sets how many other deployments are tried after a failure: 1 by default, at most
    /// [`MAX_RETRIES`], and never more than the group has.
    #[must_use]
    pub fn with_retries(mut self, retries: usize) -> Self {
        self.retries = retries.min(MAX_RETRIES);
        self
    }

    /// The public model names, sorted.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    fn attempts(&self, call: &Call) -> Result<Attempts> {
        let (group, capability) = (&*call.model(), call.endpoint.capability());
        let deployments = self.groups.get(group).ok_or_else(|| self.unknown(group))?;
        let pool = deployments.pool(capability);
        let pool = pool.ok_or_else(|| unable(group, deployments, capability))?;
        Ok(Attempts::new(Arc::clone(pool), self.retries))
    }

    fn unknown(&self, group: &str) -> Error {
        let count = self.groups.len();
        let nearest = nearest_names(group, self.groups(), NEAREST);
        let names: Vec<_> = nearest.into_iter().map(excerpt).collect();
        let names = names.join(", ");
        let hint = match count {
            _ if group.len() > MAX_MODEL_NAME => {
                format!("a model name has at most {MAX_MODEL_NAME} bytes")
            }
            0 => "there are none".to_owned(),
            _ if names.is_empty() => format!("there are {count} others"),
            _ if count <= NEAREST => format!("known: {names}"),
            _ => format!("nearest of {count}: {names}"),
        };
        let group = excerpt(group);
        Error::new(
            ErrorKind::NotFound,
            format!("the model \"{group}\" does not exist; {hint}"),
        )
        .with_code("model_not_found".to_owned())
        .with_param("model".to_owned())
    }
}

/// The model of a call is the name of a model group.
///
/// An unknown group is [`ErrorKind::NotFound`] with the code `model_not_found`. A group without a
/// deployment that supports the endpoint is [`ErrorKind::Unsupported`]. Otherwise the error of a
/// call is that of the last deployment tried.
impl Provider for Router {
    fn name(&self) -> &'static str {
        "router"
    }

    fn capabilities(&self) -> Capabilities {
        let groups = self.groups.values().map(Group::capabilities);
        let all = groups.fold(Capabilities::default(), Capabilities::or);
        all.or(Capabilities::new([Capability::Models]))
    }

    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply>> {
        Box::pin(async move {
            let mut attempts = self.attempts(&call)?;
            loop {
                let (deployment, attempt) = attempts.next()?;
                match deployment.provider.send(deployment.adapt(&call)).await {
                    Ok(mut reply) => {
                        reply.metadata.deployment = Some(deployment.id.clone());
                        reply.metadata.attempts = attempt;
                        return Ok(reply);
                    }
                    Err(error) => attempts.failed(&deployment.id, error)?,
                }
            }
        })
    }

    /// Another deployment can take over until the first output has been passed on, or until more
    /// chunks precede it than are held back ([`MAX_HELD_CHUNKS`], [`MAX_HELD_BYTES`]). The future
    /// ends with the first event of the deployment that serves the call; a later failure is the
    /// stream's last item.
    ///
    /// [`MAX_HELD_CHUNKS`]: crate::MAX_HELD_CHUNKS
    /// [`MAX_HELD_BYTES`]: crate::MAX_HELD_BYTES
    fn stream(&self, call: Call) -> BoxFuture<'_, Result<ReplyStream>> {
        Box::pin(async move {
            let attempts = self.attempts(&call)?;
            Failover::new(attempts, call).start().await
        })
    }

    fn models(&self) -> BoxFuture<'_, Result<ModelList>> {
        let models = self
            .groups()
            .map(|group| Model::new(group, 0_u64, "polyllm"));
        let list = ModelList::new(models.collect());
        Box::pin(ready(Ok(list)))
    }
}

/// The error of a group without a deployment that supports `capability`.
fn unable(group: &str, deployments: &Group, capability: Capability) -> Error {
    let able = deployments.capabilities();
    // Listing models is not a capability of a model.
    let able = Capabilities::new(able.iter().filter(|able| *able != Capability::Models));
    let group = excerpt(group);
    Error::new(
        ErrorKind::Unsupported,
        format!("the model \"{group}\" does not support {capability}; it supports {able}"),
    )
    .with_param("model".to_owned())
}

/// The maximum number of names in an error.
const NEAREST: usize = 5;
