//! Prompts of a given length.

use rand::seq::SliceRandom;
use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::error::Error;
use crate::tokens::{self, Tokenizer};

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

/// Writes prompts.
#[derive(Clone, Debug)]
pub(crate) struct PromptWriter {
    /// The lines of the dataset; if empty, words are synthetic.
    lines: Vec<String>,
    tokenizer: Option<Tokenizer>,
    prefix: Option<Prefix>,
}

impl PromptWriter {
    pub(crate) fn new(
        lines: Vec<String>,
        tokenizer: Option<Tokenizer>,
        prefix: Option<Prefix>,
    ) -> Self {
        Self {
            lines,
            tokenizer,
            prefix,
        }
    }

    /// A prompt of `count` tokens, with the shared prefix if there is one. A random number follows
    /// the prefix, so that prompts differ from there on.
    pub(crate) fn prompt(&self, count: u64, rng: &mut ChaCha8Rng) -> String {
        let shared = self.prefix.map_or(0, |prefix| prefix.of(count));
        if shared == 0 {
            return self.text(count, rng);
        }
        let mut same = ChaCha8Rng::seed_from_u64(SHARED ^ shared);
        let prefix = self.text(shared, &mut same);
        let separator = format!(" {:04x} ", rng.random::<u16>());
        let left = (count - shared).saturating_sub(SEPARATOR_TOKENS);
        format!("{prefix}{separator}{}", self.text(left, rng))
    }

    /// A text of `count` tokens: lines in random order, the last one cut.
    pub(crate) fn text(&self, count: u64, rng: &mut ChaCha8Rng) -> String {
        let tokenizer = self.tokenizer.as_ref();
        if self.lines.is_empty() {
            let words = words(count, rng);
            return match tokenizer {
                // Words are not always one token: write some more, then cut.
                Some(_) => tokens::cut(tokenizer, &(words + &self::words(count, rng)), count),
                None => words.trim_end().to_owned(),
            };
        }
        let mut order: Vec<usize> = (0..self.lines.len()).collect();
        let mut text = String::new();
        let mut have = 0;
        loop {
            order.shuffle(rng);
            for &line in &order {
                let line = &self.lines[line];
                let (tokens, _) = tokens::count(tokenizer, line);
                let gap = if text.is_empty() { "" } else { "\n" };
                if have + tokens >= count {
                    text.push_str(gap);
                    text.push_str(&tokens::cut(tokenizer, line, count - have));
                    return text;
                }
                text.push_str(gap);
                text.push_str(line);
                // Lines without a token must not cause an endless loop.
                have += tokens.max(1);
            }
        }
    }
}

/// Common words in random order; nearly all are one token in common vocabularies.
fn words(count: u64, rng: &mut impl Rng) -> String {
    let mut text = String::with_capacity(count as usize * 6);
    for _ in 0..count {
        text.push_str(WORDS[rng.random_range(0..WORDS.len())]);
        text.push(' ');
    }
    text
}

const SHARED: u64 = 42;

const SEPARATOR_TOKENS: u64 = 3;

