//! Helpers that several tests share.

pub(crate) mod chunks;
pub(crate) mod messages;
pub(crate) mod messages_order;
pub(crate) mod responses;
pub(crate) mod responses_order;
