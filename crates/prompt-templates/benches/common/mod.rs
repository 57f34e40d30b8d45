//! Shared parts of the benchmarks.
#![allow(clippy::unwrap_used, dead_code, reason = "a benchmark may panic")]

use prompt_templates::PromptMessage;

/// Conversations by number of messages and bytes per message.
pub(crate) const SIZES: [(usize, usize); 2] = [(3, 60), (20, 400)];

/// Prose of the given length with a list, as in typical chats.
pub(crate) fn texts(count: usize, length: usize) -> Vec<String> {
    let words = "The quick brown fox, as they say, jumps over the lazy dog and runs on. Had it \
                 known what was to come, it would have stayed at home (or so they tell it), where \
                 its children waited with the supper: a bowl of soup, some bread & butter. \
                 \n\n- first, the soup\n- then, the bread\n\nBut who knows? ";
    let text = |index: usize| {
        words
            .chars()
            .cycle()
            .skip(index)
            .take(length - 1)
            .chain(['.'])
    };
    (0..count).map(|index| text(index).collect()).collect()
}

/// A system message, then user and assistant alternating, with the user last.
pub(crate) fn messages(texts: &[String]) -> Vec<PromptMessage<'_>> {
    let mut messages = vec![PromptMessage::system(&texts[0])];
    for (index, text) in texts.iter().enumerate().skip(1) {
        let from_end = texts.len() - 1 - index;
        messages.push(match from_end % 2 {
            0 => PromptMessage::user(text),
            _ => PromptMessage::assistant(text),
        });
    }
    if texts.len() % 2 == 1 {
        // The turns start with the user, so an odd number leaves no place for a system message.
        messages[0] = PromptMessage::user(&texts[0]);
    }
    messages
}

/// The prompt as pieces: the text before each content, the content, and the text after it.
pub(crate) fn pieces<'p>(prompt: &'p str, texts: &[String]) -> Vec<&'p str> {
    const AFTER: [&str; 5] = ["<|im_end|>\n", "<|eot_id|>", " [/INST]", " </s>", "</s>"];
    let mut pieces = Vec::new();
    let mut rest = prompt;
    for text in texts {
        let at = rest.find(text.trim()).unwrap();
        let (between, tail) = rest.split_at(at);
        let after = AFTER.iter().find(|after| between.starts_with(**after));
        let (after, before) = between.split_at(after.map_or(0, |after| after.len()));
        let (content, tail) = tail.split_at(text.trim().len());
        pieces.extend(
            [after, before, content]
                .into_iter()
                .filter(|piece| !piece.is_empty()),
        );
        rest = tail;
    }
    pieces.push(rest);
    pieces
}

#[cfg(feature = "jinja")]
pub(crate) mod bare {
    //! minijinja as a caller would use it for these templates, without the additions of
    //! transformers.

    use minijinja::syntax::SyntaxConfig;
    use minijinja::value::Serde;
    use minijinja::{Environment, ErrorKind, Template, Value, context};
    use prompt_templates::PromptMessage;

    /// The reference templates by name.
    pub(crate) const TEMPLATES: [(&str, &str); 3] = [
        (
            "chatml",
            include_str!("../../../../fixtures/prompt-templates/reference/chatml.jinja"),
        ),
        (
            "llama-3",
            include_str!("../../../../fixtures/prompt-templates/reference/llama-3.jinja"),
        ),
        (
            "llama-2",
            include_str!("../../../../fixtures/prompt-templates/reference/llama-2.jinja"),
        ),
    ];

    pub(crate) fn environment() -> Environment<'static> {
        let mut env = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build();
        env.set_syntax(syntax.unwrap());
        env.add_function("raise_exception", |_message: String| "");
        env.set_unknown_method_callback(|_state, value, method, _args| match method {
            "strip" => Ok(value.as_str().unwrap_or_default().trim().into()),
            _ => Err(ErrorKind::UnknownMethod.into()),
        });
        for (name, source) in TEMPLATES {
            env.add_template(name, source).unwrap();
        }
        env
    }

    /// What a caller of minijinja would serialize.
    #[derive(serde::Serialize)]
    pub(crate) struct Bare<'m> {
        role: &'m str,
        content: &'m str,
    }

    pub(crate) fn messages<'m>(
        messages: &[PromptMessage<'m>],
        texts: &'m [String],
    ) -> Vec<Bare<'m>> {
        let pairs = messages.iter().zip(texts);
        pairs
            .map(|(message, content)| Bare {
                role: message.role.as_str(),
                content,
            })
            .collect()
    }

    pub(crate) fn render(template: &Template<'_, '_>, messages: &[Bare<'_>], out: &mut Vec<u8>) {
        let context = context! {
            messages => Value::from(Serde(messages)),
            tools => (),
            documents => (),
            add_generation_prompt => true,
            bos_token => "<s>",
            eos_token => "</s>",
        };
        template.render_captured_to(context, out).unwrap();
    }
}
