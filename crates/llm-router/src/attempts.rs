use std::sync::Arc;

use llm_provider::{Error, ErrorKind, Result};

use crate::Deployment;
use crate::group::Pool;

/// The deployments to try for one call; each is chosen when it is needed.
#[derive(Debug)]
pub(crate) struct Attempts {
    pool: Arc<Pool>,
    /// The indices of the deployments tried, in ascending order.
    tried: Vec<usize>,
    /// The number of attempts left.
    left: usize,
    error: Option<Error>,
}

impl Attempts {
    /// Creates a first attempt and up to `retries` others, each at another deployment of `pool`.
    pub(crate) fn new(pool: Arc<Pool>, retries: usize) -> Self {
        Self {
            left: retries.saturating_add(1).min(pool.len()),
            pool,
            tried: Vec::new(),
            error: None,
        }
    }

    /// The next deployment and the number of the attempt, or the error of the last one.
    pub(crate) fn next(&mut self) -> Result<(Arc<Deployment>, u32)> {
        if let Some(left) = self.left.checked_sub(1)
            && let Some(place) = self
                .pool
                .draw(&mut self.tried, |total| fastrand::u64(..total))
            && let Some(deployment) = self.pool.get(place)
        {
            self.left = left;
            let attempt = u32::try_from(self.tried.len()).unwrap_or(u32::MAX);
            return Ok((Arc::clone(deployment), attempt));
        }
        Err(self.error.take().unwrap_or_else(|| {
            Error::new(ErrorKind::NotFound, "the model group has no deployments")
        }))
    }

    /// Records a failure of the deployment `id`; returns the error if no other deployment can
    /// succeed.
    pub(crate) fn failed(&mut self, id: &str, error: Error) -> Result<()> {
        if !error.is_retryable_elsewhere() {
            return Err(error);
        }
        // The last failure is returned to the caller, who reports it.
        if self.left > 0 {
            tracing::warn!(deployment = id, %error, "deployment failed; trying another");
        }
        self.error = Some(error);
        Ok(())
    }
}
