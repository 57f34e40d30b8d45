//! The requests that the simulation recorded, and statistics of them.

use std::io::{Read, Write};
use std::net::TcpStream;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::clients::servers::Server;

/// A request by the simulation's clock, in seconds.
pub(super) struct RecordedRequest {
    /// When its head arrived, since the Unix epoch.
    begun: f64,
    /// When all of it had arrived, since the Unix epoch.
    pub(super) received: f64,
    ended: f64,
    /// After `received`: when an event with tokens was written, and when it was due.
    tokens: Vec<(f64, f64)>,
}

impl RecordedRequest {
    /// The requests of a simulated Together, in the order in which they came.
    pub(super) fn all(sim: &Server) -> Result<Vec<Self>> {
        let url = sim.field("together")?;
        let body = get(&url, "/_sim/requests")?;
        let requests: Vec<Value> = serde_json::from_str(&body)?;
        requests.iter().map(Self::read).collect()
    }

    fn read(request: &Value) -> Result<Self> {
        let times = &request["times"];
        let seconds = |value: &Value| value.as_f64().map(|nanos| nanos / 1e9);
        let received = seconds(&times["received_unix_ns"]).context("no received_unix_ns")?;
        let begun = seconds(&times["begun_unix_ns"]).context("no begun_unix_ns")?;
        let ended = seconds(&times["ended_ns"]).context("a request has not ended")?;
        let writes = times["writes_ns"].as_array().context("no writes_ns")?;
        let tokens = writes
            .iter()
            .filter(|write| write[2].as_u64() != Some(0))
            .filter_map(|write| seconds(&write[0]).zip(seconds(&write[1])));
        Ok(Self {
            begun,
            received,
            ended: received + ended,
            tokens: tokens.collect(),
        })
    }

    pub(super) fn ttft(&self) -> Option<f64> {
        self.tokens.first().map(|(at, _)| *at)
    }

    /// How late the first token was, by the simulation's own doing.
    pub(super) fn first_late(&self) -> Option<f64> {
        self.tokens.first().map(|(at, due)| at - due)
    }

    /// Between two tokens, one of them in each event.
    pub(super) fn tpot(&self) -> Option<f64> {
        let ((first, _), (last, _)) = self.tokens.first().zip(self.tokens.last())?;
        Some((last - first) / (self.tokens.len() - 1) as f64)
    }

    /// The mean number of requests in flight, from the end of the first round to the last start: the
    /// slots start together or over a ramp, and at the end there are no more requests for them.
    pub(super) fn in_flight(all: &[Self]) -> Option<f64> {
        let begun = || all.iter().map(|seen| seen.begun);
        let longest = all.iter().map(|seen| seen.ended - seen.begun);
        let from = begun().reduce(f64::min)? + longest.reduce(f64::max)?;
        let to = begun().reduce(f64::max)?;
        let within = |seen: &Self| (seen.ended.min(to) - seen.begun.max(from)).max(0.0);
        let sum: f64 = all.iter().map(within).sum();
        (to > from).then(|| sum / (to - from))
    }

    /// Requests a second, from the first one received to the last one ended.
    pub(super) fn per_second(all: &[Self]) -> f64 {
        let first = all
            .iter()
            .map(|seen| seen.received)
            .fold(f64::MAX, f64::min);
        let last = all.iter().map(|seen| seen.ended).fold(f64::MIN, f64::max);
        all.len() as f64 / (last - first)
    }
}

pub(super) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

pub(super) fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares = values.iter().map(|value| (value - mean).powi(2));
    (squares.sum::<f64>() / values.len() as f64).sqrt()
}

/// The value that this share of them does not exceed, with lines drawn between neighbours.
pub(super) fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = share * sorted.len().saturating_sub(1) as f64;
    let at = |place: f64| sorted.get(place as usize).copied().unwrap_or(f64::NAN);
    let (below, above) = (at(place.floor()), at(place.ceil()));
    below + (above - below) * place.fract()
}

/// The body of a plain GET.
fn get(url: &str, path: &str) -> Result<String> {
    let address = url.strip_prefix("http://").context("no http address")?;
    let mut socket = TcpStream::connect(address)?;
    write!(
        socket,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("no HTTP answer")?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
    Ok(body.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_is_read_as_the_simulation_writes_it() {
        let seen = RecordedRequest::read(&json!({"times": {
            "begun_unix_ns": 4_999_000_000_u64,
            "received_unix_ns": 5_000_000_000_u64, "ended_ns": 4_000_000_000_u64,
            "writes_ns": [[1, 0, 0], [1_500_000_000, 1_000_000_000, 1], [2_500_000_000_u64, 2, 1]],
        }}));
        let seen = seen.unwrap();
        assert_eq!((seen.ttft(), seen.first_late()), (Some(1.5), Some(0.5)));
        assert_eq!(seen.tpot(), Some(1.0));
        assert_eq!(RecordedRequest::per_second(&[seen]), 0.25);
        assert!(RecordedRequest::read(&json!({"times": {}})).is_err());
    }

    #[test]
    fn requests_in_flight_are_those_of_full_slots() {
        let seen = |begun: f64, ended: f64| RecordedRequest {
            begun,
            received: begun,
            ended,
            tokens: Vec::new(),
        };
        // Two slots: one waits for a second between its requests.
        let all = [
            seen(0.0, 2.0),
            seen(2.0, 4.0),
            seen(4.0, 6.0),
            seen(0.0, 2.0),
            seen(3.0, 5.0),
        ];
        assert_eq!(RecordedRequest::in_flight(&all), Some(1.5));
        assert_eq!(RecordedRequest::in_flight(&all[..1]), None);
    }

    #[test]
    fn statistics_are_correct() {
        let values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!((mean(&values), quantile(&values, 0.5)), (2.5, 2.5));
        assert_eq!((quantile(&values, 0.0), quantile(&values, 1.0)), (1.0, 4.0));
        assert_eq!(deviation(&[1.0, 3.0]), 1.0);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
