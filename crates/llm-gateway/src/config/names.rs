//! Names of keys: which are similar, which may be quoted, and which look like secrets.

use std::borrow::Cow;

/// The name in `known` that differs from `name` by a typing mistake.
pub(super) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if name.len() > MAX_LENGTH {
        return None;
    }
    let name = name.to_lowercase();
    let length = name.chars().count();
    let letters = letters(&name);
    // One typing mistake in a short name, up to three in a long one.
    let allowed = (length / 4).clamp(1, 3);
    known
        .filter(|known| {
            // Both are cheap, and exclude nearly all names that the distance would exclude: a
            // typing mistake changes the length by one at most, and two letters of the set.
            known.len().abs_diff(length) <= allowed
                && (self::letters(known) ^ letters).count_ones() as usize <= 2 * allowed
        })
        .map(|known| (strsim::damerau_levenshtein(&name, known), known))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, known)| known)
}

/// The set of the letters of `name`, some of which share a bit.
fn letters(name: &str) -> u64 {
    name.chars()
        .fold(0, |letters, letter| letters | 1 << (u32::from(letter) % 64))
}

/// `did you mean …?`, if a name in `known` is similar.
pub(super) fn did_you_mean<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<String> {
    nearest(name, known).map(|known| format!("did you mean `{known}`?"))
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
        || nearest(&name, ["api_key"].into_iter()).is_some()
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
    fn a_typing_mistake_is_found_and_another_word_is_not() {
        let known = || ["api_key", "model", "temperature", "top_p"].into_iter();
        for (name, similar) in [
            ("temprature", Some("temperature")),
            ("Temperature", Some("temperature")),
            ("api-key", Some("api_key")),
            ("api_kye", Some("api_key")),
            ("modell", Some("model")),
            ("tpo_p", Some("top_p")),
            ("watermark", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known()), similar, "{name}");
        }
        assert_eq!(nearest(&"model".repeat(100_000), known()), None);
    }

    #[test]
    fn the_cheap_comparison_excludes_no_similar_name() {
        let known = ["general_settings", "api_key", "x", "aaaa", "top_p"];
        let all = |name: &str| {
            let allowed = (name.chars().count() / 4).clamp(1, 3);
            known
                .iter()
                .map(|known| (strsim::damerau_levenshtein(name, known), *known))
                .filter(|(distance, _)| *distance <= allowed)
                .min()
                .map(|(_, known)| known)
        };
        for name in known {
            let letters = ['a', 'b', '_', 'ü', 'z'];
            for at in 0..=name.len() {
                for letter in letters {
                    let inserted = format!("{}{letter}{}", &name[..at], &name[at..]);
                    assert_eq!(nearest(&inserted, known.into_iter()), all(&inserted));
                }
                if at < name.len() {
                    let removed = format!("{}{}", &name[..at], &name[at + 1..]);
                    assert_eq!(nearest(&removed, known.into_iter()), all(&removed));
                }
            }
        }
    }

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
