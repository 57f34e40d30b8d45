//! Checks the settings of a [`RouterBuilder`].

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use llm_provider::nearest_names;
use llm_provider::text::excerpt;

use crate::builder::RouterBuilder;
use crate::fallbacks::Fallbacks;
use crate::names::{Alias, matched};
use crate::retries::MAX_RETRIES;
use crate::{Deployment, RateLimits};

/// A setting of a router that is contradictory or out of range.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{place}: {problem}")]
#[non_exhaustive]
pub struct BuildError {
    /// The setting, such as ``the deployment `a/b`, rpm``.
    pub place: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

type Result<T = (), E = BuildError> = std::result::Result<T, E>;

/// All problems of the settings.
pub(crate) fn check(builder: &RouterBuilder) -> Vec<BuildError> {
    let groups: BTreeSet<&str> = builder
        .deployments
        .iter()
        .map(|d| d.group.as_str())
        .collect();
    let names = GroupNames {
        groups: &groups,
        aliases: &builder.aliases,
    };
    let default = builder.default_model.iter();
    let deployments = check_deployments(&builder.deployments);
    let results = deployments
        .chain(check_aliases(&names))
        .chain(default.map(|default| names.require("default_model", default)))
        .chain(check_fallbacks(&builder.options.fallbacks, &names))
        .chain([check_options(builder)]);
    results.filter_map(Result::err).collect()
}

/// The names that settings can refer to.
struct GroupNames<'a> {
    groups: &'a BTreeSet<&'a str>,
    aliases: &'a BTreeMap<String, Alias>,
}

impl GroupNames<'_> {
    fn has(&self, name: &str) -> bool {
        self.groups.contains(name) || self.matches_pattern(name) || self.aliases.contains_key(name)
    }

    fn matches_pattern(&self, name: &str) -> bool {
        let mut patterns = self.groups.iter().filter_map(|group| group.split_once('*'));
        patterns.any(|(prefix, suffix)| matched(prefix, suffix, name).is_some())
    }

    fn require(&self, place: &str, name: &str) -> Result {
        if self.has(name) {
            return Ok(());
        }
        let known = self.groups.iter().copied();
        // The comparison with very many names would take too long.
        let known = known.filter(|_| self.groups.len() <= MAX_COMPARED);
        let nearest = nearest_names(name, known, 1);
        let hint = nearest.first().map_or_else(String::new, |nearest| {
            format!("; the nearest is `{}`", excerpt(nearest))
        });
        let name = excerpt(name);
        fail(place, format!("there is no model group `{name}`{hint}"))
    }
}

fn fail(place: impl Into<String>, problem: impl Into<String>) -> Result {
    Err(BuildError {
        place: place.into(),
        problem: problem.into(),
    })
}

fn check_deployments(deployments: &[Deployment]) -> impl Iterator<Item = Result> {
    let mut limits: BTreeMap<&str, &RateLimits> = BTreeMap::new();
    deployments.iter().map(move |deployment| {
        let place = format!("the deployment `{}`", excerpt(&deployment.id));
        check_names(deployment, &place)?;
        check_limits(&deployment.limits, &place)?;
        let before = limits.insert(&deployment.id, &deployment.limits);
        if before.is_some_and(|before| *before != deployment.limits) {
            let problem = "another deployment has the same id and other limits; give it another id";
            return fail(place, problem);
        }
        let prices = deployment.prices.unwrap_or_default();
        for (name, price) in [
            ("input_cost_per_token", prices.input_token),
            ("cache_read_input_token_cost", prices.cached_input_token),
            ("output_cost_per_token", prices.output_token),
            ("input_cost_per_request", prices.request),
            ("input_cost_per_second", prices.second),
        ] {
            if price.is_some_and(|price| !price.is_finite() || price < 0.0) {
                return fail(format!("{place}, {name}"), "has to be 0 or more");
            }
        }
        Ok(())
    })
}

fn check_names(deployment: &Deployment, place: &str) -> Result {
    let Deployment { group, model, .. } = deployment;
    if group.is_empty() {
        return fail(place, "the name of its model group is empty");
    }
    for name in [group, model] {
        if name.matches('*').count() > 1 {
            let name = excerpt(name);
            return fail(place, format!("the name `{name}` has more than one `*`"));
        }
    }
    if model.contains('*') && !group.contains('*') {
        return fail(place, "its model has a `*`, but its model group has none");
    }
    Ok(())
}

fn check_limits(limits: &RateLimits, place: &str) -> Result {
    for (name, limit) in [("rpm", limits.rpm), ("tpm", limits.tpm)] {
        if limit.is_some_and(|limit| !(1..=MAX_RATE).contains(&limit)) {
            let problem = format!("has to be from 1 to {MAX_RATE} per minute");
            return fail(format!("{place}, {name}"), problem);
        }
    }
    if limits.max_parallel_requests == Some(0) {
        return fail(
            format!("{place}, max_parallel_requests"),
            "has to be at least 1",
        );
    }
    Ok(())
}

