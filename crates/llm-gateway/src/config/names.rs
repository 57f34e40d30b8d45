//! Names of settings: which of them are alike, which may be quoted, and which look like secrets.

use std::borrow::Cow;

/// The one of `known` that a typing mistake turns into `name`.
pub(super) fn nearest<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    if name.len() > LONGEST {
        return None;
    }
    let name = name.to_lowercase();
    let length = name.chars().count();
    let letters = letters(&name);
    // One slip in a short word, three in a long one.
    let allowed = (length / 4).clamp(1, 3);
    known
        .filter(|known| {
            // Both are cheap, and rule out nearly all names that the distance would rule out:
            // a slip changes the length by one, and the set by two letters.
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

/// `did you mean …?`, when one of `known` is near enough.
pub(super) fn did_you_mean<'k>(name: &str, known: impl Iterator<Item = &'k str>) -> Option<String> {
    nearest(name, known).map(|known| format!("did you mean `{known}`?"))
}

/// The key in quotes, if it has the form of a setting's or an environment variable's name.
///
/// Others may hold a secret: `{api_key:sk-1}`, which lacks a space, has one key and no value.
pub(super) fn quoted(key: &str) -> Cow<'static, str> {
    let has_case = |is_case: fn(&char) -> bool| {
        key.starts_with(|c| is_case(&c) || c == '_')
            && key
                .chars()
                .all(|c| is_case(&c) || c.is_ascii_digit() || c == '_')
    };
    let is_name = key.len() <= LONGEST
        && (has_case(char::is_ascii_lowercase) || has_case(char::is_ascii_uppercase));
    if is_name {
        Cow::Owned(format!("`{key}`"))
    } else {
        Cow::Borrowed("this key")
    }
}

/// The name in a key that holds its value, too, since `=` or `:` without a space comes after it.
pub(super) fn before_value(key: &str) -> Option<&str> {
    let (name, _) = key.split_once([':', '='])?;
    Some(name.trim_end())
}

/// Whether a key has the form of an environment variable's name.
pub(super) fn is_variable(name: &str) -> bool {
    name.len() <= LONGEST
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

/// No name that is known is as long.
const LONGEST: usize = 64;
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
    fn a_slip_is_found_and_another_word_is_not() {
        let known = || ["api_key", "model", "temperature", "top_p"].into_iter();
        for (name, near) in [
            ("temprature", Some("temperature")),
            ("Temperature", Some("temperature")),
            ("api-key", Some("api_key")),
            ("api_kye", Some("api_key")),
            ("modell", Some("model")),
            ("tpo_p", Some("top_p")),
            ("watermark", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known()), near, "{name}");
        }
        assert_eq!(nearest(&"model".repeat(100_000), known()), None);
    }

    #[test]
    fn the_cheap_comparison_rules_out_nothing_that_is_near() {
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
