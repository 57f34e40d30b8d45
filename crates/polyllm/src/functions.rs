//! Functions that a model may call, and the loop that calls them.

use std::fmt::{self, Display};
use std::pin::Pin;
use std::sync::Arc;

use futures_util::future::join_all;
use llm_types::{ChatResponse, FunctionDefinition, Message, Tool, ToolCall, ToolChoice};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{ChatBuilder, Error, ErrorKind, Result};

/// The functions of a program that a model may call; [`ChatBuilder::run`] calls them.
///
/// ```no_run
/// use polyllm::types::FunctionDefinition;
/// use polyllm::{Client, Functions};
/// use serde::Deserialize;
/// use serde_json::json;
///
/// #[derive(Deserialize)]
/// struct Place {
///     city: String,
/// }
///
/// async fn weather(place: Place) -> Result<String, std::io::Error> {
///     Ok(format!("It is sunny in {}.", place.city))
/// }
///
/// # async fn example() -> polyllm::Result<()> {
/// // With the feature `schema`, `FunctionDefinition::typed::<Place>("weather")` writes the schema.
/// let definition = FunctionDefinition::new("weather")
///     .with_description("The weather in a city.")
///     .with_parameters(json!({"type": "object", "properties": {"city": {"type": "string"}}}));
/// let functions = Functions::new().with_function(definition, weather);
/// let conversation = Client::from_env()?
///     .chat("together_ai/openai/gpt-oss-20b")
///     .with_user("How is the weather in Bern?")
///     .run(&functions)
///     .await?;
/// println!("{}", conversation.text().unwrap_or_default());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Functions {
    functions: Vec<Function>,
    max_rounds: usize,
}

#[derive(Clone)]
struct Function {
    definition: FunctionDefinition,
    call: Arc<dyn Fn(&ToolCall) -> ResultText + Send + Sync>,
}

/// The text of the result of a call, for its message.
type ResultText = Pin<Box<dyn Future<Output = String> + Send>>;

impl Functions {
    /// Creates an empty list.
    pub fn new() -> Self {
        Self {
            functions: Vec::new(),
            max_rounds: MAX_ROUNDS,
        }
    }

    /// Adds a function, or replaces the one of the same name.
    ///
    /// The model gets the result as JSON, or as text if it is a string. It also gets the errors: of
    /// the function, of arguments that are not an `A`, and of a function that does not exist. So it
    /// can call again. An error must contain nothing that the model may not repeat.
    #[must_use]
    pub fn with_function<A, F, T, E>(
        mut self,
        definition: FunctionDefinition,
        function: impl Fn(A) -> F + Send + Sync + 'static,
    ) -> Self
    where
        A: DeserializeOwned,
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Serialize,
        E: Display,
    {
        self.functions
            .retain(|known| known.definition.name != definition.name);
        let call = move |call: &ToolCall| -> ResultText {
            let result = call.read_arguments().map(&function);
            Box::pin(async move {
                match result {
                    Ok(result) => result.await.map_or_else(failure, |value| content(&value)),
                    Err(error) => failure(format_args!("the arguments are invalid: {error}")),
                }
            })
        };
        self.functions.push(Function {
            definition,
            call: Arc::new(call),
        });
        self
    }

    /// Sets how many replies of the model may call functions; 10 by default.
    #[must_use]
    pub fn with_max_rounds(mut self, rounds: usize) -> Self {
        self.max_rounds = rounds;
        self
    }

    fn tools(&self) -> impl Iterator<Item = Tool> {
        let definitions = self.functions.iter();
        definitions.map(|function| function.definition.clone().into())
    }

    /// The message with the result of a call.
    async fn answer(&self, call: &ToolCall) -> Message {
        let name = call.name().unwrap_or_default();
        let mut functions = self.functions.iter();
        let content = match functions.find(|function| function.definition.name == name) {
            Some(function) => (function.call)(call).await,
            None => failure("there is no such function"),
        };
        Message::tool(call.id.as_str().unwrap_or_default(), content)
    }
}

impl Default for Functions {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.functions.iter().map(|known| &known.definition.name);
        f.debug_struct("Functions")
            .field("functions", &names.collect::<Vec<_>>())
            .field("max_rounds", &self.max_rounds)
            .finish()
    }
}

/// A chat in which the model called functions.
#[derive(Clone)]
#[non_exhaustive]
pub struct Conversation {
    /// The messages: those of the request, each reply of the model, and the results of its calls.
    pub messages: Vec<Message>,
    /// The responses in their order, at least one. The last one calls no function.
    pub responses: Vec<ChatResponse>,
}

impl Conversation {
    /// The text of the last response.
    pub fn text(&self) -> Option<std::borrow::Cow<'_, str>> {
        self.responses.last()?.text()
    }
}

/// Shows no messages, which contain a prompt.
impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conversation")
            .field("messages", &self.messages.len())
            .field("responses", &self.responses.len())
            .finish()
    }
}

impl ChatBuilder<'_> {
    /// Sends the request, calls the functions that the model calls, and sends their results, until
    /// the model replies without a call. Parallel calls run concurrently.
    ///
    /// A [tool choice](Self::with_tool_choice) other than `none` applies to the first reply only, so
    /// that the model can use the results. Only the first choice of a reply is used.
    ///
    /// # Errors
    /// Those of [`send`](Self::send). [`ErrorKind::ModelFailed`] if the model still calls functions
    /// after [`Functions::with_max_rounds`].
    pub async fn run(mut self, functions: &Functions) -> Result<Conversation> {
        let tools = self.body.tools.take().unwrap_or_default();
        let tools: Vec<Tool> = tools.into_iter().chain(functions.tools()).collect();
        // Upstreams reject an empty list.
        self.body.tools = Some(tools).filter(|tools| !tools.is_empty());
        let mut responses = Vec::new();
        loop {
            let response = self.clone().send().await?;
            let calls = response.calls().to_vec();
            if let Some(choice) = response.choices.first() {
                self.body.messages.push(choice.message.clone().into());
            }
            responses.push(response);
            if calls.is_empty() {
                return Ok(Conversation {
                    messages: self.body.messages,
                    responses,
                });
            }
            if responses.len() > functions.max_rounds {
                let message = format!(
                    "the model still calls functions after {} rounds: see Functions::with_max_rounds",
                    functions.max_rounds
                );
                return Err(Error::new(ErrorKind::ModelFailed, message));
            }
            let answers = join_all(calls.iter().map(|call| functions.answer(call))).await;
            self.body.messages.extend(answers);
            self.body.tool_choice = self
                .body
                .tool_choice
                .take()
                .filter(|choice| *choice == ToolChoice::none());
        }
    }
}

/// The text of a result.
fn content(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => text,
        Ok(value) => value.to_string(),
        // A map whose keys are not strings.
        Err(error) => failure(format_args!(
            "the result cannot be written as JSON: {error}"
        )),
    }
}

fn failure(error: impl Display) -> String {
    format!("error: {error}")
}

const MAX_ROUNDS: usize = 10;