fn check_aliases(names: &GroupNames<'_>) -> impl Iterator<Item = Result> {
    names.aliases.iter().map(|(alias, Alias { group, .. })| {
        let place = format!("model_group_alias, `{}`", excerpt(alias));
        if names.groups.contains(alias.as_str()) {
            return fail(place, "a model group has the same name");
        }
        if names.aliases.contains_key(group) {
            return fail(
                place,
                "is the alias of an alias; name the model group itself",
            );
        }
        names.require(&place, group)
    })
}

fn check_fallbacks(fallbacks: &Fallbacks, names: &GroupNames<'_>) -> Vec<Result> {
    let lists = fallbacks.lists().map(|(setting, group, list)| {
        let place = match group {
            "" => setting.to_owned(),
            group => format!("{setting}, `{}`", excerpt(group)),
        };
        if !group.is_empty() {
            names.require(&place, group)?;
        }
        let mut seen = BTreeSet::new();
        for name in list {
            names.require(&place, name)?;
            if !seen.insert(name) {
                return fail(place, format!("names `{}` twice", excerpt(name)));
            }
        }
        Ok(())
    });
    let settings = [
        ("fallbacks", &fallbacks.general),
        ("context_window_fallbacks", &fallbacks.context_window),
        ("content_policy_fallbacks", &fallbacks.content_policy),
    ];
    let groups = settings
        .into_iter()
        .flat_map(|(setting, lists)| lists.keys().map(move |group| (setting, lists, group)));
    let cycles = groups.map(|(setting, lists, group)| {
        if !falls_back_to_itself(lists, group) {
            return Ok(());
        }
        let place = format!("{setting}, `{}`", excerpt(group));
        let problem = "the group falls back to itself, directly or through others";
        fail(place, problem)
    });
    let max = at_most("max_fallbacks", fallbacks.max, MAX_FALLBACKS);
    lists.chain(cycles).chain([max]).collect()
}

/// Whether the fallbacks of `group` lead back to it.
fn falls_back_to_itself(lists: &BTreeMap<String, Vec<String>>, group: &str) -> bool {
    let (mut open, mut seen) = (vec![group], BTreeSet::new());
    while let Some(name) = open.pop() {
        for next in lists.get(name).into_iter().flatten() {
            if next == group {
                return true;
            }
            if seen.insert(next.as_str()) {
                open.push(next);
            }
        }
    }
    false
}

fn check_options(builder: &RouterBuilder) -> Result {
    let options = &builder.options;
    at_most("num_retries", options.retries.most(), MAX_RETRIES)?;
    at_most_a_day("cooldown_time", options.cooldown.time)?;
    at_most_a_day("the longest cooldown", options.cooldown.max_time)?;
    if let Some(queue) = &options.queue {
        at_most("the capacity of the queue", queue.capacity, MAX_QUEUE)?;
        at_most_a_day("the timeout of the queue", queue.timeout)?;
    }
    if let Some(affinity) = &builder.affinity {
        at_most(
            "the capacity of the affinity",
            affinity.capacity,
            MAX_SESSIONS,
        )?;
        at_most_a_day("the time to live of the affinity", affinity.time_to_live)?;
    }
    let hedge = options.hedge.and_then(|hedge| hedge.after);
    at_most_a_day(
        "the time before a call is hedged",
        hedge.unwrap_or_default(),
    )?;
    if let Some(cache) = &builder.cache {
        at_most_a_year("the time to live of the cache", cache.time_to_live)?;
        if !(MIN_CACHE..=MAX_CACHE).contains(&cache.capacity) {
            let problem = format!("has to be from {MIN_CACHE} to {MAX_CACHE} bytes");
            return fail("the capacity of the cache", problem);
        }
    }
    if options.deadline.is_some_and(|deadline| deadline.is_zero()) {
        return fail("the deadline", "has to be longer than 0 s");
    }
    Ok(())
}

fn at_most(place: &str, value: usize, most: usize) -> Result {
    if value <= most {
        return Ok(());
    }
    fail(place, format!("has to be at most {most}"))
}

fn at_most_a_day(place: &str, time: Duration) -> Result {
    if time <= DAY {
        return Ok(());
    }
    fail(place, "has to be at most a day")
}

fn at_most_a_year(place: &str, time: Duration) -> Result {
    if time <= 365 * DAY {
        return Ok(());
    }
    fail(place, "has to be at most a year")
}

/// 1 MiB.
const MIN_CACHE: u64 = 1 << 20;
/// 1 TiB.
const MAX_CACHE: u64 = 1 << 40;
const MAX_RATE: u64 = 1_000_000_000;
const MAX_FALLBACKS: usize = 100;
const MAX_COMPARED: usize = 100;
const MAX_QUEUE: usize = 1_000_000;
const MAX_SESSIONS: usize = 10_000_000;
const DAY: Duration = Duration::from_secs(24 * 3600);
