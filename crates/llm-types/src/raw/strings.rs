//! Fast search for the end of a string: nearly all bytes of a prompt are inside strings.

/// The offset of the next quote or backslash, or the end of the text.
#[inline]
pub(super) fn next_special(json: &[u8], at: usize) -> usize {
    find(json, at, [b'"', b'\\'], |rest| {
        memchr::memchr2(b'"', b'\\', rest)
    })
}

/// The end of a string whose first backslash is at `backslash`: the next quote after an even number
/// of backslashes, or the end of the text.
///
/// Other escapes, such as `\n`, are not checked.
pub(super) fn closing_quote(json: &[u8], backslash: usize) -> usize {
    let mut at = backslash + 1;
    loop {
        // The bytes before a quote show whether it is escaped, so a window starts two bytes early.
        while let Some(window) = json.get(at - 2..).and_then(|rest| rest.first_chunk())
            && all_quotes_escaped(window)
        {
            at += WINDOW;
        }
        let end = at + WINDOW;
        while at < end {
            let quote = find(json, at, [b'"'], |rest| memchr::memchr(b'"', rest));
            let before = json[..quote].iter().rev();
            let escaped = before.take_while(|&&byte| byte == b'\\').count() % 2 == 1;
            if !escaped || quote == json.len() {
                return quote;
            }
            at = quote + 1;
        }
    }
}

/// Whether every quote follows a single backslash, and so does not end the string. The first two
/// bytes of `window` are context: their quotes were already checked.
///
/// The compiler vectorizes this, at a cost that does not depend on the number of quotes. Quotes
/// come in clusters, and restarting a search for each would take the most time.
#[inline]
fn all_quotes_escaped(window: &[u8; WINDOW + 2]) -> bool {
    let (before, bytes) = (&window[1..], &window[2..]);
    if !any(bytes.iter().map(|&byte| byte == b'"')) {
        return true;
    }
    let windows = window.iter().zip(before).zip(bytes);
    !any(windows.map(|((&second_last, &before), &byte)| {
        (byte == b'"') & !((before == b'\\') & (second_last != b'\\'))
    }))
}

/// Like `Iterator::any`, but it does not stop at the first match, which would prevent
/// vectorization.
#[inline(always)]
fn any(bytes: impl Iterator<Item = bool>) -> bool {
    bytes.fold(false, |any, byte| any | byte)
}

/// Whether there is a control character, which JSON requires to be escaped.
pub(super) fn has_controls(bytes: &[u8]) -> bool {
    bytes.iter().fold(u8::MAX, |least, &byte| least.min(byte)) < 0x20
}

/// The offset of the first of some bytes from `at` on, or the end of the text.
///
/// Most strings of a chunk end within the first words. For longer ones, memchr continues: it is
/// faster, but has a higher start-up cost.
#[inline(always)]
fn find<const N: usize>(
    json: &[u8],
    mut at: usize,
    needles: [u8; N],
    search_rest: impl Fn(&[u8]) -> Option<usize>,
) -> usize {
    for _ in 0..WORDS {
        let Some(word) = json.get(at..).and_then(|rest| rest.first_chunk()) else {
            break;
        };
        let hits = hits_in_word(u64::from_le_bytes(*word), needles);
        if hits != 0 {
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    search_rest(json.get(at..).unwrap_or_default()).map_or(json.len(), |found| at + found)
}

/// The high bit of each byte that is one of the needles. Above the lowest such byte there may be
/// false positives.
#[inline]
fn hits_in_word<const N: usize>(word: u64, needles: [u8; N]) -> u64 {
    let hits = needles.map(|needle| {
        let zeros = word ^ (ONES * u64::from(needle));
        zeros.wrapping_sub(ONES) & !zeros
    });
    hits.iter().fold(0, |all, hits| all | hits) & (ONES << 7)
}

const ONES: u64 = 0x0101_0101_0101_0101;
const WORDS: usize = 3;
const WINDOW: usize = 128;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{closing_quote, has_controls, next_special};

    /// Runs of backslashes, quotes and other bytes, at short and long distances.
    fn text() -> impl Strategy<Value = Vec<u8>> {
        let bytes = |text: &str| Just(text.as_bytes().to_vec());
        let piece = prop_oneof![
            20 => bytes("\\\""),
            5 => (0_usize..100).prop_map(|length| vec![b'x'; length]),
            5 => any::<u8>().prop_map(|byte| vec![byte]),
            1 => (0_usize..6).prop_map(|length| vec![b'\\'; length]),
            1 => bytes("\""),
        ];
        proptest::collection::vec(piece, 0..120).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn the_next_quote_or_backslash_is_found(text in text(), at in 0_usize..900) {
            let at = at.min(text.len());
            let found = text[at..].iter().position(|byte| matches!(byte, b'"' | b'\\'));
            prop_assert_eq!(next_special(&text, at), found.map_or(text.len(), |found| at + found));
        }

        #[test]
        fn the_closing_quote_is_found(text in text()) {
            let text = [b"\"\\".as_slice(), &text].concat();
            let mut at = 1;
            while at < text.len() && text[at] != b'"' {
                at += if text[at] == b'\\' { 2 } else { 1 };
            }
            prop_assert_eq!(closing_quote(&text, 1), at.min(text.len()));
        }
    }

    #[test]
    fn sees_controls() {
        assert!(has_controls(b"a\nb") && has_controls(b"\x1f"));
        assert!(!has_controls(b"") && !has_controls(b" ~\xff"));
    }
}
