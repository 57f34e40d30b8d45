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

use crate::client::io_times::IoTimes;

/// A connection that carries one exchange at a time.
///
/// The caller that waits for the response also drives hyper's I/O, without a task of its own. So a
/// chunk is processed in the same wake-up in which it was read.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: Pin<Box<dyn Future<Output = hyper::Result<()>>>>,
    driver_ended: bool,
    io_times: Rc<IoTimes>,
}

/// Receives a response as it arrives; times are those of socket reads.
pub(crate) trait ResponseSink {
    fn head(&mut self, head: &response::Parts);
    /// Takes a piece of the body and returns whether to continue.
    fn data(&mut self, data: &[u8], at: u64) -> bool;
}

/// The end of an exchange.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ExchangeEnd {
    /// The response was not read to its end: the connection cannot be reused.
    Aborted,
    /// The connection can carry another exchange.
    Complete,
}

impl Connection {
    pub(crate) async fn open<T>(io: T, io_times: Rc<IoTimes>) -> hyper::Result<Self>
    where
        T: Read + Write + Unpin + 'static,
    {
        let (sender, driver) = http1::handshake(io).await?;
        Ok(Self {
            sender,
            driver: Box::pin(driver),
            driver_ended: false,
            io_times,
        })
    }

    /// Whether another exchange may start; detects a close by the server.
    pub(crate) async fn is_ready(&mut self) -> bool {
        poll_fn(|cx| {
            self.drive(cx);
            if self.driver_ended {
                return Poll::Ready(false);
            }
            // Pending: the connection is still reading an abandoned response.
            match self.sender.poll_ready(cx) {
                Poll::Ready(ready) => Poll::Ready(ready.is_ok()),
                Poll::Pending => Poll::Ready(false),
            }
        })
        .await
    }

    /// Sends a request and passes its response to `sink` until the sink stops.
    pub(crate) async fn exchange(
        &mut self,
        request: Request<Full<Bytes>>,
        sink: &mut impl ResponseSink,
    ) -> Result<ExchangeEnd, ExchangeError> {
        self.io_times.reset();
        let mut response = pin!(self.sender.send_request(request));
        let (driver, driver_ended) = (&mut self.driver, &mut self.driver_ended);
        let response = poll_fn(|cx| {
            drive(driver, driver_ended, cx);
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
                && !sink.data(data, self.io_times.last_read())
            {
                return Ok(ExchangeEnd::Aborted);
            }
        }
        Ok(ExchangeEnd::Complete)
    }

    /// The times of the latest exchange.
    pub(crate) fn io_times(&self) -> &IoTimes {
        &self.io_times
    }

    async fn frame(
        &mut self,
        body: &mut Incoming,
    ) -> Option<hyper::Result<hyper::body::Frame<Bytes>>> {
        poll_fn(|cx| {
            // First what is already buffered; the driver would read more.
            if let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(cx) {
                return Poll::Ready(frame);
            }
            self.drive(cx);
            Pin::new(&mut *body).poll_frame(cx)
        })
        .await
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.driver, &mut self.driver_ended, cx);
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("closed", &self.driver_ended)
            .finish_non_exhaustive()
    }
}

/// A failed exchange.
#[derive(Debug)]
pub(crate) struct ExchangeError {
    pub(crate) source: hyper::Error,
}

/// Reads and writes what is ready. The exchange returns the error of a broken connection, so it is
/// not handled here.
fn drive(
    driver: &mut Pin<Box<dyn Future<Output = hyper::Result<()>>>>,
    driver_ended: &mut bool,
    cx: &mut Context<'_>,
) {
    if !*driver_ended && driver.as_mut().poll(cx).is_ready() {
        *driver_ended = true;
    }
}
