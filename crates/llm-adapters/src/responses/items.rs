//! [`Entry`]: an item of the output under construction, and its events.

use llm_types::responses::{
    CustomToolCallItem, FunctionCallItem, Item, ItemPart, ItemStatus, MessageItem, ReasoningItem,
    ResponsesEvent,
};
use llm_types::{Field, Value};

use super::custom::CustomInput;
use super::tool_names::ToolName;

/// Numbers the events.
#[derive(Debug, Default)]
pub(super) struct Events {
    pub(super) list: Vec<ResponsesEvent>,
    next: u64,
}

impl Events {
    pub(super) fn push(&mut self, mut event: ResponsesEvent) {
        event.sequence_number = self.next;
        self.next += 1;
        self.list.push(event);
    }
}

/// An item of the output.
#[derive(Debug)]
pub(super) struct Entry {
    id: String,
    output_index: u32,
    kind: Kind,
    /// The item, once it is complete.
    done: Option<Item>,
}

#[derive(Debug)]
enum Kind {
    Reasoning {
        text: String,
        /// Whether the item has the text also as `encrypted_content`.
        is_encrypted: bool,
    },
    /// The parts; the last one is open.
    Message(Vec<ItemPart>),
    Function {
        tool: ToolName,
        call_id: String,
        arguments: String,
    },
    Custom {
        tool: ToolName,
        call_id: String,
        arguments: CustomInput,
        input: String,
    },
}

impl Entry {
    pub(super) fn reasoning(
        id: String,
        output_index: u32,
        is_encrypted: bool,
        events: &mut Events,
    ) -> Self {
        let kind = Kind::Reasoning {
            text: String::new(),
            is_encrypted,
        };
        let this = Self::new(id, output_index, kind);
        this.added(events);
        let mut event = this.summary_event("response.reasoning_summary_part.added");
        event.part = Some(ItemPart::summary_text(""));
        events.push(event);
        this
    }

    pub(super) fn message(id: String, output_index: u32, events: &mut Events) -> Self {
        let this = Self::new(id, output_index, Kind::Message(Vec::new()));
        this.added(events);
        this
    }

    pub(super) fn call(
        id: String,
        output_index: u32,
        tool: ToolName,
        call_id: String,
        events: &mut Events,
    ) -> Self {
        let kind = if tool.is_custom {
            Kind::Custom {
                tool,
                call_id,
                arguments: CustomInput::default(),
                input: String::new(),
            }
        } else {
            Kind::Function {
                tool,
                call_id,
                arguments: String::new(),
            }
        };
        let this = Self::new(id, output_index, kind);
        this.added(events);
        this
    }

    pub(super) fn is_reasoning(&self) -> bool {
        matches!(self.kind, Kind::Reasoning { .. })
    }

    pub(super) fn call_id(&self) -> Option<&str> {
        match &self.kind {
            Kind::Function { call_id, .. } | Kind::Custom { call_id, .. } => Some(call_id),
            Kind::Reasoning { .. } | Kind::Message(_) => None,
        }
    }

    /// Adds a piece of reasoning. It is sent as a summary: clients such as the AI SDK read no other
    /// form, and OpenAI and the Open Responses specification have the same names for it.
    pub(super) fn push_reasoning(&mut self, delta: String, events: &mut Events) {
        if let Kind::Reasoning { text, .. } = &mut self.kind {
            text.push_str(&delta);
            let mut event = self.summary_event("response.reasoning_summary_text.delta");
            event.delta = Some(delta);
            events.push(event);
        }
    }

    /// Adds a piece of text.
    pub(super) fn push_text(&mut self, delta: String, logprobs: Vec<Value>, events: &mut Events) {
        let index = self.open_part(ItemPart::output_text(""), events);
        let Kind::Message(parts) = &mut self.kind else {
            return;
        };
        if let Some(ItemPart::OutputText(part)) = parts.last_mut() {
            part.text.push_str(&delta);
            if let Some(all) = part.logprobs.value_mut() {
                all.extend(logprobs.iter().cloned());
            }
        }
        let mut event = self.event("response.output_text.delta");
        event.content_index = Some(index);
        event.delta = Some(delta);
        event.logprobs = Some(logprobs);
        events.push(event);
    }

