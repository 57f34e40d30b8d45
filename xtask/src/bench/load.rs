//! A client that sends one request after the other over one connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, ensure};

/// A connection to the gateway.
pub(super) struct Client {
    writer: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Client {
    pub(super) fn connect(address: &str) -> Result<Self> {
        let writer = TcpStream::connect(address)?;
        writer.set_nodelay(true)?;
        let reader = BufReader::new(writer.try_clone()?);
        Ok(Self { writer, reader })
    }

    /// Sends a request and reads the answer, which has to end with `end`.
    pub(super) fn post(&mut self, path: &str, body: &str, end: &str) -> Result<()> {
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.writer.write_all(request.as_bytes())?;
        let status = self.line()?;
        let mut length = None;
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = Some(value.trim().parse()?);
            }
        }
        let answer = match length {
            Some(length) => self.read(length)?,
            None => self.chunks()?,
        };
        let text = String::from_utf8_lossy(&answer);
        ensure!(
            status.contains(" 200 ") && text.trim_end().ends_with(end),
            "the gateway answered {status}: {text}"
        );
        Ok(())
    }

    /// A body in chunked transfer coding.
    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(&self.line()?, 16).context("not a chunk")?;
            body.extend(self.read(size)?);
            self.line()?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn read(&mut self, length: usize) -> Result<Vec<u8>> {
        let mut body = vec![0; length];
        self.reader.read_exact(&mut body)?;
        Ok(body)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = self.reader.read_line(&mut line)?;
        ensure!(read > 0, "the gateway closed the connection");
        Ok(line.trim_end().to_owned())
    }
}

/// The master key of the gateway's configuration.
pub(super) const KEY: &str = "sk-bench-1234";
