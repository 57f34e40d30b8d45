//! The declared settings and parameters that the keys of `litellm_params` are read by.

use std::collections::HashMap;

use llm_provider::{COMMON_SETTINGS, ProviderSpec, Registry, SettingSpec, ValueKind};

use super::param_keys as keys;

/// The declarations of the registered providers and of the endpoints.
pub(super) struct Declarations<'r> {
    pub(super) registry: &'r Registry,
    params: HashMap<&'static str, ValueKind>,
}

impl<'r> Declarations<'r> {
    pub(super) fn new(registry: &'r Registry) -> Self {
        let mut params = HashMap::new();
        for param in registry.params() {
            // The first declaration counts: endpoints come before providers.
            params.entry(param.name).or_insert(param.kind);
        }
        Self { registry, params }
    }

    /// The declaration of the provider that `model` starts with.
    pub(super) fn provider_of(&self, model: &str) -> Option<&'r ProviderSpec> {
        let (name, _) = self.registry.split(model).ok()?;
        self.registry.spec(name)
    }

    /// The settings of a deployment at `provider`; those of every provider if it is unknown.
    pub(super) fn settings(
        &self,
        provider: Option<&'r ProviderSpec>,
    ) -> impl Iterator<Item = &'r SettingSpec> + use<'r> {
        let known = provider.map(ProviderSpec::settings);
        let unknown = provider.is_none().then_some(self.registry);
        let all = unknown.into_iter().flat_map(|registry| {
            let specs = registry.specs().flat_map(ProviderSpec::settings);
            COMMON_SETTINGS.iter().chain(specs)
        });
        known.into_iter().flatten().chain(all)
    }

    /// The type of the parameter `name`, if an endpoint or a provider declares it.
    pub(super) fn param(&self, name: &str) -> Option<ValueKind> {
        self.params.get(name).copied()
    }

    /// The name of a provider that has the setting `name`.
    pub(super) fn provider_with(&self, name: &str) -> Option<&'static str> {
        let mut specs = self.registry.specs();
        let spec = specs.find(|spec| spec.setting(name).is_some())?;
        Some(spec.name())
    }

    /// All names that `litellm_params` of a model at `provider` may have.
    pub(super) fn names(
        &self,
        provider: Option<&'r ProviderSpec>,
    ) -> impl Iterator<Item = &'static str> {
        let settings = self.settings(provider).map(|setting| setting.name);
        let params = self.params.keys().copied();
        settings.chain(params).chain(keys::all())
    }
}
