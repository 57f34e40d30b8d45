//! Converts documents and search results to text.

use llm_types::ContentPart;
use llm_types::messages::{Block, BlockContent, DocumentBlock, SearchResultBlock};
use serde_json::json;

use super::turns::Place;
use super::user::image;
use crate::error::Error;

/// The parts of a document: text, and the images in it.
pub(super) fn parts(
    block: DocumentBlock,
    files: bool,
    place: Place,
) -> Result<Vec<ContentPart>, Error> {
    let mut head = String::new();
    for (label, text) in [("Document", &block.title), ("Context", &block.context)] {
        if let Some(text) = text.as_str().filter(|text| !text.is_empty()) {
            head.push_str(&format!("{label}: {text}\n"));
        }
    }
    let source = block.source;
    let required = |member| Error::invalid(format!("{place}.source.{member}"), "required");
    match source.type_.as_str() {
        "text" => {
            let text = source.data.into_value().ok_or_else(|| required("data"))?;
            Ok(vec![ContentPart::text(head + &text)])
        }
        "content" => {
            let content = source.content.into_value();
            content_parts(head, content.ok_or_else(|| required("content"))?, place)
        }
        "base64" if files => {
            let data = source.data.into_value().ok_or_else(|| required("data"))?;
            let media_type = source.media_type.as_str().unwrap_or("application/pdf");
            let name = block.title.as_str().unwrap_or("document.pdf");
            let part = file(name, &format!("data:{media_type};base64,{data}"));
            let head = (!head.is_empty()).then(|| ContentPart::text(head));
            Ok(head.into_iter().chain(part).collect())
        }
        _ => {
            let problem = match files {
                true => "this model takes documents as base64 or text, not by address",
                false => {
                    "this model takes documents as text; send a source of type text or content"
                }
            };
            Err(Error::unsupported(format!("{place}.source"), problem))
        }
    }
}

/// Converts a search result to text.
pub(super) fn search_result(block: SearchResultBlock) -> ContentPart {
    let mut text = format!("Source: {}\nTitle: {}", block.source, block.title);
    for block in block.content {
        if let Block::Text(block) = block {
            text.push('\n');
            text.push_str(&block.text);
        }
    }
    ContentPart::text(text)
}

fn content_parts(
    mut head: String,
    content: BlockContent,
    place: Place,
) -> Result<Vec<ContentPart>, Error> {
    let blocks = match content {
        BlockContent::Text(text) => return Ok(vec![ContentPart::text(head + &text)]),
        BlockContent::Blocks(blocks) => blocks,
    };
    let mut parts = Vec::with_capacity(blocks.len());
    for block in blocks {
        match block {
            Block::Text(block) => {
                let head = std::mem::take(&mut head);
                parts.push(ContentPart::text(head + &block.text));
            }
            Block::Image(block) => parts.push(image(block.source, place)?),
            _ => {
                let param = format!("{place}.source.content");
                return Err(Error::invalid(param, "use text and image blocks"));
            }
        }
    }
    if !head.is_empty() {
        parts.insert(0, ContentPart::text(head));
    }
    Ok(parts)
}

/// OpenAI's `file` part.
fn file(name: &str, data: &str) -> Option<ContentPart> {
    let part = json!({"type": "file", "file": {"filename": name, "file_data": data}});
    serde_json::from_value(part).ok()
}
