//! The increments of a chunk.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::message::Role;
use super::tools::ToolType;
use crate::{field::Field, lenient};

/// What a chunk adds to a choice.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Delta {
    /// The role: in the first chunk; at Together in all chunks.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub role: Field<Role>,
    /// Additional content.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub content: Field<String>,
    /// Additional refusal text.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub refusal: Field<String>,
    /// Additional reasoning, under Together's name.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub reasoning: Field<String>,
    /// Additional reasoning, under the name of DeepSeek and LiteLLM.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub reasoning_content: Field<String>,
    /// Additional pieces of tool calls.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub tool_calls: Field<Vec<ToolCallDelta>>,
    /// Additional pieces of the function call, the predecessor of tool calls.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub function_call: Field<FunctionCallDelta>,
    /// All other members, such as Together's `token_id`.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Delta {
    /// Creates the first delta of a choice: the role, and empty content.
    pub fn start() -> Self {
        Self {
            role: Field::Value(Role::Assistant),
            content: "".into(),
            ..Self::default()
        }
    }

    /// Creates a delta with content.
    pub fn content(text: impl Into<String>) -> Self {
        Self {
            content: Field::Value(text.into()),
            ..Self::default()
        }
    }

    /// Creates a delta with reasoning, under the name that OpenAI's clients know.
    pub fn reasoning_content(text: impl Into<String>) -> Self {
        Self {
            reasoning_content: Field::Value(text.into()),
            ..Self::default()
        }
    }

    /// Creates a delta with pieces of tool calls.
    pub fn tool_calls(calls: impl Into<Vec<ToolCallDelta>>) -> Self {
        Self {
            tool_calls: Field::Value(calls.into()),
            ..Self::default()
        }
    }

    /// The additional reasoning, under either name.
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

/// A piece of a tool call: the first piece has the id and the name, later ones have arguments.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolCallDelta {
    /// The index of the call.
    #[serde(default, deserialize_with = "lenient::index")]
    pub index: u32,
    /// The id to which the tool's message refers.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub id: Field<String>,
    /// The kind of tool that is called.
    #[serde(default, rename = "type", skip_serializing_if = "Field::is_absent")]
    pub type_: Field<ToolType>,
    /// A piece of the function's name and arguments.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub function: Field<FunctionCallDelta>,
    /// A piece of the custom tool's name and input.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub custom: Field<CustomCallDelta>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ToolCallDelta {
    /// Creates the first piece of a function call.
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

    /// Creates a later piece, with arguments.
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

/// A piece of a function call.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FunctionCallDelta {
    /// The name of the function.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub name: Field<String>,
    /// A piece of the arguments, which are JSON text.
    #[serde(
        default,
        deserialize_with = "lenient::arguments",
        skip_serializing_if = "Field::is_absent"
    )]
    pub arguments: Field<String>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl FunctionCallDelta {
    fn drop_nulls(&mut self) {
        self.name.drop_null();
        self.arguments.drop_null();
    }
}

/// A piece of a call of a custom tool.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CustomCallDelta {
    /// The name of the tool.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub name: Field<String>,
    /// A piece of the input.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub input: Field<String>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
