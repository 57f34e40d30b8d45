/// Routing options of a call that are not in its body.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct RouteOptions {
    /// The session of the call, for [affinity](crate::AffinityOptions).
    pub session: Option<String>,
    /// If not empty, only deployments with one of these tags serve the call.
    pub tags: Vec<String>,
    /// The priority in a queue: a lower value goes first. By default that of the router.
    pub priority: Option<u8>,
}

impl RouteOptions {
    /// Sets the session.
    #[must_use]
    pub fn with_session(mut self, session: impl Into<Option<String>>) -> Self {
        self.session = session.into();
        self
    }

    /// Sets the tags.
    #[must_use]
    pub fn with_tags(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the priority.
    #[must_use]
    pub fn with_priority(mut self, priority: impl Into<Option<u8>>) -> Self {
        self.priority = priority.into();
        self
    }
}
