//! Converts tools and the choice of a tool.

use llm_types::responses::{
    NamespaceTool, ResponsesCustomTool, ResponsesFunctionTool, ResponsesRequest, ResponsesTool,
};
use llm_types::{Field, Map, Tool, ToolChoice, Value};
use serde_json::json;

use super::tool_names::{ToolName, ToolNames, chat_name};
use crate::error::{Error, excerpt};
use crate::format;
use crate::ignored::Ignored;

/// The members of a chat request about tools.
#[derive(Debug, Default)]
pub(super) struct Tools {
    pub(super) tools: Option<Vec<Tool>>,
    pub(super) choice: Option<ToolChoice>,
    pub(super) names: ToolNames,
}

pub(super) fn convert(request: &ResponsesRequest, ignored: &mut Ignored) -> Result<Tools, Error> {
    let mut list = ToolList {
        tools: Vec::new(),
        names: ToolNames::default(),
        ignored,
    };
    for (at, tool) in request.tools.iter().flatten().enumerate() {
        list.add(tool, None, &format!("tools[{at}]"))?;
    }
    let ToolList {
        mut tools, names, ..
    } = list;
    let choice = match &request.tool_choice {
        None => None,
        Some(ToolChoice::Mode(mode)) => Some(of_mode(mode)?),
        Some(ToolChoice::Object(choice)) => Some(of_object(choice, &mut tools, &names)?),
        Some(_) => return Err(Error::invalid("tool_choice", "use a string or an object")),
    };
    if tools.is_empty() {
        if choice == Some(ToolChoice::required()) {
            let problem = "requires a tool that the client runs; add one to `tools`";
            return Err(Error::invalid("tool_choice", problem));
        }
        return Ok(Tools::default());
    }
    Ok(Tools {
        tools: Some(tools),
        choice,
        names,
    })
}

struct ToolList<'a> {
    tools: Vec<Tool>,
    names: ToolNames,
    ignored: &'a mut Ignored,
}

impl ToolList<'_> {
    fn add(
        &mut self,
        tool: &ResponsesTool,
        namespace: Option<&NamespaceTool>,
        place: &str,
    ) -> Result<(), Error> {
        match tool {
            ResponsesTool::Function(tool) => self.add_function(tool, namespace, place),
            ResponsesTool::Custom(tool) => self.add_custom(tool, namespace, place),
            ResponsesTool::Namespace(inner) if namespace.is_none() => {
                for (at, tool) in inner.tools.iter().enumerate() {
                    self.add(tool, Some(inner), &format!("{place}.tools[{at}]"))?;
                }
                Ok(())
            }
            // Tools that run on OpenAI's servers. Codex always sends some of them.
            other => {
                self.ignored.add(&format!("tools.{}", other.type_()));
                Ok(())
            }
        }
    }

    fn add_function(
        &mut self,
        tool: &ResponsesFunctionTool,
        namespace: Option<&NamespaceTool>,
        place: &str,
    ) -> Result<(), Error> {
        self.ignored.add_members(&tool.extra);
        let name = self.name(&tool.name, namespace, false, place)?;
        self.tools.push(format::function(
            name,
            description(namespace, tool.description.as_str()),
            tool.parameters.value().cloned(),
            tool.strict.value().copied(),
        ));
        Ok(())
    }

    /// A function with one string. Its grammar is part of the description: no chat upstream
    /// enforces it.
    fn add_custom(
        &mut self,
        tool: &ResponsesCustomTool,
        namespace: Option<&NamespaceTool>,
        place: &str,
    ) -> Result<(), Error> {
        self.ignored.add_members(&tool.extra);
        let name = self.name(&tool.name, namespace, true, place)?;
        let mut text = description(namespace, tool.description.as_str()).unwrap_or_default();
        let member = |key| tool.format.value()?.get(key)?.as_str();
        if let Some(definition) = member("definition") {
            let syntax = member("syntax").unwrap_or("lark");
            text.push_str(&format!(
                "\n\nThe input must match this {syntax} grammar:\n{definition}"
            ));
        }
        let parameters = json!({
            "type": "object",
            "properties": {"input": {"type": "string", "description": "The input of the tool, as plain text"}},
            "required": ["input"],
            "additionalProperties": false,
        });
        let text = text.trim_start().to_owned();
        let description = (!text.is_empty()).then_some(text);
        self.tools
            .push(format::function(name, description, Some(parameters), None));
        Ok(())
    }

    /// The name in the chat request; it must not occur twice, or calls could not be told apart.
    fn name(
        &mut self,
        name: &str,
        namespace: Option<&NamespaceTool>,
        is_custom: bool,
        place: &str,
    ) -> Result<String, Error> {
        let namespace = namespace.map(|namespace| namespace.name.as_str());
        let in_chat = chat_name(namespace, name);
        if name.is_empty() {
            return Err(Error::invalid(format!("{place}.name"), "required"));
        }
        if self.tools.iter().any(|tool| tool.name() == Some(&in_chat)) {
            let problem = format!("another tool is named {:?}, too", excerpt(&in_chat));
            return Err(Error::invalid(format!("{place}.name"), &problem));
        }
        if is_custom || namespace.is_some() {
            let tool = ToolName {
                namespace: namespace.map(ToOwned::to_owned),
                name: name.to_owned(),
                is_custom,
            };
            self.names.insert(in_chat.clone(), tool);
        }
        Ok(in_chat)
    }
}

