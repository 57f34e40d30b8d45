//! Messages that only those who know the session's secret can write.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{CoordinatorError, MOST_MESSAGE};

/// What leader and workers of a session have in common, and nobody else knows. Never printed, and
/// never sent.
#[derive(Clone)]
pub struct SessionSecret(Hmac<Sha256>);

impl SessionSecret {
    /// The fewest characters: those who read the messages may try short ones.
    pub const SHORTEST: usize = 32;

    /// Takes a secret of at least [`SessionSecret::SHORTEST`] characters, such as `openssl rand -hex 32`
    /// prints; white space around it is cut.
    ///
    /// # Errors
    /// [`CoordinatorError::Secret`] when it is shorter, or longer than 1,024 bytes.
    pub fn new(text: &str) -> Result<Self, CoordinatorError> {
        let text = text.trim();
        if !(Self::SHORTEST..=LONGEST).contains(&text.len()) {
            return Err(CoordinatorError::Secret);
        }
        let key = Hmac::new_from_slice(text.as_bytes()).map_err(|_| CoordinatorError::Secret)?;
        Ok(Self(key))
    }

    /// Reads a secret from a file.
    ///
    /// # Errors
    /// As [`SessionSecret::new`], and [`CoordinatorError::SecretFile`] when the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, CoordinatorError> {
        let mut text = String::new();
        // White space may surround it.
        let most = 2 * LONGEST as u64;
        let read = File::open(path).and_then(|file| file.take(most).read_to_string(&mut text));
        read.map_err(|source| CoordinatorError::SecretFile {
            path: path.to_owned(),
            source,
        })?;
        Self::new(&text)
    }
}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// A number that no other measurement and no other worker has.
pub(super) type Id = [u64; 2];

/// A message, and what keeps it from being used again.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Envelope<T> {
    /// The measurement that it belongs to.
    pub(super) leader: Id,
    /// Who wrote it, or to whom it is; none for all workers.
    pub(super) worker: Option<Id>,
    /// Its sender gives no two messages the same number, and counts up.
    pub(super) number: u64,
    pub(super) message: T,
}

/// The numbers of a sender's messages so far, to tell what was sent again. Messages may overtake
/// each other a little: a sender has several tasks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers {
    highest: u64,
    /// Which of the highest and the 63 below it have come, the highest in the lowest bit.
    seen: u64,
}

impl Numbers {
    /// After a sender's first message.
    pub(super) fn after(first: u64) -> Self {
        Self {
            highest: first,
            seen: 1,
        }
    }

    /// Notes a number; whether it had not come before. What is far behind counts as old.
    pub(super) fn is_new(&mut self, number: u64) -> bool {
        if let Some(ahead) = number.checked_sub(self.highest).filter(|ahead| *ahead > 0) {
            let shifted = u32::try_from(ahead)
                .ok()
                .and_then(|by| self.seen.checked_shl(by));
            self.seen = shifted.unwrap_or(0) | 1;
            self.highest = number;
            return true;
        }
        let behind = u32::try_from(self.highest - number).ok();
        let bit = behind.and_then(|behind| 1_u64.checked_shl(behind));
        let Some(bit) = bit.filter(|bit| self.seen & bit == 0) else {
            return false;
        };
        self.seen |= bit;
        true
    }
}

/// Who writes a message. What one side wrote is never taken for the other's.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    Leader,
    Worker,
}

/// Seals the messages of a side of a session, and opens those.
///
/// A message is a tag of 32 bytes (HMAC-SHA256), the envelope as a line of JSON, and bytes. The
/// tag covers all of it, and before it the session and the side, which are not sent.
#[derive(Clone)]
pub(super) struct Seal(Hmac<Sha256>);

impl Seal {
    pub(super) fn new(secret: &SessionSecret, session: &str, side: Side) -> Self {
        let mut mac = secret.0.clone();
        let side = match side {
            Side::Leader => "leader",
            Side::Worker => "worker",
        };
        // A session's name has no space and no line end.
        mac.update(format!("polyllm bench 1 {session} {side}\n").as_bytes());
        Self(mac)
    }

