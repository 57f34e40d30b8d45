//! Values of chat requests that both APIs need.

use llm_types::{Field, Map, ReasoningEffort, ResponseFormat, Tool, ToolChoice, Value};

/// JSON that follows a schema.
pub(crate) fn json_schema(name: &str, schema: Value, strict: bool) -> ResponseFormat {
    let mut format = ResponseFormat::json_schema(name, schema);
    if let ResponseFormat::JsonSchema(format) = &mut format
        && let Some(members) = format.json_schema.value_mut()
    {
        members.insert("strict".to_owned(), strict.into());
    }
    format
}

/// A function as a tool.
pub(crate) fn function(
    name: String,
    description: Option<String>,
    parameters: Option<Value>,
    strict: Option<bool>,
) -> Tool {
    let empty = || serde_json::json!({"type": "object", "properties": {}});
    let mut tool = Tool::function(name, parameters.unwrap_or_else(empty));
    if let Tool::Function(tool) = &mut tool {
        tool.function.description = Field::optional(description);
        tool.function.strict = Field::optional(strict);
    }
    tool
}

/// The choice of one function.
pub(crate) fn function_choice(name: &str) -> ToolChoice {
    let function = Map::from_iter([("name".to_owned(), Value::from(name))]);
    ToolChoice::Object(Map::from_iter([
        ("type".to_owned(), "function".into()),
        ("function".to_owned(), function.into()),
    ]))
}

/// Lowers an effort above `high`, which chat upstreams do not support.
pub(crate) fn chat_effort(effort: ReasoningEffort) -> ReasoningEffort {
    match effort {
        ReasoningEffort::XHigh | ReasoningEffort::Max => ReasoningEffort::High,
        other => other,
    }
}
