//! What Acme is called, and where its key and its address are looked for.

/// What Acme's model names are prefixed with.
pub const NAME: &str = "acme";

/// Where Acme is, unless the settings or the environment say otherwise.
pub const DEFAULT_API_BASE: &str = "https://api.acme.example/v1";

/// The environment variables that may hold the key, first hit wins.
pub const API_KEY_VARIABLES: &[&str] = &["ACME_API_KEY"];

/// The environment variables that may hold the address.
pub const API_BASE_VARIABLES: &[&str] = &["ACME_API_BASE"];
