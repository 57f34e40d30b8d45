//! `model_list`: its entries, and the deployments that they describe.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use llm_provider::text::printable;
use llm_provider::{Error, ErrorKind, Provider, Registry, Settings};
use llm_router::Deployment;

use super::groups::{Share, shares};
use super::keys;
use super::names::nearest;
use super::param_keys::TEXT_COMPLETION;
use super::params::Params;
use super::problem::Problem;
use super::reader::Reader;
use super::yaml::{Entry, Node};

/// The deployments of `items` that can be built; the mistakes of the others go to `reader`.
pub(super) fn deployments(
    reader: &mut Reader<'_>,
    items: Vec<Node>,
    registry: &Registry,
    defaults: Defaults,
) -> Vec<Deployment> {
    let models: Vec<Model> = items
        .into_iter()
        .filter_map(|item| Model::read(reader, item, registry))
        .collect();
    let named = models.iter();
    let shares = shares(named.map(|model| (model.group.as_str(), model.params.metrics)));
    let mut built: Vec<Deployment> = models
        .into_iter()
        .zip(shares)
        .filter_map(|(model, share)| model.build(reader, registry, defaults, share))
        .collect();
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for deployment in &mut built {
        let times = seen.entry(deployment.id.clone()).or_default();
        *times += 1;
        if *times > 1 {
            deployment.id = format!("{}#{times}", deployment.id);
        }
    }
    built
}

/// The file's limits for models without limits of their own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Defaults {
    pub(super) timeout: Option<Duration>,
    pub(super) stream_timeout: Option<Duration>,
}

/// One entry of `model_list` that can be built.
struct Model {
    group: String,
    id: Option<String>,
    provider: &'static str,
    /// The model as the upstream knows it.
    model: String,
    params: Params,
}

impl Model {
    fn read(reader: &mut Reader<'_>, item: Node, registry: &Registry) -> Option<Self> {
        let mistakes = reader.mistakes();
        let at = item.at;
        let mut section = reader.section("an entry of model_list", item)?;
        let group = match reader.take(&mut section, "model_name") {
            Some(name) => read_group(reader, &name),
            None => {
                let help = "give the name that clients ask for, such as `model_name: llama-3`";
                reader.mend(at, "this model has no `model_name`", help);
                None
            }
        };
        let info = reader.take_section(&mut section, "model_info");
        let (id, mode) = info.map_or((None, None), |mut info| {
            let mut text = |key| reader.take_text(&mut info, key).map(|(text, _)| text);
            (text("id"), text("mode"))
        });
        let params = section.take("litellm_params");
        reader.rest(section, &keys::MODEL);
        let Some(params) = params else {
            let help = "add `litellm_params: {model: PROVIDER/MODEL}`";
            reader.mend(at, "this model has no `litellm_params`", help);
            return None;
        };
        let params = reader.section("`litellm_params`", params.value)?;
        let mut params = Params::read(reader, params)?;
        if mode.as_deref() == Some("completion") {
            let extra = &mut params.settings.extra;
            extra.entry(TEXT_COMPLETION).or_insert(true.into());
        }
        let (provider, model) = match registry.split(&params.model) {
            Ok((provider, model)) => (provider, model.to_owned()),
            Err(error) => {
                reader.report(unknown_provider(&params, &error, registry));
                return None;
            }
        };
        // A provider would refuse settings with mistakes, in consequence of them.
        let is_whole = reader.mistakes() == mistakes && !params.lacks_key;
        is_whole.then_some(Self {
            group: group?,
            id,
            provider,
            model,
            params,
        })
    }

    fn build(
        self,
        reader: &mut Reader<'_>,
        registry: &Registry,
        defaults: Defaults,
        share: Share,
    ) -> Option<Deployment> {
        let Params {
            model_at,
            mut settings,
            defaults: params,
            places,
            ..
        } = self.params;
        settings.timeout = settings.timeout.or(defaults.timeout);
        settings.stream_timeout = settings.stream_timeout.or(defaults.stream_timeout);
        if !share.is_alone {
            // Another deployment is tried instead of the same one again.
            settings.max_retries.get_or_insert(0);
        }
        let provider: Arc<dyn Provider> = match registry.build(self.provider, settings.clone()) {
            Ok(provider) => provider,
            Err(error) => {
                let named = refused(&error, self.provider, &settings, registry);
                let at = named.and_then(|name| places.get(&name).copied());
                let at = at.unwrap_or(model_at);
                let message = error.to_string();
                let message = printable(&message[..message.floor_char_boundary(MAX_MESSAGE)]);
                if error.kind() == ErrorKind::Auth && reader.has_variables() {
                    // They are not those of the process, where a provider looks for its own.
                    let help =
                        "add `api_key: os.environ/NAME` to use one of `environment_variables`";
                    reader.mend(at, message, help);
                } else {
                    reader.mistake(at, message);
                }
                return None;
            }
        };
        let deployment = Deployment::new(self.group, provider, self.model)
            .with_defaults(params)
            .with_weight(share.weight);
        Some(match self.id {
            Some(id) => deployment.with_id(id),
            None => deployment,
        })
    }
}

/// The name of the setting for which a provider refuses to be built.
fn refused(
    error: &Error,
    provider: &str,
    settings: &Settings,
    registry: &Registry,
) -> Option<String> {
    if let Some(param) = error.param() {
        // Of a path such as `roles.user` the first name is a key of the file.
        let name = param.split(['.', '[']).next().unwrap_or(param);
        return Some(name.to_owned());
    }
    if error.kind() == ErrorKind::Auth {
        return Some("api_key".to_owned());
    }
    // The provider does not name it: it is the one that is refused without the others, too.
    let extra = settings.extra.iter();
    let refused = extra.map(|(name, _)| name).find(|name| {
        let mut settings = settings.clone();
        settings.extra.retain(|other, _| other == *name);
        registry.build(provider, settings).is_err()
    });
    refused.cloned()
}

fn read_group(reader: &mut Reader<'_>, name: &Entry) -> Option<String> {
    let group = reader.text(name)?;
    let at = name.value.at;
    if group.trim().is_empty() {
        reader.mistake(at, "`model_name` is empty");
        return None;
    }
    if group.len() > MAX_NAME {
        let message = format!("`model_name` is longer than {MAX_NAME} bytes");
        reader.mistake(at, message);
        return None;
    }
    if group.contains('*') {
        let message =
            "wildcards in `model_name` are not supported yet; clients have to send the `*`";
        reader.warn(at, message, None);
    }
    Some(group)
}

/// The mistake of a model whose name does not begin with a provider's.
fn unknown_provider(params: &Params, error: &Error, registry: &Registry) -> Problem {
    if error.kind() != ErrorKind::NotFound {
        return Problem::mistake(params.model_at, error.message());
    }
    let known: Vec<String> = registry.names().map(|name| format!("{name}/…")).collect();
    let message = format!(
        "`model` has to begin with the name of a provider: {}",
        known.join(", ")
    );
    let (prefix, _) = params.model.split_once('/').unwrap_or((&params.model, ""));
    let near = registry
        .names()
        .find(|name| {
            !prefix.is_empty()
                && (name.starts_with(prefix) || name.replace('_', "") == prefix.replace('-', ""))
        })
        .or_else(|| nearest(prefix, registry.names()));
    Problem::mistake(params.model_at, message)
        .with_help(near.map(|name| format!("did you mean `{name}/…`?")))
}

/// A provider's message may quote a setting of any length.
const MAX_MESSAGE: usize = 500;
/// A longer name is refused in requests, too, in bytes.
const MAX_NAME: usize = 256;
