//! ChatML and similar formats, with control tokens around each turn.

use crate::control::Control;
use crate::message::PromptRole;

use super::turns::{Others, Turns};
use super::{Spec, SystemRole, Text};

pub(super) static CHATML: Spec = Spec {
    name: "chatml",
    source: "the chat template of teknium/OpenHermes-2.5-Mistral-7B; openai-python's chatml.md",
    eos: "<|im_end|>",
    stop: &["<|im_end|>"],
    control: Control::new(&["<|im_start|>", "<|im_end|>"]),
    system: SystemRole::Anywhere,
    write: |prompt| {
        Turns {
            system: ["<|im_start|>system\n", "<|im_end|>\n"],
            user: ["<|im_start|>user\n", "<|im_end|>\n"],
            assistant: ["<|im_start|>assistant\n", "<|im_end|>\n"],
            generation: "<|im_start|>assistant\n",
            others: Others::Named(["<|im_start|>", "\n", "<|im_end|>\n"]),
        }
        .write(prompt)
    },
    ..Spec::PLAIN
};

pub(super) static MPT: Spec = Spec {
    name: "mpt",
    source: "lm-sys/FastChat conversation.py, mpt-30b-chat",
    default_system: Some(
        "A conversation between a user and an LLM-based AI assistant. The assistant gives helpful \
         and honest answers.",
    ),
    stop: &["<|im_end|>", "<|endoftext|>"],
    ..CHATML
};

pub(super) static OASST: Spec = Spec {
    name: "oasst",
    source: "the model card of OpenAssistant/llama2-70b-oasst-sft-v10",
    stop: &["<|im_end|>", "</s>"],
    control: Control::new(&["<|im_start|>", "<|im_end|>", "<s>", "</s>"]),
    ..CHATML
};

pub(super) static STARCHAT: Spec = Spec {
    name: "starchat",
    source: "the model card of HuggingFaceH4/starchat-alpha; bigcode/starcoder chat/dialogues.py",
    eos: "<|end|>",
    stop: &["<|end|>"],
    control: Control::new(&[
        "<|system|>",
        "<|user|>",
        "<|assistant|>",
        "<|end|>",
        "<|endoftext|>",
    ]),
    system: SystemRole::First,
    // An empty system turn is part of the format.
    default_system: Some(""),
    write: |prompt| {
        Turns {
            system: ["<|system|>\n", "<|end|>\n"],
            user: ["<|user|>\n", "<|end|>\n"],
            assistant: ["<|assistant|>\n", "<|end|>\n"],
            generation: "<|assistant|>",
            others: Others::Dropped,
        }
        .write(prompt)
    },
    ..Spec::PLAIN
};

pub(super) static ZEPHYR: Spec = Spec {
    name: "zephyr",
    source: "the chat template of HuggingFaceH4/zephyr-7b-beta",
    eos: "</s>",
    stop: &["</s>"],
    control: Control::new(&["<|system|>", "<|user|>", "<|assistant|>", "<s>", "</s>"]),
    system: SystemRole::Anywhere,
    write: |prompt| {
        Turns {
            system: ["<|system|>\n", "</s>\n"],
            user: ["<|user|>\n", "</s>\n"],
            assistant: ["<|assistant|>\n", "</s>\n"],
            generation: "<|assistant|>\n",
            others: Others::Dropped,
        }
        .write(prompt)
    },
    ..Spec::PLAIN
};

pub(super) static PHI_3: Spec = Spec {
    name: "phi-3",
    source: "the chat template of microsoft/Phi-3.5-mini-instruct",
    eos: "<|end|>",
    stop: &["<|end|>", "<|endoftext|>"],
    control: Control::new(&[
        "<|system|>",
        "<|user|>",
        "<|assistant|>",
        "<|end|>",
        "<|endoftext|>",
    ]),
    system: SystemRole::Anywhere,
    write: |prompt| {
        for (index, message) in prompt.messages.iter().enumerate() {
            prompt.push(match message.role {
                PromptRole::System if prompt.text(index)?.is_empty() => continue,
                PromptRole::System => "<|system|>\n",
                PromptRole::Developer if !prompt.is_official() => "<|system|>\n",
                PromptRole::User => "<|user|>\n",
                PromptRole::Assistant => "<|assistant|>\n",
                _ => continue,
            });
            prompt.content(index)?;
            if prompt.is_continued(index) {
                return Ok(());
            }
            prompt.push("<|end|>\n");
        }
        // A complete conversation ends with the end-of-text token.
        let generation = prompt.options.generation_prompt;
        prompt.push(if generation {
            "<|assistant|>\n"
        } else {
            "<|endoftext|>"
        });
        Ok(())
    },
    ..Spec::PLAIN
};

pub(super) static PHI_4: Spec = Spec {
    name: "phi-4",
    source: "the chat template of microsoft/phi-4",
    eos: "<|im_end|>",
    stop: &["<|im_end|>", "<|endoftext|>"],
    control: Control::new(&["<|im_start|>", "<|im_sep|>", "<|im_end|>", "<|endoftext|>"]),
    system: SystemRole::Anywhere,
    write: |prompt| {
        Turns {
            system: ["<|im_start|>system<|im_sep|>", "<|im_end|>"],
            user: ["<|im_start|>user<|im_sep|>", "<|im_end|>"],
            assistant: ["<|im_start|>assistant<|im_sep|>", "<|im_end|>"],
            generation: "<|im_start|>assistant<|im_sep|>",
            others: Others::Dropped,
        }
        .write(prompt)
    },
    ..Spec::PLAIN
};

