//! [`Output`]: the items of a response under construction.

use llm_types::responses::{Item, ItemStatus};
use llm_types::{ToolCallDelta, Value};

use super::ids;
use super::items::{Entry, Events};
use super::replies::ResponsesReplies;
use super::tool_names::ToolNames;

/// The items of a response under construction.
///
/// Reasoning and messages follow one another. Calls stay open until the end of the stream, since
/// their arguments may alternate.
#[derive(Debug)]
pub(super) struct Output {
    /// The part of the response's id that the ids of its items repeat.
    base: String,
    names: ToolNames,
    single_call: bool,
    is_encrypted: bool,
    entries: Vec<Entry>,
    /// Whether the last entry is open reasoning or an open message.
    is_open: bool,
    calls: Vec<Call>,
    /// White space that is written only if text follows it.
    blank: String,
    has_message: bool,
    held: usize,
}

/// A tool call of the upstream.
#[derive(Debug)]
struct Call {
    index: u32,
    id: String,
    state: CallState,
}

#[derive(Debug)]
enum CallState {
    /// The name did not arrive yet; these are the arguments so far.
    Waiting(String),
    /// The position of its entry.
    Started(usize),
    LeftOut,
}

impl Output {
    /// An empty output; takes the names out of the replies.
    pub(super) fn new(base: String, replies: &mut ResponsesReplies) -> Self {
        Self {
            base,
            names: std::mem::take(&mut replies.names),
            single_call: replies.single_call,
            is_encrypted: replies.is_encrypted,
            entries: Vec::new(),
            is_open: false,
            calls: Vec::new(),
            blank: String::new(),
            has_message: false,
            held: 0,
        }
    }

