//! Meta's Llama.

use crate::error::{Error, ErrorKind};
use crate::message::Role;
use crate::prompt::Prompt;

use super::{Format, Spec, SystemRole, Text};

pub(super) static LLAMA_2: Spec = Spec {
    name: "llama-2",
    source: "the chat template of meta-llama/Llama-2-7b-chat-hf",
    bos: "<s>",
    eos: "</s>",
    stop: &["</s>"],
    control: &["[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<s>", "</s>"],
    system: SystemRole::InUser,
    default_system: None,
    alternates: true,
    tools: false,
    text: Text::Trimmed,
    format: Format::Code(write_llama_2),
};

pub(super) static LLAMA_3: Spec = Spec {
    name: "llama-3",
    source: "the chat template of meta-llama/Meta-Llama-3-8B-Instruct",
    bos: "<|begin_of_text|>",
    eos: "<|eot_id|>",
    stop: &["<|eot_id|>", "<|end_of_text|>"],
    control: &[
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
    ],
    system: SystemRole::Anywhere,
    default_system: None,
    alternates: false,
    tools: false,
    text: Text::Stringified,
    format: Format::Code(write_llama_3),
};

fn write_llama_2(prompt: &mut Prompt<'_>) -> Result<(), Error> {
    let Some(first) = prompt.messages.first() else {
        return Err(Error::new(ErrorKind::Empty, "there is no message"));
    };
    let start = usize::from(is_system(prompt, first.role));
    for index in start..prompt.messages.len() {
        prompt.check_turn(index, start)?;
        match prompt.messages[index].role {
            Role::User => {
                // BOS begins each turn; only the first one may be left to the server.
                if index == start {
                    prompt.bos()?;
                } else {
                    prompt.push("<s>")?;
                }
                prompt.push("[INST] ")?;
                if index == start && start == 1 {
                    prompt.push("<<SYS>>\n")?;
                    prompt.content(0)?;
                    prompt.push("\n<</SYS>>\n\n")?;
                }
                prompt.content(index)?;
                prompt.push(" [/INST]")?;
            }
            Role::Assistant => {
                prompt.push(" ")?;
                prompt.content(index)?;
                if prompt.is_open(index) {
                    return Ok(());
                }
                prompt.push(" </s>")?;
            }
            // The official template loses any other role at an assistant's place.
            _ => prompt.text(index).map(drop)?,
        }
    }
    Ok(())
}

fn write_llama_3(prompt: &mut Prompt<'_>) -> Result<(), Error> {
    if !prompt.messages.is_empty() {
        prompt.bos()?;
    }
    for (index, message) in prompt.messages.iter().enumerate() {
        prompt.push("<|start_header_id|>")?;
        match message.role {
            Role::Developer if !prompt.is_official() => prompt.push("system")?,
            role => prompt.foreign(index, role.as_str())?,
        }
        prompt.push("<|end_header_id|>\n\n")?;
        prompt.content(index)?;
        if prompt.is_open(index) {
            return Ok(());
        }
        prompt.push("<|eot_id|>")?;
    }
    if prompt.options.generation_prompt {
        prompt.push("<|start_header_id|>assistant<|end_header_id|>\n\n")?;
    }
    Ok(())
}

/// Whether the template takes the first message's role for the system's.
pub(super) fn is_system(prompt: &Prompt<'_>, role: Role<'_>) -> bool {
    role == Role::System || role == Role::Developer && !prompt.is_official()
}
