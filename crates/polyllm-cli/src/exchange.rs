//! HTTP exchanges with services other than providers.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt;
use http::{Request, Response};
use llm_http::HttpClient;
use llm_provider::{Error, ErrorKind, RequestBody, Transport};

/// Sends a request and reads the whole response, both within ten seconds.
pub(crate) async fn exchange(
    client: &HttpClient,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, Error> {
    let exchanged = tokio::time::timeout(LIMIT, send(client, request)).await;
    exchanged.unwrap_or_else(|_| {
        let message = "no response within 10 seconds";
        Err(Error::new(ErrorKind::Timeout, message))
    })
}

async fn send(client: &HttpClient, request: Request<Bytes>) -> Result<Response<Bytes>, Error> {
    let response = client.send(request.map(RequestBody::from)).await?;
    let (head, mut pieces) = response.into_parts();
    let mut body = BytesMut::new();
    while let Some(piece) = pieces.try_next().await? {
        if body.len() + piece.len() > MAX_BODY {
            let message = "the response is longer than 1 MiB";
            return Err(Error::new(ErrorKind::UnexpectedBody, message));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Response::from_parts(head, body.freeze()))
}

const LIMIT: Duration = Duration::from_secs(10);

/// The longest response, in bytes.
const MAX_BODY: usize = 1 << 20;
