//! `model_info`: what clients and operators may know of a deployment.

use std::collections::BTreeMap;
use std::path::Path;

use llm_router::{PriceTable, Prices};
use serde_json::{Map, Value};

use super::keys::MODEL_INFO;
use super::limits::Limits;
use super::names::{did_you_mean, is_secret, quoted};
use super::reader::{Reader, Section};
use super::routing::read_names;
use super::yaml::Entry;
use crate::Tokenizers;

/// What `model_info` says of a deployment besides what its router needs.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ModelInfo {
    /// Names that stand for the deployment's model group in the models of keys, users and teams.
    pub access_groups: Vec<String>,
    /// All members, as `/model/info` returns them.
    pub members: Map<String, Value>,
}

/// A section that has been read.
pub(super) struct ReadInfo {
    pub(super) id: Option<String>,
    pub(super) mode: Option<String>,
    pub(super) info: ModelInfo,
}

/// Reads the section; `group` is the model group, if it is valid.
pub(super) fn read(
    reader: &mut Reader<'_>,
    mut section: Section,
    group: Option<&str>,
    limits: &mut Limits,
    tokenizers: &mut Tokenizers,
) -> ReadInfo {
    let mut info = ModelInfo {
        members: members(&section),
        ..ModelInfo::default()
    };
    let mut text = |key| reader.take_text(&mut section, key).map(|(text, _)| text);
    let (id, mode) = (text("id"), text("mode"));
    if let (Some((file, at)), Some(group)) = (reader.take_text(&mut section, "tokenizer"), group)
        && let Err(error) = tokenizers.add(group, Path::new(&*file))
    {
        reader.error(at, format!("`tokenizer`: {error}"));
    }
    if let Some(entry) = reader.take(&mut section, "access_groups") {
        info.access_groups = read_names(reader, &entry.key, entry.value);
    }
    limits.read_info(reader, &mut section);
    if let Some(prices) = base_prices(reader, &mut section) {
        limits.add_prices(prices);
    }
    report_rest(reader, section);
    ReadInfo { id, mode, info }
}

/// The access groups of each model group. `groups` has the model group of each deployment, and what is
/// known of the deployment.
pub(crate) fn access_groups<'a>(
    groups: impl Iterator<Item = (&'a str, &'a ModelInfo)>,
) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (group, info) in groups {
        for name in &info.access_groups {
            let names = all.entry(group.to_owned()).or_default();
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    all
}

/// The members as JSON, without those that may be secret: by their name, or because they name a variable
/// of the environment.
fn members(section: &Section) -> Map<String, Value> {
    let is_shown = |entry: &&Entry| !entry.is_empty() && !is_secret(&entry.key);
    let entries = section.entries.iter().filter(is_shown);
    let members = entries.map(|entry| (entry.key.clone(), entry.value.clone().into_json()));
    members
        .filter(|(_, value)| !value.to_string().contains("os.environ/"))
        .collect()
}

/// The prices of `base_model`, the model whose prices a deployment with another name has.
fn base_prices(reader: &mut Reader<'_>, section: &mut Section) -> Option<Prices> {
    let (name, at) = reader.take_text(section, "base_model")?;
    let listed = name.split_once('/');
    let prices = listed.and_then(|(provider, model)| PriceTable::default().get(provider, model));
    if prices.is_none() {
        let message = "`base_model`: no prices of this model are known";
        let help = "set input_cost_per_token and output_cost_per_token".to_owned();
        reader.warn(at, message, help);
    }
    prices
}

/// Other members describe the model for people. Only those that are probably misspelt are warnings.
fn report_rest(reader: &mut Reader<'_>, section: Section) {
    let (restricting, others): (Vec<_>, Vec<_>) = section
        .entries
        .into_iter()
        .partition(|entry| MODEL_INFO.alternative(&entry.key).is_some());
    let restricting = Section {
        at: section.at,
        entries: restricting,
    };
    reader.report_rest(restricting, &MODEL_INFO);
    for entry in others {
        let is_known = MODEL_INFO.ignored.contains(&entry.key.as_str());
        let similar = did_you_mean(&entry.key, MODEL_INFO.read.iter().copied());
        if let Some(help) = similar.filter(|_| !is_known) {
            let message = format!("{} has no effect in `model_info`", quoted(&entry.key));
            reader.warn(entry.at, message, help);
        }
    }
}