/// The description of a tool, after that of its namespace.
fn description(namespace: Option<&NamespaceTool>, tool: Option<&str>) -> Option<String> {
    let namespace = namespace.map(|namespace| {
        namespace
            .description
            .as_str()
            .unwrap_or(namespace.name.as_str())
    });
    match (namespace, tool) {
        (Some(namespace), Some(tool)) => Some(format!("{namespace} — {tool}")),
        (one, other) => one.or(other).map(ToOwned::to_owned),
    }
}

fn of_mode(mode: &str) -> Result<ToolChoice, Error> {
    match mode {
        "auto" | "none" | "required" => Ok(ToolChoice::Mode(mode.to_owned())),
        // Anthropic's name of `required`, which some clients use.
        "any" => Ok(ToolChoice::required()),
        other => {
            let problem = format!(
                "unknown choice {:?}; use auto, none, required or an object",
                excerpt(other)
            );
            Err(Error::invalid("tool_choice", &problem))
        }
    }
}

fn of_object(
    choice: &Map<String, Value>,
    tools: &mut Vec<Tool>,
    names: &ToolNames,
) -> Result<ToolChoice, Error> {
    let text = |key| choice.get(key).and_then(Value::as_str);
    match (text("type").unwrap_or_default(), text("name")) {
        ("function" | "custom" | "tool", Some(name)) => {
            let in_chat = find(name, text("namespace"), tools, names);
            let in_chat = in_chat.ok_or_else(|| unknown("tool_choice.name", name))?;
            Ok(format::function_choice(&in_chat))
        }
        ("tool", None) => Ok(ToolChoice::required()),
        ("allowed_tools", _) => allowed(choice, tools, names),
        (mode @ ("auto" | "none" | "required" | "any"), _) => of_mode(mode),
        ("function" | "custom", None) => Err(Error::invalid("tool_choice.name", "required")),
        (other, _) => {
            let problem = format!(
                "{:?} runs on OpenAI's servers, which this model does not have; choose a function",
                excerpt(other)
            );
            Err(Error::unsupported("tool_choice.type", &problem))
        }
    }
}

/// Leaves only the allowed tools.
fn allowed(
    choice: &Map<String, Value>,
    tools: &mut Vec<Tool>,
    names: &ToolNames,
) -> Result<ToolChoice, Error> {
    let list = choice.get("tools").and_then(Value::as_array);
    let list = list.ok_or_else(|| Error::invalid("tool_choice.tools", "required"))?;
    let text = |tool: &Value, key| tool.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
    let mut allowed = Vec::new();
    for tool in list {
        // Tools that run on OpenAI's servers have no name.
        let Some(name) = text(tool, "name") else {
            continue;
        };
        let found = find(&name, text(tool, "namespace").as_deref(), tools, names);
        allowed.push(found.ok_or_else(|| unknown("tool_choice.tools", &name))?);
    }
    tools.retain(|tool| allowed.iter().any(|name| tool.name() == Some(name)));
    of_mode(choice.get("mode").and_then(Value::as_str).unwrap_or("auto"))
}

fn unknown(param: &str, name: &str) -> Error {
    let problem = format!("{:?} is not the name of a tool", excerpt(name));
    Error::invalid(param, &problem)
}

/// The name in the chat request of a tool that the client names.
fn find(name: &str, namespace: Option<&str>, tools: &[Tool], names: &ToolNames) -> Option<String> {
    let in_chat = chat_name(namespace, name);
    if tools.iter().any(|tool| tool.name() == Some(&in_chat)) {
        return Some(in_chat);
    }
    names.find(name).map(ToOwned::to_owned)
}

/// A function tool with the keys that the Open Responses specification requires in a response.
pub(super) fn echo(tool: &ResponsesTool) -> ResponsesTool {
    let mut tool = tool.clone();
    if let ResponsesTool::Function(function) = &mut tool {
        Field::fill_null(&mut function.description);
        Field::fill_null(&mut function.parameters);
        Field::fill_null(&mut function.strict);
    }
    tool
}
