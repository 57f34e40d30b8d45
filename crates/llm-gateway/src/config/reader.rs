//! Reading of a YAML tree that continues after an error, so that all errors are reported in one
//! run.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use llm_provider::similar_name;

use super::Environment;
use super::keys::{GENERAL_SETTINGS, Keys, MASTER_KEY};
use super::names::{before_value, did_you_mean, is_variable, quoted};
use super::problem::{Position, Problem, Severity};
use super::yaml::{Entry, Node, Yaml};

/// Collects the problems while values are taken out of the tree.
pub(super) struct Reader<'a> {
    problems: Vec<Problem>,
    errors: usize,
    /// How many unknown names may still be compared with the known ones.
    comparisons_left: usize,
    environment: Environment<'a>,
    /// `environment_variables` of the file, which win over the environment as in LiteLLM; `None`
    /// for a value with an error that has been reported.
    variables: BTreeMap<String, Option<String>>,
}

/// A mapping. Its known keys are taken out one by one, so that the unknown ones remain.
pub(super) struct Section {
    pub(super) at: Position,
    pub(super) entries: Vec<Entry>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(environment: Environment<'a>) -> Self {
        Self {
            problems: Vec::new(),
            errors: 0,
            comparisons_left: MAX_COMPARISONS,
            environment,
            variables: BTreeMap::new(),
        }
    }

    /// Adds a problem.
    pub(super) fn report(&mut self, problem: Problem) {
        self.errors += usize::from(problem.severity == Severity::Error);
        self.problems.push(problem);
    }

    /// Reports an error.
    pub(super) fn error(&mut self, at: Position, message: impl Into<String>) {
        self.report(Problem::error(at, message));
    }

    /// Reports an error and its fix.
    pub(super) fn error_with_help(&mut self, at: Position, message: impl Into<String>, help: &str) {
        self.report(Problem::error(at, message).with_help(help.to_owned()));
    }

    /// Reports a warning.
    pub(super) fn warn(
        &mut self,
        at: Position,
        message: impl Into<String>,
        help: impl Into<Option<String>>,
    ) {
        self.report(Problem::warning(at, message).with_help(help));
    }

    /// How many errors have been reported.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    /// All problems that have been reported.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Adds variables of the file, which are used like those of the environment.
    pub(super) fn set_variables(&mut self, section: Section) {
        for mut entry in section.entries {
            self.resolve(&mut entry.value);
            let value = self.plain_text(&entry);
            self.variables.insert(entry.key, value);
        }
    }

    /// Whether the file has `environment_variables`.
    pub(super) fn has_variables(&self) -> bool {
        !self.variables.is_empty()
    }

    /// The value of an environment variable, if it is set.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        match self.variables.get(name) {
            Some(value) => value.clone(),
            None => (self.environment)(name),
        }
    }

    /// Reads a mapping; a missing value is an empty one.
    pub(super) fn section(&mut self, what: &str, node: Node) -> Option<Section> {
        let at = node.at;
        let entries = match node.value {
            Yaml::Map(entries) => entries,
            Yaml::Null => Vec::new(),
            _ => {
                self.wrong_type(what, "a mapping (`key: value`)", &node);
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

    /// Takes a value out of a section and resolves the environment variables in it.
    pub(super) fn take(&mut self, section: &mut Section, key: &str) -> Option<Entry> {
        let mut entry = section.take(key)?;
        self.resolve(&mut entry.value);
        Some(entry)
    }

    /// Takes a text and its position.
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
        self.amount(&entry)
    }

    /// Takes a whole number from 0 to `max`.
    pub(super) fn take_count(&mut self, section: &mut Section, key: &str, max: u32) -> Option<u32> {
        let entry = self.take(section, key)?;
        self.count(&entry, max)
    }

    /// Takes a time above 0; one above a year counts as a year.
    pub(super) fn take_time(&mut self, section: &mut Section, key: &str) -> Option<Duration> {
        let entry = self.take(section, key)?;
        self.time(&entry)
    }

    /// Reports the remaining keys. A key that restricts access in LiteLLM is an error, and so is a
    /// similar one; all others have no effect and are warnings.
    pub(super) fn report_rest(&mut self, section: Section, keys: &Keys) {
        for entry in section.entries {
            let Entry { key, at, value } = &entry;
            if let Some(alternative) = keys.alternative(key) {
                if is_off(value) {
                    self.warn(*at, format!("`{key}` has no effect here"), None);
                } else {
                    let message =
                        format!("`{key}` is not supported, and access would not be restricted");
                    self.error_with_help(*at, message, alternative);
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
        // The intended key may restrict access.
        if let Some(near) = similar_name(name, restricting.chain([MASTER_KEY, GENERAL_SETTINGS])) {
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
            self.error_with_help(*at, message, &help);
            return;
        }
        let help = self.suggest(key, keys.all());
        let message = format!("{} is not a known key and is ignored", quoted(key));
        self.warn(*at, message, help);
    }

    /// The fix for an unknown key, if it is similar to a known one.
    pub(super) fn suggest<'k>(
        &mut self,
        key: &str,
        known: impl Iterator<Item = &'k str>,
    ) -> Option<String> {
        self.comparisons_left = self.comparisons_left.checked_sub(1)?;
        match before_value(key) {
            Some(name) => similar_name(name, known).map(|_| MISSING_SPACE.to_owned()),
            None => did_you_mean(key, known),
        }
    }

    /// Replaces every `os.environ/NAME` by the variable's value, and reports ambiguous numbers.
    /// Only values that are read are resolved: a variable of an ignored setting may be missing.
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
                self.error_with_help(node.at, message, help);
                node.value = Yaml::Broken;
            }
            Yaml::Null | Yaml::Bool(_) | Yaml::Number(_) | Yaml::Broken => {}
        }
    }

    fn value_of(&mut self, name: &str, at: Position) -> Yaml {
        if let Some(value) = self.variables.get(name) {
            return value.clone().map_or(Yaml::Broken, Yaml::Text);
        }
        if let Some(value) = (self.environment)(name) {
            return Yaml::Text(value);
        }
        if is_variable(name) {
            let message = format!("the environment variable {name} is not set");
            self.error_with_help(at, message, &format!("export {name}=…"));
        } else {
            let help = "write the name after the slash: os.environ/NAME";
            self.error_with_help(at, "`os.environ/` names no environment variable", help);
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

    /// The position of each key's value.
    pub(super) fn positions(&self) -> HashMap<String, Position> {
        let entries = self.entries.iter();
        entries
            .map(|entry| (entry.key.clone(), entry.value.at))
            .collect()
    }
}

/// Whether a setting that restricts access is turned off.
fn is_off(value: &Node) -> bool {
    matches!(value.value, Yaml::Bool(false))
}

const MISSING_SPACE: &str = "is the space after `:` missing?";
/// More than a hand-written file needs, and few enough to read a large generated file quickly.
const MAX_COMPARISONS: usize = 1_000;
