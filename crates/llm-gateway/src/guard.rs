//! The protection of a gateway without a master key.
//!
//! A web page can make a browser send requests to any address that the browser's machine can reach.
//! A master key would stop it, since the page does not know the key. Without one, requests that a
//! page can cause are rejected: those to another host name (DNS rebinding), those from another site,
//! and bodies of a type that a browser sends without a preflight request (the Fetch standard's
//! CORS-safelisted types, and none).

use std::net::IpAddr;

use http::header::{CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};
use http::request::Parts;
use http::{StatusCode, Uri};
use llm_provider::text::excerpt;

use crate::error::ApiError;

/// Which machines can reach the socket of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Exposure {
    /// Unknown: the gateway is part of a program with its own server.
    Embedded,
    /// Only this machine.
    Loopback,
    /// Other machines, under any host name.
    Network,
}

impl Exposure {
    /// The exposure of a listener on `address`.
    pub(crate) fn of(address: IpAddr) -> Self {
        match address.to_canonical().is_loopback() {
            true => Self::Loopback,
            false => Self::Network,
        }
    }
}

/// Rejects a request that a web page may have caused.
pub(crate) fn check(exposure: Exposure, head: &Parts) -> Result<(), ApiError> {
    if exposure == Exposure::Loopback {
        check_host(&head.uri, &head.headers)?;
    }
    match exposure {
        Exposure::Embedded => Ok(()),
        Exposure::Loopback | Exposure::Network => check_site(&head.headers),
    }
}

/// Rejects a body that a browser would send without a preflight request.
pub(crate) fn check_type(exposure: Exposure, headers: &HeaderMap) -> Result<(), ApiError> {
    let type_ = headers.get(CONTENT_TYPE);
    if exposure == Exposure::Embedded || type_.is_some_and(is_json) {
        return Ok(());
    }
    let found = match type_.map(HeaderValue::to_str) {
        None => "there is none".into(),
        Some(Err(_)) => "it is not text".into(),
        Some(Ok(type_)) => format!("it is `{}`", excerpt(type_)),
    };
    let message = format!(
        "the content-type has to be application/json, but {found}; send the header \
         `Content-Type: application/json` (curl: -H 'Content-Type: application/json'). Other types \
         are accepted only by a gateway with a master key"
    );
    let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Err(ApiError::new(status, "invalid_request_error", message)
        .with_code("unsupported_content_type"))
}

/// A page of `evil.example` can make that name resolve to 127.0.0.1. The browser then treats the
/// gateway as the page's own site, but its requests still have the name as host.
fn check_host(uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    if uri.authority().is_some_and(|host| !is_local(host.as_str())) {
        return Err(foreign_host(uri.authority().map(|host| host.as_str())));
    }
    for host in headers.get_all(HOST) {
        let host = host.to_str().ok();
        if !host.is_some_and(is_local) {
            return Err(foreign_host(host));
        }
    }
    Ok(())
}

/// Browsers send the site of a page in `Origin`. A request without `Origin` (an image, a link) has
/// `Sec-Fetch-Site`.
fn check_site(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(origin) = headers.get(ORIGIN) else {
        return match headers.get(SEC_FETCH_SITE) {
            Some(site) if site == "cross-site" => Err(cross_site("another site")),
            _ => Ok(()),
        };
    };
    let origin = origin.to_str().unwrap_or_default();
    let site = ["http://", "https://"]
        .into_iter()
        .find_map(|scheme| origin.strip_prefix(scheme));
    let is_own = |site: &str| {
        let host = headers.get(HOST).map(HeaderValue::as_bytes);
        host.is_some_and(|host| host.eq_ignore_ascii_case(site.as_bytes()))
    };
    match site {
        Some(site) if is_local(site) || is_own(site) => Ok(()),
        _ => Err(cross_site(origin)),
    }
}

/// Whether `host` or `host:port` is this machine.
fn is_local(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[') {
        Some(bracketed) => match bracketed.split_once(']') {
            Some(parts) => parts,
            None => return false,
        },
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_number = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_number) {
        return false;
    }
    // Names below `localhost` are loopback: RFC 6761, section 6.3.
    let name = host.strip_suffix('.').unwrap_or(host);
    let last = name.rsplit('.').next().unwrap_or(name);
    // The unspecified address connects to this machine, too: `http://0.0.0.0:4000` is the address in
    // LiteLLM's pages. No other machine's name resolves to a request with this host.
    let is_this_machine = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
    last.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|ip| is_this_machine(ip.to_canonical()))
}

/// `application/json` or `…+json`, with any parameters.
fn is_json(type_: &HeaderValue) -> bool {
    let type_ = type_.as_bytes();
    let end = memchr::memchr(b';', type_).unwrap_or(type_.len());
    let essence = type_[..end].trim_ascii();
    let ends_with = |suffix: &[u8]| {
        let start = essence.len().checked_sub(suffix.len());
        start.is_some_and(|start| essence[start..].eq_ignore_ascii_case(suffix))
    };
    essence.eq_ignore_ascii_case(b"application/json") || ends_with(b"+json")
}

fn foreign_host(host: Option<&str>) -> ApiError {
    let host = match host {
        Some(host) => format!("the host `{}`", excerpt(host)),
        None => "a host that is not text".to_owned(),
    };
    let message = format!(
        "{host} is not this machine: without a master key, a gateway on a loopback \
         address accepts only localhost, 127.0.0.0/8, [::1] and 0.0.0.0, since web pages could use it under \
         another name (DNS rebinding); set general_settings.master_key"
    );
    forbidden(message).with_code("host_not_allowed")
}

fn cross_site(origin: &str) -> ApiError {
    let message = format!(
        "a request from `{}` is not allowed: without a master key, the gateway rejects requests \
         from web pages of other sites; CORS is not supported",
        excerpt(origin)
    );
    forbidden(message).with_code("cross_site_request")
}

fn forbidden(message: String) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, "permission_error", message)
}

/// From the Fetch Metadata specification.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_and_addresses_of_this_machine_are_local() {
        for host in [
            "localhost",
            "LocalHost:4000",
            "localhost.",
            "app.localhost:80",
            "127.0.0.1",
            "127.8.9.10:4000",
            "[::1]",
            "[::1]:4000",
            "[::ffff:127.0.0.1]:4000",
            "0.0.0.0:4000",
            "[::]:4000",
        ] {
            assert!(is_local(host), "{host}");
        }
        for host in [
            "",
            ":4000",
            "evil.example",
            "localhost.evil.example",
            "evil-localhost",
            "127.0.0.1.evil.example",
            "localhost:80.evil.example",
            "localhost@evil.example",
            "0.0.0.0.evil.example",
            "192.168.1.2",
            "[::1]evil.example",
            "[::1",
            "[::2]",
            "::1:4000",
        ] {
            assert!(!is_local(host), "{host}");
        }
    }

    #[test]
    fn only_types_that_need_a_preflight_request_count_as_json() {
        let json = |type_: &str| is_json(&HeaderValue::try_from(type_).unwrap());
        for type_ in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/vnd.api+json",
        ] {
            assert!(json(type_), "{type_}");
        }
        for type_ in [
            "",
            "text/plain",
            "text/plain; application/json",
            "text/plain;x=+json",
            "multipart/form-data; boundary=+json",
            "application/x-www-form-urlencoded",
            "application/jsonx",
        ] {
            assert!(!json(type_), "{type_}");
        }
    }
}
