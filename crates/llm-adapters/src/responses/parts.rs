//! Converts the parts of an item's content.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use llm_types::responses::{InputFilePart, InputImagePart, ItemContent, ItemPart};
use llm_types::{Content, ContentPart, Field};
use serde_json::json;

use crate::error::{Error, excerpt};

/// The content of a message. One text is a string, which every template accepts.
pub(super) fn content(content: ItemContent, files: bool, place: usize) -> Result<Content, Error> {
    let parts = match content {
        ItemContent::Text(text) => return Ok(Content::Text(text)),
        ItemContent::Parts(parts) => parts,
    };
    if parts.iter().all(|part| part.as_text().is_some()) {
        return Ok(Content::Text(texts(&parts)));
    }
    let convert = |part| convert(part, files, place);
    let parts: Result<Vec<_>, _> = parts.into_iter().map(convert).collect();
    Ok(Content::Parts(parts?))
}

/// The result of a call: its text, and the other parts, which a tool message cannot have.
pub(super) fn output(
    content: ItemContent,
    files: bool,
    place: usize,
) -> Result<(String, Vec<ContentPart>), Error> {
    let parts = match content {
        ItemContent::Text(text) => return Ok((text, Vec::new())),
        ItemContent::Parts(parts) => parts,
    };
    let text = texts(&parts);
    let others = parts.into_iter().filter(|part| part.as_text().is_none());
    let others: Result<Vec<_>, _> = others.map(|part| convert(part, files, place)).collect();
    Ok((text, others?))
}

/// The texts, one per line.
pub(super) fn texts(parts: &[ItemPart]) -> String {
    let texts: Vec<_> = parts.iter().filter_map(ItemPart::as_text).collect();
    texts.join("\n")
}

fn convert(part: ItemPart, files: bool, place: usize) -> Result<ContentPart, Error> {
    match part {
        ItemPart::InputImage(part) => image(part, place),
        ItemPart::InputFile(part) => file(part, files, place),
        ItemPart::OutputText(part) => Ok(ContentPart::text(part.text)),
        ItemPart::Refusal(part) => Ok(ContentPart::text(part.refusal)),
        ItemPart::Text(part) => Ok(ContentPart::text(part.text)),
        // Older clients send chat's audio part.
        ItemPart::Other(map) if map.contains_key("input_audio") => {
            let part = serde_json::from_value(map.into());
            part.map_err(|_| Error::invalid(param(place), "invalid input_audio"))
        }
        other => {
            let problem = format!(
                "parts of type {:?} are not supported; send text or images",
                excerpt(other.type_())
            );
            Err(Error::unsupported(param(place), &problem))
        }
    }
}

fn image(part: InputImagePart, place: usize) -> Result<ContentPart, Error> {
    let Field::Value(url) = part.image_url else {
        let problem = "uploaded files are not supported; send the image as `image_url`";
        return Err(Error::unsupported(param(place), problem));
    };
    let mut converted = ContentPart::image_url(url);
    if let ContentPart::ImageUrl(image) = &mut converted
        && part.detail.is_value()
    {
        image.image_url.detail = part.detail;
    }
    Ok(converted)
}

fn file(part: InputFilePart, files: bool, place: usize) -> Result<ContentPart, Error> {
    let name = part.filename.as_str().unwrap_or("file");
    let data = part.file_data.as_str();
    if let Some(text) = data.and_then(text_file) {
        return Ok(ContentPart::text(format!("File: {name}\n{text}")));
    }
    let (Some(data), true) = (data, files) else {
        let problem = match files {
            true => "this model takes files as `file_data`, not by address or id",
            false => "this model does not take files; send their text as `input_text`",
        };
        return Err(Error::unsupported(param(place), problem));
    };
    let part = json!({"type": "file", "file": {"filename": name, "file_data": data}});
    serde_json::from_value(part).map_err(|_| Error::invalid(param(place), "invalid input_file"))
}

/// The text of a file of a text type, given as a data URL.
fn text_file(url: &str) -> Option<String> {
    let (media_type, data) = url.strip_prefix("data:")?.split_once(";base64,")?;
    let media_type = media_type.to_ascii_lowercase();
    if !media_type.starts_with("text/") && !media_type.starts_with("application/json") {
        return None;
    }
    String::from_utf8(STANDARD.decode(data).ok()?).ok()
}

fn param(place: usize) -> String {
    format!("input[{place}].content")
}
