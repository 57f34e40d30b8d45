//! The replies of the simulated models, and their tokens.

use crate::options::SimReply;
use crate::seed::{Rng, hash};

/// One question to a simulated model.
#[derive(Clone, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) model: &'a str,
    /// The last user message.
    pub(crate) user_text: &'a str,
    /// Distinguishes the choices of one request, and requests with different seeds.
    pub(crate) variant: u64,
    pub(crate) max_tokens: Option<usize>,
    pub(crate) min_tokens: usize,
    pub(crate) stop: &'a [String],
}

/// The reply, as tokens that concatenate to the text.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) tokens: Vec<String>,
    /// Whether it was cut by `max_tokens`, as opposed to its own end or a stop sequence.
    pub(crate) cut: bool,
    /// Whether a stop sequence ended it.
    pub(crate) stopped: bool,
}

impl Question<'_> {
    pub(crate) fn answer(&self, reply: &SimReply) -> Answer {
        let limit = self.max_tokens.unwrap_or(MAX_TOKENS).min(MAX_TOKENS);
        match reply {
            SimReply::Echo | SimReply::Script(_) => self.shape(&self.echo(limit), limit),
            SimReply::Text(text) => self.shape(text, limit),
            SimReply::Tokens(tokens) => Answer {
                tokens: tokens.iter().take(limit).cloned().collect(),
                cut: tokens.len() > limit,
                stopped: false,
            },
        }
    }

    /// The reasoning of a reasoning model before its reply.
    pub(crate) fn reasoning(&self) -> Vec<String> {
        let quote = excerpt(self.user_text);
        tokens(&format!(
            "The user says: \"{quote}\". This is a simulation, so I echo it."
        ))
        .map(str::to_owned)
        .collect()
    }

    fn echo(&self, limit: usize) -> String {
        let mut rng = Rng(hash([self.model, self.user_text]) ^ self.variant);
        let quote = excerpt(self.user_text);
        let mut text = format!(
            "This is a simulated answer from {}. You said: {quote}",
            self.model
        );
        if !quote.ends_with(['.', '!', '?', '…']) {
            text.push('.');
        }
        let sentences = 1 + rng.next() % 3;
        let minimum = self.min_tokens.min(limit);
        let mut count = tokens(&text).count();
        let mut added = 0;
        while added < sentences || count < minimum {
            let Some(sentence) = rng.pick(SENTENCES) else {
                break;
            };
            count += tokens(sentence).count();
            text.push_str(sentence);
            added += 1;
        }
        text
    }

    fn shape(&self, text: &str, limit: usize) -> Answer {
        let stop = self
            .stop
            .iter()
            .filter(|stop| !stop.is_empty())
            .filter_map(|stop| text.find(stop.as_str()))
            .min();
        let mut rest = tokens(stop.map_or(text, |at| &text[..at]));
        let tokens = rest.by_ref().take(limit).map(str::to_owned).collect();
        let cut = rest.next().is_some();
        Answer {
            tokens,
            cut,
            stopped: stop.is_some() && !cut,
        }
    }
}

/// Splits a text into tokens of at most eight letters, each with the white space before it. The
/// tokens concatenate to the text.
pub(crate) fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = token_end(rest);
        let (token, tail) = rest.split_at(end);
        rest = tail;
        (!token.is_empty()).then_some(token)
    })
}

/// The number of tokens of a prompt.
pub(crate) fn count_tokens(text: &str) -> usize {
    tokens(text).count()
}

/// The last user turn of a rendered prompt in any known format; otherwise the whole prompt.
pub(crate) fn last_user_turn(prompt: &str) -> &str {
    TURNS
        .iter()
        .filter_map(|(start, end)| {
            let from = prompt.rfind(start)? + start.len();
            let turn = &prompt[from..];
            Some((from, turn.find(end).map_or(turn, |to| &turn[..to])))
        })
        .max_by_key(|(from, _)| *from)
        .map_or(prompt, |(_, turn)| turn)
        .trim()
}

fn token_end(text: &str) -> usize {
    let mut letters = 0;
    let mut seen = false;
    for (at, char) in text.char_indices() {
        if char.is_alphanumeric() {
            if letters == 8 {
                return at;
            }
            letters += 1;
            seen = true;
        } else if seen {
            return at;
        } else if !char.is_whitespace() {
            return at + char.len_utf8();
        }
    }
    text.len()
}

