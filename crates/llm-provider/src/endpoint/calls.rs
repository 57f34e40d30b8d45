use llm_types::{Field, RawObject, ToolCall, ToolCallDelta, ToolType};

/// The tool calls of a streamed reply so far.
///
/// Some engines send all calls with the index 0, or without an index. A piece with another id than the
/// call of its index begins another call; a piece without an id continues the latest call of its index.
/// A call of an engine without ids gets one.
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
    /// Where the client's id is from, once it has one.
    id_from: Option<IdFrom>,
}

#[derive(Debug)]
enum IdFrom {
    Upstream,
    Here,
}

impl SeenCalls {
    /// Gives each call of a choice an index of its own, and an id. Indexes that differ already stay as
    /// they are.
    pub(super) fn number(&mut self, choice: u32, calls: &mut [ToolCallDelta]) {
        for call in calls {
            let id = call.id.as_str().unwrap_or_default().to_owned();
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
            let known = match &*id {
                "" => latest,
                _ => with_id.or(latest),
            };
            if let Some(seen) = known.and_then(|at| self.0.get_mut(at)) {
                call.index = seen.index;
                seen.identify(call, &id);
                continue;
            }
            let of_choice = || self.0.iter().filter(|seen| seen.choice == choice);
            if of_choice().any(|seen| seen.index == given) {
                let highest = of_choice().map(|seen| seen.index).max();
                call.index = highest.map_or(0, |index| index.saturating_add(1));
            }
            let mut seen = SeenCall {
                choice,
                given,
                id: String::new(),
                index: call.index,
                id_from: None,
            };
            seen.identify(call, &id);
            // More calls than anybody makes: they keep the upstream's indexes.
            if self.0.len() < MAX_CALLS {
                self.0.push(seen);
            }
        }
    }
}

impl SeenCall {
    /// Sets the id of a piece: the upstream's, or a new one if the function's name arrives without.
    fn identify(&mut self, piece: &mut ToolCallDelta, id: &str) {
        if self.id.is_empty() {
            id.clone_into(&mut self.id);
        }
        let function = piece.function.value();
        match self.id_from {
            None if !id.is_empty() => self.id_from = Some(IdFrom::Upstream),
            None if function.is_some_and(|function| function.name.is_value()) => {
                piece.id = Field::Value(new_id());
                if !piece.type_.is_value() {
                    piece.type_ = Field::Value(ToolType::Function);
                }
                self.id_from = Some(IdFrom::Here);
            }
            // The client keeps the id that it has.
            Some(IdFrom::Here) => piece.id = Field::Absent,
            _ => {}
        }
    }
}

/// Whether a call of a plain reply has the members without which clients cannot answer it.
pub(super) fn is_complete(call: &RawObject<'_>) -> bool {
    call.str("id").is_some_and(|id| !id.is_empty()) && call.str("type").is_some()
}

/// Adds the id and the type that a call of a plain reply lacks.
pub(super) fn complete(call: &mut ToolCall) {
    if call.id.as_str().is_none_or(str::is_empty) {
        call.id = Field::Value(new_id());
    }
    if !call.type_.is_value() && call.function.is_value() {
        call.type_ = Field::Value(ToolType::Function);
    }
}

/// An id in the form of OpenAI's.
fn new_id() -> String {
    let letters = std::iter::repeat_with(fastrand::alphanumeric).take(24);
    letters.fold("call_".to_owned(), |mut id, letter| {
        id.push(letter);
        id
    })
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

    #[test]
    fn a_call_without_an_id_gets_one_that_it_keeps() {
        let named = |index| {
            let mut piece = ToolCallDelta::start(index, "", "f");
            (piece.id, piece.type_) = (Field::Null, Field::Absent);
            piece
        };
        let mut seen = SeenCalls::default();
        let mut pieces = [named(0), piece(0, ""), named(1), piece(1, "late")];
        seen.number(0, &mut pieces);
        let [first, arguments, second, late] = pieces;
        let id = |piece: &ToolCallDelta| piece.id.as_str().map(str::to_owned);
        assert!(id(&first).is_some_and(|id| id.len() == 29 && id.starts_with("call_")));
        assert_eq!(first.type_, Field::Value(ToolType::Function));
        assert_eq!(id(&arguments), None);
        assert!(id(&second).is_some_and(|other| Some(other) != id(&first)));
        assert_eq!((id(&late), late.index), (None, 1));

        let mut call = ToolCall::function("", "f", "{}");
        call.type_ = Field::Absent;
        complete(&mut call);
        assert!(call.id.as_str().is_some_and(|id| id.starts_with("call_")));
        assert_eq!(call.type_, Field::Value(ToolType::Function));
    }
}