    /// Adds a piece of a refusal.
    pub(super) fn push_refusal(&mut self, delta: String, events: &mut Events) {
        let index = self.open_part(ItemPart::refusal(""), events);
        let Kind::Message(parts) = &mut self.kind else {
            return;
        };
        if let Some(ItemPart::Refusal(part)) = parts.last_mut() {
            part.refusal.push_str(&delta);
        }
        self.delta_event("response.refusal.delta", Some(index), delta, events);
    }

    /// Adds a piece of arguments.
    pub(super) fn push_arguments(&mut self, delta: String, events: &mut Events) {
        let (type_, delta) = match &mut self.kind {
            Kind::Function { arguments, .. } => {
                arguments.push_str(&delta);
                ("response.function_call_arguments.delta", delta)
            }
            Kind::Custom {
                arguments, input, ..
            } => {
                let delta = arguments.push(&delta);
                input.push_str(&delta);
                ("response.custom_tool_call_input.delta", delta)
            }
            Kind::Reasoning { .. } | Kind::Message(_) => return,
        };
        if !delta.is_empty() {
            self.delta_event(type_, None, delta, events);
        }
    }

    /// Ends the item.
    pub(super) fn close(&mut self, status: ItemStatus, events: &mut Events) {
        if self.done.is_some() {
            return;
        }
        match &self.kind {
            Kind::Reasoning { text, .. } => {
                let text = text.clone();
                let mut event = self.summary_event("response.reasoning_summary_text.done");
                event.text = Some(text.clone());
                events.push(event);
                let mut event = self.summary_event("response.reasoning_summary_part.done");
                event.part = Some(ItemPart::summary_text(text));
                events.push(event);
            }
            Kind::Message(parts) => {
                if parts.is_empty() {
                    self.open_part(ItemPart::output_text(""), events);
                }
                self.close_part(events);
            }
            Kind::Function { .. } => self.close_function(events),
            Kind::Custom { .. } => self.close_custom(events),
        }
        let item = self.item(status);
        self.item_event("response.output_item.done", item.clone(), events);
        self.done = Some(item);
    }

    /// The item: complete, or as far as it is.
    pub(super) fn into_item(self) -> Item {
        let item = |this: &Self| this.item(ItemStatus::Incomplete);
        match self.done {
            Some(item) => item,
            None => item(&self),
        }
    }

    fn new(id: String, output_index: u32, kind: Kind) -> Self {
        Self {
            id,
            output_index,
            kind,
            done: None,
        }
    }

    fn added(&self, events: &mut Events) {
        let mut item = self.item(ItemStatus::InProgress);
        if let Item::Reasoning(item) = &mut item {
            item.summary.clear();
            item.encrypted_content = Field::Absent;
        }
        self.item_event("response.output_item.added", item, events);
    }

    /// The index of the open part, which has the type of `empty`; opens it if necessary.
    fn open_part(&mut self, empty: ItemPart, events: &mut Events) -> u32 {
        let Kind::Message(parts) = &self.kind else {
            return 0;
        };
        let is_open = parts.last().map(ItemPart::type_) == Some(empty.type_());
        if !is_open {
            if !parts.is_empty() {
                self.close_part(events);
            }
            if let Kind::Message(parts) = &mut self.kind {
                parts.push(empty.clone());
            }
            let index = self.part_index();
            self.part_event("response.content_part.added", index, empty, events);
        }
        self.part_index()
    }

    fn part_index(&self) -> u32 {
        match &self.kind {
            Kind::Message(parts) => u32::try_from(parts.len().saturating_sub(1)).unwrap_or(0),
            _ => 0,
        }
    }

