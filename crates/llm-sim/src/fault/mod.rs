//! Faults, and the rules by which they apply.

mod rules;

use std::error::Error as StdError;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use memchr::memmem;

use crate::duration;

pub use self::rules::FaultRule;
pub(crate) use self::rules::FaultRules;

/// One fault of one request.
///
/// The text form, for the command line, the header `x-sim-fault` and prompts, is a list:
///
/// ```
/// use llm_sim::{Fault, Faults};
///
/// let faults: Faults = "delay=250ms, cut-after=100".parse()?;
/// assert_eq!(faults.iter().last(), Some(&Fault::CutAfter(100)));
/// # Ok::<(), llm_sim::ParseFaultError>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// `content-type=TYPE`: the body is correct, but has this content type.
    ContentType(String),
    /// `cut-after=BYTES`: the connection breaks after this many bytes of the body.
    CutAfter(usize),
    /// `delay=250ms`: nothing happens for this time.
    Delay(Duration),
    /// `drip=BYTES/DURATION`: the body is sent in pieces of this size, with this pause between
    /// them.
    Drip(usize, Duration),
    /// `end-after=BYTES`: the body ends there as if it were complete.
    EndAfter(usize),
    /// `error-after=TOKENS`: a streamed Together reply ends with an error event.
    ErrorAfter(usize),
    /// `fail=KIND`: a Replicate prediction fails.
    Fail(PredictionFailure),
    /// `garbage`: status and headers are correct, the body is garbage.
    Garbage,
    /// `garbage-after=BYTES`: the body is correct up to there, then has garbage and ends.
    GarbageAfter(usize),
    /// `half-char-after=BYTES`: the body ends there with half a UTF-8 character.
    HalfCharAfter(usize),
    /// `hang`: no response is sent.
    Hang,
    /// `hang-after=BYTES`: the body stops there and does not end.
    HangAfter(usize),
    /// `split=BYTES`: the body is sent in writes of this size.
    Split(usize),
    /// `status=503`: the provider's error body for that status.
    Status(u16),
}

impl fmt::Display for Fault {
    /// In its parsed form.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ContentType(kind) => write!(f, "content-type={kind}"),
            Self::CutAfter(bytes) => write!(f, "cut-after={bytes}"),
            Self::Delay(delay) => write!(f, "delay={}s", delay.as_secs_f64()),
            Self::Drip(bytes, pause) => write!(f, "drip={bytes}/{}s", pause.as_secs_f64()),
            Self::EndAfter(bytes) => write!(f, "end-after={bytes}"),
            Self::ErrorAfter(tokens) => write!(f, "error-after={tokens}"),
            Self::Fail(failure) => write!(f, "fail={}", failure.name()),
            Self::Garbage => f.write_str("garbage"),
            Self::GarbageAfter(bytes) => write!(f, "garbage-after={bytes}"),
            Self::HalfCharAfter(bytes) => write!(f, "half-char-after={bytes}"),
            Self::Hang => f.write_str("hang"),
            Self::HangAfter(bytes) => write!(f, "hang-after={bytes}"),
            Self::Split(bytes) => write!(f, "split={bytes}"),
            Self::Status(status) => write!(f, "status={status}"),
        }
    }
}

/// The way in which a Replicate prediction fails; `error` is Replicate's text.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PredictionFailure {
    /// `director`: a platform fault before the start; a retry is worthwhile.
    Director,
    /// `interrupted`: the same in its most common form.
    Interrupted,
    /// `oom`: out of memory, which would happen again.
    OutOfMemory,
    /// `sensitive`: rejected by the content filter.
    Sensitive,
    /// `timeout`: no more output after half of it.
    Timeout,
}

/// Faults that apply to the same request.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// The faults, in the order given.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }

    pub(crate) fn add(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    pub(crate) fn find<T>(&self, of: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        self.0.iter().find_map(of)
    }

    /// The faults requested in a prompt: `[sim: status=503]` anywhere in a body. The grammar has no
    /// character that JSON escapes, so the raw bytes can be searched for any endpoint.
    pub(crate) fn in_body(body: &[u8]) -> Result<Self, ParseFaultError> {
        let mut faults = Self::default();
        for at in memmem::find_iter(body, IN_PROMPT) {
            let list = &body[at + IN_PROMPT.len()..];
            let list = &list[..list.len().min(200)];
            let Some(end) = memchr::memchr(b']', list) else {
                continue;
            };
            faults.add(String::from_utf8_lossy(&list[..end]).parse()?);
        }
        Ok(faults)
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.0.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{fault}")?;
        }
        Ok(())
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl FromIterator<Fault> for Faults {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Self {
        Self(faults.into_iter().collect())
    }
}

impl FromStr for Faults {
    type Err = ParseFaultError;

    fn from_str(list: &str) -> Result<Self, Self::Err> {
        list.split([',', ';'])
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(parse)
            .collect()
    }
}

impl PredictionFailure {
    fn name(self) -> &'static str {
        match self {
            Self::Director => "director",
            Self::Interrupted => "interrupted",
            Self::OutOfMemory => "oom",
            Self::Sensitive => "sensitive",
            Self::Timeout => "timeout",
        }
    }

    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::Director => "Director: unexpected error handling prediction (E9828)",
            Self::Interrupted => "Prediction interrupted; please retry (code: PA)",
            Self::OutOfMemory => "CUDA out of memory (E1001)",
            Self::Sensitive => {
                "The input or output was flagged as sensitive. \
                 Please try again with different inputs. (E005)"
            }
            Self::Timeout => "E6716: Timeout starting prediction",
        }
    }
}

