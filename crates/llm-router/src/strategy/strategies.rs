use super::{Candidate, Strategy};

/// The default: draws two deployments and takes the one with the shorter expected wait, which is its
/// peak latency times the calls that it is serving.
///
/// Choose it unless there is a reason for another: it avoids slow and overloaded deployments within
/// one reply, and several routers do not all choose the same one. Weights decide how often a
/// deployment is drawn; in a group of two, they decide only between equal waits.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "it has no fields")]
pub struct PeakEwma;

impl Strategy for PeakEwma {
    fn name(&self) -> &'static str {
        "peak-ewma"
    }

    fn sample(&self) -> usize {
        2
    }

    fn score(&self, candidate: &Candidate<'_>) -> f64 {
        // Differences below this are noise for a language model.
        let latency = candidate.peak_latency().as_secs_f64().max(0.01);
        latency * f64::from(candidate.in_flight().saturating_add(1))
    }
}

/// Draws one deployment, in proportion to the weights.
///
/// Choose it where the shares are agreed, such as for a trial of a model with 5 % of the traffic.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "it has no fields")]
pub struct SimpleShuffle;

impl Strategy for SimpleShuffle {
    fn name(&self) -> &'static str {
        "simple-shuffle"
    }

    fn sample(&self) -> usize {
        1
    }

    fn score(&self, _: &Candidate<'_>) -> f64 {
        0.0
    }
}

/// Takes the deployment with the fewest calls, relative to its weight.
///
/// Choose it for deployments of the same speed whose calls differ much in length, such as
/// self-hosted servers.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "it has no fields")]
pub struct LeastBusy;

impl Strategy for LeastBusy {
    fn name(&self) -> &'static str {
        "least-busy"
    }

    fn score(&self, candidate: &Candidate<'_>) -> f64 {
        let weight = candidate.deployment().weight.max(1);
        f64::from(candidate.in_flight()) / f64::from(weight)
    }
}

/// Takes the deployment with the shortest mean latency. One that is not measured yet comes first,
/// and a measurement fades within minutes, so that each is measured again.
///
/// Choose it for few callers that want the fastest deployment; many callers would all choose the
/// same one until it is slow.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "it has no fields")]
pub struct LatencyBased;

impl Strategy for LatencyBased {
    fn name(&self) -> &'static str {
        "latency-based-routing"
    }

    fn score(&self, candidate: &Candidate<'_>) -> f64 {
        candidate.mean_latency().as_secs_f64()
    }
}

/// Takes the deployment that has used the smallest share of its limits in the current minute, or the
/// fewest tokens and requests where there are no limits.
///
/// Choose it to get the most out of several accounts with rate limits.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "it has no fields")]
pub struct UsageBased;

impl Strategy for UsageBased {
    fn name(&self) -> &'static str {
        "usage-based-routing-v2"
    }

    fn score(&self, candidate: &Candidate<'_>) -> f64 {
        candidate.utilization()
    }
}

/// Takes the cheapest deployment, and the next one when that is at its limits or cooling down. Those
/// without a known price come last.
///
/// Choose it where price matters more than time, with limits for the cheap deployments.
#[derive(Clone, Copy, Debug, Default)]
#[allow(clippy::exhaustive_structs, reason = "it has no fields")]
pub struct CostBased;

impl Strategy for CostBased {
    fn name(&self) -> &'static str {
        "cost-based-routing"
    }

    fn score(&self, candidate: &Candidate<'_>) -> f64 {
        let prices = candidate.deployment().prices;
        prices
            .and_then(|prices| prices.per_token())
            .unwrap_or(f64::MAX)
    }
}
