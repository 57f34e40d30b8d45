//! One of the named templates that a tokenizer has.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use std::sync::OnceLock;

use minijinja::value::Value;

use crate::control::Control;
use crate::message::{PromptContent, PromptMessage, PromptRole, PromptToolCall};
use crate::options::{ControlTokens, Options};

use super::context::Context;
use super::engine::Engine;
use super::messages::Converter;

pub(super) struct Variant {
    pub(super) name: String,
    pub(super) engine: Engine,
    object_arguments: OnceLock<bool>,
}

impl Variant {
    pub(super) fn new(name: String, engine: Engine) -> Self {
        Self {
            name,
            engine,
            object_arguments: OnceLock::new(),
        }
    }

    /// Whether the template expects the arguments of a tool call as an object, which most templates
    /// print as JSON. Others expect JSON text, as in OpenAI's API. The first call finds out by
    /// rendering an example.
    pub(super) fn object_arguments(&self, root: impl Fn(Context) -> Value) -> bool {
        *self.object_arguments.get_or_init(|| {
            // An object must not be printed in Python's notation.
            let prints_object = |out: String| out.contains(NEEDLE) && !out.contains(PYTHON_NEEDLE);
            let prints_text = |out: String| out.contains(NEEDLE);
            self.probe(&root, true).is_some_and(prints_object)
                || !self.probe(&root, false).is_some_and(prints_text)
        })
    }

    /// Renders an example with a tool call.
    fn probe(&self, root: impl Fn(Context) -> Value, object_arguments: bool) -> Option<String> {
        let options = Options::new().with_control_tokens(ControlTokens::Keep);
        let control = Control::new(&[]);
        let converter = Converter {
            control,
            options: &options,
            object_arguments,
        };
        let call = PromptToolCall::new("callabcde", "function", format!("{{{NEEDLE}: 1}}"));
        // Some templates require null beside a call, others a text.
        [PromptContent::None, PromptContent::from("")]
            .into_iter()
            .find_map(|content| {
                let calls = PromptMessage::new(PromptRole::Assistant, content)
                    .with_tool_calls(vec![call.clone()]);
                let context = converter.context(&[PromptMessage::user("x"), calls]).ok()?;
                let mut out = String::new();
                self.engine.render_into(&mut out, root(context)).ok()?;
                Some(out)
            })
    }
}

const NEEDLE: &str = "\"argument_needle\"";
const PYTHON_NEEDLE: &str = "'argument_needle'";
