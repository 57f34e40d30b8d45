use llm_types::ToolCallDelta;

/// The tool calls of a streamed reply so far.
///
/// Some engines send all calls with the index 0, or without an index. A piece with another id than the
/// call of its index begins another call; a piece without an id continues the latest call of its index.
#[derive(Debug, Default)]
pub(super) struct SeenCalls(Vec<SeenCall>);

#[derive(Debug)]
struct SeenCall {
    choice: u32,
    /// The upstream's index.
    given: u32,
    id: String,
    /// The client's index.
    index: u32,
}

impl SeenCalls {
    /// Gives each call of a choice an index of its own. Indexes that differ already stay as they are.
    pub(super) fn number(&mut self, choice: u32, calls: &mut [ToolCallDelta]) {
        for call in calls {
            let id = call.id.as_str().unwrap_or_default();
            let given = call.index;
            let of_index = |seen: &SeenCall| seen.choice == choice && seen.given == given;
            let is_same = |seen: &SeenCall| id.is_empty() || seen.id.is_empty() || seen.id == id;
            let with_id = self
                .0
                .iter()
                .rposition(|seen| of_index(seen) && seen.id == id);
            let latest = self
                .0
                .iter()
                .rposition(of_index)
                .filter(|at| is_same(&self.0[*at]));
            let known = match id {
                "" => latest,
                _ => with_id.or(latest),
            };
            if let Some(seen) = known.and_then(|at| self.0.get_mut(at)) {
                if seen.id.is_empty() {
                    id.clone_into(&mut seen.id);
                }
                call.index = seen.index;
                continue;
            }
            let of_choice = || self.0.iter().filter(|seen| seen.choice == choice);
            if of_choice().any(|seen| seen.index == given) {
                let highest = of_choice().map(|seen| seen.index).max();
                call.index = highest.map_or(0, |index| index.saturating_add(1));
            }
            // More calls than anybody makes: they keep the upstream's indexes.
            if self.0.len() < MAX_CALLS {
                self.0.push(SeenCall {
                    choice,
                    given,
                    id: id.to_owned(),
                    index: call.index,
                });
            }
        }
    }
}

const MAX_CALLS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(index: u32, id: &str) -> ToolCallDelta {
        match id {
            "" => ToolCallDelta::arguments(index, "{"),
            id => ToolCallDelta::start(index, id, "f"),
        }
    }

    #[test]
    fn each_call_has_an_index_of_its_own() {
        for (pieces, expected) in [
            (
                &[(0, "a"), (0, ""), (1, "b"), (1, ""), (0, "")][..],
                &[0, 0, 1, 1, 0][..],
            ),
            (&[(0, "a"), (0, "b"), (0, "")], &[0, 1, 1]),
            (&[(0, "a"), (0, "a"), (0, "b"), (0, "b")], &[0, 0, 1, 1]),
            (&[(0, "a"), (0, "b"), (1, "c"), (1, "")], &[0, 1, 2, 2]),
            (&[(3, "a"), (3, ""), (4, "b")], &[3, 3, 4]),
            (&[(0, ""), (0, "")], &[0, 0]),
            (&[(0, "a"), (0, "b"), (0, "a"), (0, "b")], &[0, 1, 0, 1]),
            (&[(0, ""), (0, "a"), (0, "b")], &[0, 0, 1]),
        ] {
            let mut seen = SeenCalls::default();
            let mut pieces: Vec<_> = pieces.iter().map(|(index, id)| piece(*index, id)).collect();
            seen.number(0, &mut pieces);
            let indexes: Vec<_> = pieces.iter().map(|piece| piece.index).collect();
            assert_eq!(indexes, expected);
            // Other choices count for themselves.
            let mut other = [piece(0, "z")];
            seen.number(1, &mut other);
            assert_eq!(other[0].index, 0);
        }
    }
}
