//! Traces from the log of a gateway.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::UNIX_EPOCH;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::Error;
use crate::workload::access::Access;
use crate::workload::file;

/// Converts the spend log of a gateway (`GET /spend/logs`, or LiteLLM's) to the lines of a trace.
///
/// Requests of a session become a job: turns in the order of time, with the times between them. A
/// request that overlaps another one of its session becomes one of a helper. The trace has lengths and
/// times only: no keys, users, models, texts or ids of the log.
///
/// # Errors
///
/// [`Error::Dataset`] if the file is no such log, or has no completed request; [`Error::Read`];
/// [`Error::NotAllowed`].
pub fn trace_of_log(path: &Path, access: &Access) -> Result<Vec<Value>, Error> {
    let text = file::text(path, access)?;
    let invalid = |line: Option<u64>, error: serde_json::Error| {
        let reason = format!("expected records of a spend log with startTime and endTime: {error}");
        Error::dataset(path, line, reason)
    };
    let records: Vec<LogRecord> = match text.trim_start().starts_with('[') {
        true => serde_json::from_str(&text).map_err(|error| invalid(None, error))?,
        false => {
            let lines = (1..)
                .zip(text.lines())
                .filter(|(_, line)| !line.trim().is_empty());
            let read = lines.map(|(number, line)| {
                serde_json::from_str(line).map_err(|error| invalid(Some(number), error))
            });
            read.collect::<Result<_, _>>()?
        }
    };
    let mut sessions: BTreeMap<String, Vec<Call>> = BTreeMap::new();
    let mut alone = 0;
    for record in records {
        let Some((session, call)) = record.call() else {
            continue;
        };
        let session = session.unwrap_or_else(|| {
            alone += 1;
            format!("\0{alone}")
        });
        sessions.entry(session).or_default().push(call);
    }
    if sessions.is_empty() {
        let reason = "expected at least one completed request for text";
        return Err(Error::dataset(path, None, reason));
    }
    let mut jobs: Vec<Vec<Call>> = sessions.into_values().collect();
    for calls in &mut jobs {
        calls.sort_by(|a, b| a.start.total_cmp(&b.start));
    }
    jobs.sort_by(|a, b| a[0].start.total_cmp(&b[0].start));
    let zero = jobs[0][0].start;
    let lines = (0..)
        .zip(jobs)
        .flat_map(|(number, calls)| job(number, zero, calls));
    Ok(lines.collect())
}

/// A record of a spend log, as far as it is used.
#[derive(Deserialize)]
struct LogRecord {
    #[serde(rename = "startTime")]
    start_time: String,
    #[serde(rename = "endTime")]
    end_time: String,
    session_id: Option<String>,
    call_type: Option<String>,
    status: Option<String>,
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

/// A request: its times in milliseconds, and its tokens.
#[derive(Clone, Copy, Debug)]
struct Call {
    start: f64,
    end: f64,
    input: u64,
    output: u64,
}

impl LogRecord {
    /// The session and the request; `None` if it failed or is not one for text.
    fn call(self) -> Option<(Option<String>, Call)> {
        let kind = self.call_type.unwrap_or_default();
        let is_text = !["embedding", "rerank", "moderation"]
            .iter()
            .any(|other| kind.contains(other));
        let is_ok = self.status.is_none_or(|status| status == "success");
        if !is_text || !is_ok || self.prompt_tokens == 0 {
            return None;
        }
        let start = milliseconds(&self.start_time)?;
        let call = Call {
            start,
            end: milliseconds(&self.end_time)?.max(start),
            input: self.prompt_tokens,
            output: self.completion_tokens.max(1),
        };
        Some((self.session_id.filter(|id| !id.is_empty()), call))
    }
}

fn milliseconds(text: &str) -> Option<f64> {
    // LiteLLM separates date and time by a space, and writes an offset of zero.
    let text = text.trim().replacen(' ', "T", 1);
    let text = text.trim_end_matches("+00:00").trim_end_matches('Z');
    let time = humantime::parse_rfc3339(&format!("{text}Z")).ok()?;
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs_f64() * 1e3)
}

