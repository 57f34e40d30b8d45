//! Conversations through `prompt-templates`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::UNIX_EPOCH;

use prompt_templates::{
    ChatTemplate, Context, ControlTokens, CustomTemplate, Family, Now, Options, PromptContent,
    PromptMessage, PromptPart, PromptRole, PromptToolCall, Strictness, match_model,
};
use serde_json::Value;

use crate::Miss;

/// A registered template, in LiteLLM's keys.
pub(crate) fn custom(vector: &Value) -> Result<(), Miss> {
    let mut keys = vector["options"].clone();
    if !keys.is_object() {
        return Err(Miss::lacks("options"));
    }
    keys["roles"] = vector["custom_roles"].clone();
    let template: CustomTemplate = serde_json::from_value(keys)
        .map_err(|error| Miss::new("a template in custom_roles and options", error.to_string()))?;
    compare(
        Ok(template.render_like_litellm(&messages(vector)?)),
        text(vector, "expected"),
    )
}

/// A built-in family, compared byte for byte with the official template.
pub(crate) fn family(vector: &Value) -> Result<(), Miss> {
    let name = vector["template"].as_str().unwrap_or_default();
    let model = vector["model"].as_str().unwrap_or_default();
    let family = family_of(name, model)
        .ok_or_else(|| Miss::new("a known family", format!("template {name}, model {model}")))?;
    let options = Options::new()
        .with_bos(true)
        .with_control_tokens(ControlTokens::Keep)
        .with_strictness(Strictness::Official);
    let got = family
        .render(&messages(vector)?, &options)
        .map_err(|error| error.to_string());
    compare(got, text(vector, "official_expected"))
}

/// By the template's name, LiteLLM's or ours, else by the model's.
fn family_of(name: &str, model: &str) -> Option<Family> {
    match name {
        "hf_known_deepseek_r1" => Some(Family::DEEPSEEK_R1),
        "hf_known_mistral" => Some(Family::MISTRAL_V1),
        "llama_2_chat" => Some(Family::LLAMA_2),
        "llama3" => Some(Family::LLAMA_3),
        _ => Family::from_name(&name.replace('_', "-")).or_else(|| match_model(model).family),
    }
}

/// Jinja templates, each one compiled once.
#[derive(Default)]
pub(crate) struct Compiled(BTreeMap<String, Result<ChatTemplate, String>>);

impl Compiled {
    pub(crate) fn check(&mut self, folder: &Path, vector: &Value) -> Result<(), Miss> {
        let file = text(vector, "template_file").ok_or_else(|| Miss::lacks("template_file"))?;
        let template = match self.0.get(file) {
            Some(template) => template,
            None => {
                let source = fs::read_to_string(folder.join(file)).map_err(|error| {
                    Miss::new(format!("the template {file}"), error.to_string())
                })?;
                let compiled =
                    ChatTemplate::compile(file, &source).map_err(|error| error.to_string());
                self.0.entry(file.to_owned()).or_insert(compiled)
            }
        };
        let context = context(vector)?;
        let got = template
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|template| {
                template
                    .render_context(&context)
                    .map_err(|error| error.to_string())
            });
        compare(got, text(vector, "expected"))
    }
}

fn context(vector: &Value) -> Result<Context, Miss> {
    let variables = vector["context"]
        .as_object()
        .ok_or_else(|| Miss::lacks("context"))?;
    let mut context = Context::default();
    for (name, value) in variables {
        context = context.with_variable(name, value);
    }
    match text(vector, "now") {
        None => Ok(context),
        Some(now) => {
            let seconds = seconds(now).ok_or_else(|| Miss::lacks("a date and time in now"))?;
            Ok(context.with_now(Now::from_unix(seconds)))
        }
    }
}

/// Without an expected text, an error is expected; its message may differ.
fn compare(got: Result<String, String>, expected: Option<&str>) -> Result<(), Miss> {
    match (&got, expected) {
        (Ok(got), Some(expected)) if got == expected => Ok(()),
        (Err(_), None) => Ok(()),
        (got, expected) => {
            let wanted = expected.map_or_else(|| "an error".to_owned(), |text| format!("{text:?}"));
            let got = match got {
                Ok(text) => format!("{text:?}"),
                Err(error) => format!("the error: {error}"),
            };
            Err(Miss::new(wanted, got))
        }
    }
}

fn messages(vector: &Value) -> Result<Vec<PromptMessage<'_>>, Miss> {
    let list = vector["messages"]
        .as_array()
        .ok_or_else(|| Miss::lacks("messages"))?;
    list.iter().map(message).collect()
}

