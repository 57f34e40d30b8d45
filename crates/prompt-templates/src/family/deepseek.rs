//! DeepSeek's V3 and R1.

use crate::control::Control;
use crate::error::Error;
use crate::message::{PromptContent, PromptRole};
use crate::prompt::Prompt;

use super::{Spec, SystemRole};

pub(super) static DEEPSEEK_R1: Spec = Spec {
    name: "deepseek-r1",
    source: "the chat template of deepseek-ai/DeepSeek-R1, which is that of its distillates",
    bos: "<｜begin▁of▁sentence｜>",
    eos: "<｜end▁of▁sentence｜>",
    stop: &["<｜end▁of▁sentence｜>"],
    control: Control::new(&[
        "<｜begin▁of▁sentence｜>",
        "<｜end▁of▁sentence｜>",
        "<｜User｜>",
        "<｜Assistant｜>",
        "<｜tool▁calls▁begin｜>",
        "<｜tool▁calls▁end｜>",
        "<｜tool▁call▁begin｜>",
        "<｜tool▁call▁end｜>",
        "<｜tool▁outputs▁begin｜>",
        "<｜tool▁outputs▁end｜>",
        "<｜tool▁output▁begin｜>",
        "<｜tool▁output▁end｜>",
        "<｜tool▁sep｜>",
    ]),
    system: SystemRole::First,
    write: |prompt| write(prompt, true),
    ..Spec::PLAIN
};

pub(super) static DEEPSEEK_V3: Spec = Spec {
    name: "deepseek-v3",
    source: "the chat template of deepseek-ai/DeepSeek-V3",
    write: |prompt| write(prompt, false),
    ..DEEPSEEK_R1
};

/// The official template writes a single tool call without its end, so calls are written only for
/// comparison with it.
fn write(prompt: &mut Prompt<'_>, thinks: bool) -> Result<(), Error> {
    prompt.bos();
    write_system(prompt, thinks)?;
    let mut in_tools = false;
    let mut is_first_output = true;
    let mut had_calls = false;
    for (index, message) in prompt.messages.iter().enumerate() {
        match message.role {
            PromptRole::User => {
                in_tools = false;
                prompt.push("<｜User｜>");
                prompt.content(index)?;
            }
            PromptRole::Assistant
                if matches!(message.content, PromptContent::None) && prompt.is_official() =>
            {
                in_tools = false;
                write_calls(prompt, index, &mut had_calls)?;
            }
            PromptRole::Assistant => {
                let text = prompt.text(index)?;
                if in_tools {
                    prompt.push("<｜tool▁outputs▁end｜>");
                    prompt.untrusted(index, &text)?;
                } else {
                    prompt.push("<｜Assistant｜>");
                    let answer = if thinks {
                        text.rsplit("</think>").next()
                    } else {
                        None
                    };
                    prompt.untrusted(index, answer.unwrap_or(&text))?;
                }
                in_tools = false;
                if prompt.is_continued(index) {
                    return Ok(());
                }
                prompt.push("<｜end▁of▁sentence｜>");
            }
            PromptRole::Tool => {
                in_tools = true;
                prompt.push(if is_first_output {
                    "<｜tool▁outputs▁begin｜>"
                } else {
                    "\n"
                });
                is_first_output = false;
                prompt.push("<｜tool▁output▁begin｜>");
                prompt.content(index)?;
                prompt.push("<｜tool▁output▁end｜>");
            }
            _ => {}
        }
    }
    match (in_tools, thinks) {
        (true, _) => prompt.push("<｜tool▁outputs▁end｜>"),
        (false, true) => prompt.generation("<｜Assistant｜><think>\n"),
        (false, false) => prompt.generation("<｜Assistant｜>"),
    }
    Ok(())
}

/// The system messages come first, regardless of their position: all of them in V3, the last one in
/// R1.
fn write_system(prompt: &mut Prompt<'_>, last_only: bool) -> Result<(), Error> {
    let is_official = prompt.is_official();
    let is_system =
        |role| role == PromptRole::System || role == PromptRole::Developer && !is_official;
    let mut systems = prompt
        .messages
        .iter()
        .enumerate()
        .filter(|(_, m)| is_system(m.role));
    if last_only {
        return systems
            .next_back()
            .map_or(Ok(()), |(index, _)| prompt.content(index));
    }
    for (number, (index, _)) in systems.enumerate() {
        if number > 0 {
            prompt.push("\n\n");
        }
        prompt.content(index)?;
    }
    Ok(())
}

fn write_calls(prompt: &mut Prompt<'_>, index: usize, had_calls: &mut bool) -> Result<(), Error> {
    for call in &prompt.messages[index].tool_calls {
        if *had_calls {
            prompt.push("\n");
        } else {
            prompt.push("<｜Assistant｜><｜tool▁calls▁begin｜>");
        }
        prompt.push("<｜tool▁call▁begin｜>function<｜tool▁sep｜>");
        prompt.untrusted(index, &call.name)?;
        prompt.push("\n```json\n");
        prompt.untrusted(index, &call.arguments)?;
        prompt.push("\n```<｜tool▁call▁end｜>");
        if *had_calls {
            prompt.push("<｜tool▁calls▁end｜><｜end▁of▁sentence｜>");
        }
        *had_calls = true;
    }
    Ok(())
}
