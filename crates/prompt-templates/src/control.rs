//! Control tokens inside of content: kept, broken up or rejected.

use alloc::vec::Vec;
use core::fmt;

use crate::error::{Error, ErrorKind};
use crate::options::ControlTokens;

/// The sequences that content must not hold, made ready for a fast search.
///
/// No one may lie within another, save at its beginning, and none is a single character: else one
/// could be left whole when another is broken up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Control<'t> {
    tokens: &'t [&'t str],
    /// The different anchors of the tokens, if they are few.
    anchors: [u8; MAX_ANCHORS],
    count: usize,
}

impl<'t> Control<'t> {
    pub(crate) const fn new(tokens: &'t [&'t str]) -> Self {
        let mut anchors = [0; MAX_ANCHORS];
        let mut count = 0;
        let mut index = 0;
        while index < tokens.len() {
            let bytes = tokens[index].as_bytes();
            let anchor = bytes[anchor(bytes)];
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
            tokens,
            anchors,
            count,
        }
    }

    pub(crate) const fn tokens(&self) -> &'t [&'t str] {
        self.tokens
    }

    /// Writes `text`, with the tokens in it treated as `policy` says.
    pub(crate) fn write(
        &self,
        out: &mut dyn fmt::Write,
        text: &str,
        policy: ControlTokens,
    ) -> Result<(), Error> {
        let mut written = 0;
        if policy != ControlTokens::Keep {
            let mut from = 0;
            while let Some(at) = self.next_anchor(text.as_bytes(), from) {
                from = at + 1;
                let Some((start, token)) = self.token_around(text, written, at) else {
                    continue;
                };
                if policy == ControlTokens::Reject {
                    let detail = "the content holds the control token";
                    return Err(Error::new(ErrorKind::ControlToken, detail).with_token(token));
                }
                // The last character is written with what follows, as another token may begin
                // with it.
                let last =
                    start + token.len() - token.chars().next_back().map_or(1, char::len_utf8);
                out.write_str(&text[written..last])?;
                out.write_str(" ")?;
                written = last;
                from = from.max(last);
            }
        }
        Ok(out.write_str(&text[written..])?)
    }

    /// The place of the next anchor from `from` on.
    fn next_anchor(&self, bytes: &[u8], from: usize) -> Option<usize> {
        let [a, b, c] = self.anchors;
        match self.count {
            0 => None,
            1 => position([a], bytes, from),
            2 => position([a, b], bytes, from),
            MAX_ANCHORS => position([a, b, c], bytes, from),
            // Too many to look for: every place is one.
            _ => (from < bytes.len()).then_some(from),
        }
    }

    /// The shortest token whose anchor is at `at`, and its place, if it begins not before `from`.
    /// With that one broken up, no longer one is left.
    fn token_around(&self, text: &str, from: usize, at: usize) -> Option<(usize, &'t str)> {
        let bytes = text.as_bytes();
        let found = self.tokens.iter().filter_map(|token| {
            let start = at.checked_sub(anchor(token.as_bytes()))?;
            (start >= from && bytes[start..].starts_with(token.as_bytes()))
                .then_some((start, *token))
        });
        found.min_by_key(|(_, token)| token.len())
    }
}

/// Drops the tokens that hold another one: with that broken up, they are too.
pub(crate) fn separate(tokens: &mut Vec<&str>) {
    let all = tokens.clone();
    tokens.retain(|token| {
        all.iter()
            .all(|other| other == token || !token.contains(other))
    });
}

/// The place in a token of the byte by which to look for it: one that is rare in prose.
const fn anchor(token: &[u8]) -> usize {
    match (token[0], token[token.len() - 1]) {
        (b'<' | b'[' | b'#', _) => 0,
        (_, b':') => token.len() - 1,
        _ => 0,
    }
}

/// The first place from `from` on of any of `needles`. Blocks are looked through without a branch,
/// which compilers turn into vector instructions.
fn position<const N: usize>(needles: [u8; N], bytes: &[u8], from: usize) -> Option<usize> {
    let is_needle = |byte: u8| {
        needles
            .iter()
            .fold(false, |any, needle| any | (byte == *needle))
    };
    let mut at = from;
    let (blocks, _) = bytes.get(from..)?.as_chunks::<64>();
    for block in blocks {
        if block.iter().fold(false, |any, byte| any | is_needle(*byte)) {
            break;
        }
        at += block.len();
    }
    bytes[at..]
        .iter()
        .position(|byte| is_needle(*byte))
        .map(|found| at + found)
}

const MAX_ANCHORS: usize = 3;

#[cfg(test)]
mod tests {
    use std::string::String;

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