    pub(super) fn close(
        &self,
        envelope: &impl Serialize,
        bytes: &[u8],
    ) -> Result<Vec<u8>, CoordinatorError> {
        let mut sealed = vec![0; TAG];
        // Nothing here fails to serialize.
        sealed.extend(serde_json::to_vec(envelope).unwrap_or_default());
        sealed.push(b'\n');
        sealed.extend_from_slice(bytes);
        if sealed.len() > MOST_MESSAGE {
            return Err(CoordinatorError::TooLong(sealed.len()));
        }
        let mut mac = self.0.clone();
        mac.update(&sealed[TAG..]);
        sealed[..TAG].copy_from_slice(&mac.finalize().into_bytes());
        Ok(sealed)
    }

    /// None for what was not sealed with this, or is too long; nothing of it is parsed.
    pub(super) fn open<T: DeserializeOwned>(
        &self,
        message: &[u8],
    ) -> Option<(Envelope<T>, Vec<u8>)> {
        if message.len() > MOST_MESSAGE {
            return None;
        }
        let (tag, sealed) = message.split_at_checked(TAG)?;
        let mut mac = self.0.clone();
        mac.update(sealed);
        mac.verify_slice(tag).ok()?;
        let end = sealed.iter().position(|byte| *byte == b'\n')?;
        let envelope = serde_json::from_slice(&sealed[..end]).ok()?;
        Some((envelope, sealed[end + 1..].to_vec()))
    }
}

const TAG: usize = 32;

const LONGEST: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(secret: &str, session: &str, side: Side) -> Seal {
        Seal::new(&SessionSecret::new(secret).unwrap(), session, side)
    }

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_secret_is_long_and_is_not_shown() {
        for text in ["", "short", &SECRET[1..], &"x".repeat(LONGEST + 1)] {
            assert!(SessionSecret::new(text).is_err(), "{text}");
        }
        let secret = SessionSecret::new(&format!(" {SECRET}\n")).unwrap();
        assert!(!format!("{secret:?}").contains("0123"));
        let missing = SessionSecret::read(Path::new("/nowhere/secret")).unwrap_err();
        assert!(missing.to_string().contains("/nowhere/secret"), "{missing}");
    }

    #[test]
    fn only_what_was_sealed_for_the_same_session_and_side_is_opened() {
        let ours = seal(SECRET, "s", Side::Leader);
        let envelope = Envelope {
            leader: [1, 2],
            worker: None,
            number: 3,
            message: "hi".to_owned(),
        };
        let sealed = ours.close(&envelope, b"\n\0bytes").unwrap();
        let (opened, bytes) = ours.open::<String>(&sealed).unwrap();
        assert_eq!((opened.number, opened.message.as_str()), (3, "hi"));
        assert_eq!(bytes, b"\n\0bytes");

        let other = "f".repeat(32);
        for theirs in [
            seal(&other, "s", Side::Leader),
            seal(SECRET, "t", Side::Leader),
            seal(SECRET, "s", Side::Worker),
        ] {
            assert!(theirs.open::<String>(&sealed).is_none());
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(ours.open::<String>(&changed).is_none(), "byte {at}");
            assert!(ours.open::<String>(&sealed[..at]).is_none(), "cut at {at}");
        }
        let longer = [&sealed[..], b"x"].concat();
        assert!(ours.open::<String>(&longer).is_none());
    }

    #[test]
    fn each_number_is_new_once() {
        let mut numbers = Numbers::after(100);
        let come = [
            100, 101, 103, 102, 102, 103, 40, 39, 38, 99, 99, 200, 137, 136, 103, 1,
        ];
        let new = come.map(|number| numbers.is_new(number));
        let expected = [
            false, true, true, true, false, false, true, false, false, true, false, true, true,
            false, false, false,
        ];
        assert_eq!(new, expected);
        assert!(numbers.is_new(u64::MAX));
        assert!(!numbers.is_new(u64::MAX) && !numbers.is_new(0));
    }

    #[test]
    fn a_message_has_a_limit() {
        let ours = seal(SECRET, "s", Side::Leader);
        let envelope = |message| Envelope {
            leader: [0; 2],
            worker: None,
            number: 0,
            message,
        };
        let long = "x".repeat(MOST_MESSAGE);
        let error = ours.close(&envelope(long.as_str()), &[]).unwrap_err();
        assert!(matches!(error, CoordinatorError::TooLong(_)), "{error}");
        // Not even one that was sealed as it should be.
        let mut sealed = ours.close(&envelope(""), &[]).unwrap();
        sealed.extend(long.bytes());
        let mut mac = ours.0.clone();
        mac.update(&sealed[TAG..]);
        sealed[..TAG].copy_from_slice(&mac.finalize().into_bytes());
        assert!(ours.open::<String>(&sealed).is_none());
    }
}
