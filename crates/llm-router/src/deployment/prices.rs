use super::TokenCounts;

/// What an upstream charges, in US dollars. A price that is not set is unknown, not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Prices {
    /// A token of the prompt.
    pub input_token: Option<f64>,
    /// A token of the prompt that the upstream read from its cache; by default, as any other.
    pub cached_input_token: Option<f64>,
    /// A token of the reply.
    pub output_token: Option<f64>,
    /// A call, in addition to its tokens; by default nothing.
    pub request: Option<f64>,
    /// A second that the model ran ([`TokenCounts::run_time`]), such as the price of its
    /// hardware. Tokens without a price are then free.
    pub second: Option<f64>,
}

impl Prices {
    /// Creates the prices of a token of the prompt and of a token of the reply.
    pub fn new(input_token: f64, output_token: f64) -> Self {
        Self {
            input_token: Some(input_token),
            output_token: Some(output_token),
            ..Self::default()
        }
    }

    /// Sets the price of a token that the upstream read from its cache.
    #[must_use]
    pub fn with_cached_input_token(mut self, price: impl Into<Option<f64>>) -> Self {
        self.cached_input_token = price.into();
        self
    }

    /// Sets the price of a call in addition to its tokens.
    #[must_use]
    pub fn with_request(mut self, price: impl Into<Option<f64>>) -> Self {
        self.request = price.into();
        self
    }

    /// Sets the price of a second that the model ran.
    #[must_use]
    pub fn with_second(mut self, price: impl Into<Option<f64>>) -> Self {
        self.second = price.into();
        self
    }

    /// These prices, and those of `other` where they are unknown.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            input_token: self.input_token.or(other.input_token),
            cached_input_token: self.cached_input_token.or(other.cached_input_token),
            output_token: self.output_token.or(other.output_token),
            request: self.request.or(other.request),
            second: self.second.or(other.second),
        }
    }

    /// The cost of a call in US dollars; `None` if it has tokens whose price is unknown, or if the
    /// time that the model ran has a price and is unknown.
    pub fn cost(&self, counts: &TokenCounts) -> Option<f64> {
        let cached = counts.cached.min(counts.prompt);
        let cached_price = self.cached_input_token.or(self.input_token);
        let parts = [
            (counts.prompt - cached, self.input_token),
            (cached, cached_price),
            (counts.completion, self.output_token),
        ];
        let tokens = parts.into_iter().filter(|(count, _)| *count > 0);
        let free = self.second.map(|_| 0.0);
        let costs: Option<f64> = tokens
            .map(|(count, price)| Some(as_f64(count) * price.or(free)?))
            .sum();
        let time = match self.second {
            Some(price) => counts.run_time?.as_secs_f64() * price,
            None if self.request.is_none() && counts.total() == 0 => return None,
            None => 0.0,
        };
        Some(costs? + time + self.request.unwrap_or(0.0))
    }

    /// What a token costs on average, if a reply is a quarter as long as its prompt; `None` if a
    /// price is unknown.
    pub(crate) fn per_token(&self) -> Option<f64> {
        Some(self.input_token? * 0.8 + self.output_token? * 0.2)
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const RUN: Duration = Duration::from_millis(2500);

    #[test]
    fn an_unknown_price_is_not_zero() {
        let prices = Prices::new(2.0, 3.0);
        let by_second = Prices::default().with_second(2.0);
        let only_input = Prices {
            output_token: None,
            ..prices
        };
        for (prices, counts, cost) in [
            (prices, TokenCounts::new(10, 1), Some(23.0)),
            (prices, TokenCounts::new(10, 1).with_cached(4), Some(23.0)),
            (
                prices.with_cached_input_token(0.5),
                TokenCounts::new(10, 1).with_cached(4),
                Some(17.0),
            ),
            (prices.with_request(1.0), TokenCounts::new(1, 0), Some(3.0)),
            (only_input, TokenCounts::new(10, 1), None),
            (only_input, TokenCounts::new(10, 0), Some(20.0)),
            (prices, TokenCounts::default(), None),
            (prices, TokenCounts::default().with_run_time(RUN), None),
            (
                by_second,
                TokenCounts::new(10, 1).with_run_time(RUN),
                Some(5.0),
            ),
            (
                by_second,
                TokenCounts::default().with_run_time(RUN),
                Some(5.0),
            ),
            (by_second, TokenCounts::new(10, 1), None),
            (
                prices.with_second(2.0),
                TokenCounts::new(10, 1).with_run_time(RUN),
                Some(28.0),
            ),
            (
                Prices::default().with_request(1.0),
                TokenCounts::default(),
                Some(1.0),
            ),
        ] {
            assert_eq!(prices.cost(&counts), cost, "{prices:?} {counts:?}");
        }
    }
}
