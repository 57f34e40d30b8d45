use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, response};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::{Read, Write};

use crate::client::stamped::Stamps;

/// A connection that carries one exchange at a time.
///
/// Hyper's half that reads and writes is driven by whoever waits for the answer, not by a task of
/// its own: a chunk is looked at in the very wake-up that read it.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: Pin<Box<dyn Future<Output = hyper::Result<()>>>>,
    driven: bool,
    stamps: Rc<Stamps>,
}

/// Takes an answer as it comes; times are those of the reads from the socket.
pub(crate) trait Sink {
    fn head(&mut self, head: &response::Parts);
    /// Takes a piece of the body, and says whether more of it is of use.
    fn data(&mut self, data: &[u8], at: u64) -> bool;
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exchanged {
    /// The answer was not read to its end: the connection is of no more use.
    Cut,
    /// The connection may carry another exchange.
    Whole,
}

impl Connection {
    pub(crate) async fn open<T>(io: T, stamps: Rc<Stamps>) -> hyper::Result<Self>
    where
        T: Read + Write + Unpin + 'static,
    {
        let (sender, driver) = http1::handshake(io).await?;
        Ok(Self {
            sender,
            driver: Box::pin(driver),
            driven: false,
            stamps,
        })
    }

    /// Whether another exchange may be tried; notices what the server has closed meanwhile.
    pub(crate) async fn is_ready(&mut self) -> bool {
        poll_fn(|cx| {
            self.drive(cx);
            if self.driven {
                return Poll::Ready(false);
            }
            // Pending is a connection that still reads an answer that nobody waits for.
            match self.sender.poll_ready(cx) {
                Poll::Ready(ready) => Poll::Ready(ready.is_ok()),
                Poll::Pending => Poll::Ready(false),
            }
        })
        .await
    }

    /// Sends a request and hands its answer to `sink`, for as long as it takes more.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        sink: &mut impl Sink,
    ) -> Result<Exchanged, ExchangeError> {
        self.stamps.reset();
        let mut response = pin!(self.sender.send_request(request));
        let (driver, driven) = (&mut self.driver, &mut self.driven);
        let response = poll_fn(|cx| {
            drive(driver, driven, cx);
            response.as_mut().poll(cx)
        });
        let (head, mut body) = response
            .await
            .map_err(|source| ExchangeError { source })?
            .into_parts();
        sink.head(&head);
        while let Some(frame) = self.frame(&mut body).await {
            let frame = frame.map_err(|source| ExchangeError { source })?;
            if let Some(data) = frame.data_ref()
                && !sink.data(data, self.stamps.last_read())
            {
                return Ok(Exchanged::Cut);
            }
        }
        Ok(Exchanged::Whole)
    }

    /// The times of the exchange that went on last.
    pub(crate) fn stamps(&self) -> &Stamps {
        &self.stamps
    }

    async fn frame(
        &mut self,
        body: &mut Incoming,
    ) -> Option<hyper::Result<hyper::body::Frame<Bytes>>> {
        poll_fn(|cx| {
            // What is already here first: the driver would look for more.
            if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
                return Poll::Ready(frame);
            }
            self.drive(cx);
            Pin::new(&mut *body).poll_frame(cx)
        })
        .await
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.driver, &mut self.driven, cx);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("closed", &self.driven)
            .finish_non_exhaustive()
    }
}

/// An exchange that broke off.
#[derive(Debug)]
pub(crate) struct ExchangeError {
    pub(crate) source: hyper::Error,
}

/// Reads and writes what can be. An end with an error is reported by the exchange as well.
fn drive(
    driver: &mut Pin<Box<dyn Future<Output = hyper::Result<()>>>>,
    driven: &mut bool,
    cx: &mut Context<'_>,
) {
    if !*driven && driver.as_mut().poll(cx).is_ready() {
        *driven = true;
    }
}