    fn close_part(&self, events: &mut Events) {
        let Kind::Message(parts) = &self.kind else {
            return;
        };
        let Some(part) = parts.last().cloned() else {
            return;
        };
        let index = self.part_index();
        let mut event = match &part {
            ItemPart::Refusal(part) => {
                let mut event = self.event("response.refusal.done");
                event.refusal = Some(part.refusal.clone());
                event
            }
            other => {
                let mut event = self.event("response.output_text.done");
                event.text = other.as_text().map(ToOwned::to_owned);
                if let ItemPart::OutputText(part) = other {
                    event.logprobs = part.logprobs.value().cloned();
                }
                event
            }
        };
        event.content_index = Some(index);
        events.push(event);
        self.part_event("response.content_part.done", index, part, events);
    }

    fn close_function(&mut self, events: &mut Events) {
        let Kind::Function {
            tool, arguments, ..
        } = &self.kind
        else {
            return;
        };
        let name = tool.name.clone();
        // Clients parse the arguments; some engines send none for a tool without parameters.
        if arguments.trim().is_empty() {
            self.push_arguments("{}".to_owned(), events);
        }
        let Kind::Function { arguments, .. } = &self.kind else {
            return;
        };
        let mut event = self.event("response.function_call_arguments.done");
        event.arguments = Some(arguments.clone());
        event.name = Some(name);
        events.push(event);
    }

    fn close_custom(&mut self, events: &mut Events) {
        let Kind::Custom {
            arguments, input, ..
        } = &mut self.kind
        else {
            return;
        };
        let delta = arguments.finish();
        input.push_str(&delta);
        let whole = input.clone();
        if !delta.is_empty() {
            self.delta_event("response.custom_tool_call_input.delta", None, delta, events);
        }
        let mut event = self.event("response.custom_tool_call_input.done");
        event.input = Some(whole);
        events.push(event);
    }

    fn item(&self, status: ItemStatus) -> Item {
        let id = self.id.clone();
        match &self.kind {
            Kind::Reasoning { text, is_encrypted } => {
                let mut item = ReasoningItem::new(id, status);
                if *is_encrypted {
                    item.encrypted_content = Field::Value(format!("{PLAIN}{text}"));
                }
                item.summary = vec![ItemPart::summary_text(text.clone())];
                Item::Reasoning(item)
            }
            Kind::Message(parts) => Item::Message(MessageItem::output(id, parts.clone(), status)),
            Kind::Function {
                tool,
                call_id,
                arguments,
            } => {
                let (name, arguments) = (tool.name.clone(), arguments.clone());
                let mut item = FunctionCallItem::new(id, call_id.clone(), name, arguments, status);
                item.namespace = Field::optional(tool.namespace.clone());
                Item::FunctionCall(item)
            }
            Kind::Custom {
                tool,
                call_id,
                input,
                ..
            } => {
                let (name, input) = (tool.name.clone(), input.clone());
                let mut item = CustomToolCallItem::new(id, call_id.clone(), name, input, status);
                item.namespace = Field::optional(tool.namespace.clone());
                Item::CustomToolCall(item)
            }
        }
    }

    fn event(&self, type_: &str) -> ResponsesEvent {
        let mut event = ResponsesEvent::new(type_, 0);
        event.item_id = Some(self.id.clone());
        event.output_index = Some(self.output_index);
        event
    }

    /// An event of a summary, which has one part.
    fn summary_event(&self, type_: &str) -> ResponsesEvent {
        let mut event = self.event(type_);
        event.summary_index = Some(0);
        event
    }

    fn delta_event(
        &self,
        type_: &str,
        content_index: Option<u32>,
        delta: String,
        events: &mut Events,
    ) {
        let mut event = self.event(type_);
        event.content_index = content_index;
        event.delta = Some(delta);
        events.push(event);
    }

    fn part_event(&self, type_: &str, index: u32, part: ItemPart, events: &mut Events) {
        let mut event = self.event(type_);
        event.content_index = Some(index);
        event.part = Some(part);
        events.push(event);
    }

    fn item_event(&self, type_: &str, item: Item, events: &mut Events) {
        let mut event = ResponsesEvent::new(type_, 0);
        event.output_index = Some(self.output_index);
        event.item = Some(Box::new(item));
        events.push(event);
    }
}

/// The beginning of this crate's `encrypted_content`, which is not encrypted: without a store, the
/// AI SDK drops reasoning that has none.
pub(super) const PLAIN: &str = "plain.";
