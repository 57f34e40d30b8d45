//! Tool calls of a simulated model.

use serde_json::Value;

use crate::sample::fitting;
use crate::together::error::Refusal;
use crate::together::fields::{Fields, wrong};

/// The tool that the model calls, if any: with `tool_choice` `required` the first one, with a name
/// that one, and with `auto` one whose name is in the user's message. The reply to a tool's result
/// is text, unless a call is required.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    pub(crate) call: Option<ToolCall>,
}

/// A call with arguments that match the tool's schema.
#[derive(Debug)]
pub(crate) struct ToolCall {
    pub(crate) name: String,
    pub(crate) arguments: String,
}

impl Tools {
    pub(crate) fn read(
        fields: &Fields,
        user_text: &str,
        after_tool: bool,
    ) -> Result<Self, Refusal> {
        let mut tools = Vec::new();
        for tool in fields.list("tools")? {
            let function = tool.get("function");
            let name = function
                .and_then(|function| function.get("name"))
                .and_then(Value::as_str);
            match (tool.get("type").and_then(Value::as_str), name) {
                (Some("function"), Some(name)) => {
                    tools.push((
                        name,
                        function.and_then(|function| function.get("parameters")),
                    ));
                }
                _ => return Err(wrong("tools", "an array of functions with names")),
            }
        }
        let named = |wanted: &str| tools.iter().find(|(name, _)| *name == wanted);
        let chosen = match choice(fields)? {
            Choice::None => None,
            Choice::Auto if after_tool => None,
            Choice::Auto => tools.iter().find(|(name, _)| user_text.contains(name)),
            Choice::Required => {
                let first = tools.first();
                Some(first.ok_or_else(|| wrong("tool_choice", "none when there are no tools"))?)
            }
            Choice::Named(name) => {
                Some(named(name).ok_or_else(|| wrong("tool_choice", "the name of a tool"))?)
            }
        };
        let call = chosen.map(|(name, parameters)| ToolCall {
            name: (*name).to_owned(),
            arguments: fitting(parameters.unwrap_or(&Value::Null), "simulated").to_string(),
        });
        Ok(Self { call })
    }
}

enum Choice<'a> {
    Auto,
    Named(&'a str),
    None,
    Required,
}

fn choice(fields: &Fields) -> Result<Choice<'_>, Refusal> {
    Ok(match fields.any("tool_choice") {
        None => Choice::Auto,
        Some(Value::String(choice)) => match choice.as_str() {
            "auto" => Choice::Auto,
            "none" => Choice::None,
            "required" => Choice::Required,
            name => Choice::Named(name),
        },
        Some(choice) => {
            let name = choice.pointer("/function/name").and_then(Value::as_str);
            Choice::Named(name.ok_or_else(|| wrong("tool_choice", "a string or a function"))?)
        }
    })
}
