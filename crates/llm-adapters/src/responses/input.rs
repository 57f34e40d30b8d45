//! Converts the items of a conversation to messages.

use std::collections::{HashMap, VecDeque};

use llm_types::responses::{
    CustomToolCallItem, FunctionCallItem, Item, ItemContent, MessageItem, ReasoningItem,
};
use llm_types::{Content, ContentPart, Field, Message, Role, ToolCall};
use serde_json::json;

use super::items::PLAIN;
use super::tool_names::chat_name;
use super::{ids, parts};
use crate::error::{Error, excerpt};
use crate::ignored::Ignored;

pub(super) fn convert(
    instructions: Option<String>,
    mut items: Vec<Item>,
    files: bool,
    ignored: &mut Ignored,
) -> Result<Vec<Message>, Error> {
    let mut conversation = Conversation {
        messages: Vec::with_capacity(items.len() + 1),
        outputs: take_outputs(&mut items),
        turn: None,
        files,
        ignored,
    };
    if let Some(instructions) = instructions {
        conversation.messages.push(Message::system(instructions));
    }
    for (at, item) in items.into_iter().enumerate() {
        conversation.add(item, at)?;
    }
    conversation.end_turn()?;
    conversation.check_outputs()?;
    Ok(conversation.messages)
}

/// A message of the user.
pub(super) fn user_item(text: String) -> Item {
    let mut item = MessageItem::output("", Vec::new(), "completed".into());
    item.type_ = Field::Absent;
    item.id = Field::Absent;
    item.status = Field::Absent;
    item.role = Role::User;
    item.content = ItemContent::Text(text);
    Item::Message(item)
}

/// A conversation under construction.
///
/// Reasoning, messages and calls of the assistant in a row are one message. The results follow it
/// directly, wherever they are in the input: chat upstreams refuse them elsewhere.
struct Conversation<'a> {
    messages: Vec<Message>,
    /// The results that were not yet written, by the ids of their calls.
    outputs: Outputs,
    turn: Option<Turn>,
    files: bool,
    ignored: &'a mut Ignored,
}

type Outputs = HashMap<String, VecDeque<(usize, ItemContent)>>;

/// A message of the assistant under construction.
#[derive(Default)]
struct Turn {
    text: Option<String>,
    reasoning: String,
    /// The calls, with the ids that the client knows.
    calls: Vec<(String, ToolCall)>,
}

/// Takes the results out of the items, with their positions.
fn take_outputs(items: &mut [Item]) -> Outputs {
    let mut outputs = Outputs::new();
    for (at, item) in items.iter_mut().enumerate() {
        if let Item::CallOutput(item) = item {
            let nothing = ItemContent::Text(String::new());
            let output = std::mem::replace(&mut item.output, nothing);
            let of_call = outputs.entry(item.call_id.clone()).or_default();
            of_call.push_back((at, output));
        }
    }
    outputs
}

