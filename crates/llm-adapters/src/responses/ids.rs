//! The ids of responses, items and calls.

/// The part of a response's ids that is the same in all of them.
pub(super) fn base(chat: &str) -> String {
    let base = chat.strip_prefix("resp_").unwrap_or(chat);
    if base.is_empty() { "0" } else { base }.to_owned()
}

/// The id of an item.
pub(super) fn item(prefix: &str, base: &str, output_index: u32) -> String {
    format!("{prefix}_{base}_{output_index}")
}

/// The id of a call, which has to be unique in a conversation: clients match results by it.
///
/// Engines such as Kimi's count the calls of each reply (`functions.Bash:0`). Such ids get the
/// response's base, which [`chat_call`] removes.
pub(super) fn call(chat: &str, base: &str, output_index: u32, is_taken: bool) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if chat.is_empty() {
        format!("call_{base}_{output_index}")
    } else if is_taken {
        format!("{chat}{MARK}{base}_{output_index}")
    } else if chat.bytes().all(is_plain) {
        chat.to_owned()
    } else {
        format!("{chat}{MARK}{base}")
    }
}

/// The upstream's id of a call.
pub(super) fn chat_call(id: &str) -> &str {
    id.split_once(MARK).map_or(id, |(chat, _)| chat)
}

const MARK: &str = "~r.";
