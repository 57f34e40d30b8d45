//! Lists in pages of a hundred, with absolute URLs and opaque cursors.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::http::{Answer, Call};
use crate::replicate::api::json_answer;
use crate::replicate::problem::Problem;

/// The page for the call's `cursor`; without one, the first.
///
/// A cursor names the first entry of its page, so that new entries do not shift it.
pub(crate) fn page<T>(
    call: &Call,
    all: &[T],
    key: impl Fn(&T) -> String,
    entry: impl Fn(&T) -> Value,
) -> Result<Answer, Problem> {
    let from = match call.query("cursor").filter(|cursor| !cursor.is_empty()) {
        None => 0,
        Some(cursor) => {
            let first = BASE64_URL_SAFE_NO_PAD.decode(cursor).unwrap_or_default();
            let found = all.iter().position(|one| key(one).as_bytes() == first);
            found.ok_or_else(|| Problem::new(404, "Invalid cursor"))?
        }
    };
    let to = all.len().min(from + PAGE);
    let url = |first: &T| {
        let cursor = BASE64_URL_SAFE_NO_PAD.encode(key(first));
        let path = call.segments.join("/");
        let mut url = format!("{}/{path}?cursor={cursor}", call.base);
        // The filter applies to all pages.
        for other in call.query.split('&') {
            if !other.is_empty() && !other.starts_with("cursor=") {
                url += "&";
                url += other;
            }
        }
        url
    };
    let previous = (from > 0).then(|| all.get(from.saturating_sub(PAGE)));
    let body = json!({
        "next": all.get(to).map(url),
        "previous": previous.flatten().map(url),
        "results": all[from..to].iter().map(entry).collect::<Vec<_>>(),
    });
    Ok(json_answer(200, &body))
}

const PAGE: usize = 100;
