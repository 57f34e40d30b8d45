//! The conventions of the public API, checked by the compiler.

use std::error::Error as StdError;
use std::fmt::Debug;

use sse_codec::{Decoder, Event, Kind, LimitExceeded, Limits, LineDecoder};

fn shared<T: Debug + Send + Sync>() {}

#[test]
fn types_are_shared_and_printed() {
    shared::<Decoder>();
    shared::<Event<'static>>();
    shared::<Kind>();
    shared::<LimitExceeded>();
    shared::<Limits>();
    shared::<LineDecoder>();
    fn error<T: StdError + Send + Sync + 'static>() {}
    error::<LimitExceeded>();
    fn created<T: Default>() {}
    created::<Decoder>();
    created::<Limits>();
    created::<LineDecoder>();
}

#[cfg(feature = "stream")]
#[test]
fn streams_are_moved_and_their_items_cloned() {
    use sse_codec::{EventStream, LineStream, OwnedEvent, OwnedLine, StreamError};

    fn cloned<T: Clone + Debug + Eq + Send + Sync + 'static>() {}
    cloned::<OwnedEvent>();
    cloned::<OwnedLine>();
    shared::<EventStream<()>>();
    shared::<LineStream<()>>();
    fn error<T: StdError + Send + Sync + 'static>() {}
    error::<StreamError<std::io::Error>>();
}
