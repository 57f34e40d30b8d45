//! Control tokens in content: kept, broken up or rejected.

use alloc::string::String;
use alloc::vec::Vec;

use crate::error::{Error, ErrorKind};
use crate::options::ControlTokens;

/// The sequences that content must not contain, prepared for a fast search.
///
/// No sequence may contain another except at its beginning, and none is a single character.
/// Otherwise one could stay intact when another is broken up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Control<'t> {
    tokens: &'t [&'t str],
    search: Search,
}

/// What the search for control tokens needs beside the tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search {
    /// The distinct anchors of the tokens: the first `count` bytes.
    anchors: [u8; MAX_ANCHORS],
    /// The number of anchors; `MAX_ANCHORS + 1` if there are too many to search for.
    count: usize,
    /// The bytes, as a set, that may follow an anchor.
    followers: [u64; 4],
}

impl Search {
    pub(crate) const fn new(tokens: &[&str]) -> Self {
        let mut anchors = [0; MAX_ANCHORS];
        let mut count = 0;
        let mut followers = [0; 4];
        let mut index = 0;
        while index < tokens.len() {
            let bytes = tokens[index].as_bytes();
            let place = anchor(bytes);
            if place + 1 < bytes.len() {
                let next = bytes[place + 1];
                followers[next as usize / 64] |= 1 << (next % 64);
            } else {
                // Any byte may follow.
                followers = [u64::MAX; 4];
            }
            let anchor = bytes[place];
            let mut known = 0;
            while known < count && known < MAX_ANCHORS && anchors[known] != anchor {
                known += 1;
            }
            if known == count && count <= MAX_ANCHORS {
                if count < MAX_ANCHORS {
                    anchors[count] = anchor;
                }
                count += 1;
            }
            index += 1;
        }
        Self {
            anchors,
            count,
            followers,
        }
    }

    /// The offset of the next anchor from `from` on.
    fn next_anchor(&self, bytes: &[u8], from: usize) -> Option<usize> {
        let [a, b, c] = self.anchors;
        match self.count {
            0 => None,
            1 => position([a], bytes, from),
            2 => position([a, b], bytes, from),
            MAX_ANCHORS => position([a, b, c], bytes, from),
            // Too many anchors: every position is tried.
            _ => (from < bytes.len()).then_some(from),
        }
    }
}

impl<'t> Control<'t> {
    pub(crate) const fn new(tokens: &'t [&'t str]) -> Self {
        Self::prepared(tokens, Search::new(tokens))
    }

    /// With a search that was prepared for the same tokens.
    pub(crate) const fn prepared(tokens: &'t [&'t str], search: Search) -> Self {
        Self { tokens, search }
    }

    /// Whether no token is in `text`.
    #[cfg(feature = "jinja")]
    pub(crate) fn is_absent(&self, text: &str) -> bool {
        let mut from = 0;
        while let Some(at) = self.search.next_anchor(text.as_bytes(), from) {
            if self.token_around(text, 0, at).is_some() {
                return false;
            }
            from = at + 1;
        }
        true
    }

    pub(crate) const fn tokens(&self) -> &'t [&'t str] {
        self.tokens
    }

    /// Writes `text` and treats the tokens in it according to `policy`.
    pub(crate) fn write(
        &self,
        out: &mut String,
        text: &str,
        policy: ControlTokens,
    ) -> Result<(), Error> {
        let mut written = 0;
        if policy != ControlTokens::Keep {
            let mut from = 0;
            while let Some(at) = self.search.next_anchor(text.as_bytes(), from) {
                from = at + 1;
                let Some((start, token)) = self.token_around(text, written, at) else {
                    continue;
                };
                if policy == ControlTokens::Reject {
                    let detail = "the content contains the control token";
                    return Err(Error::new(ErrorKind::ControlToken, detail).with_token(token));
                }
                // The last character is written with the text that follows, as another token may
                // start with it.
                let last =
                    start + token.len() - token.chars().next_back().map_or(1, char::len_utf8);
                out.push_str(&text[written..last]);
                out.push(' ');
                written = last;
                from = from.max(last);
            }
        }
        out.push_str(&text[written..]);
        Ok(())
    }

    /// The shortest token whose anchor is at `at`, and its offset, if it starts at `from` or later.
    /// Breaking up the shortest one also breaks up the longer ones.
    fn token_around(&self, text: &str, from: usize, at: usize) -> Option<(usize, &'t str)> {
        let bytes = text.as_bytes();
        let next = usize::from(bytes.get(at + 1).copied().unwrap_or_default());
        if self.search.followers[next / 64] & 1 << (next % 64) == 0 {
            return None;
        }
        let mut found: Option<(usize, &'t str)> = None;
        for token in self.tokens {
            let wanted = token.as_bytes();
            let start = match at.checked_sub(anchor(wanted)) {
                Some(start) if start >= from => start,
                _ => continue,
            };
            if bytes[start..].starts_with(wanted)
                && found.is_none_or(|(_, shortest)| token.len() < shortest.len())
            {
                found = Some((start, token));
            }
        }
        found
    }
}

