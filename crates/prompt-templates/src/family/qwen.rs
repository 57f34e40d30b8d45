//! Alibaba's Qwen: ChatML with tools, and reasoning in Qwen 3.

use crate::control::Control;
use crate::error::Error;
use crate::json;
use crate::message::{PromptRole, PromptToolCall};
use crate::prompt::Prompt;

use super::Spec;
use super::chatml::CHATML;

pub(super) static QWEN_2: Spec = Spec {
    name: "qwen-2",
    source: "the chat template of Qwen/Qwen2-7B-Instruct, which is Qwen 1.5's too",
    stop: &["<|im_end|>", "<|endoftext|>"],
    control: Control::new(&["<|im_start|>", "<|im_end|>", "<|endoftext|>"]),
    default_system: Some("You are a helpful assistant."),
    needs_message: true,
    ..CHATML
};

pub(super) static QWEN_2_5: Spec = Spec {
    name: "qwen-2.5",
    source: "the chat template of Qwen/Qwen2.5-7B-Instruct",
    stop: &["<|im_end|>", "<|endoftext|>"],
    control: Control::new(&["<|im_start|>", "<|im_end|>", "<|endoftext|>"]),
    default_system: Some("You are Qwen, created by Alibaba Cloud. You are a helpful assistant."),
    tools: true,
    needs_message: true,
    write: write_qwen_2_5,
    ..CHATML
};

pub(super) static QWEN_3: Spec = Spec {
    name: "qwen-3",
    source: "the chat template of Qwen/Qwen3-8B",
    default_system: None,
    write: write_qwen_3,
    ..QWEN_2_5
};

fn write_qwen_2_5(prompt: &mut Prompt<'_>) -> Result<(), Error> {
    let start = write_system(prompt)?;
    for (index, message) in prompt.messages.iter().enumerate().skip(start) {
        match message.role {
            PromptRole::Assistant => {
                prompt.push("<|im_start|>assistant");
                if message.tool_calls.is_empty() || prompt.has_text(index) {
                    prompt.push("\n");
                    prompt.content(index)?;
                }
                for call in &message.tool_calls {
                    prompt.push("\n");
                    write_call(prompt, index, call)?;
                }
                if prompt.is_continued(index) {
                    return Ok(());
                }
                prompt.push("<|im_end|>\n");
            }
            _ => write_other(prompt, index)?,
        }
    }
    prompt.generation("<|im_start|>assistant\n");
    Ok(())
}

fn write_qwen_3(prompt: &mut Prompt<'_>) -> Result<(), Error> {
    let start = write_system(prompt)?;
    let last_query = last_query(prompt)?;
    for (index, message) in prompt.messages.iter().enumerate().skip(start) {
        if message.role != PromptRole::Assistant {
            write_other(prompt, index)?;
            continue;
        }
        prompt.push("<|im_start|>assistant\n");
        let has_calls = !message.tool_calls.is_empty();
        let text = if has_calls && !prompt.has_text(index) && !prompt.is_official() {
            "".into()
        } else {
            prompt.text(index)?
        };
        let (reasoning, mut text) = match &message.reasoning {
            Some(reasoning) => (&**reasoning, &*text),
            None => split_reasoning(&text),
        };
        // Only the reasoning after the last user message is written.
        let is_last = index + 1 == prompt.messages.len();
        if last_query.is_some_and(|query| index > query) && (is_last || !reasoning.is_empty()) {
            text = text.trim_start_matches('\n');
            prompt.push("<think>\n");
            prompt.untrusted(index, reasoning.trim_matches('\n'))?;
            prompt.push("\n</think>\n\n");
        }
        prompt.untrusted(index, text)?;
        for (number, call) in message.tool_calls.iter().enumerate() {
            if number > 0 || !text.is_empty() {
                prompt.push("\n");
            }
            write_call(prompt, index, call)?;
        }
        if prompt.is_continued(index) {
            return Ok(());
        }
        prompt.push("<|im_end|>\n");
    }
    prompt.generation("<|im_start|>assistant\n");
    if prompt.options.thinking == Some(false) {
        prompt.generation("<think>\n\n</think>\n\n");
    }
    Ok(())
}

