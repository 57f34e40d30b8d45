//! [`Places`]: where the settings are, for errors that are found when all are known.

use std::collections::BTreeMap;

use llm_provider::text::excerpt;

use super::problem::Position;
use super::reader::Section;

/// Where the settings of the router and the deployments are, by the names that the router's errors have
/// for them.
#[derive(Clone, Default)]
pub(super) struct Places(BTreeMap<String, Position>);

impl Places {
    /// Notes where the settings of a section are. The last place wins.
    pub(super) fn note(&mut self, section: &Section) {
        let places = section.entries.iter();
        self.0
            .extend(places.map(|entry| (entry.key.clone(), entry.at)));
    }

    /// Notes where the entry `name` of a setting is.
    pub(super) fn note_entry(&mut self, setting: &str, name: &str, at: Position) {
        let place = format!("{setting}, `{}`", excerpt(name));
        self.0.insert(place, at);
    }

    /// Notes where a deployment is.
    pub(super) fn note_deployment(&mut self, id: &str, at: Position) {
        let place = format!("the deployment `{}`", excerpt(id));
        self.0.insert(place, at);
    }

    /// Where something is, or else the setting that contains it.
    pub(super) fn of(&self, place: &str) -> Option<Position> {
        let setting = place.split(", ").next().unwrap_or_default();
        let known = self.0.get(place).or_else(|| self.0.get(setting));
        known.copied()
    }
}
