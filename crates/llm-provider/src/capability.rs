use std::fmt;

use crate::{Error, Result};

/// A sort of thing that a provider can be asked for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Capability {
    /// Chats, in one piece and streamed.
    Chat,
    /// Text completions, in one piece and streamed.
    Completions,
    /// Embeddings.
    Embeddings,
    /// Moderations.
    Moderations,
    /// Reranking of documents.
    Rerank,
    /// The list of models.
    Models,
}

/// What a provider can be asked for; what is not in here is refused before anything is sent.
///
/// ```
/// use llm_provider::{Capabilities, Capability, ErrorKind};
///
/// let able = Capabilities::new([Capability::Chat, Capability::Models]);
/// assert!(able.has(Capability::Chat));
/// let error = able.require(Capability::Rerank, "acme").unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::Unsupported);
/// assert_eq!(error.to_string(), "acme: rerank not supported (supported: chat and models)");
/// ```
#[derive(Clone, Copy, Default, Eq, PartialEq)]
pub struct Capabilities(u8);

impl Capabilities {
    /// Everything that there is.
    pub const ALL: Self = Self(0b11_1111);

    /// These and no others.
    pub fn new(capabilities: impl IntoIterator<Item = Capability>) -> Self {
        Self(
            capabilities
                .into_iter()
                .fold(0, |bits, capability| bits | capability.bit()),
        )
    }

    /// Whether `capability` is among them.
    pub fn has(self, capability: Capability) -> bool {
        self.0 & capability.bit() != 0
    }

    /// Those that either has.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// All of them, in the order of [`Capability`].
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL
            .into_iter()
            .filter(move |capability| self.has(*capability))
    }

    /// Checks that `provider` has `capability`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported), telling what it has instead.
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
    const ALL: [Self; 6] = [
        Self::Chat,
        Self::Completions,
        Self::Embeddings,
        Self::Moderations,
        Self::Rerank,
        Self::Models,
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
