//! The ids of messages and tool calls.

/// The id of a message from that of a chat completion.
pub(super) fn message(chat: &str) -> String {
    if chat.starts_with("msg_") {
        chat.to_owned()
    } else {
        format!("msg_{}", if chat.is_empty() { "0" } else { chat })
    }
}

/// The id of a tool call for a client of the Messages API, which allows letters, digits, `_` and
/// `-`.
///
/// Other ids, such as `functions.Bash:0` of Kimi, are encoded so that [`to_chat`] restores them:
/// the templates of such models read the ids of earlier calls.
pub(super) fn to_messages(chat: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if !chat.starts_with(ENCODED) && chat.bytes().all(|byte| is_plain(byte) || byte == b'_') {
        return chat.to_owned();
    }
    let mut id = String::with_capacity(ENCODED.len() + chat.len() * 2);
    id.push_str(ENCODED);
    for byte in chat.bytes() {
        if is_plain(byte) {
            id.push(char::from(byte));
        } else {
            id.push_str(&format!("_{byte:02x}"));
        }
    }
    id
}

/// The upstream's id of a tool call.
pub(super) fn to_chat(id: &str) -> String {
    let encoded = id.strip_prefix(ENCODED);
    encoded.and_then(decode).unwrap_or_else(|| id.to_owned())
}

fn decode(encoded: &str) -> Option<String> {
    let mut parts = encoded.split('_');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

const ENCODED: &str = "toolu_enc_";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_of_upstreams_come_back(id in "(toolu_enc_)?[a-z0-9_:.é -]{1,20}") {
            let encoded = to_messages(&id);
            prop_assert!(encoded.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b)));
            prop_assert_eq!(to_chat(&encoded), id);
        }
    }

    #[test]
    fn common_ids_are_kept() {
        assert_eq!(to_messages("call_a-1"), "call_a-1");
        assert_eq!(to_chat("toolu_01"), "toolu_01");
        assert_eq!(to_chat("toolu_enc_zz_"), "toolu_enc_zz_");
        assert_eq!(
            to_messages("functions.Bash:0"),
            "toolu_enc_functions_2eBash_3a0"
        );
    }
}
