use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;

use llm_provider::{
    Call, Capabilities, Capability, Error, ErrorKind, Operation, Reply, ReplyStream, Result,
    StreamingOperation,
};

use crate::Deployment;
use crate::failover::Failover;

/// Model groups and the deployments behind them.
///
/// Cheap to share by reference; it holds no locks.
#[derive(Debug)]
pub struct Router {
    groups: BTreeMap<String, Vec<Arc<Deployment>>>,
    retries: usize,
}

impl Router {
    /// A router over `deployments`; those of the same group serve it together.
    pub fn new(deployments: impl IntoIterator<Item = Deployment>) -> Self {
        let mut groups: BTreeMap<String, Vec<Arc<Deployment>>> = BTreeMap::new();
        for deployment in deployments {
            groups
                .entry(deployment.group.clone())
                .or_default()
                .push(Arc::new(deployment));
        }
        Self { groups, retries: 1 }
    }

    /// Sets how many other deployments are tried after one has failed.
    #[must_use]
    pub fn with_retries(mut self, retries: usize) -> Self {
        self.retries = retries;
        self
    }

    /// The public names, in alphabetical order.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.groups.keys().map(String::as_str)
    }

    /// Answers a request in one piece.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] with the code `model_not_found` for an unknown group,
    /// [`ErrorKind::Unsupported`] when none of its deployments has the operation; otherwise the
    /// error of the last deployment tried.
    pub async fn send<R: Operation>(
        &self,
        group: &str,
        call: Call<R>,
    ) -> Result<Reply<R::Response>> {
        let mut attempts = self.attempts(group, R::CAPABILITY)?;
        loop {
            let (deployment, attempt) = attempts.next()?;
            match R::send(&*deployment.provider, deployment.adapt(&call)?).await {
                Ok(mut reply) => {
                    reply.metadata.deployment = Some(deployment.id.clone());
                    reply.metadata.attempts = attempt;
                    return Ok(reply);
                }
                Err(error) => attempts.failed(&deployment.id, error)?,
            }
        }
    }

    /// Answers a request in chunks.
    ///
    /// Another deployment takes over until the first content has been passed on; the future
    /// ends with the first sign of life of the deployment that answers.
    ///
    /// # Errors
    /// Those of [`send`](Self::send); what fails after content is the stream's last item.
    pub async fn stream<R: StreamingOperation>(
        &self,
        group: &str,
        call: Call<R>,
    ) -> Result<ReplyStream<R::Chunk>> {
        let attempts = self.attempts(group, R::CAPABILITY)?;
        Failover::new(attempts, call).start().await
    }

    fn attempts(&self, group: &str, capability: Capability) -> Result<Attempts> {
        let deployments = self.groups.get(group).ok_or_else(|| self.unknown(group))?;
        let able =
            |deployment: &&Arc<Deployment>| deployment.provider.capabilities().has(capability);
        let mut left = shuffled(deployments.iter().filter(able));
        if left.is_empty() {
            return Err(unable(group, deployments, capability));
        }
        left.truncate(self.retries + 1);
        Ok(Attempts {
            left,
            made: 0,
            error: None,
        })
    }

    fn unknown(&self, group: &str) -> Error {
        let mut names: Vec<(usize, &str)> = self
            .groups()
            .map(|name| {
                (
                    strsim::damerau_levenshtein(&name.to_lowercase(), &group.to_lowercase()),
                    name,
                )
            })
            .collect();
        names.sort_unstable();
        let nearest: Vec<&str> = names.iter().take(NEAREST).map(|(_, name)| *name).collect();
        let hint = match names.len() {
            0 => "there are none".to_owned(),
            known if known <= NEAREST => format!("known: {}", nearest.join(", ")),
            known => format!("nearest of {known}: {}", nearest.join(", ")),
        };
        Error::new(
            ErrorKind::NotFound,
            format!("the model \"{group}\" does not exist; {hint}"),
        )
        .with_code("model_not_found".to_owned())
        .with_param("model".to_owned())
    }
}

/// The deployments to try for one call, in order.
#[derive(Debug)]
pub(crate) struct Attempts {
    left: VecDeque<Arc<Deployment>>,
    made: u32,
    error: Option<Error>,
}

impl Attempts {
    /// The next deployment and the number of the attempt, or the error of the last one.
    pub(crate) fn next(&mut self) -> Result<(Arc<Deployment>, u32)> {
        if let Some(deployment) = self.left.pop_front() {
            self.made += 1;
            return Ok((deployment, self.made));
        }
        Err(self.error.take().unwrap_or_else(|| {
            Error::new(ErrorKind::NotFound, "the model group has no deployments")
        }))
    }

    /// Takes note of a failure of the deployment `id`; returns it when no other can do better.
    pub(crate) fn failed(&mut self, id: &str, error: Error) -> Result<()> {
        if !error.is_retryable_elsewhere() {
            return Err(error);
        }
        // The last failure is the caller's, who will tell of it.
        if !self.left.is_empty() {
            tracing::warn!(deployment = id, %error, "a deployment failed, another one is asked");
        }
        self.error = Some(error);
        Ok(())
    }
}

/// The error of a group none of whose deployments can do what is asked.
fn unable(group: &str, deployments: &[Arc<Deployment>], capability: Capability) -> Error {
    let able = deployments
        .iter()
        .flat_map(|deployment| deployment.provider.capabilities().iter());
    // A list of models is nothing that a model has.
    let able = Capabilities::new(able.filter(|able| *able != Capability::Models));
    Error::new(
        ErrorKind::Unsupported,
        format!("the model \"{group}\" has no {capability}; it has {able}"),
    )
    .with_param("model".to_owned())
}

/// All deployments, each next one drawn by weight from those left; those of weight 0 come last.
fn shuffled<'d>(
    deployments: impl Iterator<Item = &'d Arc<Deployment>>,
) -> VecDeque<Arc<Deployment>> {
    let mut left: Vec<&Arc<Deployment>> = deployments.collect();
    let mut order = VecDeque::with_capacity(left.len());
    while !left.is_empty() {
        let total: u64 = left
            .iter()
            .map(|deployment| u64::from(deployment.weight))
            .sum();
        let mut ticket = if total == 0 {
            0
        } else {
            fastrand::u64(..total)
        };
        let drawn = left
            .iter()
            .position(|deployment| {
                let weight = u64::from(deployment.weight);
                let hit = ticket < weight;
                ticket = ticket.saturating_sub(weight);
                hit
            })
            .unwrap_or(0);
        order.push_back(Arc::clone(left.remove(drawn)));
    }
    order
}

const NEAREST: usize = 5;
