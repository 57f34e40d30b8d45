//! Tools, tool choices, and tool calls.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::parse::{ParseError, parse};
use crate::tagged::{by_form, object, tag, unexpected, untag};
use crate::{field::Field, lenient, open_enum::open_enum};

/// A tool that the model may call.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Tool {
    /// A tool whose input is free text.
    Custom(CustomTool),
    /// A function with JSON arguments.
    Function(FunctionTool),
    /// A tool of another type, unchanged.
    Other(Map<String, Value>),
}

impl Tool {
    /// Creates a function; `parameters` is a JSON schema.
    pub fn function(name: impl Into<String>, parameters: impl Into<Value>) -> Self {
        FunctionDefinition::new(name)
            .with_parameters(parameters)
            .into()
    }

    /// Sets the description, from which the model learns when to call the tool.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        let description = description.into();
        match &mut self {
            Self::Custom(tool) => tool.custom.description = Field::Value(description),
            Self::Function(tool) => tool.function.description = Field::Value(description),
            Self::Other(tool) => {
                tool.insert("description".to_owned(), description.into());
            }
        }
        self
    }

    /// The tool's name.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Custom(tool) => Some(&tool.custom.name),
            Self::Function(tool) => Some(&tool.function.name),
            Self::Other(_) => None,
        }
    }
}

impl From<FunctionDefinition> for Tool {
    fn from(function: FunctionDefinition) -> Self {
        Self::Function(FunctionTool {
            function,
            extra: Map::new(),
        })
    }
}

impl<'de> Deserialize<'de> for Tool {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_form(deserializer, |value| {
            let map = object(value)?;
            match tag(&map)? {
                "custom" => untag(map).map(Self::Custom),
                "function" => untag(map).map(Self::Function),
                _ => Ok(Self::Other(map)),
            }
        })
    }
}

/// A function with JSON arguments.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "function")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "FunctionTool", transform = crate::schema::tagged("function"))
)]
pub struct FunctionTool {
    /// The function.
    pub function: FunctionDefinition,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A function: its name, and the JSON schema of its arguments.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FunctionDefinition {
    /// The name.
    pub name: String,
    /// The description.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub description: Field<String>,
    /// The JSON schema of its arguments, in the client's order.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub parameters: Field<Value>,
    /// Whether the arguments must follow the schema.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub strict: Field<bool>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl FunctionDefinition {
    /// Creates a function without arguments.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: Field::Absent,
            parameters: Field::Absent,
            strict: Field::Absent,
            extra: Map::new(),
        }
    }

    /// Sets the description, from which the model learns when to call the function.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = Field::Value(description.into());
        self
    }

    /// Sets the JSON schema of the arguments.
    #[must_use]
    pub fn with_parameters(mut self, parameters: impl Into<Value>) -> Self {
        self.parameters = Field::Value(parameters.into());
        self
    }

    /// Sets whether the arguments must follow the schema.
    #[must_use]
    pub fn with_strict(mut self, strict: bool) -> Self {
        self.strict = Field::Value(strict);
        self
    }
}

