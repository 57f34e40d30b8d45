//! Finds the control tokens in a chat template's source.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

/// The sequences in a source that are clearly control tokens: `<|im_end|>`, `<｜User｜>`, `[INST]`,
/// `<start_of_turn>`, `<<SYS>>`, `</s>`, `### Instruction:`.
pub(super) fn tokens(source: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    for (at, first) in source.char_indices() {
        let rest = &source[at..];
        let token = match first {
            '<' => angled(rest),
            '[' => bracketed(rest),
            '#' if !source[..at].ends_with('#') => heading(rest),
            _ => None,
        };
        tokens.extend(token.map(ToOwned::to_owned));
    }
    tokens
}

fn angled(text: &str) -> Option<&str> {
    if let Some(known) = ["<<SYS>>", "<</SYS>>", "<s>", "</s>", "<bos>", "<eos>"]
        .iter()
        .find(|known| text.starts_with(**known))
    {
        return Some(known);
    }
    let inside = &text[1..];
    let end = inside.find(['<', '>', '\n', '\'', '"'])?;
    let name = &inside[..end];
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '|' | '｜' | '▁' | '-' | '/');
    let is_barred = ["|", "｜"]
        .iter()
        .any(|bar| name.len() > 2 * bar.len() && name.starts_with(bar) && name.ends_with(bar));
    let is_control = is_barred || name.contains("_of_") || name.ends_with("_TOKEN");
    (inside[end..].starts_with('>') && name.chars().all(is_word) && is_control)
        .then(|| &text[..end + 2])
}

fn bracketed(text: &str) -> Option<&str> {
    let inside = text[1..].trim_start_matches('/');
    let length = inside.find(|c: char| !c.is_ascii_uppercase() && c != '_')?;
    (length > 2 && inside[length..].starts_with(']'))
        .then(|| &text[..text.len() - inside.len() + length + 1])
}

fn heading(text: &str) -> Option<&str> {
    let words = text.strip_prefix("### ")?;
    let length = words.find(|c: char| !c.is_ascii_alphabetic() && c != ' ')?;
    (length > 2 && words[length..].starts_with(':')).then(|| &text[..4 + length + 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_control_is_found() {
        let source = "{{ '<|im_start|>' + m['role'] + messages[0] }}{% if a < b and b > c %}[INST] [/INST]\
                      <｜User｜><think></think><start_of_turn>### Instruction:\n#### x\n<<SYS>>\n<</SYS>><|";
        assert_eq!(
            tokens(source),
            [
                "<|im_start|>",
                "[INST]",
                "[/INST]",
                "<｜User｜>",
                "<start_of_turn>",
                "### Instruction:",
                "<<SYS>>",
                "<</SYS>>",
            ],
        );
    }
}
