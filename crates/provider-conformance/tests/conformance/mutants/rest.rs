//! Metadata, models, secrets and capabilities.

use llm_provider::Capability;

use super::{Mutant, each, each_list, edit, key};
use crate::mutant::Mutation::{Capabilities, Debug, Metadata, Models, Redirected, Settings};

pub(super) const MUTANTS: &[Mutant] = &[
    (
        "claims nothing but chats",
        "capabilities",
        Capabilities(|| llm_provider::Capabilities::new([Capability::Chat])),
    ),
    (
        "another provider's metadata",
        "metadata",
        Metadata(|metadata| {
            metadata.provider = "openai";
        }),
    ),
    (
        "metadata without the model",
        "metadata",
        Metadata(|metadata| metadata.model.clear()),
    ),
    (
        "an empty upstream id",
        "metadata",
        Metadata(|metadata| {
            metadata.upstream_id = Some(String::new());
        }),
    ),
    (
        "models with a prefix",
        "models",
        Models(|list| {
            each(list, "data", |model| {
                edit(&mut model["id"], |id| format!("acme/{id}"))
            });
        }),
    ),
    (
        "a model twice",
        "models",
        Models(|list| {
            each_list(list, "data", |models| {
                models.extend(models.first().cloned())
            });
        }),
    ),
    (
        "no extra headers",
        "extra_headers",
        Settings(|settings| {
            settings.extra_headers = llm_provider::ExtraHeaders::default();
        }),
    ),
    ("Debug shows the key", "secrets", Debug(key)),
    ("follows redirects", "foreign_hosts", Redirected),
];
