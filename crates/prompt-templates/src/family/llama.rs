//! Meta's Llama.

use alloc::borrow::Cow;

use crate::control::Control;
use crate::error::{Error, ErrorKind};
use crate::json;
use crate::message::{PromptContent, PromptRole};
use crate::prompt::{Prompt, trim};

use super::{Spec, SystemRole, Text};

pub(super) static LLAMA_2: Spec = Spec {
    name: "llama-2",
    source: "the chat template of meta-llama/Llama-2-7b-chat-hf",
    bos: "<s>",
    eos: "</s>",
    stop: &["</s>"],
    control: Control::new(&["[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "<s>", "</s>"]),
    system: SystemRole::InUser,
    alternates: true,
    needs_message: true,
    text: Text::Trimmed,
    write: write_llama_2,
    ..Spec::PLAIN
};

pub(super) static CODELLAMA: Spec = Spec {
    name: "codellama",
    source: "the chat template of codellama/CodeLlama-34b-Instruct-hf: Llama 2's",
    ..LLAMA_2
};

pub(super) static LLAMA_3: Spec = Spec {
    name: "llama-3",
    source: "the chat template of meta-llama/Meta-Llama-3-8B-Instruct",
    bos: "<|begin_of_text|>",
    eos: "<|eot_id|>",
    stop: &["<|eot_id|>", "<|end_of_text|>"],
    control: Control::new(&[
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
    ]),
    system: SystemRole::Anywhere,
    text: Text::Stringified,
    write: write_llama_3,
    ..Spec::PLAIN
};

pub(super) static LLAMA_3_1: Spec = Spec {
    name: "llama-3.1",
    source: "the chat template of meta-llama/Llama-3.1-8B-Instruct, which is 3.2's and 3.3's too",
    stop: &["<|eot_id|>", "<|eom_id|>", "<|end_of_text|>"],
    control: Control::new(&[
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eot_id|>",
        "<|eom_id|>",
        "<|python_tag|>",
    ]),
    tools: true,
    needs_message: true,
    write: write_llama_3_1,
    ..LLAMA_3
};

pub(super) static LLAMA_4: Spec = Spec {
    name: "llama-4",
    source: "the chat template of meta-llama/Llama-4-Scout-17B-16E-Instruct, without tools",
    bos: "<|begin_of_text|>",
    eos: "<|eot|>",
    stop: &["<|eot|>", "<|eom|>", "<|end_of_text|>"],
    control: Control::new(&[
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|header_start|>",
        "<|header_end|>",
        "<|eot|>",
        "<|eom|>",
        "<|python_start|>",
        "<|python_end|>",
    ]),
    needs_message: true,
    write: write_llama_4,
    ..LLAMA_3
};

fn write_llama_2(prompt: &mut Prompt<'_>) -> Result<(), Error> {
    let start = usize::from(prompt.has_system());
    for (index, message) in prompt.messages.iter().enumerate().skip(start) {
        prompt.check_turn(index, start)?;
        match message.role {
            PromptRole::User => {
                // BOS starts each turn; only the first one may be left to the server.
                if index == start {
                    prompt.bos();
                } else {
                    prompt.push("<s>");
                }
                prompt.push("[INST] ");
                if index == start && start == 1 {
                    write_llama_2_system(prompt)?;
                } else {
                    prompt.content(index)?;
                }
                prompt.push(" [/INST]");
            }
            PromptRole::Assistant => {
                prompt.push(" ");
                prompt.content(index)?;
                if prompt.is_continued(index) {
                    return Ok(());
                }
                prompt.push(" </s>");
            }
            // The official template reads the content, which may fail, but does not write it.
            _ => drop(prompt.text(index)?),
        }
    }
    Ok(())
}

/// The system message and the first user message, which are trimmed as one.
fn write_llama_2_system(prompt: &mut Prompt<'_>) -> Result<(), Error> {
    let (system, user) = (prompt.raw_text(0)?, prompt.raw_text(1)?);
    prompt.push("<<SYS>>\n");
    prompt.untrusted(0, &system)?;
    prompt.push("\n<</SYS>>");
    let user = user.trim_end_matches(crate::python::is_space);
    if user.is_empty() {
        return Ok(());
    }
    prompt.push("\n\n");
    prompt.untrusted(1, user)
}

fn write_llama_3(prompt: &mut Prompt<'_>) -> Result<(), Error> {
    if !prompt.messages.is_empty() {
        prompt.bos();
    }
    for index in 0..prompt.messages.len() {
        write_turn(prompt, index, &LLAMA_3_MARKERS)?;
    }
    open_turn(prompt, &LLAMA_3_MARKERS);
    Ok(())
}

fn write_llama_4(prompt: &mut Prompt<'_>) -> Result<(), Error> {
    prompt.bos();
    for index in 0..prompt.messages.len() {
        write_turn(prompt, index, &LLAMA_4_MARKERS)?;
    }
    open_turn(prompt, &LLAMA_4_MARKERS);
    Ok(())
}

/// The start of the turns of the usual roles, and the end of a turn.
struct Markers {
    system: &'static str,
    user: &'static str,
    assistant: &'static str,
    /// Markers around the name of any other role.
    other: [&'static str; 2],
    end: &'static str,
}

static LLAMA_3_MARKERS: Markers = Markers {
    system: "<|start_header_id|>system<|end_header_id|>\n\n",
    user: "<|start_header_id|>user<|end_header_id|>\n\n",
    assistant: "<|start_header_id|>assistant<|end_header_id|>\n\n",
    other: ["<|start_header_id|>", "<|end_header_id|>\n\n"],
    end: "<|eot_id|>",
};

static LLAMA_4_MARKERS: Markers = Markers {
    system: "<|header_start|>system<|header_end|>\n\n",
    user: "<|header_start|>user<|header_end|>\n\n",
    assistant: "<|header_start|>assistant<|header_end|>\n\n",
    other: ["<|header_start|>", "<|header_end|>\n\n"],
    end: "<|eot|>",
};

// Inlined into each family's function, in which the markers are constants.
#[inline(always)]
fn write_turn(
    prompt: &mut Prompt<'_>,
    index: usize,
    markers: &'static Markers,
) -> Result<(), Error> {
    match prompt.messages[index].role {
        PromptRole::User => prompt.push(markers.user),
        PromptRole::Assistant => prompt.push(markers.assistant),
        PromptRole::System => prompt.push(markers.system),
        PromptRole::Developer if !prompt.is_official() => prompt.push(markers.system),
        role => {
            let [before, after] = markers.other;
            prompt.push(before);
            prompt.untrusted(index, role.as_str())?;
            prompt.push(after);
        }
    }
    prompt.content(index)?;
    if !prompt.is_continued(index) {
        prompt.push(markers.end);
    }
    Ok(())
}

fn open_turn(prompt: &mut Prompt<'_>, markers: &Markers) {
    if !prompt.options.continue_final {
        prompt.generation(markers.assistant);
    }
}

/// A date or tools add a system turn. The tools are listed in the first user turn.
fn write_llama_3_1(prompt: &mut Prompt<'_>) -> Result<(), Error> {
    prompt.bos();
    let mut start = usize::from(prompt.has_system());
    let has_tools = !prompt.options.tools.is_empty();
    let date = match prompt.options.now {
        Some(now) => Some(Cow::Owned(now.format("%d %b %Y"))),
        // The date that the official template uses as today.
        None if prompt.is_official() => Some(Cow::Borrowed("26 Jul 2024")),
        None => None,
    };
    if start == 1 || has_tools || date.is_some() {
        prompt.push("<|start_header_id|>system<|end_header_id|>\n\n");
        if has_tools {
            prompt.push("Environment: ipython\n");
        }
        if let Some(date) = date {
            prompt.push("Cutting Knowledge Date: December 2023\nToday Date: ");
            prompt.push(&date);
            prompt.push("\n\n");
        }
        if start == 1 {
            prompt.content(0)?;
        }
        prompt.push("<|eot_id|>");
    }
    if has_tools {
        write_tools(prompt, start)?;
        start += 1;
    }
    for (index, message) in prompt.messages.iter().enumerate().skip(start) {
        if let [call] = &*message.tool_calls {
            if prompt.is_continued(index) {
                return Err(prompt.no_continuation(index));
            }
            if !prompt.is_official() && prompt.has_text(index) {
                let detail = "the format does not support text beside a tool call";
                return Err(Error::new(ErrorKind::Tools, detail).at_message(index));
            }
            let arguments = json::dumps(&call.arguments, None).map_err(|e| e.at_message(index))?;
            prompt.push("<|start_header_id|>assistant<|end_header_id|>\n\n{\"name\": \"");
            prompt.untrusted(index, &call.name)?;
            prompt.push("\", \"parameters\": ");
            prompt.untrusted(index, &arguments)?;
            prompt.push("}<|eot_id|>");
        } else if !message.tool_calls.is_empty() {
            let detail = "the format supports only one tool call at a time";
            return Err(Error::new(ErrorKind::Tools, detail).at_message(index));
        } else if message.role == PromptRole::Tool || message.role.as_str() == "ipython" {
            prompt.push("<|start_header_id|>ipython<|end_header_id|>\n\n");
            // A string is iterable in Jinja, so the official template prints it as JSON.
            match message.content {
                PromptContent::None => prompt.push("None"),
                _ => {
                    let text = json::quoted(&prompt.raw_text(index)?);
                    prompt.untrusted(index, &text)?;
                }
            }
            prompt.push("<|eot_id|>");
        } else {
            write_turn(prompt, index, &LLAMA_3_MARKERS)?;
        }
    }
    open_turn(prompt, &LLAMA_3_MARKERS);
    Ok(())
}

/// The first user turn, with the tools before the user's text.
fn write_tools(prompt: &mut Prompt<'_>, first: usize) -> Result<(), Error> {
    if prompt
        .messages
        .get(first)
        .is_none_or(|m| m.role != PromptRole::User && !prompt.is_official())
    {
        let detail = "the tools are written into the first user message, and there is none";
        return Err(Error::new(ErrorKind::Tools, detail));
    }
    prompt.push(
        "<|start_header_id|>user<|end_header_id|>\n\n\
         Given the following functions, please respond with a JSON for a function call with its \
         proper arguments that best answers the given prompt.\n\n\
         Respond in the format {\"name\": function name, \"parameters\": dictionary of argument \
         name and its value}.Do not use variables.\n\n",
    );
    for tool in &prompt.options.tools {
        let tool = json::dumps(tool, Some(4))?;
        prompt.untrusted_tool(&tool)?;
        prompt.push("\n\n");
    }
    let text: Cow<'_, str> = trim(prompt.raw_text(first)?);
    prompt.untrusted(first, &text)?;
    prompt.push("<|eot_id|>");
    Ok(())
}
