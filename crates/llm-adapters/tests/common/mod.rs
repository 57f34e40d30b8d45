//! Helpers that several tests share.
#![allow(dead_code, reason = "not every test uses every part")]

pub(crate) mod chunks;
pub(crate) mod messages;
pub(crate) mod messages_order;
pub(crate) mod responses_order;
