//! `model_list`: its entries, and the deployments built from them.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use llm_provider::text::printable;
use llm_provider::{
    ApiKey, Error, ErrorKind, MAX_MODEL_NAME, Provider, Registry, Settings, TEXT_COMPLETION,
};
use llm_router::Deployment;

use super::declarations::Declarations;
use super::every::{Item, expand};
use super::groups::shares;
use super::info::{self, ModelInfo};
use super::keys;
use super::params::Params;
use super::problem::{Position, Problem};
use super::reader::{Reader, Section};
use super::routing::Routing;
use super::yaml::{Entry, Node};
use crate::Tokenizers;

/// Builds the deployments of `items`, with their positions; errors are reported to `reader`.
pub(super) fn deployments(
    reader: &mut Reader<'_>,
    items: Vec<Node>,
    declarations: &Declarations<'_>,
    defaults: Defaults,
    routing: &Routing,
    tokenizers: &mut Tokenizers,
) -> Vec<(Deployment, ModelInfo, Position)> {
    let models: Vec<Model> = expand(items, declarations.registry)
        .filter_map(|item| Model::read(reader, item, declarations, tokenizers))
        .collect();
    let every = models.iter().find(|model| model.is_one_of_all);
    let every = every.map(|model| model.at);
    let named = models.iter();
    let shares = shares(named.map(|model| (model.group.as_str(), model.params.metrics)));
    let mut built: Vec<_> = models
        .into_iter()
        .zip(shares)
        .filter_map(|(model, share)| {
            if share.is_unweighted {
                warn_unweighted(reader, &model);
            }
            let (limits, metrics) = (model.params.limits.clone(), model.params.metrics);
            let (info, at) = (model.info.clone(), model.at);
            let has_others = !share.is_alone || routing.has_fallbacks(&model.group);
            let built = model.build(
                reader,
                declarations.registry,
                defaults,
                share.weight,
                has_others,
            )?;
            Some((limits.apply(built, &metrics, routing), info, at))
        })
        .collect();
    if let Some(at) = every.filter(|_| built.is_empty() && reader.errors() == 0) {
        let help = "set `api_key`, or the environment variable of a provider's key";
        reader.error_with_help(at, "no provider of `*` has a key", help);
    }
    let mut seen: BTreeMap<String, u32> = BTreeMap::new();
    for (deployment, ..) in &mut built {
        let times = seen.entry(deployment.id.clone()).or_default();
        *times += 1;
        if *times > 1 {
            deployment.id = format!("{}#{times}", deployment.id);
        }
    }
    built
}

/// Warns of a model that has weight 0 only because others of its group set `weight`.
fn warn_unweighted(reader: &mut Reader<'_>, model: &Model) {
    let group = printable(&model.group);
    let message = format!(
        "this deployment of \"{group}\" gets calls only if the others fail: another one sets \
         `weight`, and it does not"
    );
    let help = "set `weight` on each deployment of the model".to_owned();
    reader.warn(model.params.model_at, message, help);
}

/// The settings of the file for models without their own.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Defaults {
    pub(super) timeout: Option<Duration>,
    pub(super) stream_timeout: Option<Duration>,
    /// How often a call to a model's only deployment is repeated.
    pub(super) retries: Option<u32>,
}

/// A valid entry of `model_list`.
struct Model {
    at: Position,
    /// See [`Item::is_one_of_all`].
    is_one_of_all: bool,
    group: String,
    id: Option<String>,
    info: ModelInfo,
    provider: &'static str,
    /// The upstream's name of the model.
    model: String,
    params: Params,
}

