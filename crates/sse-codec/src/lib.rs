//! ```
//! use sse_codec::Decoder;
//!
//! let mut decoder = Decoder::new();
//! let mut text = String::new();
//! for read in ["data: {\"n\":1}\n\nda", "ta: [DONE]\n\n"] {
//!     decoder.feed(read.as_bytes(), |event| text += &event.text())?;
//! }
//! assert_eq!(text, "{\"n\":1}[DONE]");
//! # Ok::<(), sse_codec::LimitExceeded>(())
//! ```
//!
//! Server-Sent Events as the WHATWG HTML standard (9.2, *Server-sent events*) defines them.

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
