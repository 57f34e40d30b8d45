//! Signed messages, which only holders of the session's secret can write.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{CoordinatorError, MAX_MESSAGE};

/// The secret that leader and workers of a session share. It is never printed and never sent.
#[derive(Clone)]
pub struct SessionSecret(Hmac<Sha256>);

impl SessionSecret {
    /// The minimum of characters: an eavesdropper could guess shorter secrets.
    pub const MIN_LENGTH: usize = 32;

    /// Takes a secret of at least [`SessionSecret::MIN_LENGTH`] characters, such as the output of
    /// `openssl rand -hex 32`; surrounding white space is removed.
    ///
    /// # Errors
    /// [`CoordinatorError::Secret`] if it is shorter, or longer than 1,024 bytes.
    pub fn new(text: &str) -> Result<Self, CoordinatorError> {
        let text = text.trim();
        if !(Self::MIN_LENGTH..=MAX_LENGTH).contains(&text.len()) {
            return Err(CoordinatorError::Secret);
        }
        let key = Hmac::new_from_slice(text.as_bytes()).map_err(|_| CoordinatorError::Secret)?;
        Ok(Self(key))
    }

    /// Reads a secret from a file.
    ///
    /// # Errors
    /// As [`SessionSecret::new`], and [`CoordinatorError::SecretFile`] if the file cannot be read.
    pub fn read(path: &Path) -> Result<Self, CoordinatorError> {
        let mut text = String::new();
        // Leaves room for surrounding white space.
        let max = 2 * MAX_LENGTH as u64;
        let read = File::open(path).and_then(|file| file.take(max).read_to_string(&mut text));
        read.map_err(|source| CoordinatorError::SecretFile {
            path: path.to_owned(),
            source,
        })?;
        Self::new(&text)
    }
}

impl fmt::Debug for SessionSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionSecret(***)")
    }
}

/// A number that identifies a measurement or a worker.
pub(super) type Id = [u64; 2];

/// A message, with what protects it from replay.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Envelope<T> {
    /// The measurement.
    pub(super) leader: Id,
    /// The worker that sent it or that receives it; `None` for all workers.
    pub(super) worker: Option<Id>,
    /// The sender's counter; no two messages have the same number.
    pub(super) number: u64,
    pub(super) message: T,
}

/// The numbers of a sender's messages so far, to detect replays. Messages may overtake each other,
/// since a sender has several tasks.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReplayWindow {
    highest: u64,
    /// Which of the highest number and the 63 below it were received; the highest is the lowest
    /// bit.
    seen: u64,
}

impl ReplayWindow {
    /// The state after a sender's first message.
    pub(super) fn after(first: u64) -> Self {
        Self {
            highest: first,
            seen: 1,
        }
    }

    /// Records a number and returns whether it is new. A number far behind counts as old.
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

/// The sender of a message. A message of one side is never accepted as one of the other.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    Leader,
    Worker,
}

/// Signs and verifies the messages of one side of a session.
///
/// A message consists of a tag of 32 bytes (HMAC-SHA256), the envelope as a line of JSON, and
/// bytes. The tag covers all of these, and before them the session and the side, which are not
/// sent.
#[derive(Clone)]
pub(super) struct Signer(Hmac<Sha256>);

impl Signer {
    pub(super) fn new(secret: &SessionSecret, session: &str, role: Role) -> Self {
        let mut mac = secret.0.clone();
        let role = match role {
            Role::Leader => "leader",
            Role::Worker => "worker",
        };
        // The name of a session contains no space and no line end.
        mac.update(format!("polyllm bench 1 {session} {role}\n").as_bytes());
        Self(mac)
    }

    pub(super) fn sign(
        &self,
        envelope: &impl Serialize,
        bytes: &[u8],
    ) -> Result<Vec<u8>, CoordinatorError> {
        let mut signed = vec![0; TAG];
        // Serialization of these types does not fail.
        signed.extend(serde_json::to_vec(envelope).unwrap_or_default());
        signed.push(b'\n');
        signed.extend_from_slice(bytes);
        if signed.len() > MAX_MESSAGE {
            return Err(CoordinatorError::TooLong(signed.len()));
        }
        let mut mac = self.0.clone();
        mac.update(&signed[TAG..]);
        signed[..TAG].copy_from_slice(&mac.finalize().into_bytes());
        Ok(signed)
    }

