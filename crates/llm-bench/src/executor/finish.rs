use crate::executor::RawRecord;
use crate::record::{Arrivals, RequestRecord, TokenSource};
use crate::response::Chunk;
use crate::tokens::Tokenizer;

impl RawRecord {
    /// Completes the record: token counts, and the arrival of each chunk.
    pub(crate) fn finish(self, tokenizer: Option<&Tokenizer>) -> RequestRecord {
        let mut record = self.record;
        let usage = self.usage.plausible();
        let tokens = &mut record.tokens;
        (tokens.input, tokens.input_source) = match usage.input {
            Some(input) => (input, TokenSource::Server),
            None => self.estimated_input,
        };
        let counted = || Some(tokenizer?.count(self.text.as_deref()?));
        (tokens.output, tokens.output_source) = match usage.output {
            Some(output) => (output, TokenSource::Server),
            None => match counted() {
                Some(output) => (output, TokenSource::Tokenizer),
                None => (self.chunks.len() as u64, TokenSource::Estimate),
            },
        };
        tokens.reasoning = usage.reasoning;
        tokens.cached_input = usage.cached_input;
        if let Some(first) = self.chunks.first() {
            record.first_token_ns = Some(first.at);
            record.arrivals = arrivals(&self.chunks, tokens.output);
        }
        record
    }
}

fn arrivals(chunks: &[Chunk], tokens: u64) -> Arrivals {
    let micros = |chunk: &Chunk| (chunk.at + 500) / 1000;
    let gaps_us = chunks
        .windows(2)
        .map(|pair| u32::try_from(micros(&pair[1]) - micros(&pair[0])).unwrap_or(u32::MAX))
        .collect();
    let tokens = if tokens == chunks.len() as u64 {
        Vec::new()
    } else {
        distribute(chunks, tokens)
    };
    Arrivals { gaps_us, tokens }
}

/// Distributes tokens over chunks in proportion to their text, in whole tokens.
fn distribute(chunks: &[Chunk], tokens: u64) -> Vec<u32> {
    let total: u64 = chunks.iter().map(|chunk| u64::from(chunk.weight)).sum();
    let mut weight = 0;
    let mut given = 0;
    let share = chunks.iter().map(|chunk| {
        weight += u64::from(chunk.weight);
        let until = u128::from(tokens) * u128::from(weight) / u128::from(total.max(1));
        let until = u64::try_from(until).unwrap_or(tokens);
        let part = until - given;
        given = until;
        u32::try_from(part).unwrap_or(u32::MAX)
    });
    share.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(chunks: &[(u64, u32)]) -> Vec<Chunk> {
        let chunks = chunks.iter();
        chunks.map(|&(at, weight)| Chunk { at, weight }).collect()
    }

    #[test]
    fn gaps_add_up_to_the_total() {
        let chunks = chunks(&[(1_400, 1), (2_800, 1), (4_200, 1), (5_600, 1)]);
        let arrivals = arrivals(&chunks, 4);
        assert_eq!(arrivals.gaps_us.iter().sum::<u32>(), 5);
        assert!(arrivals.tokens.is_empty());
    }

    #[test]
    fn tokens_are_distributed_by_text() {
        assert_eq!(distribute(&chunks(&[(0, 4), (1, 8), (2, 4)]), 8), [2, 4, 2]);
        assert_eq!(distribute(&chunks(&[(0, 1), (1, 1), (2, 1)]), 8), [2, 3, 3]);
        assert_eq!(distribute(&chunks(&[(0, 5), (1, 5)]), 1), [0, 1]);
    }
}
