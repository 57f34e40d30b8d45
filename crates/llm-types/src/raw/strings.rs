//! Finding the end of a string, fast: nearly all bytes of a prompt are inside strings.
//!
//! No `unsafe` and no intrinsics: the compiler turns [`escapes`] into vector instructions, and
//! memchr takes the long way between two escapes.

/// Where the next quote or backslash is, or the end of the text.
///
/// Most strings of a chunk end within the first words; those that do not are memchr's to search.
#[inline]
pub(super) fn next_special(json: &[u8], mut at: usize) -> usize {
    for _ in 0..WORDS {
        let Some(word) = json.get(at..).and_then(|rest| rest.first_chunk()) else {
            break;
        };
        let hits = hits_in_word(u64::from_le_bytes(*word));
        if hits != 0 {
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    far_special(json, at)
}

/// Goes through a string that has escapes, from the first backslash on.
///
/// Returns where its closing quote is, or else where an escape is that `pass_escape` refuses or
/// the text ends.
pub(super) fn closing_quote(
    json: &[u8],
    mut at: usize,
    mut pass_escape: impl FnMut(usize) -> Option<usize>,
) -> usize {
    loop {
        while let Some(window) = json.get(at..).and_then(|rest| rest.first_chunk()) {
            at = match escapes(window) {
                Escapes::None => far_special(json, at + WINDOW),
                Escapes::Simple => at + WINDOW + usize::from(window[WINDOW - 1] == b'\\'),
                Escapes::Other => break,
            };
        }
        let end = at + WINDOW;
        while at < end {
            at = next_special(json, at);
            if json.get(at) != Some(&b'\\') {
                return at;
            }
            match pass_escape(at) {
                Some(end) => at = end,
                None => return at,
            }
        }
    }
}

/// Whether there is a control character, which JSON wants escaped.
pub(super) fn has_controls(bytes: &[u8]) -> bool {
    bytes.iter().fold(u8::MAX, |least, &byte| least.min(byte)) < 0x20
}

fn far_special(json: &[u8], at: usize) -> usize {
    let rest = json.get(at..).unwrap_or_default();
    memchr::memchr2(b'"', b'\\', rest).map_or(json.len(), |found| at + found)
}

/// The high bit of each byte that is a quote or a backslash; above the lowest such byte there may
/// be false hits.
#[inline]
fn hits_in_word(word: u64) -> u64 {
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
    let quotes = word ^ (ONES * u64::from(b'"'));
    let backslashes = word ^ (ONES * u64::from(b'\\'));
    (zeros(quotes) | zeros(backslashes)) & (ONES << 7)
}

/// What a window of a string has in the way of escapes; it must not begin within one.
enum Escapes {
    None,
    /// Only common ones of two bytes. The last may end after the window.
    Simple,
    /// Something that needs a closer look: a rarer escape, a wrong one, or the closing quote.
    Other,
}

/// Looks at each byte and the one after it, and never branches on what it sees: escapes come in
/// crowds, and a search begun anew for each costs more.
#[inline]
fn escapes(window: &[u8; WINDOW + 1]) -> Escapes {
    let pairs = window.iter().zip(&window[1..]);
    let (any, other) = pairs.fold((false, false), |(any, other), (&byte, &next)| {
        let backslash = byte == b'\\';
        let quote = next == b'"';
        let letter = (next == b'n') | (next == b'r') | (next == b't');
        // A backslash goes before a quote or a letter, and a quote after a backslash.
        (any | backslash, other | ((backslash ^ quote) & !letter))
    });
    match (any, other | (window[0] == b'"')) {
        (_, true) => Escapes::Other,
        (true, false) => Escapes::Simple,
        (false, false) => Escapes::None,
    }
}

const ONES: u64 = 0x0101_0101_0101_0101;
const WORDS: usize = 3;
const WINDOW: usize = 96;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{WINDOW, closing_quote, has_controls, next_special};

    /// Escapes of two bytes and plain runs, long enough for windows of every kind, with an
    /// arbitrary byte here and there and quotes that may close the string.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let bytes = |text: &str| Just(text.as_bytes().to_vec());
        let piece = prop_oneof![
            40 => prop_oneof![bytes(r#"\""#), bytes(r"\n"), bytes(r"\r"), bytes(r"\t")],
            40 => (1_usize..20).prop_map(|length| vec![b'n'; length]),
            1 => (100_usize..400).prop_map(|length| vec![b'x'; length]),
            1 => prop_oneof![bytes(r"\\"), bytes(r"\f"), bytes(r#"""#), bytes(r"\")],
            1 => any::<u8>().prop_map(|byte| vec![byte]),
        ];
        proptest::collection::vec(piece, 0..120).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn finds_the_next_special(text in text(), at in 0_usize..900) {
            let at = at.min(text.len());
            let found = text[at..].iter().position(|byte| matches!(byte, b'"' | b'\\'));
            prop_assert_eq!(next_special(&text, at), found.map_or(text.len(), |found| at + found));
        }

        #[test]
        fn finds_the_closing_quote(text in text()) {
            let found = closing_quote(&text, 0, |at| pass_escape(&text, at));
            prop_assert_eq!(found, closing_quote_slowly(&text));
        }
    }

    #[test]
    fn stops_at_a_wrong_escape_in_a_crowd() {
        let crowd = r"\n".repeat(WINDOW);
        for byte in 0..=u8::MAX {
            let text = [crowd.as_bytes(), &[b'\\', byte], crowd.as_bytes(), b"\""].concat();
            let found = closing_quote(&text, 0, |at| pass_escape(&text, at));
            assert_eq!(found, closing_quote_slowly(&text), "{byte}");
        }
    }

    fn closing_quote_slowly(text: &[u8]) -> usize {
        let mut at = 0;
        while at < text.len() && text[at] != b'"' {
            at = match (text[at], pass_escape(text, at)) {
                (b'\\', Some(end)) => end,
                (b'\\', None) => return at,
                _ => at + 1,
            };
        }
        at
    }

    /// Escapes are of two bytes here.
    fn pass_escape(text: &[u8], at: usize) -> Option<usize> {
        let next = text.get(at + 1)?;
        br#""\/bfnrt"#.contains(next).then_some(at + 2)
    }

    #[test]
    fn sees_controls() {
        assert!(has_controls(b"a\nb") && has_controls(b"\x1f"));
        assert!(!has_controls(b"") && !has_controls(b" ~\xff"));
    }
}
