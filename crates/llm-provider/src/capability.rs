use std::fmt;

use crate::{Error, Result};

/// An endpoint, or the list of models: what a provider may support.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Capability {
    /// Chats, streamed or not.
    Chat,
    /// Text completions, streamed or not.
    Completions,
    /// Embeddings.
    Embeddings,
    /// Moderations.
    Moderations,
    /// Reranking of documents.
    Rerank,
    /// The list of models.
    Models,
    /// Anthropic's Messages API of the upstream itself.
    Messages,
    /// OpenAI's Responses API of the upstream itself.
    Responses,
}

/// The capabilities of a provider. A call to any other endpoint fails before anything is sent.
///
/// ```
/// use llm_provider::{Capabilities, Capability, ErrorKind};
///
/// let capabilities = Capabilities::new([Capability::Chat, Capability::Models]);
/// assert!(capabilities.has(Capability::Chat));
/// let error = capabilities.require(Capability::Rerank, "acme").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Unsupported);
/// assert_eq!(error.to_string(), "acme: rerank not supported (supported: chat and models)");
/// ```
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct Capabilities(u8);

impl Capabilities {
    /// All capabilities but [`Capability::Messages`] and [`Capability::Responses`], without which the
    /// gateway translates these APIs to chats.
    pub const ALL: Self = Self(0b11_1111);

    /// Creates a set of capabilities.
    pub fn new(capabilities: impl IntoIterator<Item = Capability>) -> Self {
        Self(
            capabilities
                .into_iter()
                .fold(0, |bits, capability| bits | capability.bit()),
        )
    }

    /// Whether the set contains `capability`.
    pub fn has(self, capability: Capability) -> bool {
        self.0 & capability.bit() != 0
    }

    /// The union of both sets.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The capabilities, in the order of [`Capability`].
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL
            .into_iter()
            .filter(move |capability| self.has(*capability))
    }

    /// Checks that `provider` has `capability`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported), naming the supported ones.
    pub fn require(self, capability: Capability, provider: &'static str) -> Result<()> {
        if self.has(capability) {
            return Ok(());
        }
        let error = Error::unsupported(provider, capability);
        let message = format!("{} (supported: {self})", error.message());
        Err(error.with_message(message))
    }
}

impl Capability {
    /// All capabilities.
    pub const ALL: [Self; 8] = [
        Self::Chat,
        Self::Completions,
        Self::Embeddings,
        Self::Moderations,
        Self::Rerank,
        Self::Models,
        Self::Messages,
        Self::Responses,
    ];

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Chat => "chat",
            Self::Completions => "text completions",
            Self::Embeddings => "embeddings",
            Self::Moderations => "moderations",
            Self::Rerank => "rerank",
            Self::Models => "models",
            Self::Messages => "messages",
            Self::Responses => "responses",
        })
    }
}

/// `chat, embeddings and models`
impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self
            .iter()
            .map(|capability| capability.to_string())
            .collect();
        match names.split_last() {
            None => f.write_str("nothing"),
            Some((only, [])) => f.write_str(only),
            Some((last, others)) => write!(f, "{} and {last}", others.join(", ")),
        }
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
