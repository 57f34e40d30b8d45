//! The settings of the router, in `router_settings` and `litellm_settings`.

use std::time::Duration;

use llm_provider::ErrorKind;
use llm_router::{
    AffinityOptions, CacheOptions, Cooldown, Fallbacks, HedgeOptions, QueueOptions, RetryPolicy,
    RouterBuilder, STRATEGIES, strategy,
};

use super::MAX_RETRIES;
use super::keys::Keys;
use super::names::{did_you_mean, quoted};
use super::places::Places;
use super::problem::Position;
use super::reader::{Reader, Section};
use super::redis::Address;
use super::yaml::{Entry, Node, Yaml};

/// The settings of the router that have been read so far.
#[derive(Default)]
pub(super) struct Routing {
    builder: RouterBuilder,
    fallbacks: Fallbacks,
    cooldown: Cooldown,
    retries: RetryPolicy,
    affinity: Option<AffinityOptions>,
    pub(super) cache: Option<CacheOptions>,
    /// The server of the state that gateways share.
    pub(super) redis: Option<Address>,
    /// Whether `rpm` and `tpm` are limits, and not only weights.
    pub(super) enforces_rates: bool,
    /// The number of concurrent calls of a deployment that does not set it.
    pub(super) max_parallel_requests: Option<u32>,
    pub(super) places: Places,
}

impl Routing {
    /// Reads the settings that both sections can have. The last value wins.
    pub(super) fn read_common(&mut self, reader: &mut Reader<'_>, section: &mut Section) {
        for (key, lists) in [
            ("fallbacks", &mut self.fallbacks.general),
            (
                "context_window_fallbacks",
                &mut self.fallbacks.context_window,
            ),
            (
                "content_policy_fallbacks",
                &mut self.fallbacks.content_policy,
            ),
        ] {
            let Some(entry) = reader.take(section, key) else {
                continue;
            };
            for (group, at, names) in read_fallbacks(reader, entry) {
                self.places.note_entry(key, &group, at);
                if group == "*" && key == "fallbacks" {
                    self.fallbacks.default = names;
                } else {
                    lists.insert(group, names);
                }
            }
        }
        if let Some(entry) = reader.take(section, "default_fallbacks") {
            self.fallbacks.default = read_names(reader, &entry.key, entry.value);
        }
        if let Some(fails) = reader.take_count(section, "allowed_fails", MAX_COUNT) {
            self.cooldown.allowed_fails = fails;
        }
    }

    /// Reads the settings that only `router_settings` has.
    pub(super) fn read_router(&mut self, reader: &mut Reader<'_>, section: &mut Section) {
        if let Some((name, at)) = reader.take_text(section, "routing_strategy") {
            self.read_strategy(reader, &name, at);
        }
        self.read_aliases(reader, section);
        if let Some(time) = reader.take_time(section, "cooldown_time") {
            self.cooldown = std::mem::take(&mut self.cooldown).with_time(time);
        }
        if reader.take_bool(section, "disable_cooldowns") == Some(true) {
            self.cooldown.is_enabled = false;
        }
        if let Some(max) = reader.take_count(section, "max_fallbacks", 100) {
            self.fallbacks.max = usize::try_from(max).unwrap_or(usize::MAX);
        }
        if let Some(policy) = reader.take_section(section, "retry_policy") {
            self.read_retries(reader, policy);
        }
        let key = "default_max_parallel_requests";
        if let Some(calls) = reader.take_count(section, key, MAX_COUNT) {
            self.max_parallel_requests = (calls > 0).then_some(calls);
        }
        let mut builder = std::mem::take(&mut self.builder);
        for key in ["enable_pre_call_check", "enable_pre_call_checks"] {
            if let Some(checks) = reader.take_bool(section, key) {
                builder = builder.with_context_window_check(checks);
            }
        }
        if let Some(priority) = reader.take_count(section, "default_priority", MAX_PRIORITY) {
            builder = builder.with_default_priority(u8::try_from(priority).unwrap_or(u8::MAX));
        }
        if let Some(deadline) = reader.take_time(section, "deadline") {
            builder = builder.with_deadline(deadline);
        }
        if let Some(queue) = reader.take_section(section, "queue") {
            builder = builder.with_queue(read_queue(reader, queue));
        }
        if let Some(continues) = reader.take_bool(section, "continue_streams") {
            builder = builder.with_continuation(continues);
        }
        if let Some(hedge) = reader.take_section(section, "hedge") {
            builder = builder.with_hedging(read_hedge(reader, hedge));
        }
        self.builder = builder;
        if let Some(address) = Address::read(reader, section, "redis_") {
            self.redis = Some(address);
        }
        if reader.take_bool(section, "cache_responses") == Some(true) {
            self.cache.get_or_insert_default();
        }
        if let Some(entry) = reader.take(section, "optional_pre_call_checks") {
            self.read_checks(reader, entry);
        }
        if let Some(time) = reader.take_time(section, "deployment_affinity_ttl_seconds") {
            let affinity = self.affinity.take();
            self.affinity = affinity.map(|affinity| affinity.with_time_to_live(time.min(DAY)));
        }
        for (key, reason) in WITHOUT_EFFECT {
            if let Some(entry) = section.take(key) {
                reader.warn(entry.at, format!("`{key}` has no effect: {reason}"), None);
            }
        }
    }

