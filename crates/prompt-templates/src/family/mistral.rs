//! Mistral AI's instruct models.

use crate::error::{Error, ErrorKind};
use crate::message::Role;
use crate::prompt::Prompt;

use super::{Format, Spec, SystemRole, Text};

pub(super) static MISTRAL_V1: Spec = Spec {
    name: "mistral-v1",
    source: "the chat template of mistralai/Mistral-7B-Instruct-v0.1",
    bos: "<s>",
    eos: "</s>",
    stop: &["</s>"],
    control: &["[INST]", "[/INST]", "<s>", "</s>"],
    system: SystemRole::Nowhere,
    default_system: None,
    alternates: true,
    tools: false,
    text: Text::Verbatim,
    format: Format::Code(write_v1),
};

fn write_v1(prompt: &mut Prompt<'_>) -> Result<(), Error> {
    prompt.bos()?;
    for (index, message) in prompt.messages.iter().enumerate() {
        prompt.check_turn(index, 0)?;
        match message.role {
            Role::User => {
                prompt.push("[INST] ")?;
                prompt.content(index)?;
                prompt.push(" [/INST]")?;
            }
            Role::Assistant => {
                prompt.content(index)?;
                if prompt.is_open(index) {
                    return Ok(());
                }
                prompt.push("</s> ")?;
            }
            _ => {
                let detail = "only user and assistant have a place";
                return Err(Error::new(ErrorKind::Role, detail).at_message(index));
            }
        }
    }
    Ok(())
}
