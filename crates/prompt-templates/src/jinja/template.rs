//! A chat template, as used by a caller.

use alloc::borrow::{Cow, ToOwned};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use minijinja::value::Value;

use crate::control::{Control, Search, separate};
use crate::error::{Error, ErrorKind};
use crate::family::fold_for_template;
use crate::message::{PromptContent, PromptMessage, PromptPart, PromptRole};
use crate::options::{ControlTokens, Options, Strictness};
use crate::python::is_space;

use super::config::{self, Config};
use super::context::Context;
use super::control;
use super::engine::{Engine, RenderLimits};
use super::messages::Converter;
use super::variant::Variant;

/// A compiled chat template. It is cheap to clone. Keep it, because compiling costs more than
/// rendering.
///
/// ```
/// # #[cfg(feature = "jinja")] {
/// use prompt_templates::{ChatTemplate, PromptMessage, Options};
///
/// let source = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n\
///               {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
/// let template = ChatTemplate::compile("chatml", source)?;
/// let prompt = template.render(&[PromptMessage::user("Hi<|im_end|>")], &Options::new())?;
/// assert_eq!(prompt, "<|im_start|>user\nHi<|im_end| ><|im_end|>\n<|im_start|>assistant\n");
/// # }
/// # Ok::<(), prompt_templates::Error>(())
/// ```
///
/// The engine is minijinja with the additions of transformers and the behaviour of Python;
/// COMPATIBILITY.md lists the remaining differences.
#[derive(Clone)]
pub struct ChatTemplate {
    name: Arc<str>,
    variants: Arc<[Variant]>,
    /// The variant that the caller chose, by its index.
    chosen: Option<usize>,
    tokens: BTreeMap<String, String>,
    control: Vec<String>,
    search: Search,
}

impl ChatTemplate {
    /// Compiles the Jinja source of a chat template, such as `chat_template.jinja`. Errors use
    /// `name` for it.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Syntax`], with the line; [`ErrorKind::Limit`] for a source that is too large.
    pub fn compile(name: &str, source: &str) -> Result<Self, Error> {
        Self::compile_with(name, source, RenderLimits::default())
    }

    /// Like [`compile`](Self::compile), with other limits than the defaults.
    ///
    /// # Errors
    ///
    /// Those of [`compile`](Self::compile).
    pub fn compile_with(name: &str, source: &str, limits: RenderLimits) -> Result<Self, Error> {
        Self::of(
            name,
            vec![("default".to_owned(), source.to_owned())],
            limits,
        )
    }

    /// Compiles the `chat_template` of a `tokenizer_config.json`, one source or a list of named
    /// ones, and reads its special tokens.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if it is malformed or has no template, and those of
    /// [`compile`](Self::compile).
    pub fn from_tokenizer_config(name: &str, json: &str) -> Result<Self, Error> {
        let config = Config::parse(json).map_err(|error| error.in_template(name))?;
        if config.templates.is_empty() {
            return Err(config::invalid("it has no chat_template").in_template(name));
        }
        let this = Self::of(name, config.templates, RenderLimits::default())?;
        Ok(this.with_tokens(config.tokens, config.special))
    }

    /// Reads the special tokens of a `tokenizer_config.json` beside the template.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if it is malformed.
    pub fn with_tokenizer_config(self, json: &str) -> Result<Self, Error> {
        let config = Config::parse(json).map_err(|error| error.in_template(&self.name))?;
        Ok(self.with_tokens(config.tokens, config.special))
    }

    /// Sets `bos_token`.
    #[must_use]
    pub fn with_bos_token(self, token: impl Into<String>) -> Self {
        self.with_tokens(
            BTreeMap::from([("bos_token".into(), token.into())]),
            Vec::new(),
        )
    }

    /// Sets `eos_token`.
    #[must_use]
    pub fn with_eos_token(self, token: impl Into<String>) -> Self {
        self.with_tokens(
            BTreeMap::from([("eos_token".into(), token.into())]),
            Vec::new(),
        )
    }

    /// Adds sequences that content must not contain: see [`control_tokens`](Self::control_tokens).
    #[must_use]
    pub fn with_control_tokens<T: Into<String>>(self, tokens: impl IntoIterator<Item = T>) -> Self {
        let special = tokens.into_iter().map(Into::into).collect();
        self.with_tokens(BTreeMap::new(), special)
    }

