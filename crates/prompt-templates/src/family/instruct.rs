//! Formats by words instead of control tokens.

use super::{Format, Spec, SystemRole, Text, Turns};

pub(super) static ALPACA: Spec = Spec {
    name: "alpaca",
    source: "tatsu-lab/stanford_alpaca train.py, PROMPT_DICT",
    bos: "<s>",
    eos: "</s>",
    stop: &["</s>", "### Instruction:"],
    control: &["### Instruction:", "### Response:", "<s>", "</s>"],
    system: SystemRole::First,
    default_system: Some(
        "Below is an instruction that describes a task. Write a response that appropriately \
         completes the request.",
    ),
    alternates: true,
    tools: false,
    text: Text::Trimmed,
    format: Format::Turns(Turns {
        system: ["", "\n\n"],
        user: ["### Instruction:\n", "\n\n"],
        assistant: ["### Response:\n", "</s>\n\n"],
        generation: "### Response:\n",
    }),
};

pub(super) static PLAIN: Spec = Spec {
    name: "plain",
    source: "text completion: base models have no format",
    bos: "",
    eos: "",
    stop: &[],
    control: &[],
    system: SystemRole::Anywhere,
    default_system: None,
    alternates: false,
    tools: false,
    text: Text::Verbatim,
    format: Format::Code(|prompt| {
        prompt.bos()?;
        for index in 0..prompt.messages.len() {
            if index > 0 {
                prompt.push("\n\n")?;
            }
            prompt.content(index)?;
        }
        Ok(())
    }),
};

pub(super) static VICUNA: Spec = Spec {
    name: "vicuna",
    source: "lm-sys/FastChat conversation.py, vicuna_v1.1",
    bos: "<s>",
    eos: "</s>",
    stop: &["</s>"],
    control: &["USER:", "ASSISTANT:", "<s>", "</s>"],
    system: SystemRole::First,
    default_system: Some(
        "A chat between a curious user and an artificial intelligence assistant. The assistant \
         gives helpful, detailed, and polite answers to the user's questions.",
    ),
    alternates: true,
    tools: false,
    text: Text::Trimmed,
    format: Format::Turns(Turns {
        system: ["", " "],
        user: ["USER: ", " "],
        assistant: ["ASSISTANT: ", "</s>"],
        generation: "ASSISTANT:",
    }),
};
