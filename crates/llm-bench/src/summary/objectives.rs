use super::{Metric, SummaryRow, Unit};

/// Objectives; a good request meets all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objectives(Vec<Objective>);

/// An objective: the maximum of a metric, or the minimum of a speed.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// The metric.
    pub metric: Metric,
    /// The limit: in seconds for times, else in the metric's unit.
    pub limit: f64,
}

impl Objectives {
    /// Parses objectives such as `ttft:200ms`, `tpot:20ms`, `e2e:2s` or
    /// `output_inference_speed:30`. A text may have several, separated by spaces or commas. A time
    /// without a unit is in milliseconds, as in vLLM's `--goodput`.
    ///
    /// # Errors
    /// If a text is not a per-request metric, a colon and a number above zero.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, ObjectiveError> {
        let parts = texts
            .iter()
            .flat_map(|text| text.as_ref().split([' ', ',']))
            .filter(|part| !part.is_empty());
        parts
            .map(Objective::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether there are no objectives.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The objectives.
    pub fn iter(&self) -> impl Iterator<Item = &Objective> {
        self.0.iter()
    }

    /// Whether a request completed and met all objectives.
    pub fn are_met(&self, row: &SummaryRow) -> bool {
        row.is_ok() && self.0.iter().all(|objective| objective.is_met(row))
    }
}

/// Objectives with a name, such as those of a class of users.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GoodputTier {
    /// The name.
    pub name: String,
    /// The objectives.
    pub objectives: Objectives,
}

impl GoodputTier {
    /// Parses `NAME=OBJECTIVES`, such as `interactive=ttft:200ms,tpot:20ms`.
    ///
    /// # Errors
    /// If there is no name, or the objectives are invalid.
    pub fn parse(text: &str) -> Result<Self, ObjectiveError> {
        let fail = |expected| ObjectiveError {
            text: text.to_owned(),
            expected,
        };
        let shape = "NAME=METRIC:LIMIT,…, such as interactive=ttft:200ms,tpot:20ms";
        let (name, objectives) = text.split_once('=').ok_or_else(|| fail(shape))?;
        let objectives = Objectives::parse(&[objectives])?;
        if name.trim().is_empty() || objectives.is_empty() {
            return Err(fail(shape));
        }
        Ok(Self {
            name: name.trim().to_owned(),
            objectives,
        })
    }
}

impl Objective {
    fn parse(text: &str) -> Result<Self, ObjectiveError> {
        let fail = |expected| ObjectiveError {
            text: text.to_owned(),
            expected,
        };
        let (name, limit) = text.split_once([':', '=']).ok_or_else(|| fail(SHAPE))?;
        let metric = Metric::parse(name).ok_or_else(|| fail(NAMES))?;
        if matches!(metric, Metric::Itl | Metric::InterChunk) {
            return Err(fail(
                "tpot instead: a request has many inter-token latencies",
            ));
        }
        if metric.is_of_jobs() {
            return Err(fail("a metric of requests, such as e2e"));
        }
        let (number, factor) = match metric.unit() {
            Unit::Seconds => {
                let unit = |suffix: &str| limit.strip_suffix(suffix);
                match (unit("ms"), unit("us"), unit("s")) {
                    (Some(number), ..) => (number, 1e-3),
                    (_, Some(number), _) => (number, 1e-6),
                    (.., Some(number)) => (number, 1.0),
                    _ => (limit, 1e-3),
                }
            }
            _ => (limit, 1.0),
        };
        let number: f64 = number.parse().map_err(|_| fail(SHAPE))?;
        if !number.is_finite() || number <= 0.0 {
            return Err(fail("a limit above zero"));
        }
        Ok(Self {
            metric,
            limit: number * factor,
        })
    }

    /// Whether a request met it. A request without a value, such as the time per output token of a
    /// single token, meets it.
    ///
    /// In an open loop, the times to the first token, to the first output and to the end count from the
    /// schedule: a request that waits for a slot is late for its user.
    pub fn is_met(&self, row: &SummaryRow) -> bool {
        let Some(mut value) = self.metric.of(row) else {
            return true;
        };
        if matches!(
            self.metric,
            Metric::E2eLatency | Metric::Ttfo | Metric::Ttft
        ) {
            value += row.dispatch_delay.unwrap_or(0.0);
        }
        match self.metric.unit() {
            Unit::Requests | Unit::Seconds | Unit::Tokens => value <= self.limit,
            Unit::BytesPerSecond | Unit::TokensPerSecond => value >= self.limit,
        }
    }
}

/// The error of an invalid objective.
#[non_exhaustive]
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid objective {text:?}: expected {expected}")]
pub struct ObjectiveError {
    /// The objective as given.
    pub text: String,
    /// The expected form.
    pub expected: &'static str,
}

const SHAPE: &str = "METRIC:LIMIT, such as ttft:200ms";
const NAMES: &str = "a metric such as ttft, tpot, e2e or output_inference_speed before the colon";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_optional() {
        let objectives =
            Objectives::parse(&["ttft:200ms tpot:20", "e2e:2s,speed:30", "wait:500us"]).unwrap();
        let limits: Vec<_> = objectives
            .iter()
            .map(|o| (o.metric.name(), o.limit))
            .collect();
        assert_eq!(
            limits,
            [
                ("ttft", 0.2),
                ("tpot", 0.02),
                ("e2e_latency", 2.0),
                ("output_inference_speed", 30.0),
                ("wait", 500.0 * 1e-6),
            ]
        );
    }

    #[test]
    fn errors_contain_the_expected_form() {
        for (text, expected) in [
            ("ttft", "METRIC:LIMIT"),
            ("ttft:soon", "METRIC:LIMIT"),
            ("ttft:-1ms", "above zero"),
            ("ttft:NaN", "above zero"),
            ("first:1ms", "a metric such as ttft"),
            ("itl:10ms", "tpot instead"),
            ("job_time:10s", "a metric of requests"),
            ("gold=ttft:1s", "a metric such as ttft"),
        ] {
            let error = Objectives::parse(&[text]).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn a_tier_has_a_name_and_objectives() {
        let tier = GoodputTier::parse("gold=ttft:200ms,tpot:20ms").unwrap();
        assert_eq!((tier.name.as_str(), tier.objectives.0.len()), ("gold", 2));
        for text in ["ttft:200ms", "=ttft:200ms", "gold=", "gold=ttft"] {
            assert!(GoodputTier::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_good_request_meets_all_objectives() {
        let objectives = Objectives::parse(&["ttft:200ms tpot:20ms speed:40"]).unwrap();
        let row = |ttft, tpot: f64| SummaryRow {
            ttft: Some(ttft),
            tpot: Some(tpot),
            output_inference_speed: Some(1.0 / tpot),
            ..SummaryRow::default()
        };
        assert!(objectives.are_met(&row(0.2, 0.02)));
        assert!(!objectives.are_met(&row(0.21, 0.02)));
        assert!(!objectives.are_met(&row(0.1, 0.021)));
        let late = SummaryRow {
            dispatch_delay: Some(0.15),
            ..row(0.1, 0.02)
        };
        assert!(!objectives.are_met(&late));
        let failed = SummaryRow {
            outcome: super::super::RowOutcome::Cancelled,
            ..row(0.1, 0.01)
        };
        assert!(!objectives.are_met(&failed));
    }
}
