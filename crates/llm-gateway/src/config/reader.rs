//! Typed reading of a YAML tree that goes on after a mistake.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Environment;
use super::problem::{Position, Problem, Severity};
use super::yaml::{Entry, Node, Yaml};

/// Collects what is wrong while values are taken out of the tree.
pub(super) struct Reader<'a> {
    pub(super) problems: Vec<Problem>,
    environment: Environment<'a>,
    /// `environment_variables` of the file, which come first as they do in LiteLLM; without a
    /// value those that have been told to be mistakes.
    own: BTreeMap<String, Option<String>>,
}

/// A mapping whose keys are taken one by one, so that what is left was asked for by nobody.
pub(super) struct Section {
    pub(super) at: Position,
    pub(super) entries: Vec<Entry>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(environment: Environment<'a>) -> Self {
        Self {
            problems: Vec::new(),
            environment,
            own: BTreeMap::new(),
        }
    }

    /// Tells of a mistake.
    pub(super) fn mistake(&mut self, at: Position, message: impl Into<String>) {
        self.problems.push(Problem::mistake(at, message));
    }

    /// Tells of a mistake and how to mend it.
    pub(super) fn mend(&mut self, at: Position, message: impl Into<String>, help: &str) {
        self.problems
            .push(Problem::mistake(at, message).with_help(help.to_owned()));
    }

    /// Tells of something that is not done.
    pub(super) fn warn(
        &mut self,
        at: Position,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        self.problems
            .push(Problem::warning(at, message).with_help(help));
    }

    /// How many mistakes there are so far.
    pub(super) fn mistakes(&self) -> usize {
        let mistakes = |problem: &&Problem| problem.severity == Severity::Mistake;
        self.problems.iter().filter(mistakes).count()
    }

    /// Adds variables that count as if they were set outside.
    pub(super) fn set_variables(&mut self, mut section: Section) {
        for mut entry in std::mem::take(&mut section.entries) {
            self.resolve(&mut entry.value);
            let value = match &entry.value.value {
                Yaml::Bool(value) => Some(value.to_string()),
                Yaml::Number(value) => Some(value.to_string()),
                _ => self.text(&entry),
            };
            self.own.insert(entry.key, value);
        }
    }

    /// Whether the file sets variables of its own.
    pub(super) fn has_variables(&self) -> bool {
        !self.own.is_empty()
    }

    /// A mapping; nothing reads as an empty one.
    pub(super) fn section(&mut self, what: &str, node: Node) -> Option<Section> {
        let at = node.at;
        let entries = match node.value {
            Yaml::Map(entries) => entries,
            Yaml::Null => Vec::new(),
            _ => {
                self.wrong(what, "a mapping (`key: value`)", &node);
                return None;
            }
        };
        Some(Section {
            at,
            entries: self.without_duplicates(entries),
        })
    }

