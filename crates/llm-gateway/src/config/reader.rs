//! Typed reading of a YAML tree that goes on after a mistake.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::Environment;
use super::keys::{GENERAL_SETTINGS, Keys, MASTER_KEY};
use super::names::{before_value, did_you_mean, is_variable, nearest, quoted};
use super::problem::{Position, Problem, Severity};
use super::yaml::{Entry, Node, Yaml};

/// Collects the problems while values are taken out of the tree.
pub(super) struct Reader<'a> {
    problems: Vec<Problem>,
    mistakes: usize,
    /// How many unknown names are still compared with the known ones.
    comparisons: usize,
    environment: Environment<'a>,
    /// `environment_variables` of the file, which come first as they do in LiteLLM; `None` if the
    /// value is a mistake that has been reported.
    own: BTreeMap<String, Option<String>>,
}

/// A mapping whose keys are taken one by one, so that the unknown ones are left.
pub(super) struct Section {
    pub(super) at: Position,
    pub(super) entries: Vec<Entry>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(environment: Environment<'a>) -> Self {
        Self {
            problems: Vec::new(),
            mistakes: 0,
            comparisons: COMPARISONS,
            environment,
            own: BTreeMap::new(),
        }
    }

    /// Adds a problem.
    pub(super) fn report(&mut self, problem: Problem) {
        self.mistakes += usize::from(problem.severity == Severity::Mistake);
        self.problems.push(problem);
    }

    /// Reports a mistake.
    pub(super) fn mistake(&mut self, at: Position, message: impl Into<String>) {
        self.report(Problem::mistake(at, message));
    }

    /// Reports a mistake and its fix.
    pub(super) fn mend(&mut self, at: Position, message: impl Into<String>, help: &str) {
        self.report(Problem::mistake(at, message).with_help(help.to_owned()));
    }

    /// Reports something that has no effect.
    pub(super) fn warn(
        &mut self,
        at: Position,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        self.report(Problem::warning(at, message).with_help(help));
    }

    /// How many mistakes have been reported.
    pub(super) fn mistakes(&self) -> usize {
        self.mistakes
    }

    /// All that has been reported.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Adds variables that count as if they were set in the environment.
    pub(super) fn set_variables(&mut self, section: Section) {
        for mut entry in section.entries {
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

    /// The value of an environment variable that need not be set.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        match self.own.get(name) {
            Some(value) => value.clone(),
            None => (self.environment)(name),
        }
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
        Some(Section { at, entries })
    }