pub(super) static GRANITE: Spec = Spec {
    name: "granite",
    source: "the chat template of ibm-granite/granite-3.0-8b-instruct",
    eos: "<|end_of_text|>",
    stop: &["<|end_of_text|>"],
    control: Control::new(&[
        "<|start_of_role|>",
        "<|end_of_role|>",
        "<|end_of_text|>",
        "<|tool_call|>",
    ]),
    system: SystemRole::Anywhere,
    write: |prompt| {
        Turns {
            system: [
                "<|start_of_role|>system<|end_of_role|>",
                "<|end_of_text|>\n",
            ],
            user: ["<|start_of_role|>user<|end_of_role|>", "<|end_of_text|>\n"],
            assistant: [
                "<|start_of_role|>assistant<|end_of_role|>",
                "<|end_of_text|>\n",
            ],
            generation: "<|start_of_role|>assistant<|end_of_role|>",
            others: Others::Dropped,
        }
        .write(prompt)
    },
    ..Spec::PLAIN
};

pub(super) static GEMMA: Spec = Spec {
    name: "gemma",
    source: "the chat template of google/gemma-2-9b-it, which is Gemma 1's too",
    bos: "<bos>",
    eos: "<end_of_turn>",
    stop: &["<end_of_turn>"],
    control: Control::new(&["<start_of_turn>", "<end_of_turn>", "<bos>", "<eos>"]),
    system: SystemRole::Nowhere,
    alternates: true,
    needs_message: true,
    text: Text::Stringified,
    write: |prompt| {
        Turns {
            system: ["<start_of_turn>system\n", "<end_of_turn>\n"],
            user: ["<start_of_turn>user\n", "<end_of_turn>\n"],
            assistant: ["<start_of_turn>model\n", "<end_of_turn>\n"],
            generation: "<start_of_turn>model\n",
            others: Others::Named(["<start_of_turn>", "\n", "<end_of_turn>\n"]),
        }
        .write(prompt)
    },
    ..Spec::PLAIN
};

pub(super) static GEMMA_3: Spec = Spec {
    name: "gemma-3",
    source: "the chat template of google/gemma-3-27b-it",
    system: SystemRole::InUser,
    write: |prompt| {
        let start = usize::from(prompt.has_system());
        prompt.bos();
        for (index, message) in prompt.messages.iter().enumerate().skip(start) {
            prompt.check_turn(index, start)?;
            prompt.push("<start_of_turn>");
            match message.role {
                PromptRole::Assistant => prompt.push("model\n"),
                role => {
                    prompt.untrusted(index, role.as_str())?;
                    prompt.push("\n");
                }
            }
            if index == start && start == 1 {
                // Only the system message is not trimmed.
                let text = prompt.raw_text(0)?;
                prompt.untrusted(0, &text)?;
                prompt.push("\n\n");
            }
            prompt.content(index)?;
            if prompt.is_continued(index) {
                return Ok(());
            }
            prompt.push("<end_of_turn>\n");
        }
        prompt.generation("<start_of_turn>model\n");
        Ok(())
    },
    ..GEMMA
};

pub(super) static COMMAND_R: Spec = Spec {
    name: "command-r",
    source: "the chat template of CohereForAI/c4ai-command-r-plus",
    bos: "<BOS_TOKEN>",
    eos: "<|END_OF_TURN_TOKEN|>",
    stop: &["<|END_OF_TURN_TOKEN|>"],
    control: Control::new(&[
        "<BOS_TOKEN>",
        "<EOS_TOKEN>",
        "<|START_OF_TURN_TOKEN|>",
        "<|END_OF_TURN_TOKEN|>",
        "<|SYSTEM_TOKEN|>",
        "<|USER_TOKEN|>",
        "<|CHATBOT_TOKEN|>",
    ]),
    system: SystemRole::First,
    alternates: true,
    needs_message: true,
    text: Text::Trimmed,
    write: |prompt| {
        let start = usize::from(prompt.has_system());
        prompt.bos();
        for (index, message) in prompt.messages.iter().enumerate() {
            if index >= start {
                prompt.check_turn(index, start)?;
            }
            match message.role {
                PromptRole::User => prompt.push("<|START_OF_TURN_TOKEN|><|USER_TOKEN|>"),
                PromptRole::Assistant => prompt.push("<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>"),
                // Only the system message is not trimmed.
                _ if index < start => {
                    prompt.push("<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>");
                    let text = prompt.raw_text(index)?;
                    prompt.untrusted(index, &text)?;
                    prompt.push("<|END_OF_TURN_TOKEN|>");
                    continue;
                }
                _ => continue,
            }
            prompt.content(index)?;
            if prompt.is_continued(index) {
                return Ok(());
            }
            prompt.push("<|END_OF_TURN_TOKEN|>");
        }
        prompt.generation("<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>");
        Ok(())
    },
    ..Spec::PLAIN
};

pub(super) static OPENCHAT: Spec = Spec {
    name: "openchat",
    source: "the chat template of openchat/openchat-3.5-0106",
    bos: "<s>",
    eos: "<|end_of_turn|>",
    stop: &["<|end_of_turn|>"],
    control: Control::new(&["<|end_of_turn|>", "<s>", "</s>"]),
    system: SystemRole::Anywhere,
    write: |prompt| {
        Turns {
            system: ["GPT4 Correct System: ", "<|end_of_turn|>"],
            user: ["GPT4 Correct User: ", "<|end_of_turn|>"],
            assistant: ["GPT4 Correct Assistant: ", "<|end_of_turn|>"],
            generation: "GPT4 Correct Assistant:",
            others: Others::Titled(["GPT4 Correct ", ": ", "<|end_of_turn|>"]),
        }
        .write(prompt)
    },
    ..Spec::PLAIN
};
