//! [`Blocks`]: the blocks of a message, in the order in which they are written.

use std::collections::VecDeque;

use llm_types::messages::{Block, BlockDelta, MessagesEvent};
use llm_types::{Map, ToolCallDelta, Value};

use super::ids;
use super::signature::Signature;
use crate::partial::PartialObject;

/// The blocks of a message.
///
/// Chat chunks may alternate between tool calls, and content may arrive beside arguments. Blocks
/// are written one after another. The first one is written as it arrives; what arrives for others
/// is held until it ends. Reasoning and text end when another block begins, a tool call when its
/// arguments are a complete object, and all of them at the end of the stream.
#[derive(Debug)]
pub(super) struct Blocks {
    /// The open block, and those that wait for it.
    queue: VecDeque<Pending>,
    /// The number of blocks that are complete.
    closed: usize,
    /// The index of the next block that starts.
    next_index: u32,
    calls: Vec<Call>,
    single_call: bool,
    /// White space that is written only if text follows it.
    blank: String,
    /// How many bytes are held.
    held: usize,
    has_text: bool,
    has_calls: bool,
    is_broken: bool,
    /// The part of generated ids that makes them unique.
    message_id: String,
}

/// A block that is open or waits.
#[derive(Debug)]
struct Pending {
    kind: Kind,
    /// The text that was not yet written.
    text: String,
    /// The index, once the block was started.
    index: Option<u32>,
}

#[derive(Debug)]
enum Kind {
    Thinking(Signature),
    Text,
    Tool(Box<Tool>),
}

#[derive(Debug, Default)]
struct Tool {
    id: String,
    name: String,
    arguments: PartialObject,
}

/// A tool call of the upstream.
#[derive(Debug)]
struct Call {
    index: u32,
    id: String,
    /// The number of its block; `None` if the call is left out.
    block: Option<usize>,
}

impl Blocks {
    pub(super) fn new(message_id: &str, single_call: bool) -> Self {
        Self {
            queue: VecDeque::new(),
            closed: 0,
            next_index: 0,
            calls: Vec::new(),
            single_call,
            blank: String::new(),
            held: 0,
            has_text: false,
            has_calls: false,
            is_broken: false,
            message_id: message_id.trim_start_matches("msg_").to_owned(),
        }
    }

    /// How many bytes are held.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Whether there is a tool call.
    pub(super) fn has_calls(&self) -> bool {
        self.has_calls
    }

    /// Whether the arguments of a tool call turned out to be no JSON after a part was written. What
    /// was written would be a call with other arguments.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// Adds reasoning.
    pub(super) fn push_thinking(&mut self, text: String) {
        self.held += text.len();
        match self.queue.back_mut() {
            Some(Pending {
                kind: Kind::Thinking(_),
                text: pending,
                ..
            }) => append(pending, text),
            _ => self.add(Kind::Thinking(Signature::new()), text),
        }
    }

    /// Adds text. White space alone does not begin a block: engines send it between tool calls.
    pub(super) fn push_text(&mut self, text: String) {
        self.held += text.len();
        if let Some(Pending {
            kind: Kind::Text,
            text: pending,
            ..
        }) = self.queue.back_mut()
        {
            return append(pending, text);
        }
        let is_blank = text.trim().is_empty();
        append(&mut self.blank, text);
        if !is_blank {
            let text = std::mem::take(&mut self.blank);
            self.has_text = true;
            self.add(Kind::Text, text);
        }
    }

    /// Adds a piece of a tool call.
    pub(super) fn push_call(&mut self, delta: ToolCallDelta) {
        let id = delta.id.into_value().unwrap_or_default();
        let function = delta.function.into_value().unwrap_or_default();
        let name = function.name.into_value().unwrap_or_default();
        let arguments = function.arguments.into_value().unwrap_or_default();
        if id.is_empty() && name.is_empty() && arguments.is_empty() {
            return;
        }
        let Some(block) = self.block_of(delta.index, &id) else {
            return;
        };
        let at = block.checked_sub(self.closed);
        let pending = at.and_then(|at| self.queue.get_mut(at));
        if let Some(Pending {
            kind: Kind::Tool(tool),
            index,
            ..
        }) = pending
        {
            // The name of a block that was started cannot be changed; some engines repeat it.
            if tool.name.is_empty() && index.is_none() {
                self.held += name.len();
                tool.name = name;
            }
            if tool.id.is_empty() && index.is_none() {
                tool.id = id;
            }
            self.held += arguments.len();
            tool.arguments.push(&arguments);
            self.is_broken |= tool.arguments.is_broken();
        }
    }

