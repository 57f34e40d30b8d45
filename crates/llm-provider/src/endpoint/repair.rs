use bytes::Bytes;

/// JSON of an engine that cut a character in two: bytes that are not UTF-8, and escapes of half a
/// surrogate pair, become U+FFFD. `None` if there are none.
pub(super) fn repaired(json: &Bytes) -> Option<Bytes> {
    let text = String::from_utf8_lossy(json);
    let mut whole = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        whole.push_str(before);
        let (piece, length) = match surrogate(escape) {
            Some(0xd800..=0xdbff)
                if matches!(escape.get(6..).and_then(surrogate), Some(0xdc00..)) =>
            {
                (&escape[..12], 12)
            }
            Some(_) => ("\\ufffd", 6),
            None => {
                let length = 1 + escape[1..].chars().next().map_or(0, char::len_utf8);
                (&escape[..length], length)
            }
        };
        whole.push_str(piece);
        rest = &escape[length..];
    }
    whole.push_str(rest);
    (whole.as_bytes() != &**json).then(|| whole.into())
}

/// The surrogate that an escape at the start of the text stands for.
fn surrogate(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let unit = u16::from_str_radix(digits, 16).ok()?;
    (0xd800..=0xdfff).contains(&unit).then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_of_characters_are_replaced_and_nothing_else() {
        for (json, expected) in [
            (&br#"{"a":"b\u00e9\n\\ud83d"}"#[..], None),
            (br#"{"a":"\ud83d\ude00"}"#, None),
            (br#"{"a":"\ud83d"}"#, Some(r#"{"a":"\ufffd"}"#)),
            (br#"{"a":"\ude00x"}"#, Some(r#"{"a":"\ufffdx"}"#)),
            (
                br#"{"a":"\ud83d\ud83d\ude00"}"#,
                Some(r#"{"a":"\ufffd\ud83d\ude00"}"#),
            ),
            (b"{\"a\":\"\xf0\x9f\"}", Some("{\"a\":\"\u{fffd}\"}")),
            (b"\\", None),
            (b"\\u", None),
        ] {
            let found = repaired(&Bytes::from_static(json));
            assert_eq!(found.as_deref(), expected.map(str::as_bytes));
        }
    }
}
