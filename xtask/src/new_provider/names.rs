//! The names of a new provider.

use anyhow::{Result, bail};

/// A provider's name in every spelling.
#[derive(Debug)]
pub(super) struct Names {
    /// `fire-works`: for the package and the feature.
    pub(super) kebab: String,
    /// `fire_works`: for Rust, and for the prefix of model names.
    pub(super) snake: String,
    /// `FireWorks`: for the type.
    pub(super) camel: String,
    /// `FIRE_WORKS`: for environment variables.
    upper: String,
}

impl Names {
    pub(super) fn new(name: &str) -> Result<Self> {
        let mut words = name.split('-');
        let is_word = |word: &str| {
            !word.is_empty()
                && word
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        };
        if !words.all(is_word) || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
            bail!(lexopt::Error::from(format!(
                "'{name}' cannot be a provider's name: use lower-case letters, digits and hyphens, \
                 and start with a letter"
            )));
        }
        if TAKEN.contains(&name) {
            bail!(lexopt::Error::from(format!(
                "'{name}' cannot be a provider's name: it is a keyword of Rust, or a feature or module \
                 of the crate polyllm"
            )));
        }
        let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
        Ok(Self {
            kebab: name.to_owned(),
            snake: name.replace('-', "_"),
            camel: name.split('-').map(capital).collect(),
            upper: name.replace('-', "_").to_uppercase(),
        })
    }

    /// Replaces the names of the template by those of this provider.
    pub(super) fn fill(&self, template: &str) -> String {
        let spellings = [
            ("provider-acme", format!("provider-{}", self.kebab)),
            ("acme.example", format!("{}.example", self.kebab)),
            ("acme", self.snake.clone()),
            ("Acme", self.camel.clone()),
            ("ACME", self.upper.clone()),
        ];
        let mut filled = String::new();
        let mut rest = template;
        // Replaces at each place once: the new name may contain "acme".
        while let Some(next) = rest.chars().next() {
            let spelling = spellings.iter().find(|(word, _)| rest.starts_with(word));
            let (word, new) = match spelling {
                Some((word, new)) => (*word, new.as_str()),
                None => (&rest[..next.len_utf8()], &rest[..next.len_utf8()]),
            };
            filled += new;
            rest = &rest[word.len()..];
        }
        filled
    }
}

/// Features and modules of the crate polyllm, and keywords of Rust.
const TAKEN: &[&str] = &[
    "abstract",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "client",
    "const",
    "continue",
    "crate",
    "default",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "provider",
    "providers",
    "pub",
    "ref",
    "request",
    "return",
    "router",
    "self",
    "static",
    "struct",
    "super",
    "templates",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "types",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_in_every_way() {
        let names = Names::new("fire-works2").unwrap();
        let text = names.fill("provider-acme acme/x ACME_API_KEY Acme api.acme.example");
        let all = "provider-fire-works2 fire_works2/x FIRE_WORKS2_API_KEY FireWorks2 \
                   api.fire-works2.example";
        assert_eq!(text, all);
        let names = Names::new("acme2").unwrap();
        let text = names.fill("provider-acme api.acme.example");
        assert_eq!(text, "provider-acme2 api.acme2.example");
    }

    #[test]
    fn an_invalid_name_is_a_usage_error() {
        for name in [
            "",
            "Acme",
            "a_b",
            "1a",
            "-a",
            "a-",
            "a--b",
            "a/b",
            "é",
            "type",
            "router",
            "providers",
        ] {
            let error = Names::new(name).unwrap_err();
            assert!(error.is::<lexopt::Error>(), "{name}: {error}");
        }
    }
}
