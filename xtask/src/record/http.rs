//! Requests with curl, which needs no dependency and sees what is on the wire.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::tool;

pub(super) struct Request {
    pub(super) method: &'static str,
    pub(super) url: String,
    pub(super) headers: Vec<String>,
    pub(super) body: Option<String>,
}

#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) text: String,
}

impl Response {
    /// The body, if it is JSON.
    pub(super) fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.text).ok()
    }
}

/// Why no request can be sent on this machine.
pub(super) fn missing() -> Option<String> {
    tool::missing(&["curl"])
}

/// Sends a request and reads the whole response. Redirects are not followed.
pub(super) fn send(request: &Request) -> Result<Response> {
    // The key must be neither among the arguments, which other users can list, nor in a file.
    let mut curl = Command::new("curl")
        .args(["--disable", "--silent", "--show-error", "--include"])
        .args([
            "--suppress-connect-headers",
            "--max-time",
            "300",
            "--config",
            "-",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run curl")?;
    let mut stdin = curl.stdin.take().context("curl has no input")?;
    stdin.write_all(config(request).as_bytes())?;
    drop(stdin);
    let output = curl.wait_with_output()?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        bail!("{}", reason.trim_end());
    }
    let text = String::from_utf8(output.stdout).context("the response is not UTF-8")?;
    parse(&text)
}

/// curl's options, one in each line.
fn config(request: &Request) -> String {
    let mut config = format!("request = {}\n", quoted(request.method));
    config += &format!("url = {}\n", quoted(&request.url));
    for header in &request.headers {
        config += &format!("header = {}\n", quoted(header));
    }
    if let Some(body) = &request.body {
        config += &format!("data-raw = {}\n", quoted(body));
    }
    config
}

fn quoted(text: &str) -> String {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", text.replace('\r', "\\r").replace('\n', "\\n"))
}

/// Reads what curl prints: the headers and the body.
fn parse(text: &str) -> Result<Response> {
    let mut rest = text;
    loop {
        let (head, body) = rest
            .split_once("\r\n\r\n")
            .context("curl printed no headers")?;
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let status: u16 = status.context("the response has no status")?.parse()?;
        // An informational response precedes another one.
        if (100..200).contains(&status) {
            rest = body;
            continue;
        }
        let mut headers = lines.filter_map(|line| line.split_once(':'));
        let content_type = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        return Ok(Response {
            status,
            content_type: content_type
                .map_or_else(String::new, |(_, value)| value.trim().to_owned()),
            text: body.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_is_read_after_informational_ones() {
        let text = "HTTP/1.1 100 Continue\r\n\r\n\
                    HTTP/2 201 \r\nServer: x\r\nContent-Type: text/plain\r\n\r\nhello\r\n\r\nyou";
        let response = parse(text).unwrap();
        assert_eq!(response.status, 201);
        assert_eq!(response.content_type, "text/plain");
        assert_eq!(response.text, "hello\r\n\r\nyou");
        assert!(parse("nothing").is_err());
    }

    #[test]
    fn options_are_quoted() {
        assert_eq!(quoted("a \"b\"\\\n"), r#""a \"b\"\\\n""#);
    }
}
