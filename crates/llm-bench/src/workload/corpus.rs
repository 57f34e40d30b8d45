//! The words and lines from which prompts are made, each tokenized once.

use std::sync::OnceLock;

use rand::{Rng, RngExt};

use crate::record::TokenSource;
use crate::tokens::{self, Tokenizer};
use crate::workload::text::Written;

/// The material of prompts, and what its parts count.
#[derive(Debug)]
pub(super) struct Corpus {
    /// The lines of a dataset; if there are none, words are synthetic.
    lines: Vec<Line>,
    /// The tokens of a line break between two lines.
    line_break: u64,
    words: Vocabulary,
    tokenizer: Option<Tokenizer>,
}

/// A line of a dataset. It is tokenized when it is first used: a dataset may have millions.
#[derive(Debug)]
struct Line {
    text: String,
    /// The end of each token in bytes.
    ends: OnceLock<Vec<u32>>,
}

/// The tokens of each of [`WORDS`], at the beginning of a text and after another word.
#[derive(Debug)]
struct Vocabulary {
    costs: [Vec<u64>; 2],
    /// The words of one token.
    short: [Vec<usize>; 2],
    /// Whether the tokens of words add up to those of a text, as they do if no token spans a space.
    adds_up: bool,
}

impl Corpus {
    pub(super) fn new(lines: Vec<String>, tokenizer: Option<Tokenizer>) -> Self {
        let lines = lines.into_iter().map(|text| Line {
            text,
            ends: OnceLock::new(),
        });
        let lines: Vec<Line> = lines.collect();
        let count = |text: &str| tokens::count(tokenizer.as_ref(), text).0;
        let line_break = match (&tokenizer, lines.first()) {
            (Some(_), Some(_)) => count("a\nb").saturating_sub(count("a") + count("b")),
            _ => 0,
        };
        Self {
            line_break,
            words: Vocabulary::new(tokenizer.as_ref(), lines.is_empty()),
            lines,
            tokenizer,
        }
    }

    /// The tokens of a text.
    pub(super) fn count(&self, text: &str) -> (u64, TokenSource) {
        tokens::count(self.tokenizer.as_ref(), text)
    }

    /// A text of `count` tokens.
    pub(super) fn text(&self, count: u64, rng: &mut impl Rng) -> Written {
        let source = match self.tokenizer {
            Some(_) => TokenSource::Tokenizer,
            None => TokenSource::Estimate,
        };
        let (text, tokens) = if !self.lines.is_empty() {
            self.of_lines(count, rng)
        } else if self.words.adds_up {
            self.words.text(count, rng)
        } else {
            self.of_counted_words(count, rng)
        };
        Written {
            text,
            tokens: (tokens, source),
        }
    }

    /// Random lines, the last one cut.
    fn of_lines(&self, count: u64, rng: &mut impl Rng) -> (String, u64) {
        let mut text = String::new();
        let mut have = 0;
        let mut steps = 0;
        while have < count && steps <= count {
            // Lines without a token must not cause an endless loop.
            steps += 1;
            let line = &self.lines[rng.random_range(0..self.lines.len())];
            if !text.is_empty() {
                have += self.line_break;
                text.push('\n');
            }
            let ends = line.ends(self.tokenizer.as_ref());
            let taken = usize::try_from(count.saturating_sub(have)).unwrap_or(usize::MAX);
            let taken = ends.len().min(taken);
            match taken.checked_sub(1) {
                Some(last) if taken < ends.len() => {
                    let end = line.text.floor_char_boundary(ends[last] as usize);
                    text.push_str(&line.text[..end]);
                }
                Some(_) => text.push_str(&line.text),
                None => {}
            }
            have += taken as u64;
        }
        (text, have)
    }

