//! The permissions of a plan on this machine: addresses to measure, and files to read.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Result, bail};
use clap::ValueEnum;
use llm_bench::{Access, Backend, ServerTarget};

use crate::bench::option_values::BackendName;

/// The permitted addresses and files.
#[derive(Clone, Debug)]
pub(crate) struct Permissions {
    /// `None` permits all.
    targets: Option<Vec<ServerTarget>>,
    pub(crate) access: Access,
}

impl Permissions {
    /// Permits everything: the plan is this command's own.
    pub(crate) fn all() -> Self {
        Self {
            targets: None,
            access: Access::all(),
        }
    }

    /// Permits only these addresses and files.
    pub(crate) fn only(bases: &[AllowedBase], folders: &[PathBuf], hub: bool) -> Result<Self> {
        let targets = bases
            .iter()
            .map(AllowedBase::target)
            .collect::<Result<_>>()?;
        let access = Access::within(folders)?;
        Ok(Self {
            targets: Some(targets),
            access: if hub { access.with_hub() } else { access },
        })
    }

    /// Rejects an address that is not permitted. Must be called before a key is attached to it.
    pub(crate) fn check(&self, target: &ServerTarget) -> Result<()> {
        let Some(targets) = &self.targets else {
            return Ok(());
        };
        if targets.iter().any(|known| known.is_same_address(target)) {
            return Ok(());
        }
        let backend = target.backend().name();
        bail!(
            "the leader requested {target}, which is not allowed on this machine; \
             --allow-base {backend}={target} allows it"
        );
    }
}

/// An address and its API, which decides the key: `URL` or `BACKEND=URL`.
#[derive(Clone, Debug)]
pub(crate) struct AllowedBase {
    backend: Backend,
    url: String,
}

impl AllowedBase {
    fn target(&self) -> Result<ServerTarget> {
        Ok(ServerTarget::new(self.backend, &self.url, None)?)
    }
}

impl FromStr for AllowedBase {
    type Err = llm_bench::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = text.split_once('=').and_then(|(name, url)| {
            let name = BackendName::from_str(name, false).ok()?;
            Some((Backend::from(name), url))
        });
        let (backend, url) = match named {
            Some(named) => named,
            None => (own_backend(text)?, text),
        };
        ServerTarget::new(backend, url, None)?;
        let url = url.to_owned();
        Ok(Self { backend, url })
    }
}

/// The API of an address: the provider's for its own address, else OpenAI-compatible.
fn own_backend(url: &str) -> Result<Backend, llm_bench::Error> {
    for backend in [Backend::Together, Backend::Replicate] {
        let Some(base) = backend.default_base() else {
            continue;
        };
        let own = ServerTarget::new(backend, base, None)?;
        if own.is_same_address(&ServerTarget::new(backend, url, None)?) {
            return Ok(backend);
        }
    }
    Ok(Backend::OpenAi)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(bases: &[&str]) -> Permissions {
        let bases: Vec<AllowedBase> = bases.iter().map(|base| base.parse().unwrap()).collect();
        Permissions::only(&bases, &[], false).unwrap()
    }

    #[test]
    fn an_address_is_allowed_only_with_its_backend() {
        let allowed = allowed(&[
            "https://api.together.xyz",
            "http://10.0.0.5:8000/v1",
            "replicate=http://127.0.0.1:9",
        ]);
        let check = |backend, base| allowed.check(&ServerTarget::new(backend, base, None).unwrap());
        for (backend, base) in [
            (Backend::Together, "https://api.together.xyz/v1"),
            (Backend::OpenAi, "http://10.0.0.5:8000"),
            (Backend::Replicate, "http://127.0.0.1:9"),
        ] {
            check(backend, base).unwrap();
        }
        for (backend, base) in [
            // Another API's key would be sent there.
            (Backend::Together, "http://10.0.0.5:8000"),
            (Backend::OpenAi, "https://api.together.xyz"),
            (Backend::Replicate, "https://api.replicate.com"),
            (Backend::OpenAi, "http://10.0.0.5:8001"),
            (Backend::OpenAi, "https://10.0.0.5:8000"),
            (Backend::OpenAi, "http://10.0.0.5:8000/v1/../admin"),
            (Backend::Together, "https://api.together.xyz.evil.example"),
            (Backend::Together, "https://api.together.xyz@evil.example"),
        ] {
            let error = check(backend, base).unwrap_err().to_string();
            let flag = format!("--allow-base {}=", backend.name());
            assert!(error.contains(&flag), "{error}");
        }
        assert!(
            Permissions::only(&[], &[], false)
                .unwrap()
                .targets
                .is_some()
        );
    }

    #[test]
    fn an_invalid_address_is_an_error() {
        for text in ["", "api.together.xyz", "ftp://h", "together=", "other=http"] {
            assert!(text.parse::<AllowedBase>().is_err(), "{text}");
        }
    }
}
