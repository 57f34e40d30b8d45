//! The group of a call, or why there is none.

use llm_provider::text::excerpt;
use llm_provider::{
    Call, Capabilities, Capability, Error, ErrorKind, MAX_MODEL_NAME, Result, nearest_names,
};

use crate::fallbacks::Fallbacks;
use crate::group::Group;
use crate::names::{Names, Resolved};

/// The group that the model of a call names.
///
/// # Errors
/// [`ErrorKind::NotFound`], with the nearest names.
pub(crate) fn resolve(names: &Names, call: &Call) -> Result<Resolved> {
    let model = call.body.str("model").unwrap_or_default();
    resolve_name(names, &model)
}

/// The group that a model name stands for.
///
/// # Errors
/// As [`resolve`].
pub(crate) fn resolve_name(names: &Names, model: &str) -> Result<Resolved> {
    names.resolve(model).ok_or_else(|| unknown(names, model))
}

fn unknown(names: &Names, model: &str) -> Error {
    let count = names.visible().count();
    let nearest = nearest_names(model, names.visible(), NEAREST);
    let nearest: Vec<_> = nearest.into_iter().map(excerpt).collect();
    let nearest = nearest.join(", ");
    let hint = match count {
        _ if model.len() > MAX_MODEL_NAME => {
            format!("a model name has at most {MAX_MODEL_NAME} bytes")
        }
        0 => "there are none".to_owned(),
        _ if nearest.is_empty() => format!("there are {count} others"),
        _ if count <= NEAREST => format!("known: {nearest}"),
        _ => format!("nearest of {count}: {nearest}"),
    };
    let model = excerpt(model);
    Error::new(
        ErrorKind::NotFound,
        format!("the model \"{model}\" does not exist; {hint}"),
    )
    .with_code("model_not_found".to_owned())
    .with_param("model".to_owned())
}

/// Rejects fallbacks of a call that name unknown groups.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`], with the setting and the name.
pub(crate) fn require_groups(names: &Names, fallbacks: &Fallbacks) -> Result<()> {
    for (setting, _, list) in fallbacks.lists() {
        let mut unknown = list.iter().filter(|name| names.resolve(name).is_none());
        if let Some(name) = unknown.next() {
            let name = excerpt(name);
            // A call has no other defaults than its own fallbacks.
            let setting = match setting {
                "default_fallbacks" => "fallbacks",
                setting => setting,
            };
            let message = format!("{setting}: the model \"{name}\" does not exist");
            return Err(Error::new(ErrorKind::InvalidRequest, message)
                .with_code("model_not_found".to_owned())
                .with_param(setting.to_owned()));
        }
    }
    Ok(())
}

/// The error of a group without a deployment that supports `capability`.
pub(crate) fn unsupported(group: &Group, capability: Capability) -> Error {
    let able = group.capabilities();
    // Listing models is not a capability of a model.
    let able = Capabilities::new(able.iter().filter(|able| *able != Capability::Models));
    let group = excerpt(&group.name);
    Error::new(
        ErrorKind::Unsupported,
        format!("the model \"{group}\" does not support {capability}; it supports {able}"),
    )
    .with_param("model".to_owned())
}

/// The maximum number of names in an error.
const NEAREST: usize = 5;