    /// Words for a tokenizer whose tokens span spaces: written, counted and cut.
    fn of_counted_words(&self, count: u64, rng: &mut impl Rng) -> (String, u64) {
        let words = (0..count.saturating_mul(2)).map(|_| WORDS[rng.random_range(0..WORDS.len())]);
        let mut text = words.collect::<Vec<_>>().join(" ");
        let ends = tokens::ends(self.tokenizer.as_ref(), &text);
        let taken = usize::try_from(count).unwrap_or(usize::MAX).min(ends.len());
        if let Some(last) = taken.checked_sub(1) {
            text.truncate(text.floor_char_boundary(ends[last] as usize));
        }
        (text, taken as u64)
    }
}

impl Line {
    fn ends(&self, tokenizer: Option<&Tokenizer>) -> &[u32] {
        self.ends
            .get_or_init(|| tokens::ends(tokenizer, &self.text))
    }
}

impl Vocabulary {
    fn new(tokenizer: Option<&Tokenizer>, is_used: bool) -> Self {
        let Some(tokenizer) = tokenizer.filter(|_| is_used) else {
            // The estimate counts every word as one token.
            let ones = || vec![1; WORDS.len()];
            let all = || (0..WORDS.len()).collect();
            return Self {
                costs: [ones(), ones()],
                short: [all(), all()],
                adds_up: true,
            };
        };
        let first = WORDS.iter().map(|word| tokenizer.count(word)).collect();
        let alone = tokenizer.count("a");
        let later = WORDS.iter().map(|word| {
            let both = tokenizer.count(&format!("a {word}"));
            both.saturating_sub(alone)
        });
        let costs: [Vec<u64>; 2] = [first, later.collect()];
        let short = costs.each_ref().map(|costs| {
            let words = costs.iter().enumerate();
            let short = words.filter(|(_, cost)| **cost == 1);
            short.map(|(word, _)| word).collect::<Vec<_>>()
        });
        let mut words = Self {
            adds_up: short.iter().all(|words| !words.is_empty()),
            costs,
            short,
        };
        let mut rng = fastrand::Rng::with_seed(0);
        words.adds_up = words.adds_up
            && (0..SAMPLES).all(|_| {
                let chosen: Vec<usize> = (0..64).map(|_| rng.usize(..WORDS.len())).collect();
                let sum: u64 = chosen
                    .iter()
                    .enumerate()
                    .map(|(at, word)| words.costs[usize::from(at > 0)][*word])
                    .sum();
                let text: Vec<&str> = chosen.iter().map(|word| WORDS[*word]).collect();
                tokenizer.count(&text.join(" ")) == sum
            });
        words
    }

    /// Random words whose tokens add up to `count`.
    fn text(&self, count: u64, rng: &mut impl Rng) -> (String, u64) {
        let mut text = String::with_capacity(usize::try_from(count.saturating_mul(6)).unwrap_or(0));
        let mut have = 0;
        while have < count {
            let place = usize::from(!text.is_empty());
            let mut word = rng.random_range(0..WORDS.len());
            // A word of no token would not end the loop.
            let cost = self.costs[place][word].max(1);
            if have + cost > count {
                let short = &self.short[place];
                word = short[rng.random_range(0..short.len())];
            }
            if place > 0 {
                text.push(' ');
            }
            text.push_str(WORDS[word]);
            have += self.costs[place][word].max(1);
        }
        (text, have)
    }
}

/// Texts that are tokenized as a whole to check that words add up.
const SAMPLES: u32 = 4;

/// Common words; nearly all are one token in common vocabularies.
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
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn every_synthetic_word_is_estimated_as_one_token() {
        for word in WORDS {
            assert_eq!(tokens::count(None, word).0, 1, "{word}");
        }
    }

    #[test]
    fn lines_are_cut_at_the_end_of_a_token() {
        let corpus = Corpus::new(vec!["extraordinarily é dog".to_owned()], None);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut text = |count| corpus.text(count, &mut rng).text;
        assert_eq!(text(1), "");
        assert_eq!(text(2), "extraordinarily");
        assert_eq!(text(3), "extraordinarily é");
        assert_eq!(text(5), "extraordinarily é dog\n");
        assert_eq!(text(6), "extraordinarily é dog\nextraordinarily");
    }
}
