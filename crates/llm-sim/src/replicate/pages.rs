//! Lists in pages of a hundred, with absolute URLs and opaque cursors.

use serde_json::{Value, json};

use crate::http::Call;

/// The page that the call's `cursor` asks for; the first one without.
pub(crate) fn page(call: &Call, what: &str, entries: Vec<Value>) -> Value {
    let from = call
        .query("cursor")
        .and_then(|cursor| offset(&cursor))
        .unwrap_or(0);
    let url = |from: usize| format!("{}/v1/{what}?cursor={}", call.base, cursor(from));
    let more = entries.len() > from.saturating_add(PAGE);
    json!({
        "next": more.then(|| url(from + PAGE)),
        "previous": (from > 0).then(|| url(from.saturating_sub(PAGE))),
        "results": entries.into_iter().skip(from).take(PAGE).collect::<Vec<_>>(),
    })
}

fn cursor(from: usize) -> String {
    format!("p{from:x}")
}

fn offset(cursor: &str) -> Option<usize> {
    usize::from_str_radix(cursor.strip_prefix('p')?, 16).ok()
}

const PAGE: usize = 100;
