//! The items of a JSON array, found without parsing them.

/// The items of `array`, the text of an array that is known to be valid JSON.
pub(crate) fn items(array: &str) -> Vec<&str> {
    let bytes = array.as_bytes();
    let mut items = Vec::new();
    let mut depth = 0_u32;
    let mut start = 1;
    let mut at = 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = closing_quote(bytes, at + 1),
            b'[' | b'{' => depth += 1,
            b']' | b'}' if depth > 0 => depth -= 1,
            b',' | b']' if depth == 0 => {
                // Only an empty array has nothing before its end.
                items.extend(Some(array[start..at].trim()).filter(|item| !item.is_empty()));
                start = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    items
}

fn closing_quote(bytes: &[u8], mut at: usize) -> usize {
    while let Some(found) = memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
        at += found;
        if bytes[at] == b'"' {
            return at;
        }
        at += 2;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn items_are_those_that_a_parser_finds() {
        for array in [
            json!([]),
            json!([1]),
            json!(["a", "b,]", "\"", "\\", "\\\"", "é🌍"]),
            json!([[], {}, [[1, 2], {"a": ["]"]}], null, {"}": "{"}, -1.5e3, true]),
        ] {
            for text in [
                array.to_string(),
                format!("{array:#}"),
                array.to_string().replace(',', " , "),
            ] {
                let wanted: Vec<Value> = serde_json::from_str(&text).unwrap();
                let found: Vec<Value> = items(&text)
                    .into_iter()
                    .map(|item| serde_json::from_str(item).unwrap())
                    .collect();
                assert_eq!(found, wanted, "{text}");
            }
        }
        assert!(items("[ ]").is_empty());
    }

    #[test]
    fn what_is_no_array_does_no_harm() {
        for text in ["", "[", "[\"", "[\"\\", "]]]", "{}", "[1", "1"] {
            items(text);
        }
    }
}
