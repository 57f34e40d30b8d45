//! The names of models, versions and deployments.

use std::fmt;
use std::str::FromStr;

use llm_provider::text::excerpt;
use llm_provider::{Error, ErrorKind, Result};

use crate::client::NAME;
use crate::error::invalid_name;

/// What a name refers to: a model, a version or a deployment. Parsing validates the name, so that it
/// cannot change the path of a URL.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Target {
    /// `deployments/owner/name`.
    #[non_exhaustive]
    Deployment {
        /// The owner.
        owner: String,
        /// The name.
        name: String,
    },
    /// `owner/name`: an official model.
    #[non_exhaustive]
    Model {
        /// The owner.
        owner: String,
        /// The name.
        name: String,
    },
    /// `owner/name:id`, `name:id`, or an id alone: a version of any model.
    #[non_exhaustive]
    Version {
        /// The owner of the model, if given.
        owner: Option<String>,
        /// The name of the model, if given.
        name: Option<String>,
        /// The id of the version.
        id: String,
    },
}

impl Target {
    /// Parses a name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] with a message that describes valid names.
    pub fn parse(text: &str) -> Result<Self> {
        let (path, id) = match text.split_once(':') {
            Some((path, id)) => (path, Some(id)),
            None => (text, None),
        };
        let parts: Vec<&str> = path.split('/').collect();
        let owned = |part: &str| part.to_owned();
        let target = match (parts.as_slice(), id) {
            (["deployments", owner, name], None) => Self::Deployment {
                owner: owned(owner),
                name: owned(name),
            },
            ([owner, name], None) => Self::Model {
                owner: owned(owner),
                name: owned(name),
            },
            ([rest @ .., name], Some(id)) if rest.len() < 2 => Self::Version {
                owner: rest.first().map(|o| owned(o)),
                name: Some(owned(name)),
                id: owned(id),
            },
            ([id], None) => Self::Version {
                owner: None,
                name: None,
                id: owned(id),
            },
            _ => return Err(invalid(text)),
        };
        // A name becomes part of a URL path, so characters with a meaning there are rejected.
        if parts.into_iter().chain(id).all(is_plain) {
            Ok(target)
        } else {
            Err(invalid(text))
        }
    }

    /// This version of the same model.
    ///
    /// # Errors
    /// Those of [`parse`](Self::parse).
    pub fn at_version(&self, id: &str) -> Result<Self> {
        Self::parse(&format!("{}:{id}", self.model_name()))
    }

    /// The path for creating predictions, and the version that the body must contain. Other paths
    /// reject that key.
    pub(crate) fn endpoint(&self) -> (String, Option<&str>) {
        match self {
            Self::Deployment { owner, name } => {
                (format!("/v1/deployments/{owner}/{name}/predictions"), None)
            }
            Self::Model { owner, name } => (format!("/v1/models/{owner}/{name}/predictions"), None),
            Self::Version { id, .. } => ("/v1/predictions".to_owned(), Some(id)),
        }
    }

    /// What the name refers to: `model`, `version` or `deployment`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Deployment { .. } => "deployment",
            Self::Model { .. } => "model",
            Self::Version { .. } => "version",
        }
    }

    /// The name without the version, from which a prompt format can be guessed.
    pub fn model_name(&self) -> String {
        match self {
            Self::Deployment { owner, name }
            | Self::Model { owner, name }
            | Self::Version {
                owner: Some(owner),
                name: Some(name),
                ..
            } => format!("{owner}/{name}"),
            Self::Version {
                name: Some(name), ..
            } => name.clone(),
            Self::Version { id, .. } => id.clone(),
        }
    }
}

/// The name, as it is parsed.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.model_name();
        match self {
            Self::Deployment { .. } => write!(f, "deployments/{name}"),
            Self::Model { .. } => write!(f, "{name}"),
            Self::Version { name: None, id, .. } => write!(f, "{id}"),
            Self::Version { id, .. } => write!(f, "{name}:{id}"),
        }
    }
}

impl FromStr for Target {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl TryFrom<&str> for Target {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

/// `/v1/{what}/{part}/{part}`, with valid parts.
pub(crate) fn path<const N: usize>(what: &str, parts: [&str; N]) -> Result<String> {
    let mut path = format!("/v1/{what}");
    for part in parts {
        if !is_plain(part) {
            return Err(invalid_name(part));
        }
        path = path + "/" + part;
    }
    Ok(path)
}

/// `/v1/{what}/{owner}/{name}`, from `owner/name`.
pub(crate) fn named_path(what: &str, name: &str) -> Result<String> {
    let (owner, name) = name.split_once('/').ok_or_else(|| invalid_name(name))?;
    path(what, [owner, name])
}

/// Whether a part of a path has only ASCII letters, digits, `-`, `_` and `.`, and does not start with
/// a dot.
pub(crate) fn is_plain(part: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_allowed)
}

fn invalid(text: &str) -> Error {
    let message = format!(
        "\"{}\" is not a model name of Replicate: use owner/name, \
         owner/name:version, a version id, or deployments/owner/name",
        excerpt(text)
    );
    Error::new(ErrorKind::NotFound, message)
        .with_provider(NAME)
        .with_param("model".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, kind: &str) {
        let target: Target = text.parse().unwrap();
        assert_eq!((target.kind(), &*target.to_string()), (kind, text));
    }

    #[test]
    fn every_form_of_name_is_parsed() {
        check("meta/meta-llama-3-8b-instruct", "model");
        check("a16z-infra/llama-2-13b-chat:2a7f98", "version");
        check("vicuna-13b:6282abe6", "version");
        check("custom-llm-version-id", "version");
        check("deployments/ishaan-jaff/ishaan-mistral", "deployment");
    }

    #[test]
    fn names_that_would_change_the_path_are_rejected() {
        for text in [
            "", "a/", "/a", "a/b/c", "a/../b", "..", "a/b:", "a/b?c", "a b/c", "a/b:c/d",
        ] {
            assert_eq!(
                Target::parse(text).unwrap_err().kind(),
                ErrorKind::NotFound,
                "{text}"
            );
        }
    }
}
