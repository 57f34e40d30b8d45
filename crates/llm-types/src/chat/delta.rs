//! What a chunk adds to an answer.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::message::Role;
use super::tools::ToolType;
use crate::{field::Field, lenient};

/// What a chunk adds to an answer.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Delta {
    /// Who speaks; in the first chunk, with Together in all.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub role: Field<Role>,
    /// More of the answer.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub content: Field<String>,
    /// More of the refusal.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub refusal: Field<String>,
    /// More of the thinking, as Together names it.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub reasoning: Field<String>,
    /// More of the thinking, as DeepSeek and LiteLLM name it.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub reasoning_content: Field<String>,
    /// More of the tool calls.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub tool_calls: Field<Vec<ToolCallDelta>>,
    /// More of the function call, the predecessor of tool calls.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub function_call: Field<FunctionCallDelta>,
    /// Members not named above, as Together's `token_id`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Delta {
    /// The beginning of an answer: the role, and empty content.
    pub fn start() -> Self {
        Self {
            role: Field::Value(Role::Assistant),
            content: "".into(),
            ..Self::default()
        }
    }

    /// More of the answer.
    pub fn content(text: impl Into<String>) -> Self {
        Self {
            content: Field::Value(text.into()),
            ..Self::default()
        }
    }

    /// More of the thinking, under the name that OpenAI's clients know.
    pub fn reasoning_content(text: impl Into<String>) -> Self {
        Self {
            reasoning_content: Field::Value(text.into()),
            ..Self::default()
        }
    }

    /// More of the tool calls.
    pub fn tool_calls(calls: impl Into<Vec<ToolCallDelta>>) -> Self {
        Self {
            tool_calls: Field::Value(calls.into()),
            ..Self::default()
        }
    }

    /// More of the thinking, under either name.
    pub fn thinking(&self) -> Option<&str> {
        self.reasoning_content
            .as_str()
            .or_else(|| self.reasoning.as_str())
    }

    pub(super) fn drop_nulls(&mut self) {
        self.role.drop_null();
        self.content.drop_null();
        self.refusal.drop_null();
        self.reasoning.drop_null();
        self.reasoning_content.drop_null();
        self.tool_calls.drop_null();
        self.function_call.drop_null();
        if let Field::Value(call) = &mut self.function_call {
            call.drop_nulls();
        }
        for call in self.tool_calls.value_mut().into_iter().flatten() {
            call.drop_nulls();
        }
    }
}

/// More of a tool call: the first piece has the id and the name, the others arguments.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolCallDelta {
    /// The place of the call among the calls.
    #[serde(default, deserialize_with = "lenient::index")]
    pub index: u32,
    /// The id that the tool's message answers to.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub id: Field<String>,
    /// What is called.
    #[serde(default, rename = "type", skip_serializing_if = "Field::is_absent")]
    pub type_: Field<ToolType>,
    /// More of the function's name and arguments.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub function: Field<FunctionCallDelta>,
    /// More of the custom tool's name and input.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub custom: Field<CustomCallDelta>,
    /// Members not named above.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ToolCallDelta {
    /// The first piece of a function call.
    pub fn start(index: u32, id: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            index,
            id: Field::Value(id.into()),
            type_: Field::Value(ToolType::Function),
            function: Field::Value(FunctionCallDelta {
                name: Field::Value(name.into()),
                arguments: "".into(),
                extra: Map::new(),
            }),
            ..Self::default()
        }
    }

    /// More of a function's arguments.
    pub fn arguments(index: u32, arguments: impl Into<String>) -> Self {
        Self {
            index,
            function: Field::Value(FunctionCallDelta {
                arguments: Field::Value(arguments.into()),
                ..FunctionCallDelta::default()
            }),
            ..Self::default()
        }
    }

    fn drop_nulls(&mut self) {
        self.id.drop_null();
        self.type_.drop_null();
        self.function.drop_null();
        self.custom.drop_null();
        if let Field::Value(call) = &mut self.function {
            call.drop_nulls();
        }
        if let Field::Value(call) = &mut self.custom {
            call.name.drop_null();
            call.input.drop_null();
        }
    }
}

/// More of a function call.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FunctionCallDelta {
    /// The function.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub name: Field<String>,
    /// More of the arguments: a piece of JSON text.
    #[serde(
        default,
        deserialize_with = "lenient::arguments",
        skip_serializing_if = "Field::is_absent"
    )]
    pub arguments: Field<String>,
    /// Members not named above.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl FunctionCallDelta {
    fn drop_nulls(&mut self) {
        self.name.drop_null();
        self.arguments.drop_null();
    }
}

/// More of a call of a custom tool.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CustomCallDelta {
    /// The tool.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub name: Field<String>,
    /// More of the input.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub input: Field<String>,
    /// Members not named above.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
