//! Control tokens inside of content: kept, broken up or rejected.

use core::fmt;

use crate::error::{Error, ErrorKind};
use crate::options::ControlTokens;

/// Writes `text`, with `tokens` in it treated as `policy` says.
pub(crate) fn write(
    out: &mut dyn fmt::Write,
    text: &str,
    tokens: &[&str],
    policy: ControlTokens,
) -> Result<(), Error> {
    if policy == ControlTokens::Keep {
        return Ok(out.write_str(text)?);
    }
    let mut rest = text;
    while let Some((at, token)) = find(rest, tokens) {
        if policy == ControlTokens::Reject {
            return Err(Error::new(
                ErrorKind::ControlToken,
                "the content holds the control token",
            )
            .with_token(token));
        }
        // The last character stays in `rest`, as it may be the first of another token.
        let last = token.char_indices().next_back().map_or(0, |(last, _)| last);
        let (head, tail) = rest.split_at(at + last);
        out.write_str(head)?;
        out.write_str(" ")?;
        rest = tail;
    }
    Ok(out.write_str(rest)?)
}

/// The first place where one of `tokens` stands, and the shortest one there: with it broken, no
/// longer one that begins the same way is left.
fn find<'t>(text: &str, tokens: &[&'t str]) -> Option<(usize, &'t str)> {
    tokens
        .iter()
        .filter_map(|token| Some((text.find(token)?, *token)))
        .min_by_key(|(at, token)| (*at, token.len()))
}
