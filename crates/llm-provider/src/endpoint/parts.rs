use bytes::Bytes;
use serde_json::{Map, Value};

/// A chat reply or chunk whose content is a list of parts, as reasoning models of Mistral send it, with
/// the text as content and the thinking as reasoning. `None` if no content is a list.
pub(super) fn joined(json: &[u8]) -> Option<Bytes> {
    let mut reply: Value = serde_json::from_slice(json).ok()?;
    let mut has_parts = false;
    for choice in reply.get_mut("choices")?.as_array_mut()? {
        for key in ["delta", "message"] {
            let message = choice.get_mut(key).and_then(Value::as_object_mut);
            has_parts |= message.is_some_and(join);
        }
    }
    has_parts.then(|| reply.to_string().into())
}

fn join(message: &mut Map<String, Value>) -> bool {
    let Some(Value::Array(parts)) = message.get("content") else {
        return false;
    };
    let thinking: String = parts
        .iter()
        .filter_map(|part| part.get("thinking"))
        .map(text)
        .collect();
    let content: String = parts.iter().map(text).collect();
    message.insert("content".to_owned(), content.into());
    if !thinking.is_empty() {
        message.insert("reasoning_content".to_owned(), thinking.into());
    }
    true
}

/// The text of a part or of a list of parts.
fn text(part: &Value) -> String {
    match part {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().map(text).collect(),
        Value::Object(part) => part.get("text").map(text).unwrap_or_default(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_become_text_and_reasoning() {
        for (message, expected) in [
            (json!({"content": "a"}), None),
            (json!({"content": null}), None),
            (
                json!({"content": [{"type": "text", "text": "a"}, "b"]}),
                Some(json!({"content": "ab"})),
            ),
            (
                json!({"content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]},
                    {"type": "thinking", "thinking": "."},
                    {"type": "text", "text": "a"},
                ]}),
                Some(json!({"content": "a", "reasoning_content": "Hm."})),
            ),
        ] {
            for key in ["delta", "message"] {
                let reply = json!({"choices": [{"index": 0, key: message}]});
                let found = joined(reply.to_string().as_bytes());
                let found = found.map(|json| serde_json::from_slice::<Value>(&json).unwrap());
                let found = found.map(|reply| reply["choices"][0][key].clone());
                assert_eq!(found, expected, "{message}");
            }
        }
    }
}
