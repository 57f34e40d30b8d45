use crate::script::Script;

/// The replies of the simulated models.
#[non_exhaustive]
#[derive(Clone, Debug, Default)]
pub enum SimReply {
    /// A note that this is a simulation, and the user's text; the same question always gets the
    /// same reply.
    #[default]
    Echo,
    /// This text, within the request's limits and stop sequences.
    Text(String),
    /// These conversations with Together's models, with tool calls; `Echo` for all else.
    Script(Script),
    /// Exactly these tokens, within the request's limit: for tests of what streams do to text.
    Tokens(Vec<String>),
}

impl SimReply {
    /// This text, of any length. From 10,000 bytes on, its tokens are larger, so that the limit on
    /// the number of tokens does not cut it.
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        if text.len() < LARGE_TOKEN {
            return Self::Text(text);
        }
        let (mut tokens, mut rest) = (Vec::new(), text.as_str());
        while !rest.is_empty() {
            let (token, after) = rest.split_at(rest.floor_char_boundary(LARGE_TOKEN));
            tokens.push(token.to_owned());
            rest = after;
        }
        Self::Tokens(tokens)
    }

    /// Exactly these tokens.
    pub fn tokens(tokens: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::Tokens(tokens.into_iter().map(Into::into).collect())
    }
}

/// The size of the tokens of a long text, in bytes.
const LARGE_TOKEN: usize = 10_000;
