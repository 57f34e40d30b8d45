//! The built-in families and their formats.

mod chatml;
mod check;
mod deepseek;
mod instruct;
mod llama;
mod mistral;
mod qwen;
mod spec;
mod turns;

use alloc::format;
use alloc::string::String;
#[cfg(feature = "jinja")]
use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::str::FromStr;

use crate::error::{Error, ErrorKind};
use crate::message::{PromptMessage, PromptRole};
use crate::options::{Options, Strictness};
use crate::prompt::Prompt;

pub use spec::SystemRole;
pub(crate) use spec::{Spec, Text};

/// A prompt format that a line of models was trained on.
///
/// ```
/// use prompt_templates::Family;
///
/// let family = Family::from_name("llama-3").ok_or("no such family")?;
/// assert_eq!(family, Family::LLAMA_3);
/// assert_eq!(family.stop(), ["<|eot_id|>", "<|end_of_text|>"]);
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy)]
pub struct Family(&'static Spec);

impl Family {
    /// Stanford Alpaca: `### Instruction:` and `### Response:`, after a preface.
    pub const ALPACA: Self = Self(&instruct::ALPACA);
    /// ChatML: `<|im_start|>user`, any role anywhere.
    pub const CHATML: Self = Self(&chatml::CHATML);
    /// Chronos Hermes: Alpaca without its preface.
    pub const CHRONOS_HERMES: Self = Self(&instruct::CHRONOS_HERMES);
    /// Code Llama instruct: like Llama 2.
    pub const CODELLAMA: Self = Self(&llama::CODELLAMA);
    /// Cohere Command R: `<|START_OF_TURN_TOKEN|><|USER_TOKEN|>`.
    pub const COMMAND_R: Self = Self(&chatml::COMMAND_R);
    /// DeepSeek R1 and its distillates: `<｜User｜>`, and the output starts with reasoning.
    pub const DEEPSEEK_R1: Self = Self(&deepseek::DEEPSEEK_R1);
    /// DeepSeek V3: `<｜User｜>`.
    pub const DEEPSEEK_V3: Self = Self(&deepseek::DEEPSEEK_V3);
    /// Falcon instruct: `User:` and `Assistant:`, separated by an empty line.
    pub const FALCON: Self = Self(&instruct::FALCON);
    /// Falcon 180B chat: `User:` and `Falcon:`.
    pub const FALCON_CHAT: Self = Self(&instruct::FALCON_CHAT);
    /// Flan-T5: an instruction as plain text.
    pub const FLAN_T5: Self = Self(&instruct::FLAN_T5);
    /// Gemma 1 and 2: `<start_of_turn>user`, without a system role.
    pub const GEMMA: Self = Self(&chatml::GEMMA);
    /// Gemma 3: like Gemma, with the system message in the first user turn.
    pub const GEMMA_3: Self = Self(&chatml::GEMMA_3);
    /// IBM Granite 3: `<|start_of_role|>user<|end_of_role|>`.
    pub const GRANITE: Self = Self(&chatml::GRANITE);
    /// Llama 2 chat: `[INST] <<SYS>>`.
    pub const LLAMA_2: Self = Self(&llama::LLAMA_2);
    /// Llama 3 instruct: `<|start_header_id|>user<|end_header_id|>`.
    pub const LLAMA_3: Self = Self(&llama::LLAMA_3);
    /// Llama 3.1, 3.2 and 3.3: like Llama 3, with tools, and the date from [`Options::now`].
    pub const LLAMA_3_1: Self = Self(&llama::LLAMA_3_1);
    /// Llama 4: `<|header_start|>user<|header_end|>`.
    pub const LLAMA_4: Self = Self(&llama::LLAMA_4);
    /// Mistral Nemo and later with the Tekken tokenizer: `[INST]` without spaces, and tools.
    pub const MISTRAL_NEMO: Self = Self(&mistral::MISTRAL_NEMO);
    /// Mistral 7B instruct v0.1: `[INST]` without a system role.
    pub const MISTRAL_V1: Self = Self(&mistral::MISTRAL_V1);
    /// Mistral 7B instruct v0.3 and Mistral Large 2407: `[INST]` with tools.
    pub const MISTRAL_V3: Self = Self(&mistral::MISTRAL_V3);
    /// Mixtral, and Mistral 7B instruct v0.2.
    pub const MIXTRAL: Self = Self(&mistral::MIXTRAL);
    /// MPT chat: ChatML with a default system prompt.
    pub const MPT: Self = Self(&chatml::MPT);
    /// Nous Hermes Llama 2: Alpaca without its preface.
    pub const NOUS_HERMES: Self = Self(&instruct::NOUS_HERMES);
    /// NSQL: the schema, the question as an SQL comment, and `SELECT`.
    pub const NSQL: Self = Self(&instruct::NSQL);
    /// OpenAssistant SFT on Llama 2: ChatML.
    pub const OASST: Self = Self(&chatml::OASST);
    /// OpenChat 3.5: `GPT4 Correct User:`.
    pub const OPENCHAT: Self = Self(&chatml::OPENCHAT);
    /// Phi-3 and Phi-3.5: `<|user|>` and `<|end|>`.
    pub const PHI_3: Self = Self(&chatml::PHI_3);
    /// Phi-4: `<|im_start|>user<|im_sep|>`.
    pub const PHI_4: Self = Self(&chatml::PHI_4);
    /// Phind CodeLlama v2: `### User Message`.
    pub const PHIND_CODELLAMA: Self = Self(&instruct::PHIND_CODELLAMA);
    /// No format: the text of the messages, joined with an empty line. For base models, and as a
    /// fallback that a caller may choose for an unknown model.
    pub const PLAIN: Self = Self(&instruct::PLAIN);
    /// Qwen 1.5 and 2: ChatML with a default system prompt.
    pub const QWEN_2: Self = Self(&qwen::QWEN_2);
    /// Qwen 2.5: ChatML with tools and a default system prompt.
    pub const QWEN_2_5: Self = Self(&qwen::QWEN_2_5);
    /// Qwen 3: ChatML with tools and reasoning.
    pub const QWEN_3: Self = Self(&qwen::QWEN_3);
    /// RedPajama INCITE chat: `<human>:` and `<bot>:`.
    pub const REDPAJAMA: Self = Self(&instruct::REDPAJAMA);
    /// Upstage SOLAR-0: `### User:`.
    pub const SOLAR: Self = Self(&instruct::SOLAR);
    /// Defog SQLCoder: `### Instructions:`, `### Input:` and `### Response:`.
    pub const SQLCODER: Self = Self(&instruct::SQLCODER);
    /// StarChat: `<|user|>` and `<|end|>`, after a system turn that may be empty.
    pub const STARCHAT: Self = Self(&chatml::STARCHAT);
    /// Vicuna 1.1: `USER:` and `ASSISTANT:`.
    pub const VICUNA: Self = Self(&instruct::VICUNA);
    /// WizardCoder: Alpaca, with the output directly after `### Response:`.
    pub const WIZARDCODER: Self = Self(&instruct::WIZARDCODER);
    /// WizardLM 70B: like Vicuna.
    pub const WIZARDLM: Self = Self(&instruct::WIZARDLM);
    /// Zephyr: `<|user|>` and `</s>`.
    pub const ZEPHYR: Self = Self(&chatml::ZEPHYR);

    /// Every family, sorted by name.
    pub const ALL: &'static [Self] = &[
        Self::ALPACA,
        Self::CHATML,
        Self::CHRONOS_HERMES,
        Self::CODELLAMA,
        Self::COMMAND_R,
        Self::DEEPSEEK_R1,
        Self::DEEPSEEK_V3,
        Self::FALCON,
        Self::FALCON_CHAT,
        Self::FLAN_T5,
        Self::GEMMA,
        Self::GEMMA_3,
        Self::GRANITE,
        Self::LLAMA_2,
        Self::LLAMA_3,
        Self::LLAMA_3_1,
        Self::LLAMA_4,
        Self::MISTRAL_NEMO,
        Self::MISTRAL_V1,
        Self::MISTRAL_V3,
        Self::MIXTRAL,
        Self::MPT,
        Self::NOUS_HERMES,
        Self::NSQL,
        Self::OASST,
        Self::OPENCHAT,
        Self::PHI_3,
        Self::PHI_4,
        Self::PHIND_CODELLAMA,
        Self::PLAIN,
        Self::QWEN_2,
        Self::QWEN_2_5,
        Self::QWEN_3,
        Self::REDPAJAMA,
        Self::SOLAR,
        Self::SQLCODER,
        Self::STARCHAT,
        Self::VICUNA,
        Self::WIZARDCODER,
        Self::WIZARDLM,
        Self::ZEPHYR,
    ];

    /// Finds the family with this [`name`](Self::name), ignoring case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|family| family.name().eq_ignore_ascii_case(name))
            .copied()
    }

    /// The name, such as `llama-3`.
    pub const fn name(self) -> &'static str {
        self.0.name
    }

    /// Where the format is documented, such as the official chat template.
    pub const fn source(self) -> &'static str {
        self.0.source
    }

    /// The token that starts a prompt; empty if there is none.
    pub const fn bos(self) -> &'static str {
        self.0.bos
    }

    /// The token that ends the assistant's turn; empty if there is none.
    pub const fn eos(self) -> &'static str {
        self.0.eos
    }

    /// The sequences at which to stop generating.
    pub const fn stop(self) -> &'static [&'static str] {
        self.0.stop
    }

    /// The sequences that content must not contain: see
    /// [`ControlTokens`](crate::ControlTokens).
    pub const fn control_tokens(self) -> &'static [&'static str] {
        self.0.control.tokens()
    }

    /// The position at which the format supports a system message.
    pub const fn system(self) -> SystemRole {
        self.0.system
    }

    /// The default system prompt, written if the conversation has no system message.
    pub const fn default_system(self) -> Option<&'static str> {
        self.0.default_system
    }

    /// Whether user and assistant must alternate.
    pub const fn alternates(self) -> bool {
        self.0.alternates
    }

    /// Whether the format supports tools, tool calls and tool results.
    pub const fn tools(self) -> bool {
        self.0.tools
    }

    /// Renders the prompt for `messages`.
    ///
    /// # Errors
    ///
    /// If there are no messages, or if the format does not support one: an unknown role, roles that
    /// do not alternate, a tool result, an image, no content. [`Strictness`] is the policy for
    /// these. Also if a message contains a control token and the policy is to reject it.
    pub fn render(
        self,
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
        self,
        out: &mut String,
        messages: &[PromptMessage<'_>],
        options: &Options,
    ) -> Result<(), Error> {
        let start = out.len();
        self.try_render(out, messages, options).map_err(|error| {
            out.truncate(start);
            error.in_template(self.name())
        })
    }

    /// Writes the prompt to `out`; on failure, nothing is written.
    ///
    /// # Errors
    ///
    /// Those of [`render`](Self::render), and [`ErrorKind::Write`] if the writer fails.
    pub fn render_to(
        self,
        out: &mut dyn fmt::Write,
        messages: &[PromptMessage<'_>],
        options: &Options,
    ) -> Result<(), Error> {
        let prompt = self.render(messages, options)?;
        Ok(out.write_str(&prompt)?)
    }

    fn try_render(
        self,
        out: &mut String,
        messages: &[PromptMessage<'_>],
        options: &Options,
    ) -> Result<(), Error> {
        if options.continue_final
            && messages
                .last()
                .is_none_or(|m| m.role != PromptRole::Assistant)
        {
            let detail = "only a last message of the assistant can be continued";
            return Err(Error::new(ErrorKind::Continuation, detail));
        }
        match options.strictness {
            Strictness::Official if messages.is_empty() && self.0.needs_message => {
                return Err(check::no_message());
            }
            Strictness::Official => {}
            Strictness::Strict => check::check(self.0, messages, options)?,
            Strictness::Fold => {
                if check::check(self.0, messages, options).is_err() {
                    let (folded, origins) = check::fold(self.0, messages);
                    return check::check(self.0, &folded, options)
                        .and_then(|()| self.write(out, &folded, options))
                        .map_err(|error| error.with_original_index(&origins));
                }
            }
        }
        self.write(out, messages, options)
    }

    fn write(
        self,
        out: &mut String,
        messages: &[PromptMessage<'_>],
        options: &Options,
    ) -> Result<(), Error> {
        (self.0.write)(&mut Prompt::new(out, self.0, messages, options))
    }
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Family").field(&self.name()).finish()
    }
}

impl FromStr for Family {
    type Err = Error;

    /// Like [`from_name`](Family::from_name); an unknown name is [`ErrorKind::Config`].
    fn from_str(name: &str) -> Result<Self, Error> {
        Self::from_name(name).ok_or_else(|| {
            let start: String = name.chars().take(MAX_NAME).collect();
            let detail = format!("unknown template family {start:?}; `Family::ALL` lists them");
            Error::new(ErrorKind::Config, detail)
        })
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Eq for Family {}

impl PartialEq for Family {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Hash for Family {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

/// The messages with adjacent ones of the same role joined, and system messages as user messages if
/// the template does not accept them.
#[cfg(feature = "jinja")]
pub(crate) fn fold_for_template<'m>(
    messages: &'m [PromptMessage<'_>],
    takes_system: bool,
) -> Vec<PromptMessage<'m>> {
    let system = if takes_system {
        SystemRole::First
    } else {
        SystemRole::Nowhere
    };
    let spec = Spec {
        system,
        alternates: true,
        ..Spec::PLAIN
    };
    check::fold(&spec, messages).0
}

/// The rest of a longer name is left out of an error.
const MAX_NAME: usize = 64;
