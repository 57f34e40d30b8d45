//! Mistral AI's instruct models.

use alloc::string::String;

use crate::control::Control;
use crate::error::{Error, ErrorKind};
use crate::json;
use crate::message::{PromptContent, PromptMessage, PromptRole};
use crate::prompt::{Prompt, trim};

use super::{Spec, SystemRole};

pub(super) static MISTRAL_V1: Spec = Spec {
    name: "mistral-v1",
    source: "the chat template of mistralai/Mistral-7B-Instruct-v0.1",
    bos: "<s>",
    eos: "</s>",
    stop: &["</s>"],
    control: Control::new(&["[INST]", "[/INST]", "<s>", "</s>"]),
    system: SystemRole::Nowhere,
    alternates: true,
    write: |prompt| write_v1(prompt, ["[INST] ", " [/INST]", "", "</s> "]),
    ..Spec::PLAIN
};

pub(super) static MIXTRAL: Spec = Spec {
    name: "mixtral",
    source: "the chat template of mistralai/Mixtral-8x7B-Instruct-v0.1 and Mistral-7B-Instruct-v0.2",
    system: SystemRole::InUser,
    needs_message: true,
    write: |prompt| write_v1(prompt, [" [INST] ", " [/INST]", " ", "</s>"]),
    ..MISTRAL_V1
};

pub(super) static MISTRAL_V3: Spec = Spec {
    name: "mistral-v3",
    source: "the chat template of mistralai/Mistral-7B-Instruct-v0.3 and Mistral-Large-Instruct-2407",
    control: Control::new(&[
        "[INST]",
        "[/INST]",
        "[TOOL_CALLS]",
        "[AVAILABLE_TOOLS]",
        "[/AVAILABLE_TOOLS]",
        "[TOOL_RESULTS]",
        "[/TOOL_RESULTS]",
        "<s>",
        "</s>",
    ]),
    system: SystemRole::InUser,
    needs_message: true,
    tools: true,
    write: |prompt| write_v3(prompt, " "),
    ..MISTRAL_V1
};

pub(super) static MISTRAL_NEMO: Spec = Spec {
    name: "mistral-nemo",
    source: "the chat template of mistralai/Mistral-Nemo-Instruct-2407",
    write: |prompt| write_v3(prompt, ""),
    ..MISTRAL_V3
};

/// The format of v0.1, v0.2 and Mixtral. `markers` are written before and after a user message, and
/// before and after an assistant message.
fn write_v1(prompt: &mut Prompt<'_>, markers: [&str; 4]) -> Result<(), Error> {
    let [before_user, after_user, before_assistant, after_assistant] = markers;
    let takes_system = prompt.spec.system == SystemRole::InUser;
    let start = usize::from(takes_system && prompt.has_system());
    prompt.bos();
    for (index, message) in prompt.messages.iter().enumerate().skip(start) {
        prompt.check_turn(index, start)?;
        match message.role {
            PromptRole::User => {
                prompt.push(before_user);
                if index == start && start == 1 {
                    prompt.content(0)?;
                    prompt.push("\n\n");
                }
                prompt.content(index)?;
                prompt.push(after_user);
            }
            PromptRole::Assistant => {
                prompt.push(before_assistant);
                prompt.content(index)?;
                if prompt.is_continued(index) {
                    return Ok(());
                }
                prompt.push(after_assistant);
            }
            _ => return Err(unknown_role(index)),
        }
    }
    Ok(())
}

/// The format with tools. `space` follows some markers: a space in v3, nothing in Nemo.
fn write_v3(prompt: &mut Prompt<'_>, space: &str) -> Result<(), Error> {
    let start = usize::from(prompt.has_system());
    check_turns(prompt, start)?;
    let is_user = |message: &PromptMessage<'_>| message.role == PromptRole::User;
    let last_user = prompt.messages.iter().rposition(is_user);
    prompt.bos();
    for (index, message) in prompt.messages.iter().enumerate().skip(start) {
        match message.role {
            PromptRole::User => {
                if Some(index) == last_user {
                    write_tools(prompt, space)?;
                }
                prompt.push("[INST]");
                prompt.push(space);
                // The official template loses the system message if the last message is not the
                // user's.
                let takes_system = if prompt.is_official() {
                    index + 1 == prompt.messages.len()
                } else {
                    Some(index) == last_user
                };
                if start == 1 && takes_system {
                    prompt.content(0)?;
                    prompt.push("\n\n");
                }
                prompt.content(index)?;
                prompt.push("[/INST]");
            }
            _ if !message.tool_calls.is_empty() => write_calls(prompt, index, space)?,
            PromptRole::Assistant => {
                prompt.push(space);
                // Only the template of v3 converts any value to a string.
                let text = match message.content {
                    PromptContent::None if prompt.is_official() && !space.is_empty() => {
                        "None".into()
                    }
                    _ if space.is_empty() => prompt.raw_text(index)?,
                    _ => trim(prompt.raw_text(index)?),
                };
                prompt.untrusted(index, &text)?;
                if prompt.is_continued(index) {
                    return Ok(());
                }
                prompt.push("</s>");
            }
            PromptRole::Tool | PromptRole::Other("tool_results") => {
                prompt.push("[TOOL_RESULTS]");
                prompt.push(space);
                prompt.push("{\"content\": ");
                prompt.content(index)?;
                prompt.push(", \"call_id\": \"");
                let id = message.tool_call_id.as_deref().unwrap_or_default();
                prompt.untrusted(index, checked_id(id, index)?)?;
                prompt.push("\"}[/TOOL_RESULTS]");
            }
            _ => return Err(unknown_role(index)),
        }
    }
    Ok(())
}

