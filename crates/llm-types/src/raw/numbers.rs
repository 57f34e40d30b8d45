//! A fast path for arrays that contain only numbers, such as embeddings.

/// The offset of the closing bracket, if the rest of an array from `at` on contains only numbers.
///
/// `None` if the array is empty, contains another value, or is malformed: the general scanner then
/// decides. Numbers are those of RFC 8259.
pub(super) fn closing_bracket(json: &[u8], mut at: usize) -> Option<usize> {
    loop {
        while matches!(json.get(at)?, b' ' | b'\n' | b'\r' | b'\t') {
            at += 1;
        }
        at = number(json, at)?;
        match json.get(at)? {
            b',' => at += 1,
            b']' => return Some(at),
            _ => return None,
        }
    }
}

/// The end of the number at `at`.
#[inline(always)]
fn number(json: &[u8], mut at: usize) -> Option<usize> {
    if *json.get(at)? == b'-' {
        at += 1;
    }
    at = match json.get(at)? {
        b'0' => at + 1,
        b'1'..=b'9' => digits(json, at + 1),
        _ => return None,
    };
    if *json.get(at)? == b'.' {
        at = some_digits(json, at + 1)?;
    }
    if matches!(json.get(at)?, b'e' | b'E') {
        at += 1;
        if matches!(json.get(at)?, b'+' | b'-') {
            at += 1;
        }
        at = some_digits(json, at)?;
    }
    Some(at)
}

#[inline(always)]
fn some_digits(json: &[u8], at: usize) -> Option<usize> {
    let end = digits(json, at);
    (end > at).then_some(end)
}

/// The end of the digits at `at`, of which there may be none.
#[inline(always)]
fn digits(json: &[u8], mut at: usize) -> usize {
    while let Some(block) = json.get(at..).and_then(|rest| rest.first_chunk()) {
        let others = non_digits(*block);
        if others != 0 {
            return at + others.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while json.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

/// The high bit of each byte that is not a digit.
#[inline(always)]
fn non_digits(block: [u8; 8]) -> u64 {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    /// Carries into the high bit when it is added to more than 9.
    const ABOVE_NINE: u64 = 0x7676_7676_7676_7676;
    // A digit becomes its value; a byte with the high bit keeps it.
    let values = u64::from_le_bytes(block) ^ ZEROS;
    ((values & !HIGH) + ABOVE_NINE | values) & HIGH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Finds the end of arrays of numbers, and of no other array.
        #[test]
        fn only_arrays_of_numbers_are_found(
            text in "(-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][-+]?[0-9]{1,3})?,[ \n]?){0,4}[-0-9.eE, \\]\\[a\"]{0,12}\\]",
        ) {
            let json = format!("[{text}");
            let end = json.find(']').unwrap_or_default();
            let first = &json[..=end];
            let parsed: Result<Vec<serde_json::Number>, _> = serde_json::from_str(first);
            // Numbers that no f64 can hold are valid JSON, too.
            let is_valid = parsed.is_ok_and(|numbers| !numbers.is_empty())
                || is_out_of_range(first);
            let found = closing_bracket(json.as_bytes(), 1);
            // White space before a comma or a bracket is left to the general scanner.
            let is_plain = !json.contains(" ,") && !json.contains(" ]");
            if is_plain && !is_out_of_range(first) {
                prop_assert_eq!(found, is_valid.then_some(end), "{}", json);
            } else if let Some(found) = found {
                prop_assert_eq!(found, end);
            }
        }
    }

    fn is_out_of_range(json: &str) -> bool {
        let parsed: Result<Vec<serde_json::Number>, _> = serde_json::from_str(json);
        parsed.is_err_and(|error| error.to_string().contains("out of range"))
    }

    #[test]
    fn only_digits_are_digits() {
        for byte in 0..=u8::MAX {
            for place in 0..8 {
                let mut block = *b"12345678";
                block[place] = byte;
                let expected = match byte.is_ascii_digit() {
                    true => 0,
                    false => 0x80 << (8 * place),
                };
                assert_eq!(non_digits(block), expected, "{byte} at {place}");
            }
        }
    }
}
