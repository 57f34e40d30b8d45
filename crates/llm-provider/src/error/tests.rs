use http::HeaderValue;

use super::*;

#[test]
fn every_status_has_its_kind() {
    for (status, kind) in [
        (400, ErrorKind::InvalidRequest),
        (401, ErrorKind::Auth),
        (402, ErrorKind::InsufficientCredit),
        (403, ErrorKind::Permission),
        (404, ErrorKind::NotFound),
        (408, ErrorKind::Timeout),
        (409, ErrorKind::InvalidRequest),
        (410, ErrorKind::NotFound),
        (413, ErrorKind::InvalidRequest),
        (422, ErrorKind::InvalidRequest),
        (429, ErrorKind::RateLimited),
        (500, ErrorKind::UpstreamFailed),
        (502, ErrorKind::UpstreamFailed),
        (503, ErrorKind::Overloaded),
        (504, ErrorKind::Timeout),
        (520, ErrorKind::UpstreamFailed),
        (524, ErrorKind::Timeout),
        (529, ErrorKind::Overloaded),
        (302, ErrorKind::UnexpectedBody),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(ErrorKind::from_status(status), kind, "{status}");
    }
}

#[test]
fn the_status_headers_and_body_of_a_response_are_kept() {
    let mut headers = HeaderMap::new();
    headers.insert("retry-after", HeaderValue::from_static("7"));
    headers.insert("x-should-retry", HeaderValue::from_static("false"));
    headers.insert("cf-ray", HeaderValue::from_static("ray"));
    headers.insert("x-request-id", HeaderValue::from_static("req-1"));
    let body = Bytes::from_static(b"a secret prompt");
    let error = Error::new(ErrorKind::RateLimited, "slow down")
        .with_provider("replicate")
        .with_response(StatusCode::TOO_MANY_REQUESTS, &headers, body.clone());
    assert_eq!(error.status(), Some(StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert_eq!(error.should_retry(), Some(false));
    assert_eq!(error.upstream_id(), Some("req-1"));
    assert_eq!(error.body(), Some(&body));
    assert_eq!(error.to_string(), "replicate: slow down (HTTP 429)");
    assert!(!format!("{error:?}").contains("secret"));
}

#[test]
fn a_source_quotes_no_document() {
    let quoting = serde_json::from_str::<u64>("\n\"a secret prompt\"").unwrap_err();
    assert!(quoting.to_string().contains("secret"));
    let error = Error::new(ErrorKind::UnexpectedBody, "unreadable").with_source(quoting);
    let source = error.source().unwrap().to_string();
    assert_eq!(
        source,
        "the JSON has an unexpected shape, at line 2 column 17"
    );
    assert!(!format!("{error:?}").contains("secret"));
}

/// An error whose text contains a secret.
#[derive(Debug)]
struct Quoting(&'static str);

impl std::fmt::Display for Quoting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "it said {}", self.0)
    }
}

impl StdError for Quoting {}

#[test]
fn a_secret_that_the_upstream_repeats_is_redacted_everywhere() {
    let secret = || "sk-secret".to_owned();
    let error = Error::new(ErrorKind::Auth, "wrong key: sk-secret!")
        .with_model("sk-secret")
        .with_code(secret())
        .with_param(secret())
        .with_body(Bytes::from_static(b"{\"key\":\"sk-secret\"}"))
        .with_source(Quoting("sk-secret"));
    let mut headers = HeaderMap::new();
    headers.insert("x-request-id", HeaderValue::from_static("sk-secret"));
    let body = error.body().cloned().unwrap();
    let error = error
        .with_response(StatusCode::UNAUTHORIZED, &headers, body)
        .redacted(&Secrets::new(["sk-secret"]));
    assert_eq!(error.message(), "wrong key: ***!");
    let others = [
        error.model(),
        error.code(),
        error.param(),
        error.upstream_id(),
    ];
    assert_eq!(others, [Some("***"); 4]);
    assert_eq!(error.body().unwrap(), "{\"key\":\"***\"}");
    assert_eq!(error.source().unwrap().to_string(), "it said ***");
    assert!(!format!("{error:?}").contains("secret"));
}

#[test]
fn a_source_without_a_secret_keeps_its_type() {
    let error = Error::new(ErrorKind::Auth, "")
        .with_source(Quoting("nothing"))
        .redacted(&Secrets::new(["sk-secret"]));
    assert!(error.source().unwrap().is::<Quoting>());
}

#[test]
fn a_printed_error_is_one_short_line_without_control_characters() {
    let hostile = format!(
        "a\nERROR forged\r\u{1b}[2J\0\u{202e}{}",
        "x".repeat(1 << 20)
    );
    let error = Error::new(ErrorKind::UpstreamFailed, hostile.clone())
        .with_model(hostile.clone())
        .with_code(hostile.clone())
        .with_param(hostile.clone())
        .with_status(StatusCode::BAD_GATEWAY);
    for shown in [error.to_string(), format!("{error:?}")] {
        assert!(shown.len() < 5000, "{} bytes", shown.len());
        assert!(
            shown.contains(r"a\nERROR forged\r\u{1b}[2J\0\u{202e}xxx"),
            "{shown}"
        );
        let control = |c: char| c.is_control() || c == '\u{202e}';
        assert!(!shown.contains(control), "{shown}");
    }
    assert!(error.to_string().ends_with("x… (HTTP 502)"));
    assert_eq!(error.message(), hostile);
}

#[test]
fn only_rejected_or_unsent_calls_are_unbilled() {
    let status = |status: u16| {
        Error::new(ErrorKind::UpstreamFailed, "").with_status(StatusCode::from_u16(status).unwrap())
    };
    for code in [408, 409, 429, 503, 529] {
        assert!(status(code).is_unbilled(), "{code}");
    }
    for code in [400, 500, 502, 504, 524] {
        assert!(!status(code).is_unbilled(), "{code}");
    }
    let broken = Error::new(ErrorKind::Transport, "");
    assert!(!broken.is_unbilled());
    assert!(broken.with_unsent().is_unbilled());
}

#[test]
fn a_rejected_key_is_retried_elsewhere_only() {
    let error = Error::new(ErrorKind::Auth, "refused");
    assert!(!error.is_retryable());
    assert!(error.is_retryable_elsewhere());
    assert!(!Error::new(ErrorKind::InvalidRequest, "wrong").is_retryable_elsewhere());
}

#[test]
fn retry_advice_applies_to_its_upstream_only() {
    let said = |kind, again: bool| {
        let error = Error::new(kind, "").with_should_retry(again);
        (error.is_retryable(), error.is_retryable_elsewhere())
    };
    assert_eq!(said(ErrorKind::UpstreamFailed, false), (false, true));
    assert_eq!(said(ErrorKind::Timeout, true), (true, true));
    assert_eq!(said(ErrorKind::InvalidRequest, true), (true, true));
    assert_eq!(said(ErrorKind::InvalidRequest, false), (false, false));
    let conflict = Error::new(ErrorKind::InvalidRequest, "").with_status(StatusCode::CONFLICT);
    assert!(conflict.is_retryable() && !conflict.with_should_retry(false).is_retryable());
    let failed = Error::new(ErrorKind::ModelFailed, "");
    assert!(!failed.is_retryable() && failed.is_retryable_elsewhere());
}