    fn read_strategy(&mut self, reader: &mut Reader<'_>, name: &str, at: Position) {
        // LiteLLM's older strategy of the same purpose.
        let known = match name {
            "usage-based-routing" => "usage-based-routing-v2",
            name => name,
        };
        self.enforces_rates |= known == "usage-based-routing-v2";
        if let Some(strategy) = strategy(known) {
            self.builder = std::mem::take(&mut self.builder).with_strategy(strategy);
        } else if name == UNSUPPORTED_STRATEGY {
            let default = STRATEGIES.first().copied().unwrap_or_default();
            let message = format!("the strategy `{name}` is not supported; `{default}` is used");
            reader.warn(at, message, None);
        } else {
            let known = STRATEGIES.iter().copied();
            let help = did_you_mean(name, known)
                .unwrap_or_else(|| format!("use one of {}", STRATEGIES.join(", ")));
            reader.error_with_help(at, "unknown routing strategy", &help);
        }
    }

    /// Reads `model_group_alias`: a name, or `{model, hidden}`.
    fn read_aliases(&mut self, reader: &mut Reader<'_>, section: &mut Section) {
        let Some(aliases) = reader.take_section(section, "model_group_alias") else {
            return;
        };
        for mut alias in aliases.entries {
            reader.resolve(&mut alias.value);
            self.places
                .note_entry("model_group_alias", &alias.key, alias.at);
            let builder = std::mem::take(&mut self.builder);
            self.builder = if let Yaml::Map(entries) = alias.value.value {
                let at = alias.value.at;
                let mut target = Section { at, entries };
                let group = reader.take_text(&mut target, "model");
                let is_hidden = reader.take_bool(&mut target, "hidden") == Some(true);
                reader.report_rest(target, &Keys::only(&["hidden", "model"]));
                match group {
                    Some((group, _)) if is_hidden => builder.with_hidden_alias(alias.key, group),
                    Some((group, _)) => builder.with_alias(alias.key, group),
                    None => {
                        let help = "write `ALIAS: {model: MODEL_NAME}`";
                        reader.error_with_help(at, "this alias has no `model`", help);
                        builder
                    }
                }
            } else {
                match reader.text(&alias) {
                    Some(group) => builder.with_alias(alias.key, group),
                    None => builder,
                }
            };
        }
    }

    fn read_retries(&mut self, reader: &mut Reader<'_>, mut section: Section) {
        for (key, kinds) in RETRIES {
            let Some(retries) = reader.take_count(&mut section, key, MAX_RETRIES) else {
                continue;
            };
            let retries = usize::try_from(retries).unwrap_or(usize::MAX);
            for kind in *kinds {
                self.retries = std::mem::take(&mut self.retries).with(*kind, retries);
            }
        }
        reader.report_rest(section, &RETRY_KEYS);
    }

