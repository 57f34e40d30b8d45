//! `cache` and `cache_params` of `litellm_settings`.

use llm_provider::{Capabilities, Capability};
use llm_router::CacheOptions;

use super::keys::Keys;
use super::names::quoted;
use super::reader::{Reader, Section};
use super::redis::Address;
use super::routing::read_names;

/// Reads whether and how replies are cached, and in which server besides the memory.
pub(super) fn read(
    reader: &mut Reader<'_>,
    section: &mut Section,
) -> (Option<CacheOptions>, Option<Address>) {
    let is_cached = reader.take_bool(section, "cache") == Some(true);
    let mut cache = (CacheOptions::default(), None);
    if let Some(params) = reader.take_section(section, "cache_params") {
        cache = read_params(reader, params);
    }
    match cache {
        (options, redis) if is_cached => (Some(options), redis),
        _ => (None, None),
    }
}

fn read_params(reader: &mut Reader<'_>, mut section: Section) -> (CacheOptions, Option<Address>) {
    let mut options = CacheOptions::default();
    let address = Address::read(reader, &mut section, "");
    let mut redis = None;
    match reader.take_text(&mut section, "type") {
        Some((kind, at)) if kind == "redis" => {
            options = options.with_shared(true);
            redis = address.or_else(|| Address::of_environment(reader, at));
            if redis.is_none() {
                let help = "set `host` or `url`, or the environment variable REDIS_URL";
                reader.error_with_help(at, "the cache `redis` has no address", help);
            }
        }
        Some((kind, at)) if kind != "local" => {
            let message = format!(
                "the cache {} is not supported; replies are cached in memory",
                quoted(&kind)
            );
            reader.warn(at, message, None);
        }
        _ => {}
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
    (options, redis)
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
        "db",
        "host",
        "mode",
        "namespace",
        "password",
        "port",
        "ssl",
        "supported_call_types",
        "ttl",
        "type",
        "url",
        "username",
    ],
    ignored: &[
        "default_in_memory_ttl",
        "default_in_redis_ttl",
        "disk_cache_dir",
        "qdrant_semantic_cache_embedding_model",
        "redis_flush_size",
        "redis_semantic_cache_embedding_model",
        "redis_startup_nodes",
        "s3_bucket_name",
        "s3_region_name",
        "sentinel_nodes",
        "service_name",
        "similarity_threshold",
    ],
    restricting: &[],
};

/// In MiB.
const MAX_CAPACITY: u32 = 1 << 20;
