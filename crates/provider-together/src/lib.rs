//! provider-together