fn excerpt(text: &str) -> String {
    let text = text.trim();
    match text.char_indices().nth(EXCERPT) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

const EXCERPT: usize = 160;

/// The maximum length of a reply, regardless of the request.
const MAX_TOKENS: usize = 16_384;

/// The start and end markers of a user turn in common formats. Their order does not matter: the
/// match with the last start counts.
const TURNS: &[(&str, &str)] = &[
    ("<|start_header_id|>user<|end_header_id|>", "<|eot_id|>"),
    ("<|im_start|>user", "<|im_end|>"),
    ("<|prompter|>", "<|endoftext|>"),
    ("<|user|>", "<|"),
    ("<start_of_turn>user", "<end_of_turn>"),
    ("<</SYS>>", "[/INST]"),
    ("[INST]", "[/INST]"),
    ("USER:", "ASSISTANT:"),
    ("### Instruction:", "### Response:"),
    ("### Human:", "### Assistant:"),
    ("Human:", "Assistant:"),
];

/// Appended to the echo. It has letters beyond ASCII and a newline, so that every test covers them.
const SENTENCES: &[&str] = &[
    " The sky over Zürich is blue today.",
    " 空は青い、海も青い。",
    " Nothing of this was computed by a language model 🙂.",
    "\n\nA naïve café owner once said: “simulate first, pay later”.",
    " Ceci n’est pas une réponse.",
    " Небо голубое.",
    "\n- one thing\n- and another ✅",
    " Every token of this text was free of charge.",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn question<'a>(user_text: &'a str, stop: &'a [String]) -> Question<'a> {
        Question {
            model: "acme/model",
            user_text,
            variant: 0,
            max_tokens: None,
            min_tokens: 0,
            stop,
        }
    }

    #[test]
    fn tokens_concatenate_to_the_text() {
        for text in [
            "",
            " ",
            "one two",
            "extraordinarily 空は青い。\n\n- a\tb  c\r\n",
            "🙂🙂",
        ] {
            assert_eq!(tokens(text).collect::<String>(), text);
        }
        assert_eq!(
            tokens("Hi there, extraordinary!").collect::<Vec<_>>(),
            ["Hi", " there", ",", " extraord", "inary", "!"]
        );
    }

    #[test]
    fn replies_are_deterministic_and_marked_as_simulated() {
        let answer = question("hello", &[])
            .answer(&SimReply::Echo)
            .tokens
            .concat();
        assert!(answer.starts_with("This is a simulated answer from acme/model. You said: hello."));
        assert_eq!(
            answer,
            question("hello", &[])
                .answer(&SimReply::Echo)
                .tokens
                .concat()
        );
        let other = Question {
            variant: 1,
            ..question("hello", &[])
        };
        assert_ne!(answer, other.answer(&SimReply::Echo).tokens.concat());
    }

    #[test]
    fn limits_and_stops_end_the_reply() {
        let short = Question {
            max_tokens: Some(3),
            ..question("hello", &[])
        };
        let answer = short.answer(&SimReply::Echo);
        assert_eq!(
            (answer.tokens.concat().as_str(), answer.cut),
            ("This is a", true)
        );

        let stop = ["answer".to_owned(), "simulated".to_owned(), String::new()];
        let answer = question("hello", &stop).answer(&SimReply::Echo);
        assert_eq!(
            (answer.tokens.concat().as_str(), answer.cut),
            ("This is a ", false)
        );

        let long = Question {
            min_tokens: 500,
            max_tokens: Some(600),
            ..question("hello", &[])
        };
        let count = long.answer(&SimReply::Echo).tokens.len();
        assert!((500..=600).contains(&count), "{count}");
        let exact = Question {
            min_tokens: 100,
            max_tokens: Some(100),
            ..question("hello", &[])
        };
        let answer = exact.answer(&SimReply::Echo);
        assert_eq!(answer.tokens.len(), 100);
    }

    #[test]
    fn the_last_user_turn_is_found_in_every_common_format() {
        let llama3 = "<|start_header_id|>user<|end_header_id|>\n\nfirst<|eot_id|>\
            <|start_header_id|>assistant<|end_header_id|>\n\nok<|eot_id|>\
            <|start_header_id|>user<|end_header_id|>\n\nsecond<|eot_id|>\
            <|start_header_id|>assistant<|end_header_id|>\n\n";
        assert_eq!(last_user_turn(llama3), "second");
        assert_eq!(
            last_user_turn("[INST] <<SYS>>\nbe\n<</SYS>>\n\nhi [/INST]"),
            "hi"
        );
        assert_eq!(last_user_turn("<|im_start|>user\nhi<|im_end|>\n"), "hi");
        assert_eq!(last_user_turn("USER: hi ASSISTANT:"), "hi");
        assert_eq!(last_user_turn(" just this "), "just this");
    }
}
