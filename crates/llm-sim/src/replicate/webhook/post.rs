//! Posts to this machine only: a simulation never contacts the network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::replicate::webhook::sign::Signed;

/// The result of one attempt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    Answered(u16),
    Lost,
    /// Not sent: the URL is not on this machine, or not plain HTTP.
    Refused,
}

impl Outcome {
    pub(super) fn status(self) -> Option<u16> {
        match self {
            Self::Answered(status) => Some(status),
            Self::Lost | Self::Refused => None,
        }
    }
}

pub(super) async fn post(url: &Uri, id: &str, signed: &Signed, body: &str) -> Outcome {
    let Some(addresses) = local_addresses(url) else {
        return Outcome::Refused;
    };
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::post(path)
        .header(HOST, url.authority().map_or("", |host| host.as_str()))
        .header(CONTENT_TYPE, "application/json")
        .header(USER_AGENT, "llm-sim")
        .header("webhook-id", id)
        .header("webhook-timestamp", &signed.timestamp)
        .header("webhook-signature", &signed.signature)
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    let Ok(request) = request else {
        return Outcome::Refused;
    };
    let answered = tokio::time::timeout(LONGEST, exchange(&addresses, request)).await;
    match answered {
        Ok(Some(status)) => Outcome::Answered(status),
        _ => Outcome::Lost,
    }
}

async fn exchange(addresses: &[SocketAddr], request: Request<Full<Bytes>>) -> Option<u16> {
    let socket = TcpStream::connect(addresses).await.ok()?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.ok()?;
    let mut answer = std::pin::pin!(sender.send_request(request));
    let answer = tokio::select! {
        answer = answer.as_mut() => answer,
        // Closed, perhaps after the response.
        _ = connection => answer.await,
    };
    Some(answer.ok()?.status().as_u16())
}

/// The addresses of the URL on this machine; names are not resolved.
fn local_addresses(url: &Uri) -> Option<Vec<SocketAddr>> {
    if url.scheme_str() != Some("http") {
        return None;
    }
    let host = url.host()?;
    let ips = match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(ip) if ip.is_loopback() => vec![ip],
        Err(_) if host.eq_ignore_ascii_case("localhost") => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        _ => return None,
    };
    let port = url.port_u16().unwrap_or(80);
    Some(ips.into_iter().map(|ip| (ip, port).into()).collect())
}

/// A receiver should answer "within a few seconds" (Replicate, "Receive webhooks").
const LONGEST: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_request_is_sent_to_another_machine() {
        for url in [
            "http://127.0.0.1:1/x",
            "http://127.9.9.9",
            "http://[::1]:8/",
            "http://LocalHost/",
        ] {
            assert!(local_addresses(&url.parse().unwrap()).is_some(), "{url}");
        }
        for url in [
            "https://127.0.0.1:1/x",
            "http://192.0.2.1/",
            "http://example.com/",
            "http://localhost.example.com/",
            "http://127.0.0.1.example.com/",
            "/x",
        ] {
            assert_eq!(local_addresses(&url.parse().unwrap()), None, "{url}");
        }
    }
}
