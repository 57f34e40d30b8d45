//! [`Signature`]: the signature of a thinking block.

/// The signature of a thinking block, from its text.
///
/// Anthropic's API refuses thinking blocks without a signature, and so do clients that check. The
/// signatures of this crate are opaque checksums (FNV-1a of the text): they are never checked when
/// they come back, since other gateways' signatures come, too. They prove nothing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signature(u64);

impl Signature {
    pub(super) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(super) fn add(&mut self, text: &str) {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// Valid base64: the letters of a version, and hexadecimal digits.
    pub(super) fn text(self) -> String {
        format!("fnv1{:016x}", self.0)
    }
}
