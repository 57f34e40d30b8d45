//! Finding the end of a string, fast: nearly all bytes of a prompt are inside strings.
//!
//! No `unsafe` and no intrinsics: the block below is written so that the compiler turns it into
//! vector instructions, and memchr takes the long way between two escapes.

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
/// the text ends. Hits are taken from a bit mask of 64 bytes at a time: escapes come in crowds,
/// and a search begun anew for each costs more than the mask.
pub(super) fn closing_quote(
    json: &[u8],
    mut at: usize,
    mut pass_escape: impl FnMut(usize) -> Option<usize>,
) -> usize {
    'blocks: while let Some(block) = json.get(at..).and_then(|rest| rest.first_chunk()) {
        let mut hits = hits_in_block(block);
        if hits == 0 {
            at = far_special(json, at + block.len());
            continue;
        }
        while hits != 0 {
            let hit = at + hits.trailing_zeros() as usize;
            if json[hit] == b'"' {
                return hit;
            }
            let Some(end) = pass_escape(hit) else {
                return hit;
            };
            if end - at >= block.len() {
                at = end;
                continue 'blocks;
            }
            hits &= u64::MAX << (end - at);
        }
        at += block.len();
    }
    loop {
        match json.get(at) {
            None | Some(b'"') => return at,
            Some(b'\\') => match pass_escape(at) {
                Some(end) => at = end,
                None => return at,
            },
            Some(_) => at += 1,
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

/// A bit for each byte that is a quote or a backslash.
#[inline]
fn hits_in_block(block: &[u8; 64]) -> u64 {
    let flags = block.map(|byte| u8::from(byte == b'"') | u8::from(byte == b'\\'));
    let words = flags
        .as_chunks()
        .0
        .iter()
        .map(|word| u64::from_le_bytes(*word));
    // The product collects the lowest bits of eight bytes in the highest byte.
    (0..).zip(words).fold(0, |hits, (place, word)| {
        hits | (word.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * place)
    })
}

const ONES: u64 = 0x0101_0101_0101_0101;
const WORDS: usize = 3;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{closing_quote, has_controls, hits_in_block, next_special};

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![1 => Just(b'"'), 2 => Just(b'\\'), 40 => any::<u8>()];
        proptest::collection::vec(byte, 0..300)
    }

    proptest! {
        #[test]
        fn finds_the_next_special(text in text(), at in 0_usize..300) {
            let at = at.min(text.len());
            let found = text[at..].iter().position(|byte| matches!(byte, b'"' | b'\\'));
            prop_assert_eq!(next_special(&text, at), found.map_or(text.len(), |found| at + found));
        }

        #[test]
        fn finds_the_closing_quote(text in text()) {
            // An escape is two bytes here; the slow way to the same place:
            let mut slow = 0;
            while slow < text.len() && text[slow] != b'"' {
                slow += if text[slow] == b'\\' { 2 } else { 1 };
            }
            let fast = closing_quote(&text, 0, |at| Some(at + 2));
            prop_assert_eq!(fast.min(text.len()), slow.min(text.len()));
        }

        #[test]
        fn masks_a_block(block in proptest::array::uniform32(any::<u8>())) {
            let mut bytes = [b'"'; 64];
            bytes[32..].copy_from_slice(&block);
            let hits = hits_in_block(&bytes);
            for (place, byte) in bytes.iter().enumerate() {
                prop_assert_eq!(hits >> place & 1 == 1, matches!(byte, b'"' | b'\\'));
            }
        }
    }

    #[test]
    fn sees_controls() {
        assert!(has_controls(b"a\nb") && has_controls(b"\x1f"));
        assert!(!has_controls(b"") && !has_controls(b" ~\xff"));
    }
}
