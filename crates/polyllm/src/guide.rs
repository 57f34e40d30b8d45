//! Guides: migration from LiteLLM, production, measuring, and the security model.

#[doc = include_str!("../docs/measuring.md")]
pub mod measuring {}

#[doc = include_str!("../docs/migration.md")]
pub mod migration {}

#[doc = include_str!("../docs/production.md")]
pub mod production {}

#[doc = include_str!("../docs/security.md")]
pub mod security {}
