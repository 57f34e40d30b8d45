//! Formats with words instead of control tokens, and plain text.

use crate::control::Control;
use crate::error::Error;
use crate::message::PromptRole;
use crate::prompt::Prompt;

use super::turns::{Others, Turns};
use super::{Spec, SystemRole, Text};

pub(super) static PLAIN: Spec = Spec { ..Spec::PLAIN };

pub(super) static FLAN_T5: Spec = Spec {
    name: "flan-t5",
    source: "google/flan-t5-large: an instruction as plain text",
    eos: "</s>",
    stop: &["</s>"],
    control: Control::new(&["<pad>", "</s>"]),
    ..Spec::PLAIN
};

pub(super) static ALPACA: Spec = Spec {
    name: "alpaca",
    source: "tatsu-lab/stanford_alpaca train.py, PROMPT_DICT",
    bos: "<s>",
    eos: "</s>",
    stop: &["</s>", "### Instruction:"],
    control: Control::new(&["### Instruction:", "### Response:", "<s>", "</s>"]),
    system: SystemRole::First,
    default_system: Some(ALPACA_PREFACE),
    alternates: true,
    text: Text::Trimmed,
    write: |prompt| {
        Turns {
            system: ["", "\n\n"],
            user: ["### Instruction:\n", "\n\n"],
            assistant: ["### Response:\n", "</s>\n\n"],
            generation: "### Response:\n",
            others: Others::Dropped,
        }
        .write(prompt)
    },
    ..Spec::PLAIN
};

pub(super) static NOUS_HERMES: Spec = Spec {
    name: "nous-hermes",
    source: "the model card of NousResearch/Nous-Hermes-Llama2-13b: Alpaca's, without its preface",
    default_system: None,
    ..ALPACA
};

pub(super) static CHRONOS_HERMES: Spec = Spec {
    name: "chronos-hermes",
    source: "the model card of Austism/chronos-hermes-13b: Alpaca's, without its preface",
    ..NOUS_HERMES
};

pub(super) static WIZARDCODER: Spec = Spec {
    name: "wizardcoder",
    source: "the model card of WizardLM/WizardCoder-Python-34B-V1.0",
    write: |prompt| {
        Turns {
            system: ["", "\n\n"],
            user: ["### Instruction:\n", "\n\n"],
            assistant: ["### Response:", "</s>\n\n"],
            generation: "### Response:",
            others: Others::Dropped,
        }
        .write(prompt)
    },
    ..ALPACA
};

pub(super) static PHIND_CODELLAMA: Spec = Spec {
    name: "phind-codellama",
    source: "the model card of Phind/Phind-CodeLlama-34B-v2",
    bos: "<s>",
    eos: "</s>",
    stop: &["</s>", "### User Message"],
    control: Control::new(&[
        "### System Prompt",
        "### User Message",
        "### Assistant",
        "<s>",
        "</s>",
    ]),
    system: SystemRole::First,
    alternates: true,
    text: Text::Trimmed,
    write: |prompt| {
        Turns {
            system: ["### System Prompt\n", "\n\n"],
            user: ["### User Message\n", "\n\n"],
            assistant: ["### Assistant\n", "</s>\n\n"],
            generation: "### Assistant\n",
            others: Others::Dropped,
        }
        .write(prompt)
    },
    ..Spec::PLAIN
};

pub(super) static SOLAR: Spec = Spec {
    name: "solar",
    source: "the model card of upstage/SOLAR-0-70b-16bit",
    bos: "<s>",
    eos: "</s>",
    stop: &["</s>", "### User:"],
    control: Control::new(&["### System:", "### User:", "### Assistant:", "<s>", "</s>"]),
    system: SystemRole::First,
    alternates: true,
    text: Text::Trimmed,
    write: |prompt| {
        Turns {
            system: ["### System:\n", "\n\n"],
            user: ["### User:\n", "\n\n"],
            assistant: ["### Assistant:\n", "\n\n"],
            generation: "### Assistant:\n",
            others: Others::Dropped,
        }
        .write(prompt)
    },
    ..Spec::PLAIN
};

pub(super) static SQLCODER: Spec = Spec {
    name: "sqlcoder",
    source: "defog-ai/sqlcoder prompt.md: the rules are the system's, question and schema the user's",
    eos: "<|endoftext|>",
    stop: &["```", "<|endoftext|>"],
    control: Control::new(&[
        "### Instructions:",
        "### Input:",
        "### Response:",
        "<|endoftext|>",
    ]),
    system: SystemRole::First,
    default_system: Some(
        "Your task is to convert a question into a SQL query, given a Postgres database schema.",
    ),
    alternates: true,
    text: Text::Trimmed,
    write: |prompt| {
        Turns {
            system: ["### Instructions:\n", "\n\n"],
            user: ["### Input:\n", "\n\n"],
            assistant: ["### Response:\n", "\n\n"],
            generation: "### Response:\n",
            others: Others::Dropped,
        }
        .write(prompt)
    },
    ..Spec::PLAIN
};

