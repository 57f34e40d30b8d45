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
//! Server-Sent Events as the WHATWG HTML standard defines them (9.2, *Server-sent events*), for
//! clients that read streams of tokens and for servers that write them.
//!
//! - [`Decoder`] turns reads of any size into events, pushed or pulled. It lends each [`Event`]
//!   from the read where it lies; bytes are copied only where a line straddles two reads or an
//!   event has several `data` lines, and nothing is allocated per event.
//! - `EventStream` (feature `stream`) does the same over a stream of `Bytes`, and yields events that
//!   own their parts; the data stays a slice of its read.
//! - `encode_event`, `encode_comment` and `encode_retry` (feature `encode`) write.
//!
//! What a browser drops is reported where it matters: comments and events without data on request,
//! the event that a stream breaks off in by [`Decoder::finish`], and an event longer than the
//! [`Limits`] as an error, behind which decoding goes on. What the data means, `[DONE]` included,
//! is the caller's business.
//!
//! The crate is `no_std` and has no `unsafe` code. Feature `std` adds nothing but run-time detection
//! of the CPU, for the fastest search and check of UTF-8: turn it on where there is a `std`.

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
mod stream;

pub use decoder::Decoder;
#[cfg(feature = "encode")]
pub use encode::{encode_comment, encode_event, encode_retry};
pub use event::{Event, Kind};
pub use limits::{LimitExceeded, Limits};
#[cfg(feature = "stream")]
pub use stream::{EventStream, OwnedEvent, StreamError};

/// The example in the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