impl Conversation<'_> {
    fn add(&mut self, item: Item, at: usize) -> Result<(), Error> {
        match item {
            Item::Message(message) if message.role == Role::Assistant => self.add_text(message),
            Item::Message(message) => self.add_message(message, at)?,
            Item::Reasoning(reasoning) => self.add_reasoning(reasoning),
            Item::FunctionCall(call) => self.add_function_call(call),
            Item::CustomToolCall(call) => self.add_custom_call(call),
            Item::CallOutput(_) => self.end_turn()?,
            other => self.add_other(other.type_(), at)?,
        }
        Ok(())
    }

    fn add_text(&mut self, message: MessageItem) {
        let text = match message.content {
            ItemContent::Text(text) => text,
            ItemContent::Parts(parts) => parts::texts(&parts),
        };
        let turn = self.turn.get_or_insert_default();
        match &mut turn.text {
            Some(before) if !before.is_empty() => {
                before.push('\n');
                before.push_str(&text);
            }
            before => *before = Some(text),
        }
    }

    fn add_message(&mut self, message: MessageItem, at: usize) -> Result<(), Error> {
        self.end_turn()?;
        let role = match message.role {
            // Open models know only the older name.
            Role::Developer | Role::System => Role::System,
            Role::User => Role::User,
            other => {
                let problem = format!(
                    "unknown role {:?}; use user, assistant, system or developer",
                    excerpt(other.as_str())
                );
                return Err(Error::invalid(format!("input[{at}].role"), &problem));
            }
        };
        let content = parts::content(message.content, self.files, at)?;
        self.messages.push(Message::new(role, content));
        Ok(())
    }

    /// The text, or else the summary, or else the text in `encrypted_content` if this crate wrote it.
    fn add_reasoning(&mut self, item: ReasoningItem) {
        let content = item.content.value().map(|parts| parts::texts(parts));
        let text = content
            .filter(|text| !text.is_empty())
            .unwrap_or_else(|| parts::texts(&item.summary));
        let plain = item.encrypted_content.as_str();
        let text = match plain.and_then(|text| text.strip_prefix(PLAIN)) {
            Some(plain) if text.is_empty() => plain.to_owned(),
            _ => text,
        };
        if text.is_empty() {
            if item.encrypted_content.is_value() {
                self.ignored.add("reasoning.encrypted_content");
            }
            return;
        }
        let reasoning = &mut self.turn.get_or_insert_default().reasoning;
        if !reasoning.is_empty() {
            reasoning.push('\n');
        }
        reasoning.push_str(&text);
    }

    fn add_function_call(&mut self, call: FunctionCallItem) {
        let name = chat_name(call.namespace.as_str(), &call.name);
        let arguments = if call.arguments.trim().is_empty() {
            "{}".to_owned()
        } else {
            call.arguments
        };
        self.add_call(call.call_id, name, arguments);
    }

    fn add_custom_call(&mut self, call: CustomToolCallItem) {
        let name = chat_name(call.namespace.as_str(), &call.name);
        self.add_call(call.call_id, name, json!({"input": call.input}).to_string());
    }

    fn add_call(&mut self, id: String, name: String, arguments: String) {
        let call = ToolCall::function(ids::chat_call(&id), name, arguments);
        self.turn.get_or_insert_default().calls.push((id, call));
    }

    /// Items of tools that ran on OpenAI's servers have no effect; items that stand for a part of
    /// the conversation cannot be left out.
    fn add_other(&mut self, type_: &str, at: usize) -> Result<(), Error> {
        let problem = match type_ {
            "item_reference" => {
                "the item is not stored; send the item itself, as clients do with `store: false`"
            }
            "compaction" => "another server's compaction cannot be read; send the items",
            _ => {
                self.ignored.add(&format!("input:{type_}"));
                return Ok(());
            }
        };
        Err(Error::unsupported(format!("input[{at}]"), problem))
    }

    /// Writes the open message of the assistant, and the results of its calls.
    fn end_turn(&mut self) -> Result<(), Error> {
        let Some(turn) = self.turn.take() else {
            return Ok(());
        };
        // Reasoning alone is not a message.
        if turn.text.is_none() && turn.calls.is_empty() {
            self.ignored.add("input:reasoning");
            return Ok(());
        }
        let mut message = Message::assistant(turn.text.unwrap_or_default());
        if !turn.reasoning.is_empty() {
            message.reasoning_content = Field::Value(turn.reasoning);
        }
        let (ids, calls): (Vec<_>, Vec<_>) = turn.calls.into_iter().unzip();
        if !calls.is_empty() {
            if message.text().is_none_or(|text| text.is_empty()) {
                message.content = Field::Null;
            }
            message.tool_calls = Field::Value(calls);
        }
        self.messages.push(message);
        let mut others: Vec<ContentPart> = Vec::new();
        for id in ids {
            let output = self.outputs.get_mut(&id).and_then(VecDeque::pop_front);
            if let Some((at, output)) = output {
                let (text, more) = parts::output(output, self.files, at)?;
                self.messages.push(Message::tool(ids::chat_call(&id), text));
                others.extend(more);
            }
        }
        if !others.is_empty() {
            self.messages.push(Message::user(Content::Parts(others)));
        }
        Ok(())
    }

    fn check_outputs(&self) -> Result<(), Error> {
        let left = self.outputs.values().flatten();
        match left.map(|(at, _)| *at).min() {
            None => Ok(()),
            Some(at) => {
                let problem = "no call has this id; send the call before its output";
                Err(Error::invalid(format!("input[{at}].call_id"), problem))
            }
        }
    }
}
