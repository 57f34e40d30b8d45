//! Converts tools and the choice of a tool.

use llm_types::messages::{MessagesTool, MessagesToolChoice};
use llm_types::{Field, Tool, ToolChoice};

use super::request::AnthropicTools;
use crate::error::{Error, excerpt};
use crate::format;
use crate::ignored::Ignored;

/// The members of a chat request about tools.
pub(super) struct Tools {
    pub(super) tools: Option<Vec<Tool>>,
    pub(super) choice: Option<ToolChoice>,
    /// Whether the model may call only one tool at a time.
    pub(super) single_call: bool,
}

pub(super) fn convert(
    tools: Option<Vec<MessagesTool>>,
    choice: Option<MessagesToolChoice>,
    anthropic_tools: AnthropicTools,
    ignored: &mut Ignored,
) -> Result<Tools, Error> {
    let mut converted = Vec::new();
    for (at, tool) in tools.into_iter().flatten().enumerate() {
        if tool.is_custom() {
            converted.push(custom(tool, at, ignored)?);
        } else {
            let type_ = excerpt(tool.type_.as_str().unwrap_or_default());
            match anthropic_tools {
                AnthropicTools::Drop => ignored.add(&format!("tools.{type_}")),
                AnthropicTools::Reject => return Err(not_custom(at, &type_)),
            }
        }
    }
    let single_call = choice
        .as_ref()
        .and_then(|choice| choice.disable_parallel_tool_use.value().copied())
        .unwrap_or(false);
    let choice = choice.map(|choice| convert_choice(&choice, &converted, ignored));
    Ok(Tools {
        choice: choice.transpose()?.flatten(),
        single_call: single_call && !converted.is_empty(),
        tools: (!converted.is_empty()).then_some(converted),
    })
}

/// A tool of the client, with its schema as it is; nothing else of the tool enters the schema
/// (litellm#30557).
fn custom(tool: MessagesTool, at: usize, ignored: &mut Ignored) -> Result<Tool, Error> {
    ignored.add_members(&tool.extra);
    let required = |member: &str| Error::invalid(format!("tools[{at}].{member}"), "required");
    let name = tool.name.into_value().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| required("name"))?;
    let schema = tool.input_schema.into_value();
    let schema = schema.ok_or_else(|| required("input_schema"))?;
    Ok(format::function(
        name,
        tool.description.into_value(),
        Some(schema),
        tool.strict.into_value(),
    ))
}

fn not_custom(at: usize, type_: &str) -> Error {
    let problem = format!(
        "{type_:?} is a tool of Anthropic, which this model does not have; leave it out, or \
         define a tool of your own with `input_schema`"
    );
    Error::unsupported(format!("tools[{at}].type"), &problem)
}

fn convert_choice(
    choice: &MessagesToolChoice,
    tools: &[Tool],
    ignored: &mut Ignored,
) -> Result<Option<ToolChoice>, Error> {
    ignored.add_members(&choice.extra);
    let converted = match choice.type_.as_str() {
        "auto" => ToolChoice::auto(),
        "none" => ToolChoice::none(),
        "any" if tools.is_empty() => {
            return Err(Error::invalid(
                "tool_choice",
                "requires a tool; set `tools`",
            ));
        }
        "any" => ToolChoice::required(),
        "tool" => one(&choice.name, tools)?,
        other => {
            let problem = format!(
                "unknown choice {:?}; use auto, any, tool or none",
                excerpt(other)
            );
            return Err(Error::invalid("tool_choice.type", &problem));
        }
    };
    Ok((!tools.is_empty()).then_some(converted))
}

fn one(name: &Field<String>, tools: &[Tool]) -> Result<ToolChoice, Error> {
    let Some(name) = name.as_str() else {
        return Err(Error::invalid("tool_choice.name", "required"));
    };
    if !tools.iter().any(|tool| tool.name() == Some(name)) {
        let problem = format!("{:?} is not the name of a tool", excerpt(name));
        return Err(Error::invalid("tool_choice.name", &problem));
    }
    Ok(format::function_choice(name))
}
