//! Checks the members of a dataset config that its reader would ignore.

use llm_provider::similar_name;
use llm_provider::text::excerpt;
use serde_json::{Map, Value};

/// Checks a dataset config: its names, its source, and what is not supported.
pub(super) fn check(config: &Value) -> Result<(), String> {
    let Some(fields) = config.as_object() else {
        return Err("expected a JSON object with source".to_owned());
    };
    names("", fields, MEMBERS)?;
    let Some(Value::Object(source)) = fields.get("source") else {
        // The reader reports it.
        return Ok(());
    };
    names("source.", source, SOURCE)?;
    let kind = source.get("type").and_then(Value::as_str);
    if kind == Some("custom") || is_set(source, "loader_class") {
        return Err("`loader_class` is Python code, which is not supported".to_owned());
    }
    let path = source.get("path").and_then(Value::as_str).unwrap_or("");
    match kind {
        Some("file" | "huggingface") if path.is_empty() => {
            return Err("`source.path` is missing".to_owned());
        }
        Some("file" | "huggingface") | None => {}
        Some(other) => {
            let other = excerpt(other);
            return Err(format!(
                "source type {other:?}: expected file or huggingface"
            ));
        }
    }
    let arguments = source.get("huggingface_kwargs").and_then(Value::as_object);
    let Some(arguments) = arguments.filter(|_| kind == Some("huggingface")) else {
        return Ok(());
    };
    match arguments.get("revision").and_then(Value::as_str) {
        Some(revision) if revision != "main" && !arguments.contains_key("data_files") => Err(
            "`huggingface_kwargs.revision`: only main is supported; download other revisions, and \
             name their files in `data_files`"
                .to_owned(),
        ),
        _ => Ok(()),
    }
}

fn names(prefix: &str, fields: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    let Some(unknown) = fields.keys().find(|name| !known.contains(&name.as_str())) else {
        return Ok(());
    };
    let help = match similar_name(unknown, known.iter().copied()) {
        Some(similar) => format!("did you mean `{similar}`?"),
        None => format!("expected one of {}", known.join(", ")),
    };
    let unknown = excerpt(unknown);
    Err(format!("`{prefix}{unknown}` is not a known key: {help}"))
}

fn is_set(fields: &Map<String, Value>, name: &str) -> bool {
    fields.get(name).is_some_and(|value| !value.is_null())
}

const MEMBERS: &[&str] = &[
    "source",
    "prompt_column",
    "image_column",
    "prompt_lambda",
    "unsafe_allow_large_images",
];

const SOURCE: &[&str] = &[
    "type",
    "path",
    "file_format",
    "csv_column_index",
    "huggingface_kwargs",
    "loader_class",
    "loader_kwargs",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_would_be_ignored_is_an_error() {
        let hub = |kwargs: Value| json!({"source": {"type": "huggingface", "path": "a/b", "huggingface_kwargs": kwargs}});
        for (config, expected) in [
            (json!({"source": {"type": "file", "path": "x.txt"}}), None),
            (hub(json!({"split": "train", "revision": "main"})), None),
            (
                hub(json!({"revision": "v2"})),
                Some("`huggingface_kwargs.revision`: only main"),
            ),
            (
                json!({"promptcolumn": "q", "source": {"type": "file", "path": "x"}}),
                Some("`promptcolumn` is not a known key: did you mean `prompt_column`?"),
            ),
            (
                json!({"source": {"type": "file", "path": "x", "zzz": 1}}),
                Some("`source.zzz` is not a known key: expected one of type, path"),
            ),
            (
                json!({"source": {"type": "file"}}),
                Some("`source.path` is missing"),
            ),
            (
                json!({"source": {"type": "custom", "loader_class": "a.B"}}),
                Some("`loader_class` is Python code, which is not supported"),
            ),
            (
                json!({"source": {"type": "s3", "path": "x"}}),
                Some("source type \"s3\": expected file or huggingface"),
            ),
        ] {
            let found = check(&config);
            match expected {
                None => assert_eq!(found, Ok(()), "{config}"),
                Some(start) => {
                    let error = found.unwrap_err();
                    assert!(error.starts_with(start), "{error}");
                }
            }
        }
    }
}
