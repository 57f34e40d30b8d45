//! Names of keys: which may be quoted, and which look like secrets.

use std::borrow::Cow;

use llm_provider::similar_name;

/// `did you mean …?`, if a name in `known` is similar.
pub(super) fn did_you_mean<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<String> {
    similar_name(name, known).map(|known| format!("did you mean `{known}`?"))
}

/// The key in quotes, if it has the form of a setting's or an environment variable's name.
///
/// Other keys may contain a secret: `{api_key:sk-1}`, without a space, is a key without a value.
pub(super) fn quoted(key: &str) -> Cow<'static, str> {
    let has_case = |is_case: fn(&char) -> bool| {
        key.starts_with(|c| is_case(&c) || c == '_')
            && key
                .chars()
                .all(|c| is_case(&c) || c.is_ascii_digit() || c == '_')
    };
    let is_name = key.len() <= MAX_LENGTH
        && (has_case(char::is_ascii_lowercase) || has_case(char::is_ascii_uppercase));
    if is_name {
        Cow::Owned(format!("`{key}`"))
    } else {
        Cow::Borrowed("this key")
    }
}

/// The name in a key that also contains its value, after `=` or after `:` without a space.
pub(super) fn before_value(key: &str) -> Option<&str> {
    let (name, _) = key.split_once([':', '='])?;
    Some(name.trim_end())
}

/// Whether a key has the form of an environment variable's name.
pub(super) fn is_variable(name: &str) -> bool {
    name.len() <= MAX_LENGTH
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether the value of a parameter of this name is likely to be a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace(['-', '.', ' '], "_");
    let has_word = |word: &str| name.split('_').any(|part| part == word);
    SECRET_WORDS.iter().any(|word| has_word(word))
        || SECRET_PARTS.iter().any(|part| name.contains(part))
        || similar_name(&name, ["api_key"]).is_some()
}

/// Longer than all known names, in bytes.
const MAX_LENGTH: usize = 64;
const SECRET_WORDS: &[&str] = &["auth", "bearer", "key", "pass", "pwd", "token"];
const SECRET_PARTS: &[&str] = &[
    "accesstoken",
    "apikey",
    "apitoken",
    "authorization",
    "authtoken",
    "credential",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_settings_are_quoted() {
        for key in ["max_tokens", "_x", "top_k2", "A_VARIABLE"] {
            assert_eq!(quoted(key), format!("`{key}`"));
        }
        for key in [
            "sk-1",
            "api_key:sk",
            "X-Key",
            "r8_aB",
            "",
            "a b",
            "a\nb",
            "é",
        ] {
            assert_eq!(quoted(key), "this key", "{key}");
        }
    }
}
