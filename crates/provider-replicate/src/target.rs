//! Model names: which of Replicate's things a name means.

use std::fmt;

use llm_provider::{Error, ErrorKind, Result};

/// What a model name means.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Target {
    /// `deployments/owner/name`.
    Deployment { owner: String, name: String },
    /// `owner/name`: an official model, or the newest version of any other.
    Model { owner: String, name: String },
    /// `owner/name:id`, `name:id`, or an id alone.
    Version {
        owner: Option<String>,
        name: Option<String>,
        id: String,
    },
}

impl Target {
    /// Reads a name.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], saying what names look like.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (path, id) = match text.split_once(':') {
            Some((path, id)) => (path, Some(id)),
            None => (text, None),
        };
        let parts: Vec<&str> = path.split('/').collect();
        let own = |part: &str| part.to_owned();
        let target = match (parts.as_slice(), id) {
            (["deployments", owner, name], None) => Self::Deployment {
                owner: own(owner),
                name: own(name),
            },
            ([owner, name], None) => Self::Model {
                owner: own(owner),
                name: own(name),
            },
            ([rest @ .., name], Some(id)) if rest.len() < 2 => Self::Version {
                owner: rest.first().map(|o| own(o)),
                name: Some(own(name)),
                id: own(id),
            },
            ([id], None) => Self::Version {
                owner: None,
                name: None,
                id: own(id),
            },
            _ => return Err(wrong(text)),
        };
        // A name becomes part of a URL path, so that nothing that means something there may pass.
        if parts.into_iter().chain(id).all(is_plain) {
            Ok(target)
        } else {
            Err(wrong(text))
        }
    }

    /// The name without version, by which a prompt format can be guessed.
    pub(crate) fn model_name(&self) -> String {
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

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.model_name();
        match self {
            Self::Deployment { .. } => write!(f, "the deployment {name}"),
            Self::Model { .. } => write!(f, "the model {name}"),
            Self::Version { name: None, id, .. } => write!(f, "the version {id}"),
            Self::Version { id, .. } => write!(f, "the version {name}:{id}"),
        }
    }
}

pub(crate) fn is_plain(part: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_good)
}

fn wrong(text: &str) -> Error {
    let message = format!(
        "\"{text}\" is no name of Replicate's: it has to be owner/name, owner/name:version, \
         a version id, or deployments/owner/name"
    );
    Error::new(ErrorKind::NotFound, message).with_param("model".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(Target::parse(text).unwrap().to_string(), expected);
    }

    #[test]
    fn every_form_of_name_is_read() {
        check(
            "meta/meta-llama-3-8b-instruct",
            "the model meta/meta-llama-3-8b-instruct",
        );
        check(
            "a16z-infra/llama-2-13b-chat:2a7f98",
            "the version a16z-infra/llama-2-13b-chat:2a7f98",
        );
        check("vicuna-13b:6282abe6", "the version vicuna-13b:6282abe6");
        check("custom-llm-version-id", "the version custom-llm-version-id");
        check(
            "deployments/ishaan-jaff/ishaan-mistral",
            "the deployment ishaan-jaff/ishaan-mistral",
        );
    }

    #[test]
    fn what_would_change_the_path_is_refused() {
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
