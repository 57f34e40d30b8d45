//! provider-replicate
