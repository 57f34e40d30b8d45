//! Prompts of a given length.

use std::sync::Arc;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::error::Error;
use crate::record::TokenSource;
use crate::tokens::Tokenizer;
use crate::workload::corpus::Corpus;

/// A prefix that all prompts share, to measure prefix caches.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Prefix {
    /// A number of tokens.
    Length(u64),
    /// A share of each prompt, from 0 to 1.
    Ratio(f64),
}

impl Prefix {
    /// Checks the prefix against the shortest prompt.
    ///
    /// # Errors
    ///
    /// [`Error::Usage`] if the prefix is longer, or the share is not from 0 to 1.
    pub(crate) fn check(self, least_input: u64) -> Result<(), Error> {
        match self {
            Self::Length(length) if length > least_input => Err(Error::usage(
                "--prefix-len",
                length.to_string(),
                format!("prompts may have as few as {least_input} tokens"),
            )),
            Self::Ratio(ratio) if !(0.0..=1.0).contains(&ratio) => Err(Error::usage(
                "--prefix-ratio",
                ratio.to_string(),
                "expected a share from 0 to 1",
            )),
            _ => Ok(()),
        }
    }

    fn of(self, tokens: u64) -> u64 {
        match self {
            Self::Length(length) => length.min(tokens),
            Self::Ratio(ratio) => (tokens as f64 * ratio) as u64,
        }
    }
}

/// A text with the number of its tokens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written {
    pub(crate) text: String,
    pub(crate) tokens: (u64, TokenSource),
}

/// Writes prompts. Its words and lines are tokenized once, so that writing a prompt adds up known
/// counts; copies share them.
#[derive(Clone, Debug)]
pub(crate) struct PromptWriter {
    corpus: Arc<Corpus>,
    prefix: Option<Prefix>,
}

impl PromptWriter {
    /// Writes from the lines of a dataset; if there are none, from synthetic words.
    pub(crate) fn new(
        lines: Vec<String>,
        tokenizer: Option<Tokenizer>,
        prefix: Option<Prefix>,
    ) -> Self {
        Self {
            corpus: Arc::new(Corpus::new(lines, tokenizer)),
            prefix,
        }
    }

    /// A prompt of `count` tokens, with the shared prefix if there is one. A random number follows
    /// the prefix, so that prompts differ from there on.
    pub(crate) fn prompt(&self, count: u64, rng: &mut ChaCha8Rng) -> Written {
        let shared = self.prefix.map_or(0, |prefix| prefix.of(count));
        if shared == 0 {
            return self.text(count, rng);
        }
        let mut same = ChaCha8Rng::seed_from_u64(SHARED ^ shared);
        let prefix = self.text(shared, &mut same);
        let separator = format!(" {:04x} ", rng.random::<u16>());
        let (separator_tokens, _) = self.corpus.count(&separator);
        let left = (count - shared).saturating_sub(separator_tokens);
        let rest = self.text(left, rng);
        Written {
            text: prefix.text + &separator + &rest.text,
            tokens: (
                prefix.tokens.0 + separator_tokens + rest.tokens.0,
                rest.tokens.1,
            ),
        }
    }

    /// A text of `count` tokens: words or lines in random order, the last line cut.
    pub(crate) fn text(&self, count: u64, rng: &mut ChaCha8Rng) -> Written {
        self.corpus.text(count, rng)
    }
}

const SHARED: u64 = 42;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens;

    fn rng(seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(seed)
    }

    #[test]
    fn a_prompt_has_the_given_length() {
        let synthetic = PromptWriter::new(Vec::new(), None, None);
        let written = synthetic.prompt(120, &mut rng(1));
        assert_eq!(written.tokens, (120, TokenSource::Estimate));
        assert_eq!(tokens::count(None, &written.text).0, 120);
        let lines = ["the cat sat", "a dog ran", "on and on"].map(str::to_owned);
        let writer = PromptWriter::new(lines.to_vec(), None, None);
        for count in [1, 2, 3, 50] {
            let Written { text, tokens } = writer.prompt(count, &mut rng(2));
            assert_eq!(tokens.0, count, "{text}");
            assert_eq!(tokens::count(None, &text).0, count, "{text}");
        }
    }

    #[test]
    fn only_the_prefix_is_shared() {
        let writer = PromptWriter::new(Vec::new(), None, Some(Prefix::Length(20)));
        let (one, two) = (
            writer.prompt(60, &mut rng(1)).text,
            writer.prompt(60, &mut rng(2)).text,
        );
        let same = one
            .split(' ')
            .zip(two.split(' '))
            .take_while(|(a, b)| a == b)
            .count();
        assert_eq!(same, 20);
        assert!(Prefix::Length(61).check(60).is_err());
        assert!(Prefix::Ratio(1.5).check(60).is_err());
        assert!(Prefix::Ratio(0.5).check(60).is_ok());
    }

    #[test]
    fn lines_without_a_word_do_not_loop_endlessly() {
        let writer = PromptWriter::new(vec![String::new()], None, None);
        writer.prompt(100, &mut rng(1));
    }
}
