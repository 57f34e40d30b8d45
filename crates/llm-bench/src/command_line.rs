//! The command line of an experiment, without secrets.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A redacted command line; [`CommandLine::redacted`] is its only constructor.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct CommandLine(String);

impl CommandLine {
    /// Joins arguments for a shell. It writes `***` for the value of every option whose name
    /// contains a word such as key, token, secret or password, and for every occurrence of
    /// `secrets`, for the queries of addresses, and for the members with such names of
    /// `--additional-request-params`. Very short secrets are ignored, since they would match in ordinary words.
    pub fn redacted<'a>(
        args: impl IntoIterator<Item = &'a str>,
        secrets: impl IntoIterator<Item = &'a str> + Clone,
    ) -> Self {
        let mut words = Vec::new();
        let (mut hide_next, mut is_object) = (false, false);
        for arg in args {
            let mut word = arg.to_owned();
            for secret in secrets.clone() {
                if secret.len() >= MIN_SECRET {
                    word = word.replace(secret, HIDDEN);
                }
            }
            if std::mem::take(&mut hide_next) {
                HIDDEN.clone_into(&mut word);
            } else if let Some((name, _)) = word.split_once('=').filter(|(n, _)| is_secret(n)) {
                word = format!("{name}={HIDDEN}");
            } else {
                hide_next = is_secret(&word);
            }
            let (option, value) = match word.split_once('=') {
                Some((option, value)) if option == PARAMS => (Some(option), value),
                _ => (None, word.as_str()),
            };
            if (std::mem::take(&mut is_object) || option.is_some())
                && let Some(redacted) = redacted_object(value)
            {
                word = match option {
                    Some(option) => format!("{option}={redacted}"),
                    None => redacted,
                };
            }
            is_object = word == PARAMS;
            words.push(quoted(without_query(&without_userinfo(&word))));
        }
        Self(words.join(" "))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `scheme://user:password@host` without user and password.
pub(crate) fn without_userinfo(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..authority_end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => text.to_owned(),
    }
}

/// `scheme://host/path?query` with `***` as its query; other texts are unchanged.
pub(crate) fn without_query(text: &str) -> String {
    let is_address = |before: &str| before.contains("://") && !before.contains(['{', ' ']);
    match text.split_once('?') {
        Some((before, _)) if is_address(before) => format!("{before}?{HIDDEN}"),
        _ => text.to_owned(),
    }
}

/// A JSON object with `***` for the values of members whose names contain a word such as key; `None`
/// if it has none.
fn redacted_object(text: &str) -> Option<String> {
    let mut fields = serde_json::from_str(text).ok()?;
    redact_members(&mut fields).then(|| Value::Object(fields).to_string())
}

/// Replaces the values of members whose names contain a word such as key, token, secret or password.
/// Returns whether there were any.
pub fn redact_members(fields: &mut Map<String, Value>) -> bool {
    let mut found = false;
    for (name, value) in fields {
        let name = name.to_ascii_lowercase();
        if name
            .split(['-', '_'])
            .any(|part| SECRET_MEMBERS.contains(&part))
        {
            *value = HIDDEN.into();
            found = true;
        } else {
            found |= redact_value(value);
        }
    }
    found
}

fn redact_value(value: &mut Value) -> bool {
    match value {
        Value::Object(fields) => redact_members(fields),
        Value::Array(items) => {
            let redacted = items.iter_mut().map(redact_value);
            redacted.fold(false, |any, one| any | one)
        }
        _ => false,
    }
}

fn is_secret(option: &str) -> bool {
    let Some(name) = option.strip_prefix("--") else {
        return false;
    };
    let mut parts = name.split(['-', '_']);
    parts.any(|part| SECRET_WORDS.contains(&part)) && !NOT_SECRET.contains(&name)
}

fn quoted(word: String) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@%+*".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word;
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

const HIDDEN: &str = "***";

const PARAMS: &str = "--additional-request-params";

const MIN_SECRET: usize = 8;

const SECRET_WORDS: &[&str] = &[
    "key", "keys", "token", "secret", "password", "auth", "header",
];

const SECRET_MEMBERS: &[&str] = &[
    "key",
    "keys",
    "apikey",
    "token",
    "secret",
    "password",
    "auth",
    "authorization",
    "credential",
    "credentials",
];

/// Options whose names contain such a word but whose values are not secret.
const NOT_SECRET: &[&str] = &["group-key", "model-auth-type"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_shows_no_secret() {
        let args = [
            "polyllm",
            "bench",
            "--api-key",
            "tgp_v1_abc",
            "--model-api-key=xyz",
            "--traffic-scenario",
            "D(100,100)",
            "--api-base",
            "https://me:pw@host/v1",
            "--additional-request-params",
            r#"{"note":"tgp_v1_abc"}"#,
        ];
        let line = CommandLine::redacted(args, ["tgp_v1_abc"]);
        assert_eq!(
            line.as_str(),
            "polyllm bench --api-key *** --model-api-key=*** --traffic-scenario 'D(100,100)' \
             --api-base https://host/v1 --additional-request-params '{\"note\":\"***\"}'"
        );
    }

    #[test]
    fn queries_and_members_with_secrets_are_redacted() {
        let args = [
            "--api-base=https://h/v1?api-version=1&code=hidden-1",
            "--server-metrics",
            "http://h/metrics?token=hidden-2",
            "--additional-request-params",
            r#"{"top_k":5,"max_tokens":9,"api_key":"hidden-3","x":[{"auth":{"a":"hidden-4"}}]}"#,
            r#"--additional-request-params={"token":"hidden-5"}"#,
            "--additional-request-params",
            r#"{"stop":"what://a?"}"#,
        ];
        let line = CommandLine::redacted(args, []);
        assert!(!line.as_str().contains("hidden"), "{line}");
        assert_eq!(
            line.as_str(),
            "'--api-base=https://h/v1?***' --server-metrics 'http://h/metrics?***' \
             --additional-request-params \
             '{\"top_k\":5,\"max_tokens\":9,\"api_key\":\"***\",\"x\":[{\"auth\":\"***\"}]}' \
             '--additional-request-params={\"token\":\"***\"}' --additional-request-params \
             '{\"stop\":\"what://a?\"}'"
        );
    }

    #[test]
    fn a_placeholder_key_is_not_redacted_in_other_words() {
        let line = CommandLine::redacted(["polyllm", "bench", "--api-key", "k"], ["k"]);
        assert_eq!(line.as_str(), "polyllm bench --api-key ***");
        let line = CommandLine::redacted(["--task", "text-to-text"], ["k"]);
        assert_eq!(line.as_str(), "--task text-to-text");
    }
}
