//! Start times of the requests of an open loop.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use rand_distr::{Distribution, Exp1, Gamma};

use crate::error::Error;
use crate::load::Ramp;

/// The distribution of the gaps between arrivals.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum ArrivalProcess {
    /// Equal gaps.
    #[default]
    Constant,
    /// Gamma-distributed gaps: burstier than Poisson for shapes below 1, smoother above.
    Gamma {
        /// The shape; the squared coefficient of variation of the gaps is 1/shape.
        shape: f64,
    },
    /// Exponentially distributed gaps, as of independent users.
    Poisson,
}

impl FromStr for ArrivalProcess {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = |reason| Error::usage("--arrivals", text, reason);
        match text.split_once(':') {
            None if text == "constant" => Ok(Self::Constant),
            None if text == "poisson" => Ok(Self::Poisson),
            Some(("gamma", shape)) => match shape.parse() {
                Ok(shape) if SHAPES.contains(&shape) => Ok(Self::Gamma { shape }),
                _ => Err(invalid(
                    "expected a shape from 0.001 to 1000000, as in gamma:0.5",
                )),
            },
            _ => Err(invalid("expected constant, poisson or gamma:SHAPE")),
        }
    }
}

impl fmt::Display for ArrivalProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant => f.write_str("constant"),
            Self::Gamma { shape } => write!(f, "gamma:{shape}"),
            Self::Poisson => f.write_str("poisson"),
        }
    }
}

/// A rate over time: a linear ramp, then constant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateProfile {
    from: f64,
    to: f64,
    over_s: f64,
}

impl RateProfile {
    /// A constant rate in requests per second.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if the rate is not from 0.000001 to 1,000,000.
    pub fn steady(per_second: f64) -> Result<Self, Error> {
        Self::ramp(per_second, per_second, 0.0)
    }

    /// A rate that changes linearly within `over_s` seconds and then stays constant.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if the first rate is not from 0 to 1,000,000, the last rate is not from
    /// 0.000001 to 1,000,000, or the time is negative or not finite.
    pub fn ramp(from: f64, to: f64, over_s: f64) -> Result<Self, Error> {
        let sound = (0.0..=*RATES.end()).contains(&from) && RATES.contains(&to);
        if !(sound && over_s >= 0.0 && over_s.is_finite()) {
            let reason =
                "expected requests per second from 0.000001 to 1000000, as in 10, 0.5 or 1..20";
            return Err(Error::usage(
                "--request-rate",
                format!("{from}..{to}"),
                reason,
            ));
        }
        Ok(Self { from, to, over_s })
    }

    /// The ramp, if the rate is not constant.
    pub(crate) fn changes(&self) -> Option<Ramp> {
        let is_constant = self.over_s == 0.0 || self.from == self.to;
        (!is_constant).then_some(Ramp {
            from: self.from,
            seconds: self.over_s,
        })
    }

    /// The time of the `n`th arrival of rate 1 at this rate: the inverse of its integral.
    fn warp(&self, n: f64) -> f64 {
        let in_ramp = (self.from + self.to) / 2.0 * self.over_s;
        if n >= in_ramp {
            return self.over_s + (n - in_ramp) / self.to;
        }
        let slope = (self.to - self.from) / self.over_s;
        // n = from·t + slope·t²/2; this form of the root also works for a slope of 0.
        let sum = self.from + (self.from * self.from + 2.0 * slope * n).max(0.0).sqrt();
        // A ramp from 0 starts with 0/0: the first arrival is at 0.
        if sum > 0.0 { 2.0 * n / sum } else { 0.0 }
    }
}

/// Arrival times in seconds from the start, without an end. The first is 0.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    profile: RateProfile,
    gaps: Gaps,
    rng: ChaCha8Rng,
    /// The arrivals so far, at rate 1.
    at: f64,
}

#[derive(Clone, Debug)]
enum Gaps {
    Constant,
    Gamma(Gamma<f64>),
    Poisson,
}

impl Schedule {
    pub(crate) fn new(
        profile: RateProfile,
        arrivals: ArrivalProcess,
        seed: u64,
    ) -> Result<Self, Error> {
        let gaps = match arrivals {
            ArrivalProcess::Constant => Gaps::Constant,
            ArrivalProcess::Poisson => Gaps::Poisson,
            ArrivalProcess::Gamma { shape } => {
                let gamma = Gamma::new(shape, 1.0 / shape).map_err(|error| {
                    Error::usage("--arrivals", arrivals.to_string(), error.to_string())
                })?;
                Gaps::Gamma(gamma)
            }
        };
        Ok(Self {
            profile,
            gaps,
            rng: ChaCha8Rng::seed_from_u64(seed),
            at: 0.0,
        })
    }
}