/// Writes the system turn, which also lists the tools. Returns the number of messages in it.
fn write_system(prompt: &mut Prompt<'_>) -> Result<usize, Error> {
    let start = usize::from(prompt.has_system());
    let default = prompt.default_system().filter(|_| start == 0);
    let has_tools = !prompt.options.tools.is_empty();
    if start == 0 && default.is_none() && !has_tools {
        return Ok(0);
    }
    prompt.push("<|im_start|>system\n");
    let is_empty = if start == 1 {
        prompt.content(0)?;
        false
    } else {
        prompt.push(default.unwrap_or_default());
        default.is_none()
    };
    if has_tools {
        if !is_empty {
            prompt.push("\n\n");
        }
        prompt.push(
            "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n\
             You are provided with function signatures within <tools></tools> XML tags:\n<tools>",
        );
        for tool in &prompt.options.tools {
            let tool = json::dumps(tool, None)?;
            prompt.push("\n");
            prompt.untrusted_tool(&tool)?;
        }
        prompt.push(
            "\n</tools>\n\nFor each function call, return a json object with function name and \
             arguments within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": \
             <function-name>, \"arguments\": <args-json-object>}\n</tool_call>",
        );
    }
    prompt.push("<|im_end|>\n");
    Ok(start)
}

/// A message that is not the assistant's.
fn write_other(prompt: &mut Prompt<'_>, index: usize) -> Result<(), Error> {
    let is_tool = |at: Option<usize>| {
        at.and_then(|at| prompt.messages.get(at))
            .is_some_and(|message| message.role == PromptRole::Tool)
    };
    match prompt.messages[index].role {
        PromptRole::User => prompt.push("<|im_start|>user\n"),
        PromptRole::System => prompt.push("<|im_start|>system\n"),
        PromptRole::Developer if !prompt.is_official() => prompt.push("<|im_start|>system\n"),
        PromptRole::Tool => {
            // Consecutive tool results share one user turn.
            let (first, last) = (!is_tool(index.checked_sub(1)), !is_tool(Some(index + 1)));
            if first {
                prompt.push("<|im_start|>user");
            }
            prompt.push("\n<tool_response>\n");
            prompt.content(index)?;
            prompt.push("\n</tool_response>");
            if last {
                prompt.push("<|im_end|>\n");
            }
            return Ok(());
        }
        _ => return Ok(()),
    }
    prompt.content(index)?;
    prompt.push("<|im_end|>\n");
    Ok(())
}

fn write_call(
    prompt: &mut Prompt<'_>,
    index: usize,
    call: &PromptToolCall<'_>,
) -> Result<(), Error> {
    let arguments = json::dumps(&call.arguments, None).map_err(|error| error.at_message(index))?;
    prompt.push("<tool_call>\n{\"name\": \"");
    prompt.untrusted(index, &call.name)?;
    prompt.push("\", \"arguments\": ");
    prompt.untrusted(index, &arguments)?;
    prompt.push("}\n</tool_call>");
    Ok(())
}

/// The index of the last user message that is not a tool result in `<tool_response>` tags. Without
/// one, that of the last message, as in the official template.
fn last_query(prompt: &Prompt<'_>) -> Result<Option<usize>, Error> {
    for (index, message) in prompt.messages.iter().enumerate().rev() {
        if message.role == PromptRole::User {
            let text = prompt.text(index)?;
            if !(text.starts_with("<tool_response>") && text.ends_with("</tool_response>")) {
                return Ok(Some(index));
            }
        }
    }
    Ok(prompt.messages.len().checked_sub(1))
}

/// Splits a text into reasoning and reply at `</think>`.
fn split_reasoning(text: &str) -> (&str, &str) {
    let Some((before, _)) = text.split_once("</think>") else {
        return ("", text);
    };
    let reply = text.rsplit("</think>").next().unwrap_or_default();
    let reasoning = before
        .trim_end_matches('\n')
        .rsplit("<think>")
        .next()
        .unwrap_or_default();
    (
        reasoning.trim_start_matches('\n'),
        reply.trim_start_matches('\n'),
    )
}
