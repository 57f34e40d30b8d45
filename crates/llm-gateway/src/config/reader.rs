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
    /// `environment_variables` of the file, which come first as they do in LiteLLM.
    own: BTreeMap<String, String>,
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

    pub(super) fn mistake(&mut self, at: Position, message: impl Into<String>) {
        self.problems.push(Problem::mistake(at, message));
    }

    /// Tells of a mistake and how to mend it.
    pub(super) fn mend(&mut self, at: Position, message: impl Into<String>, help: &str) {
        self.problems
            .push(Problem::mistake(at, message).with_help(help.to_owned()));
    }

    /// How many mistakes there are so far.
    pub(super) fn mistakes(&self) -> usize {
        let mistakes = |problem: &&Problem| problem.severity == Severity::Mistake;
        self.problems.iter().filter(mistakes).count()
    }

    /// Adds variables that count as if they were set outside.
    pub(super) fn set_variables(&mut self, section: Section) {
        for entry in section.entries {
            if let Some(value) = self.text(&entry) {
                self.own.insert(entry.key, value);
            }
        }
    }

    /// Replaces every `os.environ/NAME` by the variable's value.
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
        if let Some(value) = self
            .own
            .get(name)
            .cloned()
            .or_else(|| (self.environment)(name))
        {
            return Yaml::Text(value);
        }
        self.problems.push(if name.is_empty() {
            Problem::mistake(at, "`os.environ/` names no environment variable")
                .with_help("write the name behind the slash: os.environ/NAME".to_owned())
        } else {
            Problem::mistake(at, format!("the environment variable {name} is not set"))
                .with_help(format!("export {name}=…"))
        });
        Yaml::Broken
    }

    /// A mapping; nothing reads as an empty one.
    pub(super) fn section(&mut self, what: &str, node: Node) -> Option<Section> {
        let at = node.at;
        let entries = match node.value {
            Yaml::Map(entries) => entries,
            Yaml::Null => Vec::new(),
            Yaml::Broken => return None,
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
            Yaml::List(items) => return Some(items),
            Yaml::Null => return Some(Vec::new()),
            Yaml::Broken => {}
            _ => self.wrong(what, "a list (`- …`)", &node),
        }
        None
    }

    pub(super) fn text(&mut self, entry: &Entry) -> Option<String> {
        match &entry.value.value {
            Yaml::Text(text) => return Some(text.clone()),
            Yaml::Null | Yaml::Broken => {}
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
            Yaml::Null | Yaml::Broken => {}
            _ => self.wrong(&entry.key, "true or false", &entry.value),
        }
        None
    }

    /// A number that is not negative.
    pub(super) fn amount(&mut self, entry: &Entry) -> Option<f64> {
        let value = match &entry.value.value {
            Yaml::Number(number) => number.as_f64(),
            Yaml::Text(text) => text.trim().parse().ok(),
            Yaml::Null | Yaml::Broken => return None,
            _ => None,
        };
        let value = value.filter(|value: &f64| value.is_finite() && *value >= 0.0);
        if value.is_none() {
            self.wrong(&entry.key, "a number from 0", &entry.value);
        }
        value
    }

    pub(super) fn count(&mut self, entry: &Entry) -> Option<usize> {
        let value = match &entry.value.value {
            Yaml::Number(number) => number
                .as_u64()
                .and_then(|number| usize::try_from(number).ok()),
            Yaml::Text(text) => text.trim().parse().ok(),
            Yaml::Null | Yaml::Broken => return None,
            _ => None,
        };
        if value.is_none() {
            self.wrong(&entry.key, "a whole number from 0", &entry.value);
        }
        value
    }

    pub(super) fn seconds(&mut self, entry: &Entry) -> Option<Duration> {
        let seconds = self.amount(entry)?;
        let duration = Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|time| !time.is_zero());
        if duration.is_none() {
            self.wrong(&entry.key, "a number of seconds above 0", &entry.value);
        }
        duration
    }

    /// Tells that a value has the wrong type. `expected` may end with `; ` and how to mend it.
    pub(super) fn wrong(&mut self, what: &str, expected: &str, found: &Node) {
        let (expected, help) = match expected.split_once("; ") {
            Some((expected, help)) => (expected, Some(help.to_owned())),
            None => (expected, None),
        };
        // The value itself stays unsaid unless it is a number: it may be a secret.
        let value = match &found.value {
            Yaml::Number(number) => format!("the number {number}"),
            _ => found.kind().to_owned(),
        };
        let message = format!("`{what}` has to be {expected}, but here is {value}");
        self.problems
            .push(Problem::mistake(found.at, message).with_help(help));
    }

    /// Warns of every key that is left: known to LiteLLM, near to a known one, or unknown.
    pub(super) fn unknown(&mut self, section: Section, known: &[&str], later: &[&str]) {
        for entry in section.entries {
            self.problems.push(if later.contains(&entry.key.as_str()) {
                Problem::warning(
                    entry.at,
                    format!("`{}` is not supported yet and is ignored", entry.key),
                )
            } else {
                let all = known.iter().chain(later).copied();
                Problem::warning(
                    entry.at,
                    format!("`{}` is not a known key and is ignored", entry.key),
                )
                .with_help(did_you_mean(&entry.key, all))
            });
        }
    }
}

impl Section {
    /// Takes the entry of `key` out, unless there is none or it is empty.
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