impl Iterator for Schedule {
    type Item = f64;

    fn next(&mut self) -> Option<f64> {
        let at = self.profile.warp(self.at);
        self.at += match &self.gaps {
            Gaps::Constant => 1.0,
            Gaps::Gamma(gamma) => gamma.sample(&mut self.rng),
            Gaps::Poisson => Exp1.sample(&mut self.rng),
        };
        Some(at)
    }
}

/// Requests per second. Slower rates send nothing for days; no machine reaches faster ones.
const RATES: RangeInclusive<f64> = 1e-6..=1e6;

/// Shapes of the gamma distribution with usable samples.
const SHAPES: RangeInclusive<f64> = 1e-3..=1e6;

#[cfg(test)]
mod tests {
    use super::*;

    fn times(profile: RateProfile, arrivals: &str, count: usize) -> Vec<f64> {
        let schedule = Schedule::new(profile, arrivals.parse().unwrap(), 7).unwrap();
        schedule.take(count).collect()
    }

    /// The mean and coefficient of variation of the gaps.
    fn gaps(times: &[f64]) -> (f64, f64) {
        let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>();
        (mean, (variance / gaps.len() as f64).sqrt() / mean)
    }

    #[test]
    fn gaps_have_the_configured_mean_and_variation() {
        let steady = RateProfile::steady(50.0).unwrap();
        for (arrivals, spread) in [
            ("constant", 0.0),
            ("poisson", 1.0),
            ("gamma:4", 0.5),
            ("gamma:0.25", 2.0),
        ] {
            let (mean, found) = gaps(&times(steady, arrivals, 40_000));
            assert!((mean - 0.02).abs() < 0.001, "{arrivals}: {mean}");
            assert!((found - spread).abs() < 0.06, "{arrivals}: {found}");
        }
    }

    #[test]
    fn equal_seeds_give_equal_times() {
        let steady = RateProfile::steady(5.0).unwrap();
        assert_eq!(times(steady, "poisson", 9), times(steady, "poisson", 9));
    }

    #[test]
    fn a_ramp_is_linear() {
        // From 0/s to 10/s within 10 s: 50 arrivals, then 10 each second.
        let ramp = RateProfile::ramp(0.0, 10.0, 10.0).unwrap();
        let times = times(ramp, "constant", 71);
        assert!((times[50] - 10.0).abs() < 1e-9, "{}", times[50]);
        assert!((times[70] - 12.0).abs() < 1e-9, "{}", times[70]);
        // After half of the time, a quarter of them.
        assert!((times[12] - 4.9).abs() < 0.1, "{}", times[12]);
        let down = RateProfile::ramp(10.0, 2.0, 5.0).unwrap();
        let times = self::times(down, "constant", 33);
        assert!((times[30] - 5.0).abs() < 1e-9 && (times[32] - 6.0).abs() < 1e-9);
    }

    #[test]
    fn a_ramp_from_zero_starts_at_once_and_has_finite_times() {
        let ramp = RateProfile::ramp(0.0, 20.0, 2.0).unwrap();
        for arrivals in ["constant", "poisson", "gamma:0.25"] {
            let times = times(ramp, arrivals, 200);
            assert_eq!(times[0], 0.0, "{arrivals}");
            assert!(times.iter().all(|time| time.is_finite()), "{times:?}");
            assert!(times.is_sorted(), "{times:?}");
        }
    }

    #[test]
    fn invalid_rates_and_shapes_are_errors() {
        for text in [
            "",
            "uniform",
            "gamma",
            "gamma:0",
            "gamma:x",
            "gamma:inf",
            "gamma:NaN",
            "gamma:-1",
            "gamma:1e-300",
            "poisson:2",
        ] {
            assert!(text.parse::<ArrivalProcess>().is_err(), "{text}");
        }
        for rate in [0.0, -1.0, 1e-300, 1e300, f64::NAN, f64::INFINITY] {
            assert!(RateProfile::steady(rate).is_err(), "{rate}");
        }
    }
}
