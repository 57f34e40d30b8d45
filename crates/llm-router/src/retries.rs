use llm_provider::ErrorKind;

/// The maximum number of retries per call. [`RouterBuilder::build`](crate::RouterBuilder::build)
/// rejects higher values; elsewhere they are reduced to it.
pub const MAX_RETRIES: usize = 100;

/// How many other deployments of a group are tried after failures.
///
/// A failure that another deployment cannot avoid, such as an invalid request, is never retried.
///
/// ```
/// use llm_provider::ErrorKind;
/// use llm_router::RetryPolicy;
///
/// let policy = RetryPolicy::new(2).with(ErrorKind::Timeout, 0);
/// assert_eq!(policy.retries(ErrorKind::Timeout), 0);
/// assert_eq!(policy.retries(ErrorKind::Overloaded), 2);
/// ```
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    retries: usize,
    by_kind: Vec<(ErrorKind, usize)>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::new(1)
    }
}

impl RetryPolicy {
    /// Creates a policy with the same number of retries for every kind of failure.
    pub fn new(retries: usize) -> Self {
        Self {
            retries,
            by_kind: Vec::new(),
        }
    }

    /// Sets the retries after failures of `kind`.
    #[must_use]
    pub fn with(mut self, kind: ErrorKind, retries: usize) -> Self {
        self.by_kind.retain(|(other, _)| *other != kind);
        self.by_kind.push((kind, retries));
        self
    }

    /// Sets the retries after failures of kinds that have none of their own.
    #[must_use]
    pub fn with_retries(mut self, retries: usize) -> Self {
        self.retries = retries;
        self
    }

    /// The retries after a failure of `kind`, at most [`MAX_RETRIES`].
    pub fn retries(&self, kind: ErrorKind) -> usize {
        let own = self.by_kind.iter().find(|(other, _)| *other == kind);
        let retries = own.map_or(self.retries, |(_, retries)| *retries);
        retries.min(MAX_RETRIES)
    }

    /// The highest number that was set.
    pub(crate) fn most(&self) -> usize {
        let own = self.by_kind.iter().map(|(_, retries)| *retries);
        own.fold(self.retries, usize::max)
    }
}
