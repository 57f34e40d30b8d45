//! [`Cut`]: finds stop sequences in a text that arrives in pieces.

/// Ends a text at the stop sequence that is complete first, as an engine does that compares each new
/// token.
///
/// The end of the text is held as long as it may be the beginning of a sequence.
#[derive(Clone, Debug, Default)]
pub(super) struct Cut {
    sequences: Vec<String>,
    held: String,
}

impl Cut {
    pub(super) fn new(mut sequences: Vec<String>) -> Self {
        sequences.retain(|sequence| !sequence.is_empty());
        Self {
            sequences,
            held: String::new(),
        }
    }

    /// Adds a piece. Returns the text that can be sent, and the sequence that ends it.
    pub(super) fn push(&mut self, text: String) -> (String, Option<String>) {
        if self.sequences.is_empty() {
            return (text, None);
        }
        self.held.push_str(&text);
        let found = self.sequences.iter().filter_map(|sequence| {
            let at = self.held.find(sequence.as_str())?;
            Some((at, sequence))
        });
        // Of two that end at the same place, the longer one.
        if let Some((at, sequence)) = found.min_by_key(|(at, known)| (at + known.len(), *at)) {
            let sequence = sequence.clone();
            self.held.truncate(at);
            return (self.take(), Some(sequence));
        }
        let rest = self.held.split_off(self.held.len() - self.open_len());
        (std::mem::replace(&mut self.held, rest), None)
    }

    /// The text that was held.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.held)
    }

    /// The length of the longest end of the text with which a sequence begins.
    fn open_len(&self) -> usize {
        let longest = self.sequences.iter().map(String::len).max().unwrap_or(0);
        let from = self.held.len().saturating_sub(longest.saturating_sub(1));
        let starts = (from..self.held.len()).filter(|at| self.held.is_char_boundary(*at));
        let is_open = |rest: &str| self.sequences.iter().any(|known| known.starts_with(rest));
        starts
            .map(|at| &self.held[at..])
            .find(|rest| is_open(rest))
            .map_or(0, str::len)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_ends_at_the_first_sequence_however_it_is_cut(
            text in "[abé]{0,12}",
            sequences in proptest::collection::vec("[abé]{0,3}", 0..3),
            size in 1..4_usize,
        ) {
            let known = || sequences.iter().filter(|sequence| !sequence.is_empty());
            let found = known().filter_map(|sequence| {
                let at = text.find(sequence.as_str())?;
                Some((at + sequence.len(), at))
            });
            let (end, at) = found.min().unzip();
            let mut cut = Cut::new(sequences.clone());
            let mut read = String::new();
            let mut stop = None;
            let chars: Vec<char> = text.chars().collect();
            for piece in chars.chunks(size) {
                let (more, found) = cut.push(piece.iter().collect());
                read.push_str(&more);
                if found.is_some() {
                    stop = found;
                    break;
                }
            }
            prop_assert_eq!(stop.is_some(), end.is_some());
            if let (Some(stop), Some(end), Some(at)) = (&stop, end, at) {
                prop_assert_eq!(stop, &text[at..end]);
            } else {
                read.push_str(&cut.take());
            }
            prop_assert_eq!(read, &text[..at.unwrap_or(text.len())]);
        }
    }
}