/// Turns must alternate; tool calls and their results do not count.
fn check_turns(prompt: &Prompt<'_>, start: usize) -> Result<(), Error> {
    let counts = |message: &PromptMessage<'_>| {
        message.tool_calls.is_empty()
            && !matches!(
                message.role,
                PromptRole::Tool | PromptRole::Other("tool_results")
            )
    };
    let turns = prompt
        .messages
        .iter()
        .enumerate()
        .skip(start)
        .filter(|(_, m)| counts(m));
    for (turn, (index, message)) in turns.enumerate() {
        if (message.role == PromptRole::User) != turn.is_multiple_of(2) {
            return Err(Prompt::not_alternating(index));
        }
    }
    Ok(())
}

fn write_tools(prompt: &mut Prompt<'_>, space: &str) -> Result<(), Error> {
    for (number, tool) in prompt.options.tools.iter().enumerate() {
        if number == 0 {
            prompt.push("[AVAILABLE_TOOLS]");
            prompt.push(space);
            prompt.push("[");
        } else {
            prompt.push(", ");
        }
        let members = json::members(tool)?;
        let Some((_, function)) = members.iter().find(|(key, _)| key == "function") else {
            return Err(Error::new(ErrorKind::Tools, "the tool has no function"));
        };
        let mut text = String::new();
        for (key, value) in json::members(function)?
            .iter()
            .filter(|(key, _)| key != "return")
        {
            if !text.is_empty() {
                text.push_str(", ");
            }
            text.push('"');
            text.push_str(key);
            text.push_str("\": ");
            match json::text(value) {
                // The official template does not escape strings.
                Some(value) => {
                    text.push('"');
                    text.push_str(&value);
                    text.push('"');
                }
                None => text.push_str(&json::dumps(value, None)?),
            }
        }
        prompt.push("{\"type\": \"function\", \"function\": {");
        prompt.untrusted_tool(&text)?;
        prompt.push("}}");
    }
    if !prompt.options.tools.is_empty() {
        prompt.push("][/AVAILABLE_TOOLS]");
    }
    Ok(())
}

fn write_calls(prompt: &mut Prompt<'_>, index: usize, space: &str) -> Result<(), Error> {
    if prompt.is_continued(index) {
        return Err(prompt.no_continuation(index));
    }
    if !prompt.is_official() && prompt.has_text(index) {
        let detail = "the format does not support text beside a tool call";
        return Err(Error::new(ErrorKind::Tools, detail).at_message(index));
    }
    prompt.push("[TOOL_CALLS]");
    prompt.push(space);
    for (number, call) in prompt.messages[index].tool_calls.iter().enumerate() {
        prompt.push(if number == 0 { "[" } else { ", " });
        let arguments = json::dumps(&call.arguments, None).map_err(|e| e.at_message(index))?;
        let name = json::quoted(&call.name);
        prompt.push("{\"name\": ");
        prompt.untrusted(index, &name)?;
        prompt.push(", \"arguments\": ");
        prompt.untrusted(index, &arguments)?;
        prompt.push(", \"id\": \"");
        prompt.untrusted(index, checked_id(&call.id, index)?)?;
        prompt.push("\"}");
    }
    prompt.push("]</s>");
    Ok(())
}

fn checked_id(id: &str, index: usize) -> Result<&str, Error> {
    if id.chars().count() == 9 {
        return Ok(id);
    }
    let detail = "the id of a tool call must have nine characters";
    Err(Error::new(ErrorKind::Tools, detail).at_message(index))
}

fn unknown_role(index: usize) -> Error {
    Error::new(
        ErrorKind::Role,
        "the format supports only the roles user and assistant",
    )
    .at_message(index)
}
