//! The signature of Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::log::unguessable;

#[derive(Clone)]
pub(super) struct Secret([u8; 32]);

/// The headers sent with a body, besides its id.
#[derive(Debug)]
pub(super) struct Signed {
    /// Seconds since the Unix epoch.
    pub(super) timestamp: String,
    pub(super) signature: String,
}

impl Secret {
    /// The same for all simulations of this process, and not known outside it.
    pub(super) fn of_this_process() -> Self {
        let mut bytes = [0; 32];
        for (part, eight) in bytes.chunks_exact_mut(8).enumerate() {
            eight.copy_from_slice(&unguessable(("webhook", part)).to_le_bytes());
        }
        Self(bytes)
    }

    /// As Replicate shows it: `whsec_` and base64.
    pub(super) fn encoded(&self) -> String {
        format!("whsec_{}", BASE64_STANDARD.encode(self.0))
    }

    pub(super) fn sign(&self, id: &str, unix: u64, body: &[u8]) -> Signed {
        let timestamp = unix.to_string();
        // A key is padded with zeros to a block (RFC 2104, section 2).
        let mut key = [0; 64];
        key[..self.0.len()].copy_from_slice(&self.0);
        let mut mac = Hmac::<Sha256>::new(&key.into());
        for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
            mac.update(part);
        }
        let sum = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        Signed {
            timestamp,
            signature: format!("v1,{sum}"),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
