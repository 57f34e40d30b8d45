//! Requests, replies and streams of both APIs.
#![cfg(test)]

mod common;
mod messages_end;
mod messages_properties;
mod messages_request;
mod messages_stream;
mod responses_properties;
mod responses_request;
mod responses_stream;