    /// How many bytes are held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    pub(super) fn push_reasoning(&mut self, text: String, events: &mut Events) {
        self.held += text.len();
        if !self.last_is_open(true) {
            self.close_open(events);
            let (id, index) = self.next("rs");
            self.open(Entry::reasoning(id, index, self.is_encrypted, events));
        }
        if let Some(entry) = self.entries.last_mut() {
            entry.push_reasoning(text, events);
        }
    }

    /// Adds text. White space alone does not begin a message: engines send it between tool calls.
    pub(super) fn push_text(&mut self, text: String, logprobs: Vec<Value>, events: &mut Events) {
        self.held += text.len() + logprobs.len() * LOGPROB_BYTES;
        if !self.last_is_open(false) {
            let is_blank = text.trim().is_empty();
            self.blank.push_str(&text);
            if is_blank {
                return;
            }
            let text = std::mem::take(&mut self.blank);
            return self.open_message(events).push_text(text, logprobs, events);
        }
        if let Some(entry) = self.entries.last_mut() {
            entry.push_text(text, logprobs, events);
        }
    }

    pub(super) fn push_refusal(&mut self, text: String, events: &mut Events) {
        self.held += text.len();
        if !self.last_is_open(false) {
            return self.open_message(events).push_refusal(text, events);
        }
        if let Some(entry) = self.entries.last_mut() {
            entry.push_refusal(text, events);
        }
    }

    /// Adds a piece of a tool call.
    pub(super) fn push_call(&mut self, delta: ToolCallDelta, events: &mut Events) {
        let id = delta.id.into_value().unwrap_or_default();
        let function = delta.function.into_value().unwrap_or_default();
        let name = function.name.into_value().unwrap_or_default();
        let arguments = function.arguments.into_value().unwrap_or_default();
        if id.is_empty() && name.is_empty() && arguments.is_empty() {
            return;
        }
        self.held += arguments.len();
        let at = self.call(delta.index, id);
        match &mut self.calls[at].state {
            CallState::LeftOut => return,
            CallState::Started(entry) => {
                let entry = *entry;
                return self.push_arguments(entry, arguments, events);
            }
            CallState::Waiting(pending) => pending.push_str(&arguments),
        }
        if !name.is_empty() {
            self.start_call(at, &name, events);
        }
    }

    /// Ends all items. An output without message and call gets an empty message.
    pub(super) fn finish(&mut self, is_complete: bool, events: &mut Events) {
        for at in 0..self.calls.len() {
            self.start_call(at, "", events);
        }
        if !self.has_message && self.calls.is_empty() {
            let text = std::mem::take(&mut self.blank);
            let message = self.open_message(events);
            if !text.is_empty() {
                message.push_text(text, Vec::new(), events);
            }
        }
        let last = self.entries.len().saturating_sub(1);
        for (at, entry) in self.entries.iter_mut().enumerate() {
            let status = if is_complete || at < last {
                ItemStatus::Completed
            } else {
                ItemStatus::Incomplete
            };
            entry.close(status, events);
        }
    }

    /// The items.
    pub(super) fn into_items(self) -> Vec<Item> {
        self.entries.into_iter().map(Entry::into_item).collect()
    }

    /// The position of a call in the list. A new id under a used index is another call: some engines
    /// send the index 0 for all.
    fn call(&mut self, index: u32, id: String) -> usize {
        let latest = self.calls.iter().rposition(|call| call.index == index);
        if let Some(at) = latest {
            let call = &mut self.calls[at];
            if id.is_empty() || call.id.is_empty() || call.id == id {
                if call.id.is_empty() {
                    call.id = id;
                }
                return at;
            }
        }
        self.held += CALL_BYTES + id.len();
        let state = if self.single_call && !self.calls.is_empty() {
            CallState::LeftOut
        } else {
            CallState::Waiting(String::new())
        };
        self.calls.push(Call { index, id, state });
        self.calls.len() - 1
    }

    /// Starts a call that waits for its name.
    fn start_call(&mut self, at: usize, name: &str, events: &mut Events) {
        let CallState::Waiting(arguments) = &mut self.calls[at].state else {
            return;
        };
        let arguments = std::mem::take(arguments);
        self.close_open(events);
        let tool = self.names.resolve(name);
        let prefix = if tool.is_custom { "ctc" } else { "fc" };
        let (id, index) = self.next(prefix);
        let chat_id = self.calls[at].id.clone();
        let is_used = |id: &str| self.entries.iter().any(|entry| entry.call_id() == Some(id));
        let mut call_id = ids::call(&chat_id, &self.base, index, false);
        if is_used(&call_id) {
            call_id = ids::call(&chat_id, &self.base, index, true);
        }
        let position = self.entries.len();
        self.calls[at].state = CallState::Started(position);
        self.entries
            .push(Entry::call(id, index, tool, call_id, events));
        self.push_arguments(position, arguments, events);
    }

    fn push_arguments(&mut self, entry: usize, arguments: String, events: &mut Events) {
        if let Some(entry) = self.entries.get_mut(entry)
            && !arguments.is_empty()
        {
            entry.push_arguments(arguments, events);
        }
    }

    fn open_message(&mut self, events: &mut Events) -> &mut Entry {
        self.close_open(events);
        self.has_message = true;
        let (id, index) = self.next("msg");
        self.open(Entry::message(id, index, events))
    }

    fn open(&mut self, entry: Entry) -> &mut Entry {
        self.is_open = true;
        let at = self.entries.len();
        self.entries.push(entry);
        &mut self.entries[at]
    }

    /// Ends the open reasoning or message.
    fn close_open(&mut self, events: &mut Events) {
        if std::mem::take(&mut self.is_open)
            && let Some(entry) = self.entries.last_mut()
        {
            entry.close(ItemStatus::Completed, events);
        }
    }

    /// Whether the last entry is open reasoning, or an open message.
    fn last_is_open(&self, reasoning: bool) -> bool {
        let last = self.entries.last();
        self.is_open && last.is_some_and(|entry| entry.is_reasoning() == reasoning)
    }

    /// The id and index of the next item.
    fn next(&self, prefix: &str) -> (String, u32) {
        let index = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        (ids::item(prefix, &self.base, index), index)
    }
}

/// The approximate memory of a call besides its texts, in bytes.
const CALL_BYTES: usize = 512;
/// The approximate memory of the log probabilities of a token, in bytes.
const LOGPROB_BYTES: usize = 256;
