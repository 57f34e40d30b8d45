//! The dashboard: a page in one piece, and the sessions of operators who log in to it.
//!
//! The page makes no request to another host. It shows every text as text, and its policy allows no
//! script but its own.

mod sessions;

use std::sync::LazyLock;

use http::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

use crate::error::ApiError;
use crate::response::{self, ResponseBody};

pub(crate) use self::sessions::Sessions;

/// The page, with a new nonce for its style and its script.
pub(crate) fn page() -> Result<Response<ResponseBody>, ApiError> {
    let nonce = sessions::random()?;
    let mut response = response::text("text/html; charset=utf-8", PAGE.replace(NONCE, &nonce));
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
         connect-src 'self'; img-src data:; form-action 'none'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
    protect(headers);
    Ok(response)
}

/// Adds the headers of all responses of the dashboard.
pub(crate) fn protect(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    debug_assert!(headers.contains_key(CONTENT_TYPE), "a body has a type");
}

static PAGE: LazyLock<String> = LazyLock::new(|| {
    let html = include_str!("page/index.html");
    let html = html.replace("/* style */", include_str!("page/style.css"));
    html.replace("/* script */", &SCRIPTS.join("\n"))
});

/// In this order: a script uses those before it, and the last one starts the page.
const SCRIPTS: [&str; 10] = [
    include_str!("page/dom.js"),
    include_str!("page/api.js"),
    include_str!("page/chart.js"),
    include_str!("page/overview.js"),
    include_str!("page/requests.js"),
    include_str!("page/keys.js"),
    include_str!("page/spend.js"),
    include_str!("page/playground.js"),
    include_str!("page/config.js"),
    include_str!("page/main.js"),
];

/// Stands for the nonce in the page.
const NONCE: &str = "{{nonce}}";

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
