//! The client's own bias: its measurements compared with the true times of a server that reports
//! them.

use crate::experiment::{ClientBias, Run};

/// The true times of one request by the server's clock, in seconds.
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrueTimes {
    /// From the arrival of the request to writing the first token.
    pub ttft_s: f64,
    /// Between writes of tokens.
    pub gaps_s: Vec<f64>,
}

impl TrueTimes {
    /// Creates the times of one request.
    pub fn new(ttft_s: f64, gaps_s: Vec<f64>) -> Self {
        Self { ttft_s, gaps_s }
    }
}

impl ClientBias {
    /// Computes measured minus true times; `None` if one of them has no
    /// times to first token.
    ///
    /// The difference is the time in the kernel and in the client. If both run on one machine, it
    /// includes no network.
    pub fn of(run: &Run, truth: &[TrueTimes]) -> Option<Self> {
        let done = || run.records.iter().filter(|record| record.is_ok());
        let ttft = done().filter_map(|record| {
            let nanos = record.first_token_ns?.checked_sub(record.dispatched_ns)?;
            Some(nanos as f64 / 1e9)
        });
        let gaps = done().flat_map(|record| record.arrivals.gaps_us.iter());
        let measured_ttft = Spread::of(ttft.collect())?;
        let true_ttft = Spread::of(truth.iter().map(|times| times.ttft_s).collect())?;
        let measured_itl = Spread::of(gaps.map(|gap| f64::from(*gap) / 1e6).collect());
        let true_gaps = truth.iter().flat_map(|times| times.gaps_s.iter().copied());
        let true_itl = Spread::of(true_gaps.collect());
        let itl = measured_itl.zip(true_itl);
        let (itl_mean, itl_p99) = itl.map_or((0.0, 0.0), |(measured, truth)| {
            (measured.mean - truth.mean, measured.p99 - truth.p99)
        });
        Some(Self {
            concurrency: run.load.concurrency(),
            requests: done().count() as u64,
            ttft_mean_s: measured_ttft.mean - true_ttft.mean,
            ttft_p99_s: measured_ttft.p99 - true_ttft.p99,
            itl_mean_s: itl_mean,
            itl_p99_s: itl_p99,
            stalls: u32::try_from(run.client.stalls.len()).unwrap_or(u32::MAX),
        })
    }
}

struct Spread {
    mean: f64,
    p99: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let index = ((values.len() as f64 * 0.99) as usize).min(values.len().checked_sub(1)?);
        Some(Self {
            mean: values.iter().sum::<f64>() / values.len() as f64,
            p99: values[index],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Arrivals, RequestRecord};

    #[test]
    fn bias_is_measured_minus_true() {
        let record = RequestRecord {
            dispatched_ns: 1_000_000,
            first_token_ns: Some(53_000_000),
            arrivals: Arrivals {
                gaps_us: vec![10_500, 9_900],
                tokens: Vec::new(),
            },
            ..RequestRecord::default()
        };
        let run = Run {
            records: vec![record],
            ..Run::default()
        };
        let bias = ClientBias::of(&run, &[TrueTimes::new(0.050, vec![0.010, 0.010])]).unwrap();
        assert!((bias.ttft_mean_s - 0.002).abs() < 1e-9, "{bias:?}");
        assert!((bias.itl_mean_s - 0.0002).abs() < 1e-9, "{bias:?}");
        assert!((bias.itl_p99_s - 0.0005).abs() < 1e-9, "{bias:?}");
        assert_eq!(ClientBias::of(&run, &[]), None);
    }
}
