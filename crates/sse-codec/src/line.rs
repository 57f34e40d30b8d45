use memchr::memchr2;

use crate::limits::Limits;

/// Splits the form of nearly every event of an LLM API in one step: a `data` line and a blank line.
#[inline]
pub(crate) fn split_plain(input: &[u8], limits: Limits) -> Option<(&[u8], &[u8])> {
    let line = input.strip_prefix(b"data:")?;
    let end = memchr2(b'\n', b'\r', line)?;
    let (value, rest) = line.split_at(end);
    let ([b'\n', b'\n', rest @ ..] | [b'\r', b'\n', b'\r', b'\n', rest @ ..]) = rest else {
        return None;
    };
    if end + 5 > limits.line || end > limits.event {
        return None;
    }
    Some((value.strip_prefix(b" ").unwrap_or(value), rest))
}

/// The end of the first line.
///
/// Fields other than data are short. For them, scanning a word at a time costs less than calling
/// `memchr2`.
#[inline]
pub(crate) fn find_end(input: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    let mut at = 0;
    while at < 24
        && let Some(word) = input[at..].first_chunk()
    {
        let word = u64::from_le_bytes(*word);
        // The high bit of each byte below 14; bits above the lowest may be wrong.
        let low = word.wrapping_sub(ONES * 14) & !word & (ONES * 0x80);
        if low != 0 {
            let end = at + low.trailing_zeros() as usize / 8;
            if matches!(input[end], b'\n' | b'\r') {
                return Some(end);
            }
            break;
        }
        at += 8;
    }
    let rest = &input[at..];
    if rest.len() < 8 {
        return rest
            .iter()
            .position(|byte| matches!(byte, b'\n' | b'\r'))
            .map(|end| at + end);
    }
    memchr2(b'\n', b'\r', rest).map(|end| at + end)
}

/// The kind of a line, by its field name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Field {
    Comment,
    Data,
    Event,
    Id,
    Other,
    Retry,
}

/// Splits a non-empty line, without its terminator, into field and value (WHATWG HTML, 9.2.6).
///
/// Compares prefixes instead of searching for the colon, which may be megabytes away.
#[inline]
pub(crate) fn parse(line: &[u8]) -> (Field, &[u8]) {
    let (field, rest) = match line {
        [b':', ..] => (Field::Comment, line),
        [b'd', b'a', b't', b'a', rest @ ..] => (Field::Data, rest),
        [b'e', b'v', b'e', b'n', b't', rest @ ..] => (Field::Event, rest),
        [b'i', b'd', rest @ ..] => (Field::Id, rest),
        [b'r', b'e', b't', b'r', b'y', rest @ ..] => (Field::Retry, rest),
        _ => return (Field::Other, &[]),
    };
    match rest {
        // A line that is only a field name has an empty value.
        [] | [b':'] => (field, &[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => (field, value),
        _ => (Field::Other, &[]),
    }
}

/// Reads a reconnection time: ASCII digits only, saturating.
pub(crate) fn parse_retry(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    })
}