    fn without_duplicates(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut first: BTreeMap<String, Position> = BTreeMap::new();
        let mut kept = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Some(at) = first.get(&entry.key) {
                let message = format!("`{}` is already at {at}", entry.key);
                self.mend(entry.at, message, "remove one of the two");
                continue;
            }
            first.insert(entry.key.clone(), entry.at);
            kept.push(entry);
        }
        kept
    }

    /// The items of a list; nothing reads as none.
    pub(super) fn list(&mut self, what: &str, node: Node) -> Option<Vec<Node>> {
        match node.value {
            Yaml::List(items) => Some(items),
            Yaml::Null => Some(Vec::new()),
            _ => {
                self.wrong(what, "a list (`- …`)", &node);
                None
            }
        }
    }

    /// Takes a mapping out of a section.
    pub(super) fn take_section(&mut self, section: &mut Section, key: &str) -> Option<Section> {
        let entry = section.take(key)?;
        self.section(key, entry.value)
    }

    /// Takes a value out of a section, with the environment's values in it.
    pub(super) fn take(&mut self, section: &mut Section, key: &str) -> Option<Entry> {
        let mut entry = section.take(key)?;
        self.resolve(&mut entry.value);
        Some(entry)
    }

    /// Takes a text and its place.
    pub(super) fn take_text(
        &mut self,
        section: &mut Section,
        key: &str,
    ) -> Option<(String, Position)> {
        let entry = self.take(section, key)?;
        Some((self.text(&entry)?, entry.value.at))
    }

    pub(super) fn take_bool(&mut self, section: &mut Section, key: &str) -> Option<bool> {
        let entry = self.take(section, key)?;
        self.bool(&entry)
    }

    /// Takes a number that is not negative.
    pub(super) fn take_amount(&mut self, section: &mut Section, key: &str) -> Option<f64> {
        let entry = self.take(section, key)?;
        let value = match &entry.value.value {
            Yaml::Number(number) => number.as_f64(),
            Yaml::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        let value = value.filter(|value: &f64| value.is_finite() && *value >= 0.0);
        if value.is_none() {
            self.wrong(key, "a number from 0", &entry.value);
        }
        value
    }

    pub(super) fn take_count(&mut self, section: &mut Section, key: &str) -> Option<usize> {
        let entry = self.take(section, key)?;
        let value = match &entry.value.value {
            Yaml::Number(number) => number
                .as_u64()
                .and_then(|number| usize::try_from(number).ok()),
            Yaml::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        if value.is_none() {
            self.wrong(key, "a whole number from 0", &entry.value);
        }
        value
    }

    pub(super) fn take_seconds(&mut self, section: &mut Section, key: &str) -> Option<Duration> {
        let at = section
            .entries
            .iter()
            .find(|entry| entry.key == key)?
            .value
            .at;
        let seconds = self.take_amount(section, key)?;
        let time = Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|time| !time.is_zero());
        if time.is_none() {
            let message = format!("`{key}` has to be a number of seconds above 0");
            self.mistake(at, message);
        }
        time
    }

    /// The text of an entry.
    pub(super) fn text(&mut self, entry: &Entry) -> Option<String> {
        match &entry.value.value {
            Yaml::Text(text) => return Some(text.clone()),
            // A key of digits only is a number to YAML.
            Yaml::Bool(_) | Yaml::Number(_) => {
                self.wrong(&entry.key, "text; put it in quotes", &entry.value);
            }
            _ => self.wrong(&entry.key, "text", &entry.value),
        }
        None
    }

    pub(super) fn bool(&mut self, entry: &Entry) -> Option<bool> {
        match &entry.value.value {
            Yaml::Bool(value) => return Some(*value),
            // From the environment everything comes as text.
            Yaml::Text(text) if text.eq_ignore_ascii_case("true") => return Some(true),
            Yaml::Text(text) if text.eq_ignore_ascii_case("false") => return Some(false),
            _ => self.wrong(&entry.key, "true or false", &entry.value),
        }
        None
    }

    /// Tells that a value has the wrong type, without saying the value: it may be a secret.
    /// `expected` may end with `; ` and how to mend it.
    pub(super) fn wrong(&mut self, what: &str, expected: &str, found: &Node) {
        if matches!(found.value, Yaml::Broken) {
            return;
        }
        let (expected, help) = match expected.split_once("; ") {
            Some((expected, help)) => (expected, Some(help.to_owned())),
            None => (expected, None),
        };
        let message = format!(
            "`{what}` has to be {expected}, but here is {}",
            found.kind()
        );
        self.problems
            .push(Problem::mistake(found.at, message).with_help(help));
    }

    /// Warns of every key that is left: known to LiteLLM, near to a known one, or unknown.
    pub(super) fn unknown(&mut self, section: Section, known: &[&str], later: &[&str]) {
        for entry in section.entries {
            let key = &entry.key;
            if later.contains(&key.as_str()) {
                self.warn(
                    entry.at,
                    format!("`{key}` is not supported yet and is ignored"),
                    None,
                );
            } else {
                let help = did_you_mean(key, known.iter().chain(later).copied());
                self.warn(
                    entry.at,
                    format!("`{key}` is not a known key and is ignored"),
                    help,
                );
            }
        }
    }

    /// Replaces every `os.environ/NAME` by the variable's value. Only what is read is resolved,
    /// so that a variable for a setting that is ignored may be missing.
    pub(super) fn resolve(&mut self, node: &mut Node) {
        match &mut node.value {
            Yaml::List(items) => items.iter_mut().for_each(|item| self.resolve(item)),
            Yaml::Map(entries) => {
                entries
                    .iter_mut()
                    .for_each(|entry| self.resolve(&mut entry.value));
            }
            Yaml::Text(text) => {
                if let Some(name) = text.strip_prefix("os.environ/") {
                    node.value = self.variable(name.trim(), node.at);
                }
            }
            Yaml::Null | Yaml::Bool(_) | Yaml::Number(_) | Yaml::Broken => {}
        }
    }

    fn variable(&mut self, name: &str, at: Position) -> Yaml {
        if let Some(value) = self.own.get(name) {
            return value.clone().map_or(Yaml::Broken, Yaml::Text);
        }
        if let Some(value) = (self.environment)(name) {
            return Yaml::Text(value);
        }
        if name.is_empty() {
            let help = "write the name behind the slash: os.environ/NAME";
            self.mend(at, "`os.environ/` names no environment variable", help);
        } else {
            let message = format!("the environment variable {name} is not set");
            self.mend(at, message, &format!("export {name}=…"));
        }
        Yaml::Broken
    }
}

impl Section {
    /// Takes the entry of `key` out as it stands, unless there is none or it is empty.
    pub(super) fn take(&mut self, key: &str) -> Option<Entry> {
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        let entry = self.entries.remove(index);
        (!matches!(entry.value.value, Yaml::Null)).then_some(entry)
    }
}

/// `did you mean …?`, when one of `known` is near enough.
pub(super) fn did_you_mean<'k>(key: &str, known: impl Iterator<Item = &'k str>) -> Option<String> {
    nearest(key, known).map(|name| format!("did you mean `{name}`?"))
}

/// The one of `known` that a typing mistake turns into `key`.
pub(super) fn nearest<'k>(key: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    let key = key.to_lowercase();
    // One slip in a short word, three in a long one.
    let allowed = (key.chars().count() / 4).clamp(1, 3);
    known
        .map(|name| (strsim::damerau_levenshtein(&key, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name)
}
