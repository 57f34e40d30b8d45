//! Server-Sent Events as the WHATWG HTML standard defines them (9.2, *Server-sent events*), for
//! clients that read streams of tokens and for servers that write them.
//!
//! ```
//! use sse_codec::Decoder;
//!
//! let mut decoder = Decoder::new();
//! let mut tokens = Vec::new();
//! for read in ["event: output\ndata: Once\n\ndata: up", "on\n\ndata: [DONE]\n"] {
//!     decoder.feed(read.as_bytes(), |event| tokens.push(event.text().into_owned()))?;
//! }
//! assert_eq!(tokens, ["Once", "upon"]);
//!
//! let tail = decoder.finish().unwrap()?; // the server left out the last blank line
//! assert_eq!(tail.data(), b"[DONE]");
//! # Ok::<(), sse_codec::LimitExceeded>(())
//! ```
//!
//! - [`Decoder`] turns reads of any size into events, pushed or pulled. It lends each [`Event`]
//!   from the read that contains it. It copies bytes only if a line straddles two reads or an event
//!   has several `data` lines, and allocates nothing per event.
//! - `EventStream` (feature `stream`) decodes a stream of `Bytes` into events that own their parts;
//!   the data remains a slice of its read.
//! - [`LineDecoder`] and `LineStream` (feature `stream`) do the same for newline-delimited text, such
//!   as NDJSON.
//! - `encode_event`, `encode_comment` and `encode_retry` (feature `encode`) write events.
//!
//! What a browser drops is available: comments and events without data if enabled, and an
//! incomplete last event through [`Decoder::finish`]. An event longer than the [`Limits`] is
//! reported as an error, after which decoding continues. The meaning of the data, including
//! `[DONE]`, is left to the caller.
//!
//! The crate is `no_std` and has no `unsafe` code. The feature `std` only adds run-time CPU
//! detection, for the fastest search and UTF-8 check: enable it wherever `std` is available. No feature
//! is on by default.
//!
//! Requires Rust 1.95. Before version 1.0, a minor version may change the API.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod carry;
mod decoder;
#[cfg(feature = "encode")]
mod encode;
mod event;
mod limits;
mod line;
#[cfg(feature = "stream")]
mod line_stream;
mod lines;
#[cfg(feature = "stream")]
mod stream;

pub use decoder::Decoder;
#[cfg(feature = "encode")]
pub use encode::{encode_comment, encode_event, encode_retry};
pub use event::{Event, Kind};
pub use limits::{LimitExceeded, Limits};
#[cfg(feature = "stream")]
pub use line_stream::{LineStream, OwnedLine};
pub use lines::LineDecoder;
#[cfg(feature = "stream")]
pub use stream::{EventStream, OwnedEvent, StreamError};

/// The example in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
