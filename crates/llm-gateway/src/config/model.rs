//! `model_list`: its entries, and the deployments that they describe.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use llm_provider::{Error, ErrorKind, Provider, Registry};
use llm_router::Deployment;

use super::keys;
use super::params::{Params, TEXT_COMPLETION};
use super::problem::{Position, Problem};
use super::reader::{Reader, nearest};
use super::yaml::{Entry, Node};

/// The deployments of `items`, as far as they can be built; what cannot is told to `reader`.
pub(super) fn deployments(
    reader: &mut Reader<'_>,
    items: Vec<Node>,
    registry: &Registry,
    defaults: Defaults,
) -> Vec<Deployment> {
    let mut models: Vec<Model> = items
        .into_iter()
        .filter_map(|item| Model::read(reader, item, registry))
        .collect();
    let weights = weights(&models);
    set_retries(&mut models);
    let mut built: Vec<Deployment> = models
        .into_iter()
        .zip(weights)
        .filter_map(|(model, weight)| {
            Some(model.build(reader, registry, defaults)?.with_weight(weight))
        })
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

/// What the file says for all models that do not say it themselves.
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
        reader.unknown(section, keys::MODEL, &[]);
        let Some(params) = params else {
            let help = "add `litellm_params: {model: PROVIDER/MODEL}`";
            reader.mend(at, "this model has no `litellm_params`", help);
            return None;
        };
        let params = reader.section(&params.key, params.value)?;
        let mut params = Params::read(reader, params)?;
        if mode.as_deref() == Some("completion") {
            let extra = &mut params.settings.extra;
            extra.entry(TEXT_COMPLETION).or_insert(true.into());
        }
        let (provider, model) = match registry.split(&params.model) {
            Ok((provider, model)) => (provider, model.to_owned()),
            Err(error) => {
                let problem = unknown_provider(&params.model, params.model_at, &error, registry);
                reader.problems.push(problem);
                return None;
            }
        };
        // What the provider would say of settings with mistakes is a consequence of them.
        (reader.mistakes() == mistakes).then_some(Self {
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
        let provider: Arc<dyn Provider> = match registry.build(self.provider, settings) {
            Ok(provider) => provider,
            Err(error) => {
                let named = error.param().and_then(|param| places.get(param));
                let at = named.copied().unwrap_or(model_at);
                if error.kind() == ErrorKind::Auth && reader.has_variables() {
                    // They are not those of the process, where a provider looks for its own.
                    let help =
                        "add `api_key: os.environ/NAME` to use one of `environment_variables`";
                    reader.mend(at, error.to_string(), help);
                } else {
                    reader.mistake(at, error.to_string());
                }
                return None;
            }
        };
        let deployment = Deployment::new(self.group, provider, self.model).with_defaults(params);
        Some(match self.id {
            Some(id) => deployment.with_id(id),
            None => deployment,
        })
    }
}

fn read_group(reader: &mut Reader<'_>, name: &Entry) -> Option<String> {
    let group = reader.text(name)?;
    if group.trim().is_empty() {
        reader.mistake(name.value.at, "`model_name` is empty");
        return None;
    }
    if group.contains('*') {
        let message = "wildcards in `model_name` are not supported yet; the name is taken as it is";
        reader.warn(name.value.at, message, None);
    }
    Some(group)
}

fn unknown_provider(model: &str, at: Position, error: &Error, registry: &Registry) -> Problem {
    let problem = Problem::mistake(at, error.message());
    if error.kind() != ErrorKind::NotFound {
        return problem;
    }
    let (prefix, rest) = model.split_once('/').unwrap_or((model, ""));
    let near = registry
        .names()
        .find(|name| name.starts_with(prefix) || name.replace('_', "") == prefix.replace('-', ""))
        .or_else(|| nearest(prefix, registry.names()));
    problem.with_help(near.map(|name| format!("did you mean `{name}/{rest}`?")))
}

/// Where a name has several deployments, another one is asked instead of the same one again.
fn set_retries(models: &mut [Model]) {
    let groups: Vec<String> = models.iter().map(|model| model.group.clone()).collect();
    for model in models {
        let alike = groups.iter().filter(|group| **group == model.group);
        if alike.count() > 1 {
            model.params.settings.max_retries.get_or_insert(0);
        }
    }
}

/// What LiteLLM's simple-shuffle weighs by: `weight` where a deployment of the group has one,
/// else `rpm`, else `tpm`, else all alike; who lacks what the others have gets nothing.
fn weights(models: &[Model]) -> Vec<u32> {
    let metrics: [fn(&Params) -> Option<f64>; 3] = [
        |params| params.weight,
        |params| params.rpm,
        |params| params.tpm,
    ];
    models
        .iter()
        .map(|model| {
            let group = || models.iter().filter(|other| other.group == model.group);
            let metric = metrics
                .iter()
                .find(|metric| group().any(|other| metric(&other.params).is_some()));
            let Some(metric) = metric else { return 1 };
            let all: Vec<f64> = group().filter_map(|other| metric(&other.params)).collect();
            scaled(metric(&model.params).unwrap_or(0.0), &all)
        })
        .collect()
}

/// `weight` as a whole number; where a weight among `all` is none, on a scale to a million.
fn scaled(weight: f64, all: &[f64]) -> u32 {
    let largest = all.iter().copied().fold(0.0, f64::max);
    let whole = largest <= f64::from(u32::MAX) && all.iter().all(|weight| weight.fract() == 0.0);
    let factor = if whole || largest <= 0.0 {
        1.0
    } else {
        1e6 / largest
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 to u32::MAX"
    )]
    let scaled = (weight * factor).ceil() as u32;
    scaled
}
