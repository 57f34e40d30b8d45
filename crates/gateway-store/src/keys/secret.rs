use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use llm_provider::ApiKey;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::sql::unreadable;
use crate::{Error, Result, id};

/// The SHA-256 of a secret: what a store keeps of it.
///
/// Secrets are random and long, so that a slow hash would not make them safer. `==` takes the same
/// time for all hashes. `Display` writes hexadecimal digits, as LiteLLM's `token`.
#[derive(Clone, Copy, Eq, Hash)]
#[allow(clippy::derived_hash_with_manual_eq)] // Both see all bytes.
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// The hash of a secret.
    pub fn of(secret: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(secret).into())
    }

    /// Reads hexadecimal digits.
    pub fn parse(hex: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if hex.len() != 2 * bytes.len() || !hex.is_ascii() {
            return None;
        }
        for (byte, digits) in bytes.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
            let [high, low] = digits else { return None };
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(bytes))
    }

    /// Reads what a store wrote.
    pub(crate) fn read(hex: &str) -> Result<Self> {
        Self::parse(hex).ok_or_else(unreadable)
    }
}

fn digit(character: u8) -> Option<u8> {
    let digit = char::from(character).to_digit(16)?;
    u8::try_from(digit).ok()
}

impl PartialEq for KeyHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyHash({self})")
    }
}

/// A new secret with 192 random bits.
pub(super) fn generate() -> Result<ApiKey> {
    let random = id::random::<24>()?;
    let text = URL_SAFE_NO_PAD.encode(random);
    Ok(ApiKey::new(format!("{PREFIX}{text}")))
}

/// Rejects a secret of the operator that clients cannot send or that is easy to guess.
pub(super) fn check(secret: &ApiKey) -> Result<()> {
    let text = secret.expose();
    if !text.starts_with(PREFIX) || !(SHORTEST..=LONGEST).contains(&text.len()) {
        let message = format!(
            "the key must begin with `{PREFIX}` and have {SHORTEST} to {LONGEST} characters"
        );
        return Err(Error::invalid(message));
    }
    if !text.bytes().all(|c| c.is_ascii_graphic()) {
        return Err(Error::invalid(
            "the key must be of visible ASCII characters",
        ));
    }
    Ok(())
}

/// Whether a secret has the form of a key. If not, the store need not be searched.
pub(crate) fn is_plausible(secret: &[u8]) -> bool {
    secret.starts_with(PREFIX.as_bytes()) && (SHORTEST..=LONGEST).contains(&secret.len())
}

/// An abbreviation of a secret: its last four characters.
pub(super) fn name(secret: &ApiKey) -> String {
    let text = secret.expose();
    let last = text.get(text.len().saturating_sub(4)..).unwrap_or_default();
    format!("{PREFIX}...{last}")
}

const PREFIX: &str = "sk-";
const SHORTEST: usize = 16;
const LONGEST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_the_sha_256_in_hexadecimal() {
        let hash = KeyHash::of("sk-1234");
        let hex = "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b";
        assert_eq!(hash.to_string(), hex);
        assert_eq!(KeyHash::parse(hex), Some(hash));
        assert_eq!(KeyHash::parse(&hex.to_uppercase()), Some(hash));
        for wrong in ["", "88", &hex[1..], &hex.replace('8', "g"), &"é".repeat(32)] {
            assert_eq!(KeyHash::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn generated_secrets_are_long_and_differ() {
        let (one, other) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one, other);
        assert_eq!(one.expose().len(), 3 + 32);
        assert!(check(&one).is_ok() && is_plausible(one.expose().as_bytes()));
        assert!(one.expose().ends_with(&name(&one)["sk-...".len()..]));
    }

    #[test]
    fn weak_secrets_are_rejected() {
        for weak in [
            "",
            "sk-1234",
            "0123456789abcdef0123",
            "sk-0123456789 abcdef",
            "sk-0123456789abcdé",
        ] {
            assert!(check(&ApiKey::new(weak)).is_err(), "{weak}");
        }
        assert!(check(&ApiKey::new("sk-".to_owned() + &"x".repeat(300))).is_err());
    }
}