/// The lines of a job: its own, and one per helper.
fn job(number: u64, zero: f64, calls: Vec<Call>) -> Vec<Value> {
    // Each lane has requests that do not overlap; the first is the job's own conversation.
    let mut lanes: Vec<Vec<Call>> = Vec::new();
    for call in calls {
        let free = |lane: &&mut Vec<Call>| lane.last().is_none_or(|last| last.end <= call.start);
        match lanes.iter_mut().find(free) {
            Some(lane) => lane.push(call),
            None => lanes.push(vec![call]),
        }
    }
    let own = lanes[0].clone();
    let mut turns = turns(&own, own[0].start);
    let mut lines = Vec::new();
    for (helper, lane) in lanes.iter().enumerate().skip(1) {
        let id = format!("job-{number}/{helper}");
        let (from, to) = (lane[0].start, lane[lane.len() - 1].end);
        let after = own.iter().rposition(|call| call.end <= from);
        let join_at = own.iter().position(|call| call.start >= to);
        match after {
            Some(after) => {
                let join_at = join_at.unwrap_or(own.len());
                let helpers = json!({"children": [id], "join_at": join_at});
                match turns[after]["spawns"].as_array_mut() {
                    Some(spawns) => spawns.push(helpers),
                    None => turns[after]["spawns"] = json!([helpers]),
                }
                let lines_of = self::turns(lane, own[after].end);
                lines.push(json!({"session_id": id, "turns": lines_of}));
            }
            // It began with the job: a job of its own.
            None => {
                let lines_of = self::turns(lane, from);
                let at = (from - zero).round();
                lines.push(json!({"session_id": id, "timestamp": at, "turns": lines_of}));
            }
        }
    }
    // What a turn waits for is not a delay of its own.
    for helpers in lanes.iter().skip(1) {
        let to = helpers[helpers.len() - 1].end;
        if let Some(at) = own
            .iter()
            .position(|call| call.start >= to)
            .filter(|at| *at > 0)
        {
            let waited = (own[at].start - to.max(own[at - 1].end)).max(0.0).round();
            let delay = turns[at]["delay"].as_f64().unwrap_or(0.0);
            turns[at]["delay"] = json!(delay.min(waited));
        }
    }
    let at = (own[0].start - zero).round();
    lines.push(json!({"session_id": format!("job-{number}"), "timestamp": at, "turns": turns}));
    lines
}

/// The turns of a lane: what each adds to the prompt, and how long after the last response.
fn turns(calls: &[Call], mut ended: f64) -> Vec<Value> {
    let mut known = 0;
    let turns = calls.iter().map(|call| {
        let delay = (call.start - ended).max(0.0).round();
        let mut turn = json!({"output_length": call.output, "delay": delay});
        // A prompt that is shorter than the conversation so far is a new one, such as a summary.
        let is_new = call.input <= known;
        turn["input_length"] = json!(if is_new {
            call.input
        } else {
            call.input - known
        });
        if is_new && known > 0 {
            turn["restart"] = json!(true);
        }
        known = call.input + call.output;
        ended = call.end;
        turn
    });
    turns.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Trace;

    fn record(session: &str, start_ms: u32, end_ms: u32, input: u64) -> Value {
        let time = |ms: u32| format!("2026-11-22T08:00:{:02}.{:03}Z", ms / 1000, ms % 1000);
        json!({
            "request_id": "secret-id", "api_key": "hash", "user": "ann", "model": "m",
            "call_type": "chat", "status": "success", "session_id": session,
            "startTime": time(start_ms), "endTime": time(end_ms),
            "prompt_tokens": input, "completion_tokens": 10,
        })
    }

    #[test]
    fn a_session_becomes_a_job_without_what_identifies_it() {
        let mut failed = record("s", 900, 950, 5);
        failed["status"] = "failure".into();
        let log = json!([
            record("s", 3000, 4000, 250),
            record("s", 0, 1000, 100),
            failed,
            // Two helpers at a time, after the first turn.
            record("s", 1100, 2000, 40),
            record("s", 1200, 2500, 50),
            record("s", 4500, 5000, 60),
            record("other", 500, 700, 9),
        ]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.json");
        std::fs::write(&path, log.to_string()).unwrap();
        let lines = trace_of_log(&path, &Access::all()).unwrap();
        let text: Vec<String> = lines.iter().map(Value::to_string).collect();
        let text = text.join("\n");
        for secret in ["secret-id", "hash", "ann", "chat", "\"s\"", "other"] {
            assert!(!text.contains(secret), "{secret}: {text}");
        }
        let root = lines
            .iter()
            .find(|line| line["session_id"] == "job-0")
            .unwrap();
        let turns = root["turns"].as_array().unwrap();
        // The request of 1.1 s follows the first one; that of 1.2 s overlaps it.
        assert_eq!(turns.len(), 4);
        assert_eq!(turns[1]["restart"], true);
        assert_eq!(turns[1]["delay"], 100.0);
        let spawns = json!([{"children": ["job-0/1"], "join_at": 2}]);
        assert_eq!(turns[0]["spawns"], spawns);
        assert_eq!(
            turns[2]["delay"], 500.0,
            "after the helper that ended at 2.5 s"
        );
        let grown = turns[2]["input_length"].as_u64();
        assert_eq!(
            grown,
            Some(250 - 50),
            "what the conversation did not contain"
        );

        let trace = folder.path().join("trace.jsonl");
        std::fs::write(&trace, text).unwrap();
        let trace = Trace::read(&trace, &Access::all()).unwrap();
        assert_eq!((trace.jobs(), trace.len()), (2, 6));
    }

    #[test]
    fn other_files_are_errors() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (text, expected) in [
            ("[]", "at least one"),
            ("{\"a\": 1}", "startTime"),
            ("x", "spend log"),
        ] {
            std::fs::write(file.path(), text).unwrap();
            let error = trace_of_log(file.path(), &Access::all()).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
