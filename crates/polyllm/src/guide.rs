//! Guides: migration from LiteLLM, production, measuring, the security model, and a comparison with
//! other projects.

#[doc = include_str!("../docs/comparison.md")]
pub mod comparison {}

#[doc = include_str!("../docs/measuring.md")]
pub mod measuring {}

#[doc = include_str!("../docs/migration.md")]
pub mod migration {}

#[doc = include_str!("../docs/production.md")]
pub mod production {}

#[doc = include_str!("../docs/security.md")]
pub mod security {}
