use llm_types::{Field, RawObject, ToolCall, ToolCallDelta, ToolType};

/// The tool calls of a streamed reply so far.
///
/// Some engines send all calls with the index 0, or without an index. A piece with another id than the
/// call of its index begins another call; a piece without an id continues the latest call of its index,
/// unless it names another function after complete arguments.
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
    name: String,
    arguments: Progress,
}

#[derive(Debug)]
enum IdFrom {
    Upstream,
    Here,
}

impl SeenCalls {
    /// The client's index of the first call of a choice.
    pub(super) fn first(&self, choice: u32) -> Option<u32> {
        let mut calls = self.0.iter();
        Some(calls.find(|seen| seen.choice == choice)?.index)
    }

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
                "" => latest.filter(|at| !self.0[*at].is_followed_by(call)),
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
                name: String::new(),
                arguments: Progress::default(),
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
    /// Whether a piece without an id begins another call.
    fn is_followed_by(&self, piece: &ToolCallDelta) -> bool {
        let Some(function) = piece.function.value() else {
            return false;
        };
        let name = function.name.as_str().unwrap_or_default();
        let arguments = function.arguments.as_str().unwrap_or_default();
        // Some engines repeat the name in every piece.
        let is_new = name != self.name || arguments.trim_start().starts_with('{');
        !name.is_empty() && self.arguments.is_complete() && is_new
    }

    /// Notes the name and the arguments of a piece.
    fn extend(&mut self, piece: &ToolCallDelta) {
        let Some(function) = piece.function.value() else {
            return;
        };
        if self.name.is_empty() {
            self.name = function.name.as_str().unwrap_or_default().to_owned();
        }
        self.arguments
            .extend(function.arguments.as_str().unwrap_or_default());
    }

    /// Sets the id of a piece: the upstream's, or a new one if the function's name arrives without.
    fn identify(&mut self, piece: &mut ToolCallDelta, id: &str) {
        self.extend(piece);
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

/// How far the arguments of a call have come, which are a JSON object.
#[derive(Debug, Default)]
struct Progress {
    depth: u32,
    is_text: bool,
    is_escaped: bool,
    has_begun: bool,
}

impl Progress {
    fn extend(&mut self, arguments: &str) {
        for byte in arguments.bytes() {
            match byte {
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.is_text => self.is_escaped = true,
                b'"' => self.is_text = !self.is_text,
                _ if self.is_text => {}
                b'{' => {
                    self.depth += 1;
                    self.has_begun = true;
                }
                b'}' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.has_begun && self.depth == 0
    }
}

/// Whether a call of a plain reply has the members without which clients cannot answer it.
pub(super) fn is_complete(call: &RawObject<'_>) -> bool {
    let has_arguments = |function: RawObject<'_>| function.str("arguments").is_some();
    call.str("id").is_some_and(|id| !id.is_empty())
        && call.str("type").is_some()
        && call.object("function").is_none_or(has_arguments)
}

/// Adds the members that a call of a plain reply lacks.
pub(super) fn complete(call: &mut ToolCall) {
    if let Field::Value(function) = &mut call.function
        && !function.arguments.is_value()
    {
        function.arguments = Field::Value("{}".to_owned());
    }
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
    fn a_new_name_after_complete_arguments_begins_another_call() {
        let piece = |name: &str, arguments: &str| {
            let mut piece = ToolCallDelta::start(0, "", name);
            piece.id = Field::Absent;
            if let Field::Value(function) = &mut piece.function {
                function.arguments = Field::Value(arguments.to_owned());
            }
            piece
        };
        for (pieces, expected) in [
            ([("f", r#"{"a":1}"#), ("g", r#"{"b":2}"#)], [0, 1]),
            ([("f", r#"{"a":1}"#), ("f", r#"{"a":2}"#)], [0, 1]),
            ([("f", r#"{"a":"}{"}"#), ("g", "")], [0, 1]),
            // The name is repeated in every piece, and once more at the end.
            ([("f", r#"{"a":"#), ("f", "1}")], [0, 0]),
            ([("f", r#"{"a":1}"#), ("f", "")], [0, 0]),
            ([("f", ""), ("f", "{}")], [0, 0]),
        ] {
            let mut pieces = pieces.map(|(name, arguments)| piece(name, arguments));
            SeenCalls::default().number(0, &mut pieces);
            assert_eq!(pieces.map(|piece| piece.index), expected);
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
        if let Field::Value(function) = &mut call.function {
            function.arguments = Field::Null;
        }
        complete(&mut call);
        assert_eq!(call.arguments(), Some("{}"));
        assert_eq!(call.type_, Field::Value(ToolType::Function));
    }
}
