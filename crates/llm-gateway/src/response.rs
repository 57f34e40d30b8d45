//! Answers, whole or in frames.

use std::convert::Infallible;

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either, Full};
use serde::Serialize;

/// The body of an answer: in one piece, or as an event stream.
pub type ResponseBody = Either<Full<Bytes>, UnsyncBoxBody<Bytes, Infallible>>;

/// An answer in JSON.
pub(crate) fn json(text: impl Into<Bytes>) -> Response<ResponseBody> {
    let mut response = Response::new(Either::Left(Full::new(text.into())));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

/// An answer in JSON that is made of a value.
pub(crate) fn json_of<T: Serialize>(value: &T) -> Response<ResponseBody> {
    // Writing can only fail for maps whose keys are not strings; no type here has one.
    json(serde_json::to_vec(value).unwrap_or_default())
}

/// An answer as an event stream.
pub(crate) fn events<B>(frames: B) -> Response<ResponseBody>
where
    B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let mut response = Response::new(Either::Right(frames.boxed_unsync()));
    let events = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, events);
    response
}
