/// What a line is, by its field name.
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
/// Compares prefixes in place of looking for the colon, which may be megabytes away.
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
        // A line that is only a field name has the empty string for its value.
        [] | [b':'] => (field, &[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => (field, value),
        _ => (Field::Other, &[]),
    }
}

/// Reads a reconnection time: ASCII digits and nothing else, saturating.
pub(crate) fn parse_retry(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        Some(number.saturating_mul(10).saturating_add(digit))
    })
}