fn message(message: &Value) -> Result<PromptMessage<'_>, Miss> {
    let role = text(message, "role").ok_or_else(|| Miss::lacks("a role in each message"))?;
    let content = match &message["content"] {
        Value::String(text) => PromptContent::from(text),
        Value::Array(parts) => PromptContent::Parts(parts.iter().map(part).collect()),
        _ => PromptContent::None,
    };
    let calls = message["tool_calls"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|call| {
            let function = &call["function"];
            let [name, arguments] = ["name", "arguments"].map(|key| text(function, key));
            PromptToolCall::new(
                text(call, "id").unwrap_or_default(),
                name.unwrap_or_default(),
                arguments.unwrap_or_default(),
            )
        });
    let mut out =
        PromptMessage::new(PromptRole::from(role), content).with_tool_calls(calls.collect());
    if let Some(name) = text(message, "name") {
        out = out.with_name(name);
    }
    if let Some(id) = text(message, "tool_call_id") {
        out = out.with_tool_call_id(id);
    }
    Ok(out)
}

fn part(part: &Value) -> PromptPart<'_> {
    match (
        text(part, "type"),
        text(part, "text"),
        text(&part["image_url"], "url"),
    ) {
        (Some("text"), Some(text), _) => PromptPart::Text(text.into()),
        (Some("image_url"), _, Some(url)) => PromptPart::Image(url.into()),
        (kind, ..) => PromptPart::Other(kind.unwrap_or_default().into()),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value[key].as_str()
}

/// `2025-01-02T03:04:05` in seconds since 1970.
fn seconds(time: &str) -> Option<i64> {
    let time = humantime::parse_rfc3339_weak(time).ok()?;
    let since_epoch = time.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_custom_template_that_renders_otherwise_is_a_miss() {
        let vector = |expected| {
            json!({
                "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}],
                "custom_roles": {"user": {"pre_message": "<", "post_message": ">"}},
                "options": {"bos_token": "^"},
                "expected": expected,
            })
        };
        assert_eq!(custom(&vector("^<Hi>")), Ok(()));
        assert_eq!(
            custom(&vector("<Hi>")),
            Err(Miss::new("\"<Hi>\"", "\"^<Hi>\""))
        );
        assert!(custom(&json!({"options": {}, "custom_roles": 1})).is_err());
    }

    #[test]
    fn a_family_that_renders_or_fails_otherwise_is_a_miss() {
        let vector = |key: &str, role: &str, text: &str| {
            json!({
                "template": "llama_2_chat",
                "messages": [{"role": role, "content": "Hi"}],
                key: text,
            })
        };
        let good = "<s>[INST] Hi [/INST]";
        assert_eq!(family(&vector("official_expected", "user", good)), Ok(()));
        assert!(family(&vector("official_expected", "user", "Hi")).is_err());
        assert_eq!(
            family(&vector("official_error", "assistant", "turns")),
            Ok(())
        );
        assert!(family(&vector("official_error", "user", "turns")).is_err());
        assert!(family(&json!({"template": "none", "model": "none"})).is_err());
    }

    #[test]
    fn a_chat_template_that_is_missing_or_renders_otherwise_is_a_miss() {
        let vector = json!({"template_file": "no-such.jinja", "context": {}, "expected": ""});
        let miss = Compiled::default()
            .check(Path::new("no-such-folder"), &vector)
            .unwrap_err();
        assert_eq!(miss.wanted, "the template no-such.jinja");

        let mut compiled = Compiled::default();
        let template = ChatTemplate::compile("t", "{{ x }} {{ strftime_now('%Y') }}");
        compiled.0.insert("t".to_owned(), Ok(template.unwrap()));
        let vector = |expected| {
            let now = "2025-01-02T03:04:05";
            json!({"template_file": "t", "context": {"x": 1}, "now": now, "expected": expected})
        };
        assert_eq!(compiled.check(Path::new(""), &vector("1 2025")), Ok(()));
        assert!(compiled.check(Path::new(""), &vector("1 2024")).is_err());
    }

    #[test]
    fn seconds_of_known_moments() {
        assert_eq!(seconds("1970-01-01T00:00:00"), Some(0));
        assert_eq!(seconds("2000-02-29T12:00:00"), Some(951_825_600));
        assert_eq!(seconds("2025-01-02T03:04:05"), Some(1_735_787_045));
        assert_eq!(seconds("2025-01-02"), None);
    }
}