/// Removes the tokens that contain another one: breaking that one up also breaks them.
pub(crate) fn separate(tokens: &mut Vec<&str>) {
    let all = tokens.clone();
    tokens.retain(|token| {
        all.iter()
            .all(|other| other == token || !token.contains(other))
    });
}

/// The offset in a token of its anchor: the byte to search for, which is rare in prose. A token
/// has at least two bytes.
const fn anchor(token: &[u8]) -> usize {
    match (token[0], token[1], token[token.len() - 1]) {
        (b'<' | b'[' | b'#', ..) => 0,
        // `USER:` and `ASSISTANT:` share the `S`, so one anchor finds both.
        (_, b'S', _) => 1,
        (.., b':') => token.len() - 1,
        _ => 0,
    }
}

/// The first offset from `from` on of any of `needles`. Blocks are searched without a branch, so
/// that compilers vectorize the loop.
#[inline]
fn position<const N: usize>(needles: [u8; N], bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    let is_needle = |byte: u8| {
        needles
            .iter()
            .fold(false, |any, needle| any | (byte == *needle))
    };
    let holds_none = |block: &[u8; BLOCK]| !block.iter().fold(false, |any, b| any | is_needle(*b));
    let (blocks, _) = rest.as_chunks::<BLOCK>();
    let skipped = BLOCK * blocks.iter().take_while(|block| holds_none(block)).count();
    // The rest is less than a block, or a block with a needle: the last full block decides, if
    // there is one.
    if rest.len() - skipped < BLOCK && rest.last_chunk().is_some_and(holds_none) {
        return None;
    }
    position_by_words(needles, &rest[skipped..]).map(|at| from + skipped + at)
}

/// The first offset of any of `needles`, eight bytes at a time: a byte of a word is zero where its
/// lowest bit borrows from its highest.
fn position_by_words<const N: usize>(needles: [u8; N], bytes: &[u8]) -> Option<usize> {
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let (words, tail) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let hits = needles.iter().fold(0, |hits, needle| {
            let other = word ^ (LOW * u64::from(*needle));
            hits | (other.wrapping_sub(LOW) & !other & HIGH)
        });
        if hits != 0 {
            return Some(index * 8 + hits.trailing_zeros() as usize / 8);
        }
    }
    let at = tail.iter().position(|byte| needles.contains(byte))?;
    Some(words.len() * 8 + at)
}

const BLOCK: usize = 64;
const MAX_ANCHORS: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::Family;

    #[track_caller]
    fn check(tokens: &[&str], text: &str, wanted: &str) {
        let mut out = String::new();
        Control::new(tokens)
            .write(&mut out, text, ControlTokens::Neutralise)
            .unwrap();
        assert_eq!(out, wanted);
    }

    #[test]
    fn tokens_are_broken_up() {
        check(&["<|a|>"], "x<|a|>y<|a|>", "x<|a| >y<|a| >");
        check(&["<a>", "[b]"], "<<a>[b]<a", "<<a >[b ]<a");
        check(&["### A", "### A:"], "#### A: ### B", "####  A: ### B");
        check(&["USER:"], "A USER: USER:", "A USER : USER :");
        check(&["<｜é｜>"], "<｜é｜>", "<｜é｜ >");
        check(&[], "anything", "anything");
        check(
            &["<a>", "[b]", "cc", "dd", "ee"],
            "<a>[b]ccddeé",
            "<a >[b ]c cd deé",
        );
    }

    #[test]
    fn long_text_is_searched_to_its_end() {
        let text = "x".repeat(200) + "<a>" + &"y".repeat(200);
        check(&["<a>"], &text, &text.replace("<a>", "<a >"));
    }

    #[test]
    fn no_token_of_a_family_hides_another() {
        for family in Family::ALL {
            for token in family.control_tokens() {
                assert!(token.chars().count() > 1, "{family}: {token}");
                let last = token.char_indices().next_back().unwrap().0;
                for other in family.control_tokens() {
                    let hidden = token[..last].find(other).is_some_and(|at| at > 0);
                    assert!(!hidden, "{family}: {token} hides {other}");
                }
            }
        }
    }
}