    /// Writes what can be written.
    pub(super) fn write(&mut self, events: &mut Vec<MessagesEvent>) {
        while let Some(first) = self.queue.front_mut() {
            let lacks_name = matches!(&first.kind, Kind::Tool(tool) if tool.name.is_empty());
            if lacks_name && first.index.is_none() {
                return;
            }
            self.write_first(events);
            let is_followed = self.queue.len() > 1;
            let is_done = self.queue.front().is_some_and(|first| match &first.kind {
                Kind::Tool(tool) => tool.arguments.is_complete(),
                Kind::Text | Kind::Thinking(_) => is_followed,
            });
            if !is_done {
                return;
            }
            self.close_first(events);
        }
    }

    /// Writes everything, and ends the last block. A message without text and tool calls gets an
    /// empty text block, which clients look for.
    pub(super) fn finish(&mut self, events: &mut Vec<MessagesEvent>) {
        if !self.has_text && !self.has_calls {
            let text = std::mem::take(&mut self.blank);
            self.add(Kind::Text, text);
        }
        while !self.queue.is_empty() {
            self.write_first(events);
            self.close_first(events);
        }
    }

    /// The number of the block of a call. A new id under a used index is another call: some engines
    /// send the index 0 for all.
    fn block_of(&mut self, index: u32, id: &str) -> Option<usize> {
        let latest = self.calls.iter_mut().rev().find(|call| call.index == index);
        if let Some(call) = latest {
            let is_other = !id.is_empty() && !call.id.is_empty() && call.id != id;
            if !is_other {
                if call.id.is_empty() {
                    id.clone_into(&mut call.id);
                }
                return call.block;
            }
        }
        self.held += CALL_BYTES + 2 * id.len();
        let is_left_out = self.single_call && self.has_calls;
        let block = (!is_left_out).then_some(self.closed + self.queue.len());
        self.calls.push(Call {
            index,
            id: id.to_owned(),
            block,
        });
        if block.is_some() {
            self.has_calls = true;
            self.add(Kind::Tool(Box::default()), String::new());
        }
        block
    }

    fn add(&mut self, kind: Kind, text: String) {
        self.queue.push_back(Pending {
            kind,
            text,
            index: None,
        });
    }

    /// Starts the first block if necessary, and writes what it has.
    fn write_first(&mut self, events: &mut Vec<MessagesEvent>) {
        self.start_first(events);
        let Some(first) = self.queue.front_mut() else {
            return;
        };
        let Some(index) = first.index else { return };
        let text = match &mut first.kind {
            Kind::Tool(tool) => tool.arguments.take(),
            Kind::Text | Kind::Thinking(_) => std::mem::take(&mut first.text),
        };
        if text.is_empty() {
            return;
        }
        self.held = self.held.saturating_sub(text.len());
        let delta = match &mut first.kind {
            Kind::Thinking(signature) => {
                signature.add(&text);
                BlockDelta::thinking(text)
            }
            Kind::Text => BlockDelta::text(text),
            Kind::Tool(_) => BlockDelta::input_json(text),
        };
        events.push(MessagesEvent::block_delta(index, delta));
    }

    fn start_first(&mut self, events: &mut Vec<MessagesEvent>) {
        let Some(first) = self.queue.front_mut() else {
            return;
        };
        if first.index.is_some() {
            return;
        }
        let index = self.next_index;
        self.next_index += 1;
        first.index = Some(index);
        let block = match &mut first.kind {
            Kind::Thinking(_) => Block::thinking("", ""),
            Kind::Text => Block::text(""),
            Kind::Tool(tool) => {
                let id = match tool.id.as_str() {
                    "" => format!("toolu_{}_{index}", self.message_id),
                    id => id.to_owned(),
                };
                let name = std::mem::take(&mut tool.name);
                self.held = self.held.saturating_sub(name.len());
                Block::tool_use(ids::to_messages(&id), name, Value::Object(Map::new()))
            }
        };
        events.push(MessagesEvent::block_start(index, block));
    }

    /// Ends the first block, with its signature, or with what completes its arguments.
    fn close_first(&mut self, events: &mut Vec<MessagesEvent>) {
        let Some(first) = self.queue.pop_front() else {
            return;
        };
        self.closed += 1;
        let Some(index) = first.index else { return };
        let last = match first.kind {
            Kind::Thinking(signature) => Some(BlockDelta::signature(signature.text())),
            Kind::Text => None,
            Kind::Tool(mut tool) => {
                let rest = tool.arguments.close();
                (!rest.is_empty()).then(|| BlockDelta::input_json(rest))
            }
        };
        events.extend(last.map(|delta| MessagesEvent::block_delta(index, delta)));
        events.push(MessagesEvent::block_stop(index));
    }
}

/// Appends, without a copy if there is nothing before.
fn append(text: &mut String, more: String) {
    if text.is_empty() {
        *text = more;
    } else {
        text.push_str(&more);
    }
}

/// The approximate memory of a call besides its texts, in bytes.
const CALL_BYTES: usize = 256;
