//! Tool calls of a simulated model.

use serde_json::Value;

use crate::sample::fitting;
use crate::together::error::Refusal;
use crate::together::fields::{Fields, wrong};

/// The tools that the model calls: with `auto`, those whose names are in the user's message; with
/// `required` the same, or else the first one; with a name that one. The reply to a tool's result is
/// text, unless a call is required.
#[derive(Debug, Default)]
pub(crate) struct Tools {
    pub(crate) calls: Vec<ToolCall>,
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
        let choice = choice(fields)?;
        let mut chosen = tools.clone();
        match choice {
            Choice::None => chosen.clear(),
            Choice::Auto if after_tool => chosen.clear(),
            Choice::Auto | Choice::Required => chosen.retain(|(name, _)| user_text.contains(name)),
            Choice::Named(wanted) => chosen.retain(|(name, _)| *name == wanted),
        }
        if chosen.is_empty() {
            match choice {
                Choice::Required => {
                    let first = tools.first().copied();
                    let needs = || wrong("tool_choice", "none when there are no tools");
                    chosen.push(first.ok_or_else(needs)?);
                }
                Choice::Named(_) => return Err(wrong("tool_choice", "the name of a tool")),
                Choice::Auto | Choice::None => {}
            }
        }
        let calls = chosen.into_iter().map(|(name, parameters)| ToolCall {
            name: name.to_owned(),
            arguments: fitting(parameters.unwrap_or(&Value::Null), "simulated").to_string(),
        });
        Ok(Self {
            calls: calls.collect(),
        })
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
