//! `cache` and `cache_params` of `litellm_settings`.

use llm_provider::{Capabilities, Capability};
use llm_router::CacheOptions;

use super::keys::Keys;
use super::names::quoted;
use super::reader::{Reader, Section};
use super::routing::read_names;

/// Reads whether and how replies are cached.
pub(super) fn read(reader: &mut Reader<'_>, section: &mut Section) -> Option<CacheOptions> {
    let is_cached = reader.take_bool(section, "cache") == Some(true);
    let mut options = CacheOptions::default();
    if let Some(params) = reader.take_section(section, "cache_params") {
        options = read_params(reader, params);
    }
    is_cached.then_some(options)
}

fn read_params(reader: &mut Reader<'_>, mut section: Section) -> CacheOptions {
    let mut options = CacheOptions::default();
    if let Some((kind, at)) = reader.take_text(&mut section, "type")
        && kind != "local"
    {
        let message = format!(
            "the cache {} is not supported; replies are cached in memory",
            quoted(&kind)
        );
        reader.warn(at, message, None);
    }
    if let Some(time) = reader.take_time(&mut section, "ttl") {
        options = options.with_time_to_live(time);
    }
    if let Some((namespace, _)) = reader.take_text(&mut section, "namespace") {
        options = options.with_namespace(namespace);
    }
    if let Some(mebibytes) = reader.take_count(&mut section, "capacity", MAX_CAPACITY) {
        options = options.with_capacity(u64::from(mebibytes) << 20);
    }
    if let Some((mode, at)) = reader.take_text(&mut section, "mode") {
        match &*mode {
            "default_on" => {}
            "default_off" => options = options.with_default(false),
            _ => reader.error_with_help(at, "unknown mode", "use `default_on` or `default_off`"),
        }
    }
    if let Some(entry) = reader.take(&mut section, "supported_call_types") {
        let names = read_names(reader, &entry.key, entry.value);
        let endpoints = names.iter().filter_map(|name| endpoint(name));
        options = options.with_endpoints(Capabilities::new(endpoints));
    }
    reader.report_rest(section, &PARAMS);
    options
}

/// The endpoint of a call type of LiteLLM, such as `acompletion`.
fn endpoint(call_type: &str) -> Option<Capability> {
    Some(match call_type.strip_prefix('a').unwrap_or(call_type) {
        "completion" => Capability::Chat,
        "text_completion" => Capability::Completions,
        "embedding" => Capability::Embeddings,
        "rerank" => Capability::Rerank,
        _ => return None,
    })
}

const PARAMS: Keys = Keys {
    read: &[
        "capacity", // not in LiteLLM
        "mode",
        "namespace",
        "supported_call_types",
        "ttl",
        "type",
    ],
    ignored: &[
        "default_in_memory_ttl",
        "default_in_redis_ttl",
        "disk_cache_dir",
        "host",
        "password",
        "port",
        "qdrant_semantic_cache_embedding_model",
        "redis_flush_size",
        "redis_semantic_cache_embedding_model",
        "redis_startup_nodes",
        "s3_bucket_name",
        "s3_region_name",
        "sentinel_nodes",
        "service_name",
        "similarity_threshold",
        "url",
    ],
    restricting: &[],
};

/// In MiB.
const MAX_CAPACITY: u32 = 1 << 20;
