//! The settings that restrict access.

use llm_provider::ApiKey;

use super::keys::{GUARDS, MASTER_KEY};
use super::problem::Position;
use super::reader::{Reader, Section};
use super::yaml::{Node, Yaml};

/// LiteLLM's callback that exports traces and metrics.
const OTEL: &str = "otel";

/// A body is held in memory.
const MAX_BODY_MEBIBYTES: f64 = 1024.0;

/// LiteLLM's environment variable for the master key, for files without one.
const VARIABLE: &str = "LITELLM_MASTER_KEY";

/// The key that clients have to send: `master_key`, or else the environment variable.
///
/// A key without a value is an error, since the gateway would be open although the file demands a
/// key.
pub(super) fn master_key(
    reader: &mut Reader<'_>,
    general: Option<&mut Section>,
    top: Position,
) -> Option<ApiKey> {
    let entry = general.and_then(|general| general.take_any(MASTER_KEY));
    let Some(mut entry) = entry else {
        let key = ApiKey::new(reader.variable(VARIABLE)?);
        if key.is_empty() {
            let message = format!("the environment variable {VARIABLE} is empty");
            let help = "set it to the master key; to accept all clients, unset it";
            reader.error_with_help(top, message, help);
        }
        return Some(check_key(reader, key, top));
    };
    reader.resolve(&mut entry.value);
    let at = entry.value.at;
    let key = match entry.value.value {
        Yaml::Null => ApiKey::new(""),
        _ => ApiKey::new(reader.text(&entry)?),
    };
    if key.is_empty() {
        let help = "give a key; to accept all clients, remove the line";
        reader.error_with_help(at, "`master_key` is empty", help);
    }
    Some(check_key(reader, key, at))
}

/// The size limit of a request body in bytes, by LiteLLM's setting in MiB.
pub(super) fn body_limit(reader: &mut Reader<'_>, general: Option<&mut Section>) -> Option<usize> {
    let entry = reader.take(general?, "max_request_size_mb")?;
    let mebibytes = reader.amount(&entry)?;
    if !(0.001..=MAX_BODY_MEBIBYTES).contains(&mebibytes) {
        let message = format!(
            "`max_request_size_mb` has to be a number above 0, at most {MAX_BODY_MEBIBYTES}"
        );
        reader.error(entry.value.at, message);
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within the range that was checked"
    )]
    Some((mebibytes * f64::from(1 << 20)) as usize)
}

/// Reports a key that no client can send.
fn check_key(reader: &mut Reader<'_>, key: ApiKey, at: Position) -> ApiKey {
    if key.bearer().is_err() {
        let message = "`master_key` has characters that are not valid in a header";
        reader.error_with_help(at, message, "give a key of visible ASCII characters");
    }
    key
}

/// Reports `callbacks` of `litellm_settings` that refuse requests. Returns whether `otel` is among
/// them.
pub(super) fn read_callbacks(reader: &mut Reader<'_>, litellm: &mut Section) -> bool {
    let is_guard = |node: &Node| match &node.value {
        Yaml::Text(name) => GUARDS.contains(&name.as_str()),
        _ => false,
    };
    let is_otel = |node: &Node| matches!(&node.value, Yaml::Text(name) if name == OTEL);
    let Some(entry) = litellm.find("callbacks") else {
        return false;
    };
    let callbacks = match &entry.value.value {
        Yaml::List(callbacks) => &callbacks[..],
        _ => std::slice::from_ref(&entry.value),
    };
    let has_otel = callbacks.iter().any(is_otel);
    let ignored: Vec<Position> = callbacks
        .iter()
        .filter(|callback| !is_otel(callback))
        .map(|callback| callback.at)
        .collect();
    if let Some(guard) = callbacks.iter().find(|callback| is_guard(callback)) {
        let message = "this callback is not supported, and requests would not be checked";
        let help = "remove it, and check requests in front of the gateway";
        reader.error_with_help(guard.at, message, help);
    } else {
        for at in ignored {
            reader.warn(
                at,
                "this callback is not supported yet and is ignored",
                None,
            );
        }
    }
    litellm.take_any("callbacks");
    has_otel
}

/// Removes an empty `guardrails`, which restricts nothing, and warns that it has no effect.
pub(super) fn check_guardrails(reader: &mut Reader<'_>, top: &mut Section) {
    let is_empty = |node: &Node| match &node.value {
        Yaml::Null => true,
        Yaml::List(items) => items.is_empty(),
        _ => false,
    };
    let entry = top.find("guardrails");
    if let Some(at) = entry
        .filter(|entry| is_empty(&entry.value))
        .map(|entry| entry.at)
    {
        reader.warn(at, "`guardrails` has no effect here", None);
        top.take_any("guardrails");
    }
}