    fn read_checks(&mut self, reader: &mut Reader<'_>, entry: Entry) {
        let at = entry.value.at;
        for name in read_names(reader, &entry.key, entry.value) {
            match &*name {
                "enforce_model_rate_limits" => self.enforces_rates = true,
                "deployment_affinity"
                | "prompt_caching"
                | "responses_api_deployment_check"
                | "session_affinity" => {
                    self.affinity.get_or_insert_default();
                }
                _ => {
                    let message = format!("{} is not supported and is ignored", quoted(&name));
                    reader.warn(at, message, None);
                }
            }
        }
    }

    /// Whether other model groups take over from `group` after a failure. Those for long prompts and
    /// refused contents do not count: a retry cannot serve such calls anyway.
    pub(super) fn has_fallbacks(&self, group: &str) -> bool {
        let fallbacks = &self.fallbacks;
        let own = fallbacks.general.get(group);
        let mut others = own.unwrap_or(&fallbacks.default).iter();
        fallbacks.max > 0 && others.any(|other| other != group)
    }

    /// The router without its deployments.
    pub(super) fn into_builder(self, retries: Option<usize>) -> RouterBuilder {
        let policy = match retries {
            Some(retries) => self.retries.with_retries(retries),
            None => self.retries,
        };
        self.builder
            .with_retries(policy)
            .with_cooldown(self.cooldown)
            .with_fallbacks(self.fallbacks)
            .with_affinity(self.affinity)
            .with_cache(self.cache)
    }
}

/// Reads a list of mappings from a group to those that take over.
fn read_fallbacks(reader: &mut Reader<'_>, entry: Entry) -> Vec<(String, Position, Vec<String>)> {
    let items = match entry.value.value {
        Yaml::List(items) => items,
        Yaml::Map(_) => vec![entry.value],
        _ => {
            reader.wrong_type(
                &quoted(&entry.key),
                "a list (`- GROUP: [OTHERS]`)",
                &entry.value,
            );
            return Vec::new();
        }
    };
    let mut lists = Vec::new();
    for item in items {
        let Some(section) = reader.section("an entry of the fallbacks", item) else {
            continue;
        };
        for group in section.entries {
            let names = read_names(reader, &group.key, group.value);
            lists.push((group.key, group.at, names));
        }
    }
    lists
}

/// Reads a list of names, or one name.
pub(super) fn read_names(reader: &mut Reader<'_>, key: &str, node: Node) -> Vec<String> {
    let items = match node.value {
        Yaml::List(items) => items,
        Yaml::Text(name) => return vec![name],
        _ => {
            reader.wrong_type(&quoted(key), "a list of names", &node);
            return Vec::new();
        }
    };
    let mut names = Vec::new();
    for item in items {
        match item.value {
            Yaml::Text(name) => names.push(name),
            _ => reader.wrong_type("an entry of the list", "a name", &item),
        }
    }
    names
}

/// Reads the queue, which LiteLLM does not have in this form.
fn read_queue(reader: &mut Reader<'_>, mut section: Section) -> QueueOptions {
    let mut options = QueueOptions::default();
    if let Some(calls) = reader.take_count(&mut section, "capacity", MAX_QUEUE) {
        options = options.with_capacity(usize::try_from(calls).unwrap_or(usize::MAX));
    }
    if let Some(timeout) = reader.take_time(&mut section, "timeout") {
        options = options.with_timeout(timeout.min(DAY));
    }
    reader.report_rest(section, &Keys::only(&["capacity", "timeout"]));
    options
}

/// Reads when calls are hedged, which LiteLLM does not have.
fn read_hedge(reader: &mut Reader<'_>, mut section: Section) -> HedgeOptions {
    let after = reader.take_time(&mut section, "after");
    reader.report_rest(section, &Keys::only(&["after"]));
    HedgeOptions::default().with_after(after)
}

