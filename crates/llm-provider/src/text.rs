//! Text from clients and upstreams, made safe for messages, logs and terminals.
//!
//! Such text may contain line ends that forge a log line and escape sequences for a terminal, and may
//! have megabytes. Use [`excerpt`] to quote it, and [`printable`] or [`printable_lines`] to print all
//! of it.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The maximum length of an excerpt, in bytes of the quoted text.
pub const EXCERPT: usize = 200;

/// The text with every control character escaped, such as `\n` or `\u{1b}`.
///
/// Marks that reorder a line (Unicode's bidirectional controls) and the separators U+2028 and
/// U+2029 count as control characters.
///
/// ```
/// use llm_provider::text::printable;
///
/// assert_eq!(printable("plain"), "plain");
/// assert_eq!(printable("a\nb\u{1b}[2J"), "a\\nb\\u{1b}[2J");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    escape(text, is_control)
}

/// Like [`printable`], but keeps line feeds and tabs: for text of several lines on a terminal.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escape(text, |c| is_control(c) && !matches!(c, '\n' | '\t'))
}

/// The beginning of the text, as [`printable`] shows it: at most [`EXCERPT`] bytes of it, followed by
/// `…` if the text is longer.
///
/// ```
/// use llm_provider::text::{EXCERPT, excerpt};
///
/// assert_eq!(excerpt("llama-3"), "llama-3");
/// assert_eq!(excerpt(&"é".repeat(EXCERPT)), "é".repeat(EXCERPT / 2) + "…");
/// ```
pub fn excerpt(text: &str) -> Cow<'_, str> {
    excerpt_within(text, EXCERPT)
}

/// Like [`excerpt`], with a limit in bytes.
pub fn excerpt_within(text: &str, limit: usize) -> Cow<'_, str> {
    if text.len() <= limit {
        return printable(text);
    }
    let kept = &text[..text.floor_char_boundary(limit)];
    Cow::Owned(printable(kept).into_owned() + "…")
}

/// Whether a terminal or a log viewer interprets the character instead of showing it.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape(text: &str, unsafe_: impl Fn(char) -> bool) -> Cow<'_, str> {
    // Most texts are printable ASCII, whose characters need not be decoded.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Cow::Borrowed(text);
    }
    let Some(first) = text.find(&unsafe_) else {
        return Cow::Borrowed(text);
    };
    let (safe, rest) = text.split_at(first);
    let mut escaped = String::with_capacity(text.len() + 16);
    escaped.push_str(safe);
    for c in rest.chars() {
        if unsafe_(c) {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "{}", c.escape_debug());
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_kind_of_control_character_is_escaped() {
        for c in [
            '\0', '\r', '\u{7f}', '\u{9b}', '\u{2028}', '\u{202e}', '\u{2066}',
        ] {
            let shown = printable(&format!("a{c}b")).into_owned();
            assert!(!shown.contains(c), "{shown:?}");
        }
        assert_eq!(printable_lines("a\n\tb\r\u{1b}"), "a\n\tb\\r\\u{1b}");
    }

    proptest! {
        #[test]
        fn nothing_that_is_shown_controls_a_terminal(text in any::<String>()) {
            prop_assert!(!printable(&text).chars().any(is_control));
            prop_assert!(excerpt(&text).len() <= 10 * EXCERPT + "…".len());
        }

        #[test]
        fn plain_text_is_unchanged(text in "[ -~äöü漢字🙂]*") {
            prop_assert!(matches!(printable(&text), Cow::Borrowed(shown) if shown == text));
        }
    }
}