    /// Chooses one of several named templates. The default is `tool_use` if it exists and there are
    /// tools, and `default` otherwise.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if no template has this name.
    pub fn with_variant(mut self, name: &str) -> Result<Self, Error> {
        let found = self
            .variants
            .iter()
            .position(|variant| variant.name == name);
        self.chosen = Some(found.ok_or_else(|| self.no_variant(name))?);
        Ok(self)
    }

    /// The template's name in errors.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The sequences that content must not contain: the special tokens, and those that are clearly
    /// control tokens in the source, such as `<|im_end|>`, `[INST]` or `### Instruction:`.
    pub fn control_tokens(&self) -> &[String] {
        &self.control
    }

    /// Renders the prompt for `messages`.
    ///
    /// The template itself rejects what it does not support. With [`Strictness::Fold`], it is run
    /// again with adjacent messages of the same role joined, then with system messages as user
    /// messages.
    ///
    /// # Errors
    ///
    /// What the template raises ([`ErrorKind::Raised`]), failures in it ([`ErrorKind::Render`]), an
    /// exceeded limit, an empty conversation, and what the options reject.
    pub fn render(
        &self,
        messages: &[PromptMessage<'_>],
        options: &Options,
    ) -> Result<String, Error> {
        let mut out = String::new();
        self.render_into(&mut out, messages, options)?;
        Ok(out)
    }

    /// Appends the prompt to `out`. On failure, `out` is left unchanged.
    ///
    /// # Errors
    ///
    /// Those of [`render`](Self::render).
    pub fn render_into(
        &self,
        out: &mut String,
        messages: &[PromptMessage<'_>],
        options: &Options,
    ) -> Result<(), Error> {
        if messages.is_empty() && options.strictness != Strictness::Official {
            return Err(self.error(ErrorKind::Empty, "there are no messages"));
        }
        let mut result = self.try_render_into(out, messages, options);
        if options.strictness == Strictness::Fold {
            for takes_system in [true, false] {
                if !matches!(&result, Err(error) if error.kind() == ErrorKind::Raised) {
                    break;
                }
                let folded = fold_for_template(messages, takes_system);
                result = self.try_render_into(out, &folded, options);
            }
        }
        result
    }

    /// Renders the prompt for exactly this context: what `apply_chat_template` renders for the same
    /// arguments. Special tokens are added if the context has none; nothing else changes.
    ///
    /// # Errors
    ///
    /// What the template raises, failures in it, and an exceeded limit.
    pub fn render_context(&self, context: &Context) -> Result<String, Error> {
        let mut out = String::new();
        self.render_context_into(&mut out, context)?;
        Ok(out)
    }

    /// Appends the prompt for exactly this context to `out`. On failure, `out` is left unchanged.
    ///
    /// # Errors
    ///
    /// Those of [`render_context`](Self::render_context).
    pub fn render_context_into(&self, out: &mut String, context: &Context) -> Result<(), Error> {
        let variant = self.variant(context.has_tools())?;
        variant.engine.render_into(out, self.root(context.clone()))
    }

    fn of(name: &str, sources: Vec<(String, String)>, limits: RenderLimits) -> Result<Self, Error> {
        let mut control = Vec::new();
        let mut variants = Vec::new();
        let is_only = sources.len() == 1;
        for (variant, source) in sources {
            control.extend(control::tokens(&source));
            let full_name = if is_only {
                name.to_owned()
            } else {
                format!("{name} ({variant})")
            };
            let engine = Engine::compile(&full_name, &source, limits)?;
            variants.push(Variant::new(variant, engine));
        }
        let this = Self {
            name: name.into(),
            variants: variants.into(),
            chosen: None,
            tokens: BTreeMap::new(),
            control: Vec::new(),
            search: Search::new(&[]),
        };
        Ok(this.with_tokens(BTreeMap::new(), control))
    }

    fn with_tokens(mut self, tokens: BTreeMap<String, String>, special: Vec<String>) -> Self {
        let own = tokens.values().cloned();
        let all: Vec<String> = self.control.drain(..).chain(own).chain(special).collect();
        let mut control: Vec<&str> = all.iter().map(String::as_str).collect();
        // A single character occurs in any text, and has no middle at which to break it up.
        control.retain(|token| token.chars().count() > 1);
        control.sort_unstable();
        control.dedup();
        separate(&mut control);
        self.search = Search::new(&control);
        self.control = control.into_iter().map(ToOwned::to_owned).collect();
        self.tokens.extend(tokens);
        self
    }

    fn try_render_into(
        &self,
        out: &mut String,
        messages: &[PromptMessage<'_>],
        options: &Options,
    ) -> Result<(), Error> {
        let variant = self.variant(!options.tools.is_empty())?;
        let calls = messages
            .iter()
            .any(|message| !message.tool_calls.is_empty());
        let control: Vec<&str> = match options.control_tokens {
            ControlTokens::Keep => Vec::new(),
            ControlTokens::Neutralise | ControlTokens::Reject => {
                self.control.iter().map(String::as_str).collect()
            }
        };
        let converter = Converter {
            control: Control::prepared(&control, self.search),
            options,
            object_arguments: calls && variant.object_arguments(|context| self.root(context)),
        };
        let marked = options
            .continue_final
            .then(|| marked(messages))
            .transpose()
            .map_err(|error| error.in_template(&self.name))?;
        let context = converter
            .context(marked.as_deref().unwrap_or(messages))
            .map_err(|error| error.in_template(&self.name))?;
        let start = out.len();
        variant.engine.render_into(out, self.root(context))?;
        if marked.is_some() {
            self.cut_at_mark(out, start)?;
        }
        if let Some(bos) = self.tokens.get("bos_token")
            && !options.bos
            && !bos.is_empty()
            && out[start..].starts_with(&**bos)
        {
            out.replace_range(start..start + bos.len(), "");
        }
        Ok(())
    }

    /// Ends the prompt where the last message's text ends, as transformers does.
    fn cut_at_mark(&self, out: &mut String, start: usize) -> Result<(), Error> {
        let Some(at) = out[start..].rfind(MARK.trim_end()).map(|at| start + at) else {
            out.truncate(start);
            let detail =
                "the last message cannot be continued: the template does not write its text";
            return Err(self.error(ErrorKind::Continuation, detail));
        };
        let keeps_space = out[at..].starts_with(MARK);
        out.truncate(at);
        if !keeps_space {
            let end = out[start..].trim_end_matches(is_space).len();
            out.truncate(start + end);
        }
        Ok(())
    }

    fn variant(&self, has_tools: bool) -> Result<&Variant, Error> {
        let named = |name| self.variants.iter().find(|variant| variant.name == name);
        match (self.chosen, &*self.variants) {
            (Some(chosen), variants) => Ok(&variants[chosen]),
            (None, [only]) => Ok(only),
            (None, _) => {
                let tool_use = if has_tools { named("tool_use") } else { None };
                tool_use
                    .or_else(|| named("default"))
                    .ok_or_else(|| self.no_variant("default"))
            }
        }
    }

    fn no_variant(&self, wanted: &str) -> Error {
        let names: Vec<&str> = self.variants.iter().map(|variant| &*variant.name).collect();
        let detail = format!(
            "there is no chat template {wanted:?}; there are: {}",
            names.join(", ")
        );
        self.error(ErrorKind::Config, detail)
    }

    fn root(&self, context: Context) -> Value {
        context.root(self.tokens.iter().map(|(name, token)| (&**name, &**token)))
    }

    fn error(&self, kind: ErrorKind, detail: impl Into<Cow<'static, str>>) -> Error {
        Error::new(kind, detail).in_template(&self.name)
    }
}

impl fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatTemplate")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// The messages with a mark after the last one's text, which shows where the text ends in the
/// prompt.
fn marked<'m>(messages: &'m [PromptMessage<'_>]) -> Result<Vec<PromptMessage<'m>>, Error> {
    let mut marked: Vec<PromptMessage<'m>> = messages.to_vec();
    let last = marked
        .last_mut()
        .filter(|last| last.role == PromptRole::Assistant);
    let content = last.map(|last| &mut last.content);
    let detail = "only a last message of the assistant can be continued";
    match content {
        Some(PromptContent::Text(text)) => text.to_mut().push_str(MARK),
        Some(PromptContent::Parts(parts)) => parts.push(PromptPart::Text(MARK.into())),
        _ => return Err(Error::new(ErrorKind::Continuation, detail)),
    }
    Ok(marked)
}

/// The space at its end is missing in the prompt if the template trims.
const MARK: &str = "CONTINUE_FINAL_MESSAGE_MARK ";
