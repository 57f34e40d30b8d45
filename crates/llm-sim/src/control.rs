//! `/_sim/…`: other processes inspect the simulation and inject faults. It requires no key, and is
//! not logged, counted or affected by faults.

use std::time::Duration;

use hyper::http::request::Parts;
use serde_json::{Value, json};

use crate::fault::{FaultRule, Faults};
use crate::http::{Answer, Call, full, query_value};
use crate::log::SeenRequest;
use crate::trace::{RequestCounts, Times};
use crate::upstream::{Shared, Upstream};

/// Whether this path leads to the simulation itself.
pub(crate) fn is_control_path(path: &str) -> bool {
    path == "/_sim" || path.starts_with("/_sim/")
}

pub(crate) fn answer<U: Upstream>(upstream: &U, request: &Parts, body: &[u8]) -> Answer {
    let segments = Call::segments_of(request.uri.path());
    let path: Vec<_> = segments.iter().skip(1).map(String::as_str).collect();
    let query = request.uri.query().unwrap_or_default();
    let method = request.method.as_str();
    let own = || match method {
        "GET" => upstream.state(&path),
        _ => None,
    };
    match shared(upstream.shared(), method, &path, query, body) {
        Ok(found) => match found.or_else(own) {
            Some(found) => json_answer(200, &found),
            None => json_answer(404, &json!({"error": "not found", "endpoints": ENDPOINTS})),
        },
        Err(error) => json_answer(400, &json!({"error": error})),
    }
}

fn shared(
    shared: &Shared,
    method: &str,
    path: &[&str],
    query: &str,
    body: &[u8],
) -> Result<Option<Value>, String> {
    Ok(Some(match (method, path) {
        ("GET", [] | [""]) => json!({"endpoints": ENDPOINTS}),
        ("GET", ["counts"]) => counts(&shared.counts()),
        ("GET", ["requests"]) => {
            let since = query_value(query, "since").unwrap_or_default();
            let since = match since.as_str() {
                "" => 0,
                since => since
                    .parse()
                    .map_err(|_| "since must be the number of a request")?,
            };
            let seen = shared.log.seen();
            let wanted = seen.iter().filter(|request| request.number >= since);
            wanted.map(seen_request).collect()
        }
        ("DELETE", ["requests"]) => {
            shared.log.forget();
            json!({})
        }
        ("GET", ["faults"]) => shared.faults.list().iter().map(rule).collect(),
        ("POST", ["faults"]) => {
            shared.faults.add(read_rule(query, body)?);
            shared.faults.list().iter().map(rule).collect()
        }
        ("DELETE", ["faults"]) => {
            shared.faults.clear();
            json!([])
        }
        _ => return Ok(None),
    }))
}

fn counts(counts: &RequestCounts) -> Value {
    json!({
        "started": counts.started,
        "running": counts.running(),
        "finished": counts.finished,
        "abandoned": counts.abandoned,
        "broken": counts.broken,
    })
}

fn seen_request(seen: &SeenRequest) -> Value {
    let headers: serde_json::Map<_, _> = seen
        .headers
        .iter()
        .map(|(name, value)| {
            (
                name.to_string(),
                json!(String::from_utf8_lossy(value.as_bytes())),
            )
        })
        .collect();
    let body = serde_json::from_slice(&seen.body)
        .unwrap_or_else(|_| json!(String::from_utf8_lossy(&seen.body)));
    let seen_times = seen.times();
    json!({
        "number": seen.number,
        "method": seen.method,
        "path": seen.path,
        "query": seen.query,
        "headers": headers,
        "body": body,
        "usage": seen_times.usage.map(|usage| json!({
            "prompt_tokens": usage.prompt,
            "completion_tokens": usage.completion,
        })),
        "times": times(&seen_times),
    })
}

/// Times except those since the Unix epoch are nanoseconds after `received_unix_ns`; a write is
/// `[at, due, tokens]`.
fn times(times: &Times) -> Value {
    let since = |at: Duration| nanos(at.saturating_sub(times.received));
    let writes = times.writes.iter();
    json!({
        "begun_unix_ns": nanos(times.begun),
        "received_unix_ns": nanos(times.received),
        "answered_ns": times.answered.map(since),
        "writes_ns": writes
            .map(|write| json!([since(write.at), since(write.due), write.tokens]))
            .collect::<Value>(),
        "ended_ns": times.ended.map(since),
        "outcome": times.outcome.as_str(),
    })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// `POST /_sim/faults?method=POST&path=/chat&times=2` with the faults as its body.
fn read_rule(query: &str, body: &[u8]) -> Result<FaultRule, String> {
    let faults: Faults = String::from_utf8_lossy(body)
        .parse()
        .map_err(|error| format!("{error}"))?;
    if faults.iter().next().is_none() {
        return Err("the body names no fault; expected a list such as status=503".to_owned());
    }
    let mut rule = FaultRule::new(faults);
    if let Some(method) = query_value(query, "method") {
        rule = rule.on_method(method);
    }
    if let Some(path) = query_value(query, "path") {
        rule = rule.on_path(path);
    }
    if let Some(times) = query_value(query, "times") {
        rule = rule.times(times.parse().map_err(|_| "times must be a number")?);
    }
    Ok(rule)
}

fn rule(rule: &FaultRule) -> Value {
    json!({
        "faults": rule.faults.to_string(),
        "method": rule.method,
        "path": rule.path,
        "times": rule.times,
    })
}

fn json_answer(status: u16, body: &Value) -> Answer {
    full(status, "application/json", format!("{body}\n"))
}

const ENDPOINTS: &[&str] = &[
    "GET /_sim/counts",
    "GET /_sim/requests?since=NUMBER",
    "DELETE /_sim/requests",
    "GET /_sim/faults",
    "POST /_sim/faults?method=METHOD&path=PART&times=N",
    "DELETE /_sim/faults",
    "GET /_sim/predictions (Replicate)",
    "GET /_sim/webhooks (Replicate)",
];
