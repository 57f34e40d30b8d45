//! What OpenAI's own models accept, by their names. Models of other servers have other names, and their
//! requests stay as they are.

use llm_provider::{Call, Result};

/// A generation of OpenAI's models.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Generation {
    /// GPT-3.5 and GPT-4, which do not reason.
    Plain,
    /// The o-series, whose lowest effort is `low`.
    OSeries,
    /// GPT-5, whose lowest effort is `minimal`.
    Gpt5,
    /// GPT-5.1 and later, which have the effort `none`.
    Gpt5Point,
    /// A model of another server.
    Other,
}

impl Generation {
    /// The generation of a model, whose name may have a prefix such as `openai/` or `ft:`.
    pub(crate) fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model);
        let name = name.strip_prefix("ft:").unwrap_or(name);
        let is = |prefix: &str| {
            let rest = name.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', ':']))
        };
        let plain = [
            "chatgpt-4o",
            "gpt-3.5-turbo",
            "gpt-4",
            "gpt-4o",
            "gpt-5-chat",
        ];
        if plain.into_iter().any(is) || name.starts_with("gpt-4.") {
            Self::Plain
        } else if ["o1", "o3", "o4"].into_iter().any(is) {
            Self::OSeries
        } else if is("gpt-5") {
            Self::Gpt5
        } else if name.starts_with("gpt-5.") {
            Self::Gpt5Point
        } else {
            Self::Other
        }
    }

    /// Replaces what the model would reject by members of the same meaning, and leaves out an effort that
    /// the caller does not insist on.
    ///
    /// # Errors
    /// Those of [`Call::refuse`].
    pub(crate) fn fit(self, call: &mut Call) -> Result<()> {
        match self {
            Self::Other => return Ok(()),
            Self::Plain if call.may_drop(EFFORT) => call.refuse(EFFORT)?,
            Self::Plain => {}
            Self::OSeries | Self::Gpt5 | Self::Gpt5Point => {
                if !call.body.has("max_completion_tokens") {
                    call.body.rename("max_tokens", "max_completion_tokens");
                }
                let lowest = match self {
                    Self::OSeries => "low",
                    _ => "minimal",
                };
                let is_none = call.body.str(EFFORT).as_deref() == Some("none");
                if is_none && self != Self::Gpt5Point {
                    call.body.set(EFFORT, lowest);
                }
            }
        }
        // Claude Code's ids of users are longer.
        if let Some(user) = call.body.str("user")
            && user.len() > MAX_USER
        {
            let user = user[..user.floor_char_boundary(MAX_USER)].to_owned();
            call.body.set("user", user);
        }
        Ok(())
    }
}

const EFFORT: &str = "reasoning_effort";

/// The longest `user` that OpenAI accepts, in characters.
const MAX_USER: usize = 64;

#[cfg(test)]
mod tests {
    use llm_provider::Document;
    use llm_provider::endpoint::Chat;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn models_have_generations() {
        for (model, expected) in [
            ("gpt-4o", Generation::Plain),
            ("gpt-4o-mini-2024-07-18", Generation::Plain),
            ("openai/gpt-4.1-nano", Generation::Plain),
            ("gpt-3.5-turbo", Generation::Plain),
            ("gpt-5-chat-latest", Generation::Plain),
            ("o3", Generation::OSeries),
            ("o4-mini", Generation::OSeries),
            ("ft:o4-mini:acme", Generation::OSeries),
            ("gpt-5-mini", Generation::Gpt5),
            ("gpt-5.1", Generation::Gpt5Point),
            ("openai/gpt-oss-120b", Generation::Other),
            ("o1js", Generation::Other),
            ("gpt-50", Generation::Other),
            ("meta-llama/Llama-3-8b", Generation::Other),
        ] {
            assert_eq!(Generation::of(model), expected, "{model}");
        }
    }

    #[test]
    fn requests_fit_the_generation() {
        let sent_with = |model: &str, members: Value, drop_params| {
            let mut body = json!({ "model": model, "messages": [] });
            body.as_object_mut()
                .unwrap()
                .extend(members.as_object().unwrap().clone());
            let call = Call::new(&Chat, Document::from_bytes(body.to_string()));
            let mut call = call.with_drop_params(drop_params);
            Generation::of(model).fit(&mut call).unwrap();
            call.body.read::<Value>().unwrap()
        };
        let sent = |model: &str, members: Value| sent_with(model, members, false);
        let limit = json!({ "max_tokens": 5, "reasoning_effort": "none" });
        let body = sent("o3", limit.clone());
        assert_eq!(body["max_completion_tokens"], 5);
        assert_eq!(body.get("max_tokens"), None);
        assert_eq!(body["reasoning_effort"], "low");
        let body = sent("gpt-5-mini", limit.clone());
        assert_eq!(body["reasoning_effort"], "minimal");
        let body = sent("gpt-5.2", limit.clone());
        assert_eq!(body["reasoning_effort"], "none");
        // Nothing is changed for models of other servers.
        let body = sent("qwen/qwen3-8b", limit.clone());
        assert_eq!(
            (&body["max_tokens"], &body["reasoning_effort"]),
            (&json!(5), &json!("none"))
        );
        let body = sent_with("gpt-4o", limit.clone(), true);
        assert_eq!(body.get(EFFORT), None);
        // The upstream rejects it.
        assert_eq!(sent("gpt-4o", limit)[EFFORT], "none");
        let body = sent("gpt-4o", json!({ "max_tokens": 5, "user": "é".repeat(60) }));
        assert_eq!(body["max_tokens"], 5);
        assert_eq!(body["user"], "é".repeat(32));
    }
}