    /// Verifies and parses a message. `None` if its tag is wrong or it is too long; then nothing of
    /// it is parsed.
    pub(super) fn verify<T: DeserializeOwned>(
        &self,
        message: &[u8],
    ) -> Option<(Envelope<T>, Vec<u8>)> {
        if message.len() > MAX_MESSAGE {
            return None;
        }
        let (tag, signed) = message.split_at_checked(TAG)?;
        let mut mac = self.0.clone();
        mac.update(signed);
        mac.verify_slice(tag).ok()?;
        let end = signed.iter().position(|byte| *byte == b'\n')?;
        let envelope = serde_json::from_slice(&signed[..end]).ok()?;
        Some((envelope, signed[end + 1..].to_vec()))
    }
}

const TAG: usize = 32;

const MAX_LENGTH: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(secret: &str, session: &str, role: Role) -> Signer {
        Signer::new(&SessionSecret::new(secret).unwrap(), session, role)
    }

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn a_secret_has_a_minimum_length_and_is_not_shown() {
        for text in ["", "short", &SECRET[1..], &"x".repeat(MAX_LENGTH + 1)] {
            assert!(SessionSecret::new(text).is_err(), "{text}");
        }
        let secret = SessionSecret::new(&format!(" {SECRET}\n")).unwrap();
        assert!(!format!("{secret:?}").contains("0123"));
        let missing = SessionSecret::read(Path::new("/nowhere/secret")).unwrap_err();
        assert!(missing.to_string().contains("/nowhere/secret"), "{missing}");
    }

    #[test]
    fn only_messages_of_the_same_session_and_side_are_valid() {
        let ours = signer(SECRET, "s", Role::Leader);
        let envelope = Envelope {
            leader: [1, 2],
            worker: None,
            number: 3,
            message: "hi".to_owned(),
        };
        let signed = ours.sign(&envelope, b"\n\0bytes").unwrap();
        let (verified, bytes) = ours.verify::<String>(&signed).unwrap();
        assert_eq!((verified.number, verified.message.as_str()), (3, "hi"));
        assert_eq!(bytes, b"\n\0bytes");

        let other = "f".repeat(32);
        for theirs in [
            signer(&other, "s", Role::Leader),
            signer(SECRET, "t", Role::Leader),
            signer(SECRET, "s", Role::Worker),
        ] {
            assert!(theirs.verify::<String>(&signed).is_none());
        }
        for at in 0..signed.len() {
            let mut changed = signed.clone();
            changed[at] ^= 1;
            assert!(ours.verify::<String>(&changed).is_none(), "byte {at}");
            assert!(
                ours.verify::<String>(&signed[..at]).is_none(),
                "cut at {at}"
            );
        }
        let longer = [&signed[..], b"x"].concat();
        assert!(ours.verify::<String>(&longer).is_none());
    }

    #[test]
    fn each_number_is_accepted_once() {
        let mut numbers = ReplayWindow::after(100);
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
    fn the_length_of_a_message_is_limited() {
        let ours = signer(SECRET, "s", Role::Leader);
        let envelope = |message| Envelope {
            leader: [0; 2],
            worker: None,
            number: 0,
            message,
        };
        let long = "x".repeat(MAX_MESSAGE);
        let error = ours.sign(&envelope(long.as_str()), &[]).unwrap_err();
        assert!(matches!(error, CoordinatorError::TooLong(_)), "{error}");
        // Not even one with a valid tag.
        let mut signed = ours.sign(&envelope(""), &[]).unwrap();
        signed.extend(long.bytes());
        let mut mac = ours.0.clone();
        mac.update(&signed[TAG..]);
        signed[..TAG].copy_from_slice(&mac.finalize().into_bytes());
        assert!(ours.verify::<String>(&signed).is_none());
    }
}
