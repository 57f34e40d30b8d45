//! Which family a model belongs to, by its name.

use alloc::string::String;
use alloc::string::ToString;

use crate::family::Family;

/// The family of the model of this name, as Together, Replicate and Hugging Face call it.
///
/// The name may carry a provider prefix (`replicate/`, `together_ai/`), an owner, and a version
/// (`:2796ee94…`); its case does not matter. A model that is not known is [`How::Unknown`]: no
/// family is guessed.
///
/// ```
/// use prompt_templates::{Family, match_model};
///
/// let found = match_model("togethercomputer/llama-2-70b-chat");
/// assert_eq!(found.family(), Some(Family::LLAMA_2));
/// assert_eq!(match_model("somebody/else").family(), None);
/// ```
pub fn match_model(model: &str) -> Match {
    let name = model.to_lowercase();
    let name = name.split(':').next().unwrap_or(&name);
    let base = name.rsplit('/').next().unwrap_or(name);
    let has = |words: &[&str]| words.iter().all(|word| base.contains(word));
    let family = if has(&["llama-2", "chat"]) || has(&["llama-2", "instruct"]) {
        Family::LLAMA_2
    } else if has(&["llama-3", "instruct"]) {
        Family::LLAMA_3
    } else if has(&["mistral-7b-instruct"]) {
        Family::MISTRAL_V1
    } else if has(&["vicuna"]) {
        Family::VICUNA
    } else if has(&["alpaca"]) {
        Family::ALPACA
    } else {
        return Match {
            family: None,
            how: How::Unknown,
        };
    };
    Match {
        family: Some(family),
        how: How::Name(base.to_string()),
    }
}

/// What [`match_model`] found.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Match {
    /// The family, unless the model is unknown.
    pub family: Option<Family>,
    /// How it was found.
    pub how: How,
}

impl Match {
    /// The family, unless the model is unknown.
    pub fn family(&self) -> Option<Family> {
        self.family
    }
}

/// How a model's family was found.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum How {
    /// By this part of the name.
    Name(String),
    /// Not at all.
    Unknown,
}
