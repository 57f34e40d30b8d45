//! The built-in families, and what each one's format is made of.

mod chatml;
mod check;
mod deepseek;
mod instruct;
mod llama;
mod mistral;
mod qwen;
mod spec;
mod turns;

use alloc::string::String;
#[cfg(feature = "jinja")]
use alloc::vec::Vec;
use core::fmt;
use core::hash::{Hash, Hasher};

use crate::error::{Error, ErrorKind};
use crate::message::{Message, Role};
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
    /// Code Llama instruct: as Llama 2.
    pub const CODELLAMA: Self = Self(&llama::CODELLAMA);
    /// Cohere Command R: `<|START_OF_TURN_TOKEN|><|USER_TOKEN|>`.
    pub const COMMAND_R: Self = Self(&chatml::COMMAND_R);
    /// DeepSeek R1 and its distillates: `<｜User｜>`, and the answer begins with thoughts.
    pub const DEEPSEEK_R1: Self = Self(&deepseek::DEEPSEEK_R1);
    /// DeepSeek V3: `<｜User｜>`.
    pub const DEEPSEEK_V3: Self = Self(&deepseek::DEEPSEEK_V3);
    /// Falcon instruct: `User:` and `Assistant:`, parted by an empty line.
    pub const FALCON: Self = Self(&instruct::FALCON);
    /// Falcon 180B chat: `User:` and `Falcon:`.
    pub const FALCON_CHAT: Self = Self(&instruct::FALCON_CHAT);
    /// Flan-T5: an instruction as plain text.
    pub const FLAN_T5: Self = Self(&instruct::FLAN_T5);
    /// Gemma 1 and 2: `<start_of_turn>user`, without a system role.
    pub const GEMMA: Self = Self(&chatml::GEMMA);
    /// Gemma 3: as Gemma, with the system message in the first user's turn.
    pub const GEMMA_3: Self = Self(&chatml::GEMMA_3);
    /// IBM Granite 3: `<|start_of_role|>user<|end_of_role|>`.
    pub const GRANITE: Self = Self(&chatml::GRANITE);
    /// Llama 2 chat: `[INST] <<SYS>>`.
    pub const LLAMA_2: Self = Self(&llama::LLAMA_2);
    /// Llama 3 instruct: `<|start_header_id|>user<|end_header_id|>`.
    pub const LLAMA_3: Self = Self(&llama::LLAMA_3);
    /// Llama 3.1, 3.2 and 3.3: as Llama 3, with tools, and the date of
    /// [`Options::now`].
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
    /// MPT chat: ChatML with a system prompt of its own.
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
    /// No format at all: the messages' text, joined by an empty line. For base models, and the
    /// fallback that a caller may choose for a model that is not known.
    pub const PLAIN: Self = Self(&instruct::PLAIN);
    /// Qwen 1.5 and 2: ChatML with a system prompt of its own.
    pub const QWEN_2: Self = Self(&qwen::QWEN_2);
    /// Qwen 2.5: ChatML with tools and a system prompt of its own.
    pub const QWEN_2_5: Self = Self(&qwen::QWEN_2_5);
    /// Qwen 3: ChatML with tools and thoughts.
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
    /// WizardCoder: Alpaca, with the answer right behind `### Response:`.
    pub const WIZARDCODER: Self = Self(&instruct::WIZARDCODER);
    /// WizardLM 70B: as Vicuna.
    pub const WIZARDLM: Self = Self(&instruct::WIZARDLM);
    /// Zephyr: `<|user|>` and `</s>`.
    pub const ZEPHYR: Self = Self(&chatml::ZEPHYR);

    /// Every family, in the order of their names.
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

    /// The family of this [`name`](Self::name), whatever its case.
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

    /// Where the format comes from.
    pub const fn source(self) -> &'static str {
        self.0.source
    }

    /// The token that begins a prompt, or nothing.
    pub const fn bos(self) -> &'static str {
        self.0.bos
    }

    /// The token that ends an answer, or nothing.
    pub const fn eos(self) -> &'static str {
        self.0.eos
    }

    /// The sequences at which to stop generating.
    pub const fn stop(self) -> &'static [&'static str] {
        self.0.stop
    }

    /// The sequences that content must not forge: see
    /// [`ControlTokens`](crate::ControlTokens).
    pub const fn control_tokens(self) -> &'static [&'static str] {
        self.0.control.tokens()
    }

    /// Where a system message may stand.
    pub const fn system(self) -> SystemRole {
        self.0.system
    }

    /// The system prompt that is written where the conversation has none.
    pub const fn default_system(self) -> Option<&'static str> {
        self.0.default_system
    }

    /// Whether user and assistant must take turns.
    pub const fn alternates(self) -> bool {
        self.0.alternates
    }

    /// Whether tools, their calls and their answers have a place.
    pub const fn tools(self) -> bool {
        self.0.tools
    }

    /// The prompt for `messages`.
    ///
    /// # Errors
    ///
    /// When there is no message, or one that the format has no place for: an unknown role, roles
    /// out of turn, a tool's answer, a picture, no content; [`Strictness`] tells what to do with
    /// these. When a message holds a control token and the policy is to reject it.
    pub fn render(self, messages: &[Message<'_>], options: &Options) -> Result<String, Error> {
        let mut out = String::new();
        self.render_into(&mut out, messages, options)?;
        Ok(out)
    }

    /// Appends the prompt to `out`, which keeps its length when this fails.
    ///
    /// # Errors
    ///
    /// As [`render`](Self::render).
    pub fn render_into(
        self,
        out: &mut String,
        messages: &[Message<'_>],
        options: &Options,
    ) -> Result<(), Error> {
        let start = out.len();
        self.try_render(out, messages, options).map_err(|error| {
            out.truncate(start);
            error.in_template(self.name())
        })
    }

    /// Writes the prompt to `out`, or nothing of it when this fails.
    ///
    /// # Errors
    ///
    /// As [`render`](Self::render), and [`ErrorKind::Write`] when the writer fails.
    pub fn render_to(
        self,
        out: &mut dyn fmt::Write,
        messages: &[Message<'_>],
        options: &Options,
    ) -> Result<(), Error> {
        let prompt = self.render(messages, options)?;
        Ok(out.write_str(&prompt)?)
    }

    fn try_render(
        self,
        out: &mut String,
        messages: &[Message<'_>],
        options: &Options,
    ) -> Result<(), Error> {
        if options.continue_final && messages.last().is_none_or(|m| m.role != Role::Assistant) {
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
                    let (folded, places) = check::fold(self.0, messages);
                    return check::check(self.0, &folded, options)
                        .and_then(|()| self.write(out, &folded, options))
                        .map_err(|error| error.moved(&places));
                }
            }
        }
        self.write(out, messages, options)
    }

    fn write(
        self,
        out: &mut String,
        messages: &[Message<'_>],
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

/// The messages with neighbours of one role as one, and with the system's as the user's if the
/// template does not take them.
#[cfg(feature = "jinja")]
pub(crate) fn fold_for_template<'m>(
    messages: &'m [Message<'_>],
    takes_system: bool,
) -> Vec<Message<'m>> {
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
