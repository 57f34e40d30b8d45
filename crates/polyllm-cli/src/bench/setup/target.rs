//! The measured servers: their addresses and keys.

use std::env;

use anyhow::{Context, Result};
use llm_bench::{Backend, ServerTarget, TlsTrust};
use polyllm::{ApiKey, openai, replicate, together};

use crate::bench::args::Api;
use crate::bench::option_values;
use crate::bench::permissions::Permissions;
use crate::output::{Colour, note};

/// The servers of `--api-base` with their weights.
pub(super) fn targets(
    api: &Api,
    backend: Backend,
    key: Option<&ApiKey>,
    allowed: &Permissions,
) -> Result<Vec<(ServerTarget, f64)>> {
    let bases = match api.api_base.as_deref() {
        Some(bases) => weighted("--api-base", bases)?
            .into_iter()
            .map(|(base, weight)| (Some(base), weight))
            .collect(),
        None => vec![(None, 1.0)],
    };
    let targets = bases.into_iter().map(|(base, weight)| {
        let mut target = target(backend, base.as_deref(), key, allowed)?;
        for header in &api.header {
            target = target.with_header(&header.name, &header.value)?;
        }
        Ok((target, weight))
    });
    targets.collect()
}

/// The values of an option that may have several with weights.
pub(super) fn weighted(option: &'static str, text: &str) -> Result<Vec<(String, f64)>> {
    if !text.contains(',') && option == "--api-model-name" {
        // One name, which may contain any sign.
        return Ok(vec![(text.to_owned(), 1.0)]);
    }
    option_values::weighted(text).map_err(|reason| {
        llm_bench::Error::Usage {
            option,
            value: llm_provider::text::excerpt(text).into_owned(),
            reason: reason.to_owned(),
        }
        .into()
    })
}

/// The server at `base`, at the address in the environment, or at the provider's own address.
fn target(
    backend: Backend,
    base: Option<&str>,
    key: Option<&ApiKey>,
    allowed: &Permissions,
) -> Result<ServerTarget> {
    let (_, variables) = declared_variables(backend);
    let from_env = variables.iter().find_map(|name| env::var(name).ok());
    let base = base
        .map(str::to_owned)
        .or_else(|| from_env.filter(|base| !base.is_empty()));
    let base = base.or_else(|| backend.default_base().map(str::to_owned));
    let base = base.ok_or_else(|| llm_bench::Error::Usage {
        option: "--api-backend",
        value: backend.name().to_owned(),
        reason: "needs --api-base".to_owned(),
    })?;
    if has_credentials(&base) {
        return Err(llm_bench::Error::Usage {
            option: "--api-base",
            // It may be part of a message or a file.
            value: "…@…".to_owned(),
            reason: "must not contain a user or a password: give the key by --api-key, or the \
                     credentials by --header authorization=…"
                .to_owned(),
        }
        .into());
    }
    allowed.check(&ServerTarget::new(backend, &base, None)?)?;
    let authorization = key.map(ApiKey::bearer).transpose()?;
    Ok(ServerTarget::new(backend, &base, authorization)?)
}

/// Whether an address has a user or a password.
fn has_credentials(base: &str) -> bool {
    let authority = base.split_once("://").map_or(base, |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next();
    authority.is_some_and(|authority| authority.contains('@'))
}

/// The server of `--against`.
pub(super) fn against(
    api: &Api,
    backend: Backend,
    key_of_subject: Option<&ApiKey>,
    allowed: &Permissions,
) -> Result<Option<ServerTarget>> {
    let Some(base) = &api.against else {
        return Ok(None);
    };
    let other = api.against_backend.map_or(backend, Backend::from);
    if (other == Backend::Replicate) != (backend == Backend::Replicate) {
        return Err(llm_bench::Error::Usage {
            option: "--against-backend",
            value: other.name().to_owned(),
            reason: "Replicate can only be compared with Replicate".to_owned(),
        }
        .into());
    }
    let key = match &api.against_api_key {
        Some(key) => Some(key.0.clone()),
        None if other == backend => key_of_subject.cloned(),
        None => key(None, other),
    };
    target(other, Some(base), key.as_ref(), allowed)
        .context("--against")
        .map(Some)
}

/// The accepted certificates.
pub(super) fn trust(api: &Api) -> Result<TlsTrust> {
    let mut trust = TlsTrust::default();
    if let Some(file) = &api.ca_file {
        trust = trust.with_ca_file(file)?;
    }
    if api.insecure {
        let text = "--insecure: certificates are not checked, so others could read the key";
        note("warning", Colour::Yellow, text);
        trust = trust.insecure();
    }
    Ok(trust)
}

/// The key of the command line, or that of the environment.
pub(super) fn key(given: Option<&ApiKey>, backend: Backend) -> Option<ApiKey> {
    let (variables, _) = declared_variables(backend);
    let given = given.filter(|key| !key.is_empty()).cloned();
    given.or_else(|| ApiKey::from_env(variables))
}

/// The environment variables of the key and of the address, as the provider declares them.
fn declared_variables(backend: Backend) -> (&'static [&'static str], &'static [&'static str]) {
    match backend {
        Backend::Together => (together::API_KEY_VARIABLES, together::API_BASE_VARIABLES),
        Backend::Replicate => (replicate::API_KEY_VARIABLES, replicate::API_BASE_VARIABLES),
        _ => (openai::API_KEY_VARIABLES, openai::API_BASE_VARIABLES),
    }
}
