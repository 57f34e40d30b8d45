//! A small client for HTTP/1.1: one connection for each request.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A request with a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Request<'r> {
    /// `GET /path`.
    pub(crate) line: &'r str,
    pub(crate) key: &'r str,
    /// Other headers, each with `\r\n` at its end.
    pub(crate) headers: &'r str,
    pub(crate) body: &'r str,
}

/// A response, as far as it was read.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
    /// Whether the whole body was read.
    pub(crate) is_complete: bool,
}

impl<'r> Request<'r> {
    pub(crate) fn new(line: &'r str, key: &'r str, body: &'r str) -> Self {
        Self {
            line,
            key,
            headers: "",
            body,
        }
    }

    /// Sends the request to `HOST:PORT`, and reads the response to its end.
    pub(crate) fn send(&self, address: &str) -> io::Result<Response> {
        self.read(address, usize::MAX)
    }

    /// The same, but leaves after `bytes` of the response.
    pub(crate) fn read(&self, address: &str, bytes: usize) -> io::Result<Response> {
        let Self {
            line,
            key,
            headers,
            body,
        } = self;
        let mut socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        let length = body.len();
        let head = format!(
            "{line} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n{headers}\
             content-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        socket.write_all((head + body).as_bytes())?;
        let mut answer = Vec::new();
        let mut buffer = vec![0; 16 << 10];
        while answer.len() < bytes {
            match socket.read(&mut buffer)? {
                0 => break,
                read => answer.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            }
        }
        Response::parse(&answer).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// The JSON of a response with status 200.
pub(crate) fn json(address: &str, request: Request<'_>) -> Result<Value> {
    let Request { line, .. } = request;
    let response = request
        .send(address)
        .with_context(|| format!("{line} at {address}"))?;
    let Response { status, body, .. } = &response;
    ensure!(*status == 200, "{line} was answered {status}: {body}");
    serde_json::from_str(body).with_context(|| format!("{line} was answered without JSON"))
}

impl Response {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        Some(lines.find(|(found, _)| found.eq_ignore_ascii_case(name))?.1)
    }

    /// `None` without a complete head.
    fn parse(answer: &[u8]) -> Option<Self> {
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(answer.get(..end)?).into_owned();
        let raw = answer.get(end + 4..)?;
        let mut response = Self {
            status: head.get(9..12)?.parse().ok()?,
            head,
            body: String::new(),
            is_complete: false,
        };
        let body = match response.header("content-length") {
            Some(length) => {
                response.is_complete = length.parse() == Ok(raw.len());
                raw.to_vec()
            }
            None => {
                let (body, is_complete) = unchunked(raw);
                response.is_complete = is_complete;
                body
            }
        };
        response.body = String::from_utf8_lossy(&body).into_owned();
        Some(response)
    }
}

/// A body without its chunked transfer coding, and whether it is complete.
fn unchunked(mut raw: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let Some(end) = raw.windows(2).position(|two| two == b"\r\n") else {
            return (body, false);
        };
        let (line, rest) = raw.split_at(end);
        let size = std::str::from_utf8(line).ok();
        let size = size.and_then(|size| usize::from_str_radix(size, 16).ok());
        let (Some(size), Some(rest)) = (size, rest.get(2..)) else {
            return (body, false);
        };
        if size == 0 {
            return (body, true);
        }
        let Some(chunk) = rest.get(..size) else {
            body.extend_from_slice(rest);
            return (body, false);
        };
        body.extend_from_slice(chunk);
        raw = rest.get(size + 2..).unwrap_or_default();
    }
}

/// The longest silence of a server.
const TIMEOUT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &str, body: &str, is_complete: bool) {
        let response = Response::parse(answer.as_bytes()).unwrap();
        assert_eq!(
            (
                response.status,
                response.body.as_str(),
                response.is_complete
            ),
            (200, body, is_complete)
        );
    }

    #[test]
    fn bodies_with_a_length_and_in_chunks_are_read() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", "ab", true);
        check(
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
            "ab",
            false,
        );
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        check(
            &format!("{chunked}2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
            "abc",
            true,
        );
        check(&format!("{chunked}2\r\nab\r\n"), "ab", false);
        check(&format!("{chunked}4\r\nab"), "ab", false);
        assert!(Response::parse(b"HTTP/1.1 200 OK\r\n").is_none());
    }
}