impl Model {
    fn read(
        reader: &mut Reader<'_>,
        item: Item,
        declarations: &Declarations<'_>,
        tokenizers: &mut Tokenizers,
    ) -> Option<Self> {
        let registry = declarations.registry;
        let errors = reader.errors();
        let Item {
            node,
            is_one_of_all,
        } = item;
        let at = node.at;
        let mut section = reader.section("an entry of model_list", node)?;
        let group = match reader.take(&mut section, "model_name") {
            Some(name) => read_group(reader, &name),
            None => {
                let help = "give the name that clients use, such as `model_name: llama-3`";
                reader.error_with_help(at, "this model has no `model_name`", help);
                None
            }
        };
        let info = reader.take_section(&mut section, "model_info");
        let info = info.unwrap_or(Section {
            at,
            entries: Vec::new(),
        });
        let params = section.take("litellm_params");
        reader.report_rest(section, &keys::MODEL);
        let Some(params) = params else {
            let help = "add `litellm_params: {model: PROVIDER/MODEL}`";
            reader.error_with_help(at, "this model has no `litellm_params`", help);
            return None;
        };
        let params = reader.section("`litellm_params`", params.value)?;
        let mut params = Params::read(reader, params, declarations)?;
        let limits = &mut params.limits;
        let info = info::read(reader, info, group.as_deref(), limits, tokenizers);
        let (provider, model) = match registry.split(&params.model) {
            Ok((provider, model)) => (provider, model.to_owned()),
            Err(error) => {
                reader.report(unknown_provider(&params, &error, registry));
                return None;
            }
        };
        let name = TEXT_COMPLETION.name;
        let takes_prompts = registry.spec(provider)?.setting(name).is_some();
        if takes_prompts && info.mode.as_deref() == Some("completion") {
            let extra = &mut params.settings.extra;
            extra.entry(name).or_insert(true.into());
        }
        // The provider would only report consequences of earlier errors.
        let is_valid = reader.errors() == errors && params.is_complete;
        is_valid.then_some(Self {
            at,
            is_one_of_all,
            group: group?,
            id: info.id,
            info: info.info,
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
        weight: u32,
        has_others: bool,
    ) -> Option<Deployment> {
        let Params {
            model_at,
            mut settings,
            defaults: params,
            positions,
            ..
        } = self.params;
        settings.timeout = settings.timeout.or(defaults.timeout);
        settings.stream_timeout = settings.stream_timeout.or(defaults.stream_timeout);
        if has_others {
            // Another deployment is tried instead, without the wait that an upstream asks for.
            settings.max_retries.get_or_insert(0);
        }
        settings.max_retries = settings.max_retries.or(defaults.retries);
        let provider: Arc<dyn Provider> = match registry.build(self.provider, settings.clone()) {
            Ok(provider) => provider,
            Err(error) if self.is_one_of_all && error.kind() == ErrorKind::Auth => {
                let message = format!("`{}` is left out: {}", self.group, error.message());
                reader.warn(self.at, message, None);
                return None;
            }
            Err(error) => {
                let name = rejected_setting(&error, self.provider, &settings, registry);
                let at = name.and_then(|name| positions.get(&name).copied());
                let at = at.unwrap_or(model_at);
                let message = error.to_string();
                let message = printable(&message[..message.floor_char_boundary(MAX_MESSAGE)]);
                if error.kind() == ErrorKind::Auth && reader.has_variables() {
                    // A provider reads the variables of the process, not those of the file.
                    let help =
                        "add `api_key: os.environ/NAME` to use one of `environment_variables`";
                    reader.error_with_help(at, message, help);
                } else {
                    reader.error(at, message);
                }
                return None;
            }
        };
        // Clients choose what a `*` stands for.
        if !self.model.contains('*')
            && let Err(error) = provider.check_model(&self.model)
        {
            reader.error(model_at, error.message().to_owned());
            return None;
        }
        let deployment = Deployment::new(self.group, provider, self.model)
            .with_fingerprint(fingerprint(&settings))
            .with_defaults(params)
            .with_weight(weight);
        Some(match self.id {
            Some(id) => deployment.with_id(id),
            None => deployment,
        })
    }
}

/// A fingerprint of the settings of a provider: the deployments of a new file keep their state if
/// it is the same.
fn fingerprint(settings: &Settings) -> u64 {
    let mut hasher = DefaultHasher::new();
    settings
        .api_key
        .as_ref()
        .map(ApiKey::expose)
        .hash(&mut hasher);
    (&settings.api_base, &settings.ca_file).hash(&mut hasher);
    let times = [
        settings.timeout,
        settings.stream_timeout,
        settings.connect_timeout,
        settings.first_byte_timeout,
        settings.idle_timeout,
    ];
    (times, settings.max_retries, settings.retry_billed).hash(&mut hasher);
    for (name, value) in settings.extra_headers.as_map() {
        (name.as_str(), value.as_bytes()).hash(&mut hasher);
    }
    for (name, value) in &settings.extra {
        (name, value.to_string()).hash(&mut hasher);
    }
    hasher.finish()
}

/// The name of the setting that a provider rejects.
fn rejected_setting(
    error: &Error,
    provider: &str,
    settings: &Settings,
    registry: &Registry,
) -> Option<String> {
    if let Some(param) = error.param() {
        // The first name of a path such as `roles.user` is a key of the file.
        let name = param.split(['.', '[']).next().unwrap_or(param);
        return Some(name.to_owned());
    }
    if error.kind() == ErrorKind::Auth {
        return Some("api_key".to_owned());
    }
    // The error does not name the setting: it is the one that is also rejected alone.
    let extra = settings.extra.iter();
    let rejected = extra.map(|(name, _)| name).find(|name| {
        let mut settings = settings.clone();
        settings.extra.retain(|other, _| other == *name);
        registry.build(provider, settings).is_err()
    });
    rejected.cloned()
}

fn read_group(reader: &mut Reader<'_>, name: &Entry) -> Option<String> {
    let group = reader.text(name)?;
    let at = name.value.at;
    if group.trim().is_empty() {
        reader.error(at, "`model_name` is empty");
        return None;
    }
    if group.len() > MAX_MODEL_NAME {
        let message = format!("`model_name` is longer than {MAX_MODEL_NAME} bytes");
        reader.error(at, message);
        return None;
    }
    Some(group)
}

/// The error of a model whose name does not start with a provider.
fn unknown_provider(params: &Params, error: &Error, registry: &Registry) -> Problem {
    if error.kind() != ErrorKind::NotFound {
        return Problem::error(params.model_at, error.message());
    }
    let known: Vec<String> = registry.names().map(|name| format!("{name}/…")).collect();
    let message = format!(
        "`model` has to begin with the name of a provider: {}",
        known.join(", ")
    );
    let (prefix, _) = params.model.split_once('/').unwrap_or((&params.model, ""));
    let similar = registry.similar(prefix);
    Problem::error(params.model_at, message)
        .with_help(similar.map(|name| format!("did you mean `{name}/…`?")))
}

/// In bytes. A provider's message may quote a setting of any length.
const MAX_MESSAGE: usize = 500;
