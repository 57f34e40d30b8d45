//! The options of a chat request, and structured output.

use llm_types::{
    ChatRequest, Content, Message, Number, ReasoningEffort, ResponseFormat, Stop, Tool, ToolChoice,
};

use crate::ChatBuilder;

impl ChatBuilder<'_> {
    /// Adds a system message.
    pub fn with_system(self, text: impl Into<Content>) -> Self {
        self.with_messages([Message::system(text)])
    }

    /// Adds a user message: text, or parts such as images.
    pub fn with_user(self, text: impl Into<Content>) -> Self {
        self.with_messages([Message::user(text)])
    }

    /// Adds messages.
    pub fn with_messages(mut self, messages: impl IntoIterator<Item = Message>) -> Self {
        self.body.messages.extend(messages);
        self
    }

    /// Sets the maximum number of tokens to generate.
    pub fn with_max_tokens(mut self, max_tokens: u64) -> Self {
        self.body.max_tokens = Some(max_tokens);
        self
    }

    /// Sets the sampling temperature.
    pub fn with_temperature(mut self, temperature: f64) -> Self {
        self.body.temperature = Some(temperature.into());
        self
    }

    /// Sets the nucleus sampling threshold.
    pub fn with_top_p(self, top_p: f64) -> Self {
        self.change(|body| body.with_top_p(top_p))
    }

    /// Sets the stop sequences.
    pub fn with_stop(self, stop: impl Into<Stop>) -> Self {
        self.change(|body| body.with_stop(stop))
    }

    /// Sets the sampling seed.
    pub fn with_seed(self, seed: impl Into<Number>) -> Self {
        self.change(|body| body.with_seed(seed))
    }

    /// Sets the reasoning effort, for models that reason.
    pub fn with_reasoning_effort(self, effort: impl Into<ReasoningEffort>) -> Self {
        self.change(|body| body.with_reasoning_effort(effort))
    }

    /// Sets the tools that the model may call. [`run`](Self::run) also calls them.
    pub fn with_tools(self, tools: impl Into<Vec<Tool>>) -> Self {
        self.change(|body| body.with_tools(tools))
    }

    /// Sets which tool the model has to call; by default, the model decides.
    pub fn with_tool_choice(self, choice: ToolChoice) -> Self {
        self.change(|body| body.with_tool_choice(choice))
    }

    /// Sets the format of the response. The feature `schema` has a method
    /// `json` that derives it from a type.
    pub fn with_response_format(self, format: ResponseFormat) -> Self {
        self.change(|body| body.with_response_format(format))
    }

    fn change(mut self, change: impl FnOnce(ChatRequest) -> ChatRequest) -> Self {
        self.body = change(std::mem::take(&mut self.body));
        self
    }
}