/// A tool whose input is free text.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename = "custom")]
#[cfg_attr(
    feature = "schema",
    schemars(rename = "CustomTool", transform = crate::schema::tagged("custom"))
)]
pub struct CustomTool {
    /// The tool.
    pub custom: CustomToolDefinition,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The name of a tool, and the format of its input.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CustomToolDefinition {
    /// The name.
    pub name: String,
    /// The description.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub description: Field<String>,
    /// `{"type": "text"}`, or a grammar.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub format: Field<Value>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The tool that the model has to call.
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum ToolChoice {
    /// `auto`, `none`, `required`, or, at Together, a tool's name.
    Mode(String),
    /// An object: one function, one custom tool, or `allowed_tools`.
    Object(Map<String, Value>),
}

impl ToolChoice {
    /// The model decides.
    pub fn auto() -> Self {
        Self::Mode("auto".to_owned())
    }

    /// No tool.
    pub fn none() -> Self {
        Self::Mode("none".to_owned())
    }

    /// The model has to call a tool.
    pub fn required() -> Self {
        Self::Mode("required".to_owned())
    }

    /// The model has to call this function.
    pub fn function(name: impl Into<String>) -> Self {
        let function = Map::from_iter([("name".to_owned(), Value::String(name.into()))]);
        Self::Object(Map::from_iter([
            ("type".to_owned(), "function".into()),
            ("function".to_owned(), function.into()),
        ]))
    }
}

impl<'de> Deserialize<'de> for ToolChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        by_form(deserializer, |value| match value {
            Value::String(mode) => Ok(Self::Mode(mode)),
            Value::Object(map) => Ok(Self::Object(map)),
            other => Err(unexpected("a string or an object", &other)),
        })
    }
}

/// A tool call of the model.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ToolCall {
    /// The id to which the tool's message refers.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub id: Field<String>,
    /// The kind of tool that is called.
    #[serde(default, rename = "type", skip_serializing_if = "Field::is_absent")]
    pub type_: Field<ToolType>,
    /// The index in the list; Together also sends it outside of streams.
    #[serde(
        default,
        deserialize_with = "lenient::count",
        skip_serializing_if = "Option::is_none"
    )]
    pub index: Option<u64>,
    /// The function and its arguments.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub function: Field<FunctionCall>,
    /// The custom tool and its input.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub custom: Field<CustomCall>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ToolCall {
    /// Creates a call of a function; `arguments` is JSON text.
    pub fn function(
        id: impl Into<String>,
        name: impl Into<String>,
        arguments: impl Into<String>,
    ) -> Self {
        Self {
            id: Field::Value(id.into()),
            type_: Field::Value(ToolType::Function),
            function: Field::Value(FunctionCall::new(name, arguments)),
            ..Self::default()
        }
    }

    /// The name of the function or tool.
    pub fn name(&self) -> Option<&str> {
        match (&self.function, &self.custom) {
            (Field::Value(call), _) => Some(&call.name),
            (_, Field::Value(call)) => Some(&call.name),
            _ => None,
        }
    }

    /// The arguments of the function, as the model wrote them: JSON text that may be invalid.
    pub fn arguments(&self) -> Option<&str> {
        self.function.value()?.arguments.as_str()
    }

    /// Reads the arguments of the function. Absent and empty arguments count as `{}`, which some
    /// engines send for a function without parameters.
    ///
    /// # Errors
    ///
    /// If they are not valid JSON, or not a `T`. The error quotes no text of the arguments.
    pub fn read_arguments<T: DeserializeOwned>(&self) -> Result<T, ParseError> {
        let arguments = self.arguments().unwrap_or_default().trim();
        let arguments = if arguments.is_empty() {
            "{}"
        } else {
            arguments
        };
        parse(arguments.as_bytes())
    }
}

/// The name and arguments of a function call.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct FunctionCall {
    /// The name of the function.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub name: String,
    /// JSON text as the model wrote it. It may be truncated or invalid, so it is never parsed here.
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

impl FunctionCall {
    /// Creates a function call; `arguments` is JSON text.
    pub fn new(name: impl Into<String>, arguments: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            arguments: Field::Value(arguments.into()),
            extra: Map::new(),
        }
    }
}

/// The name and input of a custom tool's call.
#[non_exhaustive]
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CustomCall {
    /// The name of the tool.
    #[serde(default, deserialize_with = "lenient::or_default")]
    pub name: String,
    /// The input: free text.
    #[serde(default, skip_serializing_if = "Field::is_absent")]
    pub input: Field<String>,
    /// All other members.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

open_enum! {
    /// The kind of a called tool.
    pub enum ToolType {
        /// A tool whose input is free text.
        Custom = "custom",
        /// A function with JSON arguments.
        Function = "function",
    }
}
