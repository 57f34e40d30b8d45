//! How the requests of a run are generated.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How requests are generated.
#[non_exhaustive]
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Load {
    /// Closed loop: a fixed number of requests is in flight.
    Concurrency {
        /// The number of requests in flight.
        concurrency: u32,
    },
    /// Open loop: the start times do not depend on the responses.
    Rate {
        /// Mean requests per second, after the ramp.
        per_second: f64,
        /// The change of the rate at the beginning of the run, if it is not constant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ramp: Option<Ramp>,
        /// `constant`, `poisson` or `gamma:SHAPE`.
        arrivals: String,
        /// The limit of requests in flight. Later requests wait, and their wait counts from the
        /// schedule.
        max_concurrency: Option<u32>,
    },
    /// Open loop: requests start at the times of a trace.
    Trace {
        /// The factor of acceleration.
        speed: f64,
        /// The limit of requests in flight.
        max_concurrency: Option<u32>,
    },
}

/// A linear change of the rate at the beginning of a run.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Ramp {
    /// Requests per second at the start.
    pub from: f64,
    /// The time until the last rate, in seconds.
    pub seconds: f64,
}

impl Load {
    /// The value of genai-bench's `num_concurrency`: the concurrency, the limit of an open loop,
    /// or 0 for an open loop without a limit.
    pub fn concurrency(&self) -> u32 {
        match self {
            Self::Concurrency { concurrency } => *concurrency,
            Self::Rate {
                max_concurrency, ..
            }
            | Self::Trace {
                max_concurrency, ..
            } => max_concurrency.unwrap_or(0),
        }
    }

    /// The number that orders loads in tables and charts: the concurrency, the requests per second,
    /// or the speed of a trace.
    pub fn value(&self) -> f64 {
        match self {
            Self::Concurrency { concurrency } => f64::from(*concurrency),
            Self::Rate { per_second, .. } => *per_second,
            Self::Trace { speed, .. } => *speed,
        }
    }
}

impl Default for Load {
    fn default() -> Self {
        Self::Concurrency { concurrency: 1 }
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Concurrency { concurrency } => write!(f, "concurrency {concurrency}"),
            Self::Rate {
                per_second,
                arrivals,
                ramp: None,
                ..
            } => write!(f, "{per_second}/s {arrivals}"),
            Self::Rate {
                per_second,
                arrivals,
                ramp: Some(Ramp { from, seconds }),
                ..
            } => write!(f, "{from}..{per_second}/s in {seconds}s {arrivals}"),
            Self::Trace { speed, .. } => write!(f, "x{speed}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ramp_is_part_of_a_rate_and_its_label() {
        assert_eq!(ramped().to_string(), "2..20/s in 1.5s constant");
        let steady =
            r#"{"kind":"rate","per_second":20.0,"arrivals":"constant","max_concurrency":null}"#;
        let steady: Load = serde_json::from_str(steady).unwrap();
        assert_eq!(steady.to_string(), "20/s constant");
        assert_ne!(steady, ramped());
    }

    fn ramped() -> Load {
        Load::Rate {
            per_second: 20.0,
            ramp: Some(Ramp {
                from: 2.0,
                seconds: 1.5,
            }),
            arrivals: "constant".to_owned(),
            max_concurrency: None,
        }
    }
}