#[rustfmt::skip]
const WORDS: &[&str] = &[
    "about", "above", "across", "after", "again", "air", "all", "along", "also", "always", "and",
    "animal", "answer", "any", "area", "around", "ask", "back", "bank", "base", "be", "because",
    "bed", "before", "begin", "behind", "best", "better", "between", "big", "bird", "black", "blue",
    "boat", "body", "book", "both", "box", "boy", "bring", "brother", "build", "but", "by", "call",
    "can", "car", "care", "carry", "case", "center", "change", "check", "child", "city", "class",
    "clear", "close", "cold", "color", "come", "common", "cost", "could", "country", "course",
    "cover", "cross", "cut", "dark", "day", "deep", "did", "different", "do", "dog", "door", "down",
    "draw", "drive", "dry", "each", "early", "earth", "east", "easy", "eat", "end", "enough", "even",
    "ever", "every", "example", "eye", "face", "fact", "fall", "family", "far", "farm", "fast",
    "father", "feel", "few", "field", "figure", "fill", "final", "find", "fine", "fire", "first",
    "fish", "five", "fly", "follow", "food", "foot", "for", "force", "form", "four", "free",
    "friend", "from", "front", "full", "game", "gave", "general", "get", "girl", "give", "go",
    "gold", "good", "great", "green", "ground", "group", "grow", "had", "half", "hand", "hard",
    "have", "head", "hear", "heart", "heat", "help", "here", "high", "hold", "home", "horse", "hot",
    "hour", "house", "how", "hundred", "idea", "if", "in", "inside", "island", "it", "just", "keep",
    "kind", "king", "knew", "know", "land", "language", "large", "last", "late", "laugh", "lead",
    "learn", "leave", "left", "less", "letter", "life", "light", "like", "line", "list", "listen",
    "little", "live", "long", "look", "love", "low", "machine", "made", "main", "make", "man",
    "many", "map", "mark", "may", "mean", "measure", "men", "might", "mile", "mind", "miss",
    "money", "moon", "more", "morning", "most", "mother", "mountain", "move", "much", "music",
    "must", "name", "near", "need", "never", "new", "next", "night", "nine", "north", "note",
    "nothing", "notice", "now", "number", "object", "ocean", "of", "off", "often", "old", "on",
    "once", "one", "only", "open", "order", "other", "our", "out", "over", "own", "page", "paper",
    "part", "pass", "past", "pattern", "people", "perhaps", "person", "picture", "piece", "place",
    "plain", "plan", "plane", "plant", "play", "point", "power", "press", "problem", "product",
    "public", "pull", "put", "question", "quick", "rain", "reach", "read", "ready", "real",
    "record", "red", "remember", "rest", "right", "river", "road", "rock", "room", "round", "rule",
    "run", "said", "same", "say", "school", "science", "sea", "second", "see", "seem", "self",
    "sentence", "serve", "set", "seven", "several", "shape", "she", "ship", "short", "should",
    "show", "side", "simple", "since", "sing", "six", "size", "sleep", "slow", "small", "snow",
    "so", "some", "song", "soon", "sound", "south", "space", "special", "spell", "spring", "stand",
    "star", "start", "state", "stay", "step", "still", "stood", "stop", "story", "street",
    "strong", "study", "such", "summer", "sun", "sure", "surface", "system", "table", "tail",
    "take", "talk", "teach", "tell", "ten", "test", "than", "that", "the", "their", "them", "then",
    "there", "these", "they", "thing", "think", "this", "those", "though", "thought", "thousand",
    "three", "through", "time", "to", "together", "told", "too", "took", "top", "toward", "town",
    "travel", "tree", "true", "try", "turn", "two", "under", "unit", "until", "up", "us", "use",
    "usual", "very", "voice", "wait", "walk", "want", "war", "warm", "watch", "water", "way", "we",
    "week", "weight", "well", "went", "were", "west", "what", "wheel", "when", "where", "which",
    "while", "white", "who", "whole", "why", "will", "wind", "window", "winter", "with", "without",
    "wonder", "wood", "word", "work", "world", "would", "write", "year", "yes", "yet", "you",
    "young", "your",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn rng(seed: u64) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(seed)
    }

    #[test]
    fn a_prompt_has_the_given_length() {
        let synthetic = PromptWriter::new(Vec::new(), None, None);
        let text = synthetic.prompt(120, &mut rng(1));
        assert_eq!(tokens::count(None, &text).0, 120);
        let lines = ["the cat sat", "a dog ran", "on and on"].map(str::to_owned);
        let written = PromptWriter::new(lines.to_vec(), None, None);
        for count in [1, 2, 3, 50] {
            let text = written.prompt(count, &mut rng(2));
            assert_eq!(tokens::count(None, &text).0, count, "{text}");
        }
    }

    #[test]
    fn only_the_prefix_is_shared() {
        let writer = PromptWriter::new(Vec::new(), None, Some(Prefix::Length(20)));
        let (one, two) = (
            writer.prompt(60, &mut rng(1)),
            writer.prompt(60, &mut rng(2)),
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
