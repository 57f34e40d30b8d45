//! The JSON schemas of a program's own types: tools and response formats from a Rust type.

use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

use crate::chat::{FunctionDefinition, ResponseFormat, Tool};

impl FunctionDefinition {
    /// Creates a function whose arguments are a `T`: [`ToolCall::read_arguments`] reads them.
    ///
    /// The schema has the form that OpenAI requires for strict schemas: no additional members, and
    /// every member required. An [`Option`] may be null. A `T` with a map is not strict.
    ///
    /// ```
    /// use llm_types::FunctionDefinition;
    /// use schemars::JsonSchema;
    /// use serde::Deserialize;
    ///
    /// #[derive(Deserialize, JsonSchema)]
    /// struct Place {
    ///     /// The name of the city.
    ///     city: String,
    /// }
    ///
    /// let weather = FunctionDefinition::typed::<Place>("weather")
    ///     .with_description("The weather in a city.");
    /// let schema = weather.parameters.value().unwrap();
    /// assert_eq!(schema["properties"]["city"]["type"], "string");
    /// ```
    ///
    /// [`ToolCall::read_arguments`]: crate::ToolCall::read_arguments
    pub fn typed<T: JsonSchema>(name: impl Into<String>) -> Self {
        let (schema, is_strict) = strict_schema::<T>();
        Self::new(name)
            .with_parameters(schema)
            .with_strict(is_strict)
    }
}

impl Tool {
    /// Creates a function whose arguments are a `T`, as [`FunctionDefinition::typed`] does.
    pub fn typed<T: JsonSchema>(name: impl Into<String>) -> Self {
        FunctionDefinition::typed::<T>(name).into()
    }
}

impl ResponseFormat {
    /// Requires a response that is a `T` as JSON: [`ChatResponse::json`] reads it.
    ///
    /// The schema has the form that [`FunctionDefinition::typed`] describes. Its name is that of `T`.
    ///
    /// [`ChatResponse::json`]: crate::ChatResponse::json
    pub fn typed<T: JsonSchema>() -> Self {
        let (schema, is_strict) = strict_schema::<T>();
        Self::json_schema(schema_name::<T>(), schema).with_strict(is_strict)
    }
}

/// The schema of `T`, and whether it has the form of OpenAI's strict schemas.
fn strict_schema<T: JsonSchema>() -> (Value, bool) {
    let mut strict = Strict { has_map: false };
    let mut settings = SchemaSettings::draft2020_12();
    settings.meta_schema = None;
    let mut schema = settings.into_generator().into_root_schema_for::<T>();
    strict.transform(&mut schema);
    (schema.to_value(), !strict.has_map)
}

/// The name of a schema: OpenAI accepts up to 64 letters, digits, `_` and `-`.
fn schema_name<T: JsonSchema>() -> String {
    let name = T::schema_name();
    let accepted = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let name = name.chars().map(|c| if accepted(c) { c } else { '_' });
    name.take(64).collect()
}

/// Changes a schema to the subset of JSON Schema that OpenAI's strict schemas have.
struct Strict {
    /// Whether an object has members of any name, which strict schemas cannot express.
    has_map: bool,
}

impl Transform for Strict {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(schema) = schema.as_object_mut() {
            self.change(schema);
        }
        transform_subschemas(self, schema);
    }
}

impl Strict {
    fn change(&mut self, schema: &mut Map<String, Value>) {
        if let Some(variants) = schema.remove("oneOf") {
            schema.insert("anyOf".to_owned(), variants);
        }
        // `uint32` and the like are names of schemars, which engines may not know.
        if names_type(schema, &["integer", "number"]) {
            schema.remove("format");
        }
        if !names_type(schema, &["object"]) {
            return;
        }
        match schema.get("additionalProperties") {
            None | Some(Value::Bool(false)) => {}
            Some(_) => {
                self.has_map = true;
                return;
            }
        }
        let members = schema
            .entry("properties")
            .or_insert_with(|| Map::new().into());
        let names = members.as_object().into_iter().flat_map(Map::keys);
        let names: Vec<Value> = names.map(|name| name.as_str().into()).collect();
        schema.insert("required".to_owned(), names.into());
        schema.insert("additionalProperties".to_owned(), false.into());
    }
}

/// Whether the schema has one of these types, alone or beside `null`.
fn names_type(schema: &Map<String, Value>, types: &[&str]) -> bool {
    let is_one = |value: &Value| value.as_str().is_some_and(|name| types.contains(&name));
    match schema.get("type") {
        Some(Value::Array(all)) => all.iter().any(is_one),
        Some(value) => is_one(value),
        None => false,
    }
}