/// LiteLLM's `retry_policy`: the failures that a setting is for.
const RETRIES: &[(&str, &[ErrorKind])] = &[
    (
        "AuthenticationErrorRetries",
        &[ErrorKind::Auth, ErrorKind::Permission],
    ),
    ("TimeoutErrorRetries", &[ErrorKind::Timeout]),
    ("RateLimitErrorRetries", &[ErrorKind::RateLimited]),
    (
        "InternalServerErrorRetries",
        &[
            ErrorKind::UpstreamFailed,
            ErrorKind::Overloaded,
            ErrorKind::UnexpectedBody,
        ],
    ),
];
const RETRY_KEYS: Keys = Keys {
    read: &[
        "AuthenticationErrorRetries",
        "InternalServerErrorRetries",
        "RateLimitErrorRetries",
        "TimeoutErrorRetries",
    ],
    // The request is at fault: another deployment would fail, too.
    ignored: &[
        "BadRequestErrorRetries",
        "ContentPolicyViolationErrorRetries",
    ],
    restricting: &[],
};

/// LiteLLM's settings that have no effect, and why.
pub(super) const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("alerting_config", "no alerts are sent"),
    (
        "allowed_fails_policy",
        "cooldowns depend on the cause of a failure already",
    ),
    ("assistants_config", "assistants are not supported"),
    ("cache_kwargs", "see `cache_params` in `litellm_settings`"),
    ("caching_groups", "each model has replies of its own"),
    ("client_ttl", "connections are kept as long as they work"),
    ("debug_level", "set the level of the log with -v"),
    ("default_litellm_params", "set the parameters of each model"),
    (
        "ignore_invalid_deployments",
        "an invalid deployment is an error",
    ),
    (
        "model_group_retry_policy",
        "`retry_policy` is for all models",
    ),
    ("polling_interval", "calls in a queue are woken, not polled"),
    ("provider_budget_config", "budgets are not supported"),
    ("retry_after", "another deployment is tried immediately"),
    (
        "router_general_settings",
        "the deployments are those of the file",
    ),
    ("routing_groups", "one strategy is for all models"),
    ("routing_strategy_args", "the strategies have no arguments"),
    ("set_verbose", "set the level of the log with -v"),
    ("tag_filtering_match_any", "one tag of a request is enough"),
];

/// Budgets per provider need the costs of all models.
const UNSUPPORTED_STRATEGY: &str = "provider-budget-routing";
const MAX_PRIORITY: u32 = 255;
const MAX_COUNT: u32 = 1_000_000;
const MAX_QUEUE: u32 = 1_000_000;
const DAY: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::super::keys;
    use super::*;

    /// The names and effects in the table of `router_settings` in the README.
    fn documented() -> Vec<(String, String)> {
        let readme = include_str!("../../README.md");
        let table = readme.split("| `router_settings` |").nth(1).unwrap();
        let rows = table
            .lines()
            .skip(2)
            .take_while(|line| line.starts_with('|'));
        let cells = rows.flat_map(|row| {
            let mut cells = row.trim_matches('|').split('|').map(str::trim);
            let (names, effect) = (cells.next().unwrap(), cells.next().unwrap());
            let names = names
                .split(',')
                .map(|name| name.trim().trim_matches('`').to_owned());
            names
                .map(|name| (name, effect.to_owned()))
                .collect::<Vec<_>>()
        });
        cells.collect()
    }

    #[test]
    fn every_setting_is_documented_with_its_effect_or_why_it_has_none() {
        let without_effect = WITHOUT_EFFECT
            .iter()
            .map(|(name, reason)| (*name, Some(*reason)));
        let served = keys::ROUTER.read.iter().map(|name| (*name, None));
        let mut expected: Vec<(String, Option<String>)> = without_effect
            .chain(served)
            .map(|(name, reason)| {
                (
                    name.to_owned(),
                    reason.map(|reason| format!("no effect: {reason}")),
                )
            })
            .collect();
        expected.sort();
        let mut documented: Vec<_> = documented()
            .into_iter()
            .map(|(name, effect)| (name, effect.starts_with("no effect").then_some(effect)))
            .collect();
        documented.sort();
        assert_eq!(documented, expected);
    }

    #[test]
    fn every_ignored_setting_has_a_reason() {
        let mut reasons: Vec<&str> = WITHOUT_EFFECT.iter().map(|(name, _)| *name).collect();
        reasons.sort_unstable();
        assert_eq!(keys::ROUTER.ignored, reasons);
    }
}
