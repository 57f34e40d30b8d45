//! Responses: whole, or as event streams.

use std::convert::Infallible;

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either, Full};
use serde::Serialize;

/// The body of a response: in one piece, or as an event stream.
pub type ResponseBody = Either<Full<Bytes>, UnsyncBoxBody<Bytes, Infallible>>;

/// A response in JSON.
pub(crate) fn json(text: impl Into<Bytes>) -> Response<ResponseBody> {
    let json = HeaderValue::from_static("application/json");
    response(json, Either::Left(Full::new(text.into())))
}

/// A response of another content type.
pub(crate) fn text(content_type: &'static str, text: String) -> Response<ResponseBody> {
    let content_type = HeaderValue::from_static(content_type);
    response(content_type, Either::Left(Full::new(text.into())))
}

/// A response with a value in JSON.
pub(crate) fn json_of<T: Serialize>(value: &T) -> Response<ResponseBody> {
    // Serialization fails only for maps whose keys are not strings.
    json(serde_json::to_vec(value).unwrap_or_default())
}

/// A response as an event stream.
pub(crate) fn events<B>(frames: B) -> Response<ResponseBody>
where
    B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let events = HeaderValue::from_static("text/event-stream");
    response(events, Either::Right(frames.boxed_unsync()))
}

fn response(content_type: HeaderValue, body: ResponseBody) -> Response<ResponseBody> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.reserve(USUAL_HEADERS);
    headers.insert(CONTENT_TYPE, content_type);
    response
}

/// The number of headers that a response usually gets.
const USUAL_HEADERS: usize = 12;