    /// Takes a mapping out of a section.
    pub(super) fn take_section(&mut self, section: &mut Section, key: &str) -> Option<Section> {
        let entry = section.take(key)?;
        self.section(&quoted(key), entry.value)
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
            self.wrong(&quoted(key), "a number from 0", &entry.value);
        }
        value
    }

    /// Takes a whole number from 0 to `most`.
    pub(super) fn take_count(
        &mut self,
        section: &mut Section,
        key: &str,
        most: u32,
    ) -> Option<u32> {
        let entry = self.take(section, key)?;
        let value: Option<u64> = match &entry.value.value {
            Yaml::Number(number) => number.as_u64(),
            Yaml::Text(text) => text.trim().parse().ok(),
            _ => None,
        };
        let count = value.and_then(|value| u32::try_from(value).ok());
        let count = count.filter(|count| *count <= most);
        if count.is_none() {
            let expected = format!("a whole number from 0 to {most}");
            if value.is_some() {
                let message = format!("{} has to be {expected}", quoted(key));
                self.mistake(entry.value.at, message);
            } else {
                self.wrong(&quoted(key), &expected, &entry.value);
            }
        }
        count
    }

    /// Takes a number of seconds, of which those above a year count as one.
    pub(super) fn take_seconds(&mut self, section: &mut Section, key: &str) -> Option<f64> {
        self.take_amount(section, key)
            .map(|seconds| seconds.min(YEAR))
    }

    /// Takes a time above 0; one above a year counts as a year.
    pub(super) fn take_time(&mut self, section: &mut Section, key: &str) -> Option<Duration> {
        let at = section.find(key)?.value.at;
        let seconds = self.take_seconds(section, key)?;
        let time = Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|time| !time.is_zero());
        if time.is_none() {
            let message = format!("{} has to be a number of seconds above 0", quoted(key));
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
                self.wrong(&quoted(&entry.key), "text; put it in quotes", &entry.value);
            }
            _ => self.wrong(&quoted(&entry.key), "text", &entry.value),
        }
        None
    }

    pub(super) fn bool(&mut self, entry: &Entry) -> Option<bool> {
        match &entry.value.value {
            Yaml::Bool(value) => return Some(*value),
            // From the environment everything comes as text.
            Yaml::Text(text) if text.eq_ignore_ascii_case("true") => return Some(true),
            Yaml::Text(text) if text.eq_ignore_ascii_case("false") => return Some(false),
            _ => self.wrong(&quoted(&entry.key), "true or false", &entry.value),
        }
        None
    }

    /// Reports a value of the wrong type, without quoting it: it may be a secret. `expected` may
    /// end with `; ` and the fix.
    pub(super) fn wrong(&mut self, what: &str, expected: &str, found: &Node) {
        if matches!(found.value, Yaml::Broken) {
            return;
        }
        let (expected, help) = match expected.split_once("; ") {
            Some((expected, help)) => (expected, Some(help.to_owned())),
            None => (expected, None),
        };
        let message = format!("{what} has to be {expected}, but here is {}", found.kind());
        self.report(Problem::mistake(found.at, message).with_help(help));
    }

    /// Reports every key that is left. What restricts access in LiteLLM is a mistake, and so is
    /// what looks like such a key; all else has no effect and is a warning.
    pub(super) fn rest(&mut self, section: Section, keys: &Keys) {
        for entry in section.entries {
            let Entry { key, at, value } = &entry;
            if let Some(instead) = keys.instead_of(key) {
                if is_off(value) {
                    self.warn(*at, format!("`{key}` has no effect here"), None);
                } else {
                    let message =
                        format!("`{key}` is not supported, and access would not be restricted");
                    self.mend(*at, message, instead);
                }
            } else if keys.ignored.contains(&key.as_str()) {
                let message = format!("`{key}` is not supported yet and is ignored");
                self.warn(*at, message, None);
            } else {
                self.unknown(&entry, keys);
            }
        }
    }

    fn unknown(&mut self, entry: &Entry, keys: &Keys) {
        let Entry { key, at, .. } = entry;
        let name = before_value(key).unwrap_or(key);
        let restricting = keys.restricting.iter().map(|(name, _)| *name);
        // What the key was meant to be may decide who is let in.
        if let Some(near) = nearest(name, restricting.chain([MASTER_KEY, GENERAL_SETTINGS])) {
            let message = format!("{} is not a known key here", quoted(key));
            let help = if !keys.all().any(|known| known == near) {
                match near {
                    MASTER_KEY => format!("`{MASTER_KEY}` belongs in `{GENERAL_SETTINGS}`"),
                    _ => format!("`{near}` belongs at the top of the file"),
                }
            } else if before_value(key).is_some() {
                MISSING_SPACE.to_owned()
            } else {
                format!("did you mean `{near}`?")
            };
            self.mend(*at, message, &help);
            return;
        }
        let help = self.suggest(key, keys.all());
        let message = format!("{} is not a known key and is ignored", quoted(key));
        self.warn(*at, message, help);
    }

    /// The fix for an unknown key, if it looks like a known one.
    pub(super) fn suggest<'k>(
        &mut self,
        key: &str,
        known: impl Iterator<Item = &'k str>,
    ) -> Option<String> {
        self.comparisons = self.comparisons.checked_sub(1)?;
        match before_value(key) {
            Some(name) => nearest(name, known).map(|_| MISSING_SPACE.to_owned()),
            None => did_you_mean(key, known),
        }
    }

    /// Replaces every `os.environ/NAME` by the variable's value, and reports ambiguous numbers.
    /// Only what is read is resolved, so that a variable for a setting that is ignored may be
    /// missing.
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
                    node.value = self.value_of(name.trim(), node.at);
                }
            }
            Yaml::Ambiguous => {
                let message = "a number that begins with 0 is octal to some readers of YAML";
                let help = "remove the 0, or put the value in quotes";
                self.mend(node.at, message, help);
                node.value = Yaml::Broken;
            }
            Yaml::Null | Yaml::Bool(_) | Yaml::Number(_) | Yaml::Broken => {}
        }
    }

    fn value_of(&mut self, name: &str, at: Position) -> Yaml {
        if let Some(value) = self.own.get(name) {
            return value.clone().map_or(Yaml::Broken, Yaml::Text);
        }
        if let Some(value) = (self.environment)(name) {
            return Yaml::Text(value);
        }
        if is_variable(name) {
            let message = format!("the environment variable {name} is not set");
            self.mend(at, message, &format!("export {name}=…"));
        } else {
            let help = "write the name after the slash: os.environ/NAME";
            self.mend(at, "`os.environ/` names no environment variable", help);
        }
        Yaml::Broken
    }
}

impl Section {
    /// The entry of `key`.
    pub(super) fn find(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Takes the entry of `key` out, even if it has no value.
    pub(super) fn take_any(&mut self, key: &str) -> Option<Entry> {
        let index = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(index))
    }

    /// Takes the entry of `key` out, unless it has no value.
    pub(super) fn take(&mut self, key: &str) -> Option<Entry> {
        let entry = self.take_any(key)?;
        (!entry.is_empty()).then_some(entry)
    }

    /// Where each key's value stands.
    pub(super) fn places(&self) -> HashMap<String, Position> {
        let places = self.entries.iter();
        places
            .map(|entry| (entry.key.clone(), entry.value.at))
            .collect()
    }
}

/// Whether a setting that restricts access restricts nothing.
fn is_off(value: &Node) -> bool {
    matches!(value.value, Yaml::Bool(false))
}

const MISSING_SPACE: &str = "is the space after `:` missing?";
/// Enough for every file that a person writes, and few enough to be fast in any other.
const COMPARISONS: usize = 1_000;
// Longer than any call, and short enough to be added to a time.
const YEAR: f64 = 365.0 * 24.0 * 3600.0;
