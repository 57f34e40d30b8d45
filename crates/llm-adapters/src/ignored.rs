//! [`Ignored`]: the members of a request that have no effect.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value};

/// The names of a request's members that have no equivalent in chat completions and were ignored.
///
/// `Display` writes them in alphabetical order, separated by commas, as the value of an HTTP header.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ignored(BTreeSet<String>);

impl Ignored {
    /// Whether nothing was ignored.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Adds a name. Names that do not fit into a header, and more than 32 names, are left out.
    pub(crate) fn add(&mut self, name: &str) {
        let fits = |c: u8| c.is_ascii_alphanumeric() || b"_.-:".contains(&c);
        let is_name = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(fits);
        if is_name && self.0.len() < MAX_NAMES && !self.0.contains(name) {
            self.0.insert(name.to_owned());
        }
    }

    /// Adds the names of members; null has no effect anyway.
    pub(crate) fn add_members(&mut self, members: &Map<String, Value>) {
        for (name, value) in members {
            if !value.is_null() {
                self.add(name);
            }
        }
    }
}

impl fmt::Display for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().enumerate() {
            let separator = if at > 0 { ", " } else { "" };
            write!(f, "{separator}{name}")?;
        }
        Ok(())
    }
}

const MAX_NAME: usize = 64;
const MAX_NAMES: usize = 32;