/// An invalid fault; the message lists the valid ones.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ParseFaultError {
    item: String,
}

impl fmt::Display for ParseFaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unknown fault {:?}: expected status=NNN, delay=DURATION, hang, cut-after=BYTES, \
             end-after=BYTES, hang-after=BYTES, garbage, garbage-after=BYTES, \
             half-char-after=BYTES, split=BYTES, drip=BYTES/DURATION, content-type=TYPE, \
             error-after=TOKENS or fail=director|interrupted|oom|sensitive|timeout",
            self.item
        )
    }
}

impl StdError for ParseFaultError {}

fn parse(item: &str) -> Result<Fault, ParseFaultError> {
    let (name, value) = item.split_once('=').unwrap_or((item, ""));
    let (name, value) = (name.trim(), value.trim());
    let number = || value.parse::<usize>().ok();
    let fault = match name {
        "content-type" => Some(value)
            .filter(|kind| is_content_type(kind))
            .map(|kind| Fault::ContentType(kind.to_owned())),
        "cut-after" => number().map(Fault::CutAfter),
        "delay" => duration::parse(value).map(Fault::Delay),
        "drip" => drip(value),
        "end-after" => number().map(Fault::EndAfter),
        "error-after" => number().map(Fault::ErrorAfter),
        "fail" => failure(value).map(Fault::Fail),
        "garbage" if value.is_empty() => Some(Fault::Garbage),
        "garbage-after" => number().map(Fault::GarbageAfter),
        "half-char-after" => number().map(Fault::HalfCharAfter),
        "hang" if value.is_empty() => Some(Fault::Hang),
        "hang-after" => number().map(Fault::HangAfter),
        "split" => number().filter(|bytes| *bytes > 0).map(Fault::Split),
        "status" => value
            .parse()
            .ok()
            .filter(|s| (400..600).contains(s))
            .map(Fault::Status),
        _ => None,
    };
    fault.ok_or_else(|| ParseFaultError {
        item: item.to_owned(),
    })
}

fn is_content_type(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn drip(value: &str) -> Option<Fault> {
    let (bytes, pause) = value.split_once('/')?;
    let bytes = bytes.trim().parse().ok().filter(|bytes| *bytes > 0)?;
    Some(Fault::Drip(bytes, duration::parse(pause)?))
}

fn failure(name: &str) -> Option<PredictionFailure> {
    use PredictionFailure::{Director, Interrupted, OutOfMemory, Sensitive, Timeout};
    [Director, Interrupted, OutOfMemory, Sensitive, Timeout]
        .into_iter()
        .find(|failure| failure.name() == name)
}

const IN_PROMPT: &[u8] = b"[sim:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        let faults: Faults = "status=503, delay=2s; cut-after=10,hang,garbage"
            .parse()
            .unwrap();
        assert_eq!(
            faults.0,
            [
                Fault::Status(503),
                Fault::Delay(Duration::from_secs(2)),
                Fault::CutAfter(10),
                Fault::Hang,
                Fault::Garbage,
            ]
        );
        let every = "content-type=text/html, cut-after=1, delay=0.25s, drip=1/0.1s, end-after=2, \
                     error-after=3, fail=oom, garbage, garbage-after=4, half-char-after=5, hang, \
                     hang-after=6, split=7, status=429";
        assert_eq!(every.parse::<Faults>().unwrap().to_string(), every);
        for bad in [
            "content-type=",
            "drip=0/1s",
            "drip=1",
            "status=200",
            "status=x",
            "split=0",
            "hang=1",
            "delay=",
            "nonsense",
            "fail=",
        ] {
            let error = bad.parse::<Faults>().unwrap_err();
            assert!(error.to_string().contains(bad), "{error}");
        }
    }

    #[test]
    fn prompts_can_request_faults() {
        let body = br#"{"prompt":"x [sim: fail=oom] y [sim:split=3]"}"#;
        let faults = Faults::in_body(body).unwrap();
        assert_eq!(
            faults.0,
            [Fault::Fail(PredictionFailure::OutOfMemory), Fault::Split(3)]
        );
        assert_eq!(
            Faults::in_body(b"[sim: never closed").unwrap(),
            Faults::default()
        );
        assert!(Faults::in_body(b"[sim: what]").is_err());
    }

    #[test]
    fn a_fault_applies_to_the_requests_that_it_names() {
        let rule = FaultRule::new(Fault::Hang)
            .on_method("post")
            .on_path("/chat")
            .times(2);
        let rules = FaultRules::new(vec![rule]);
        let hits = |method, path| rules.take(method, path).iter().count();
        assert_eq!(hits("GET", "/v1/chat/completions"), 0);
        assert_eq!(hits("POST", "/v1/embeddings"), 0);
        assert_eq!(hits("POST", "/v1/chat/completions"), 1);
        assert_eq!(hits("POST", "/v1/chat/completions"), 1);
        assert_eq!(hits("POST", "/v1/chat/completions"), 0);
    }
}
