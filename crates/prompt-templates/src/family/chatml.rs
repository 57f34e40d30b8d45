//! ChatML and the formats that follow it.

use super::{Format, Spec, SystemRole, Text, Turns};

pub(super) static CHATML: Spec = Spec {
    name: "chatml",
    source: "openai/openai-python chatml.md; the chat template of teknium/OpenHermes-2.5-Mistral-7B",
    bos: "",
    eos: "<|im_end|>",
    stop: &["<|im_end|>"],
    control: &["<|im_start|>", "<|im_end|>"],
    system: SystemRole::Anywhere,
    default_system: None,
    alternates: false,
    tools: false,
    text: Text::Verbatim,
    format: Format::Turns(Turns {
        system: ["<|im_start|>system\n", "<|im_end|>\n"],
        user: ["<|im_start|>user\n", "<|im_end|>\n"],
        assistant: ["<|im_start|>assistant\n", "<|im_end|>\n"],
        generation: "<|im_start|>assistant\n",
    }),
};
