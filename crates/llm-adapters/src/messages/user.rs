//! Converts the turns of the user, with the results of tools.

use llm_types::messages::{Block, BlockContent, Source, ToolResultBlock};
use llm_types::{ContentPart, Field, Map, Message, Value};

use super::document;
use super::ids;
use super::turns::{Conversation, Place};
use crate::error::{Error, excerpt};

impl Conversation<'_> {
    /// Adds to the turn of the user. Results of tools become messages of their own before it: chat
    /// upstreams expect them directly after the calls.
    pub(super) fn add_user(&mut self, content: BlockContent, place: Place) -> Result<(), Error> {
        self.end_assistant();
        let blocks = match content {
            BlockContent::Text(text) => {
                self.user.push(ContentPart::text(text));
                return Ok(());
            }
            BlockContent::Blocks(blocks) => blocks,
        };
        if blocks.is_empty() {
            self.user.push(ContentPart::text(""));
        }
        for (at, block) in blocks.into_iter().enumerate() {
            self.add_user_block(block, place.block(at))?;
        }
        Ok(())
    }

    fn add_user_block(&mut self, block: Block, place: Place) -> Result<(), Error> {
        match block {
            Block::Text(block) => {
                self.ignored.add_members(&block.extra);
                if block.citations.is_value() {
                    self.ignored.add("citations");
                }
                self.user.push(ContentPart::text(block.text));
            }
            Block::ToolResult(result) => return self.add_result(result, place),
            Block::Image(_) | Block::Document(_) | Block::SearchResult(_) => {
                let parts = self.media(block, place)?;
                self.user.extend(parts);
            }
            Block::RedactedThinking(_) | Block::Thinking(_) | Block::ToolUse(_) => {
                let problem = format!("{} belongs to an assistant message", block.type_());
                return Err(Error::invalid(place.to_string(), &problem));
            }
            other => {
                let problem = format!(
                    "blocks of type {:?} are not supported in a user message; send text, images \
                     or documents",
                    excerpt(other.type_())
                );
                return Err(Error::unsupported(place.to_string(), &problem));
            }
        }
        Ok(())
    }

    /// The tool message has the text; images follow in the user's turn, since tool messages take
    /// only text.
    fn add_result(&mut self, result: ToolResultBlock, place: Place) -> Result<(), Error> {
        self.ignored.add_members(&result.extra);
        let mut text = String::new();
        let mut images = Vec::new();
        match result.content {
            Field::Absent | Field::Null => {}
            Field::Value(BlockContent::Text(content)) => text = content,
            Field::Value(BlockContent::Blocks(blocks)) => {
                let mut is_first = true;
                for block in blocks {
                    for part in self.result_parts(block, place)? {
                        let ContentPart::Text(part) = part else {
                            images.push(part);
                            continue;
                        };
                        if !std::mem::take(&mut is_first) {
                            text.push('\n');
                        }
                        text.push_str(&part.text);
                    }
                }
            }
        }
        // Chat messages have no such member, and the model has to know.
        if result.is_error == Field::Value(true) {
            text.insert_str(0, "Error: ");
        }
        let id = ids::to_chat(&result.tool_use_id);
        self.messages.push(Message::tool(id, text));
        self.user.extend(images);
        Ok(())
    }

    fn result_parts(&mut self, block: Block, place: Place) -> Result<Vec<ContentPart>, Error> {
        match block {
            Block::Text(block) => {
                self.ignored.add_members(&block.extra);
                Ok(vec![ContentPart::text(block.text)])
            }
            Block::Image(_) | Block::Document(_) | Block::SearchResult(_) => {
                self.media(block, place)
            }
            Block::Other(map) => Ok(vec![ContentPart::text(other_result(&map))]),
            other => {
                let problem = format!("{} cannot be part of a result", other.type_());
                Err(Error::invalid(place.to_string(), &problem))
            }
        }
    }

    /// The parts of an image, a document or a search result.
    fn media(&mut self, block: Block, place: Place) -> Result<Vec<ContentPart>, Error> {
        match block {
            Block::Image(block) => {
                self.ignored.add_members(&block.extra);
                image(block.source, place).map(|part| vec![part])
            }
            Block::Document(block) => {
                self.ignored.add_members(&block.extra);
                document::parts(block, self.files, place)
            }
            Block::SearchResult(block) => {
                self.ignored.add_members(&block.extra);
                Ok(vec![document::search_result(block)])
            }
            _ => Ok(Vec::new()),
        }
    }
}

pub(super) fn image(source: Source, place: Place) -> Result<ContentPart, Error> {
    let required = |member| Error::invalid(format!("{place}.source.{member}"), "required");
    match source.type_.as_str() {
        "base64" => {
            let media_type = source.media_type.into_value();
            let media_type = media_type.ok_or_else(|| required("media_type"))?;
            let data = source.data.into_value().ok_or_else(|| required("data"))?;
            let url = format!("data:{media_type};base64,{data}");
            Ok(ContentPart::image_url(url))
        }
        "url" => {
            let url = source.url.into_value().ok_or_else(|| required("url"))?;
            Ok(ContentPart::image_url(url))
        }
        "file" => {
            let problem = "uploaded files are not supported; send the image as base64 or url";
            Err(Error::unsupported(format!("{place}.source"), problem))
        }
        _ => {
            let param = format!("{place}.source.type");
            Err(Error::invalid(param, "use base64 or url"))
        }
    }
}

/// A result of another type as text that the model can read: the name of a tool, or the JSON.
fn other_result(map: &Map<String, Value>) -> String {
    match map.get("tool_name").and_then(Value::as_str) {
        Some(name) => format!("Tool: {name}"),
        None => serde_json::to_string(map).unwrap_or_default(),
    }
}
