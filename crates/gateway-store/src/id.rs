use getrandom::fill;

use crate::{Error, ErrorKind, Result, Timestamp};

/// A new UUID of version 7: unique, and in the order of time as text.
pub(crate) fn new(now: Timestamp) -> Result<String> {
    let millis = u64::try_from(now.as_millis()).unwrap_or_default();
    let random = random::<10>()?;
    let id = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
    Ok(id.hyphenated().to_string())
}

/// Random bytes of the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    fill(&mut bytes).map_err(|error| {
        Error::new(
            ErrorKind::Internal,
            format!("the operating system has no random bytes: {error}"),
        )
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_by_time_and_differ() {
        let at = |millis| new(Timestamp::from_millis(millis)).unwrap();
        assert!(at(1_000) < at(2_000) && at(2_000) < at(1_000_000_000_000));
        assert_ne!(at(5), at(5));
        assert_eq!(at(5).as_bytes()[14], b'7');
    }
}