pub(super) static NSQL: Spec = Spec {
    name: "nsql",
    source: "the model card of NumbersStation/nsql-llama-2-7B: the schema is the system's, the \
             question the user's; the answer begins after SELECT",
    bos: "<s>",
    eos: "</s>",
    stop: &["</s>", "\n\n"],
    control: Control::new(&["<s>", "</s>"]),
    system: SystemRole::First,
    alternates: true,
    text: Text::Trimmed,
    write: |prompt| {
        Turns {
            system: ["", "\n\n"],
            user: [NSQL_INSTRUCTION, "\n\n"],
            assistant: ["", "\n\n"],
            generation: "SELECT",
            others: Others::Dropped,
        }
        .write(prompt)
    },
    ..Spec::PLAIN
};

pub(super) static VICUNA: Spec = Spec {
    name: "vicuna",
    source: "lm-sys/FastChat conversation.py, vicuna_v1.1",
    bos: "<s>",
    eos: "</s>",
    stop: &["</s>"],
    control: Control::new(&["USER:", "ASSISTANT:", "<s>", "</s>"]),
    system: SystemRole::First,
    default_system: Some(
        "A chat between a curious user and an artificial intelligence assistant. The assistant \
         gives helpful, detailed, and polite answers to the user's questions.",
    ),
    alternates: true,
    text: Text::Trimmed,
    write: |prompt| {
        Turns {
            system: ["", " "],
            user: ["USER: ", " "],
            assistant: ["ASSISTANT: ", "</s>"],
            generation: "ASSISTANT:",
            others: Others::Dropped,
        }
        .write(prompt)
    },
    ..Spec::PLAIN
};

pub(super) static WIZARDLM: Spec = Spec {
    name: "wizardlm",
    source: "the model card of WizardLM/WizardLM-70B-V1.0: Vicuna's",
    ..VICUNA
};

pub(super) static REDPAJAMA: Spec = Spec {
    name: "redpajama",
    source: "the model card of togethercomputer/RedPajama-INCITE-7B-Chat",
    eos: "<|endoftext|>",
    stop: &["<human>", "<|endoftext|>"],
    control: Control::new(&["<human>:", "<bot>:", "<|endoftext|>"]),
    system: SystemRole::Nowhere,
    alternates: true,
    text: Text::Trimmed,
    write: |prompt| {
        Turns {
            system: ["", "\n"],
            user: ["<human>: ", "\n"],
            assistant: ["<bot>: ", "\n"],
            generation: "<bot>:",
            others: Others::Dropped,
        }
        .write(prompt)
    },
    ..Spec::PLAIN
};

pub(super) static FALCON: Spec = Spec {
    name: "falcon",
    source: "the chat template of tiiuae/falcon-7b-instruct",
    eos: "<|endoftext|>",
    stop: &["<|endoftext|>", "\nUser:"],
    control: Control::new(&["User:", "Assistant:", "<|endoftext|>"]),
    system: SystemRole::First,
    alternates: true,
    needs_message: true,
    text: Text::Trimmed,
    write: write_falcon,
    ..Spec::PLAIN
};

pub(super) static FALCON_CHAT: Spec = Spec {
    name: "falcon-chat",
    source: "the model card of tiiuae/falcon-180B-chat",
    eos: "<|endoftext|>",
    stop: &["<|endoftext|>", "\nUser:"],
    control: Control::new(&["System:", "User:", "Falcon:", "<|endoftext|>"]),
    system: SystemRole::First,
    text: Text::Verbatim,
    write: |prompt| {
        Turns {
            system: ["System: ", "\n"],
            user: ["User: ", "\n"],
            assistant: ["Falcon: ", "\n"],
            generation: "Falcon:",
            others: Others::Dropped,
        }
        .write(prompt)
    },
    ..Spec::PLAIN
};

fn write_falcon(prompt: &mut Prompt<'_>) -> Result<(), Error> {
    let start = usize::from(prompt.has_system());
    for (index, message) in prompt.messages.iter().enumerate() {
        if index < start {
            prompt.content(index)?;
            continue;
        }
        prompt.check_turn(index, start)?;
        match message.role {
            PromptRole::User => prompt.push("\n\nUser: "),
            PromptRole::Assistant => prompt.push("\n\nAssistant: "),
            _ => continue,
        }
        // Turns are separated by an empty line, so a turn must not contain one.
        let text = prompt
            .text(index)?
            .replace("\r\n", "\n")
            .replace("\n\n", "\n");
        prompt.untrusted(index, &text)?;
        if prompt.is_continued(index) {
            return Ok(());
        }
    }
    prompt.generation("\n\nAssistant:");
    Ok(())
}

const NSQL_INSTRUCTION: &str = "-- Using valid SQLite, answer the following questions for the \
                                tables provided above.\n\n-- ";
const ALPACA_PREFACE: &str = "Below is an instruction that describes a task. Write a \
                                       response that appropriately completes the request.";
