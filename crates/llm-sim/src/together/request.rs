//! Chat and completion requests, validated against the specification.

use serde_json::Value;

use crate::fault::Fault;
use crate::http::Call;
use crate::options::SimReply;
use crate::script::ScriptedTurn;
use crate::seed::hash;
use crate::text::{Question, count_tokens, last_user_turn};
use crate::together::catalog::{Engine, context_length, is_served, is_stream_only, takes_chats};
use crate::together::error::Refusal;
use crate::together::fields::{Fields, wrong};
use crate::together::tools::Tools;

/// A request for text.
#[derive(Debug)]
pub(crate) struct TextRequest {
    pub(crate) model: String,
    pub(crate) engine: Engine,
    /// The last user message.
    pub(crate) user_text: String,
    pub(crate) prompt_tokens: usize,
    /// The prompt, if the response includes it.
    pub(crate) echo: Option<String>,
    pub(crate) stream: bool,
    pub(crate) choices: u64,
    pub(crate) reasons: bool,
    pub(crate) logprobs: Option<u64>,
    pub(crate) format: Format,
    pub(crate) tools: Tools,
    /// What the script says, if there is one for this conversation.
    pub(crate) turn: Option<ScriptedTurn>,
    /// `error-after`: where the stream ends with an error event.
    pub(crate) error_after: Option<usize>,
    max_tokens: Option<usize>,
    min_tokens: usize,
    stop: Vec<String>,
    seed: u64,
}

/// The required form of the output.
#[derive(Debug)]
pub(crate) enum Format {
    Text,
    Json,
    Schema(Value),
}

impl TextRequest {
    pub(crate) fn chat(call: &Call, reply: &SimReply) -> Result<Self, Refusal> {
        let fields = Fields::read(&call.body)?;
        let messages = Messages::read(&fields)?;
        let Messages {
            user_text, tokens, ..
        } = messages;
        let mut request = Self::sampled(&fields, call, &messages.prompt, user_text, tokens)?;
        if !takes_chats(&request.model) {
            return Err(Refusal::language_model(&request.model));
        }
        request.tools = Tools::read(&fields, &request.user_text, messages.ends_with_tool)?;
        request.format = format(&fields)?;
        if let SimReply::Script(script) = reply {
            request.turn = script.turn(fields.list("messages")?).cloned();
        }
        request.reasons = !request.engine.is_turbo() && reasoning(&fields)?;
        Ok(request)
    }

    pub(crate) fn completion(call: &Call) -> Result<Self, Refusal> {
        let fields = Fields::read(&call.body)?;
        let prompt = fields.text("prompt")?;
        let user_text = last_user_turn(prompt).to_owned();
        let mut request = Self::sampled(&fields, call, prompt, user_text, count_tokens(prompt))?;
        // Only responses of the old engines are recorded here.
        if !request.engine.is_turbo() {
            request.engine = Engine::Turbo;
        }
        Ok(request)
    }

    pub(crate) fn question(&self, choice: u64) -> Question<'_> {
        Question {
            model: &self.model,
            user_text: &self.user_text,
            variant: self.seed ^ choice,
            max_tokens: self.max_tokens,
            min_tokens: self.min_tokens,
            stop: &self.stop,
        }
    }

    fn sampled(
        fields: &Fields,
        call: &Call,
        prompt: &str,
        user_text: String,
        prompt_tokens: usize,
    ) -> Result<Self, Refusal> {
        let model = fields.text("model")?.to_owned();
        let stream = fields.flag("stream")?;
        // A client that only requests logprobs of the prompt needs no output.
        let echo = fields.flag("echo")?;
        let least = if echo { 0 } else { 1 };
        let max_tokens = fields
            .integer("max_tokens", least..=u64::MAX)?
            .map(saturated);
        let min_tokens = fields
            .integer("min_tokens", 0..=u64::MAX)?
            .map_or(0, saturated);
        let endless = fields.flag("ignore_eos")?;
        let choices = fields.integer("n", 1..=128)?.unwrap_or(1);
        let logprobs = fields.integer("logprobs", 0..=20)?;
        let stop = fields.strings("stop")?;
        check_sampling(fields)?;
        let seed = match fields.any("seed") {
            None => 0,
            Some(Value::Number(seed)) => hash([seed.to_string().as_str()]),
            Some(_) => return Err(wrong("seed", "an integer")),
        };
        let truncate =
            fields.any("context_length_exceeded_behavior") == Some(&Value::from("truncate"));

        if !is_served(&model) {
            return Err(Refusal::model(&model));
        }
        if is_stream_only(&model) && !stream {
            return Err(Refusal::streaming_required());
        }
        let engine = Engine::of(&model);
        if !truncate {
            check_context(&model, engine, prompt_tokens, max_tokens)?;
        }
        Ok(Self {
            engine,
            user_text,
            prompt_tokens,
            echo: echo.then(|| prompt.to_owned()),
            stream,
            choices,
            reasons: false,
            logprobs,
            format: Format::Text,
            tools: Tools::default(),
            turn: None,
            error_after: call.faults.find(|fault| match fault {
                Fault::ErrorAfter(tokens) => Some(*tokens),
                _ => None,
            }),
            max_tokens,
            min_tokens: if endless {
                max_tokens.unwrap_or(0)
            } else {
                min_tokens
            },
            stop: if endless { Vec::new() } else { stop },
            seed,
            model,
        })
    }
}

/// Checks the parameters that the simulated models ignore.
fn check_sampling(fields: &Fields) -> Result<(), Refusal> {
    fields.number("temperature", 0.0..=2.0)?;
    fields.number("top_p", 0.0..=1.0)?;
    fields.number("min_p", 0.0..=1.0)?;
    fields.number("repetition_penalty", 0.0..=f64::MAX)?;
    fields.number("presence_penalty", -2.0..=2.0)?;
    fields.number("frequency_penalty", -2.0..=2.0)?;
    let top_k = fields.any("top_k");
    if top_k.is_some_and(|top_k| !top_k.is_i64() && !top_k.is_u64()) {
        return Err(wrong("top_k", "an integer"));
    }
    Ok(())
}

/// The two engines use different wordings for the same error.
fn check_context(
    model: &str,
    engine: Engine,
    prompt: usize,
    max_tokens: Option<usize>,
) -> Result<(), Refusal> {
    let most = context_length(model);
    let wanted = max_tokens.unwrap_or(1);
    if prompt.saturating_add(wanted) <= most {
        return Ok(());
    }
    Err(if engine.is_turbo() {
        Refusal::invalid(
            "max_tokens",
            format!(
                "Input validation error: `inputs` tokens + `max_new_tokens` must be <= {most}. \
                 Given: {prompt} `inputs` tokens and {wanted} `max_new_tokens`"
            ),
        )
    } else {
        let requested = prompt.saturating_add(wanted);
        Refusal::body(format!(
            "This model's maximum context length is {most} tokens. However, you requested \
             {requested} tokens ({prompt} in the messages, {wanted} in the completion). Please \
             reduce the length of the messages or completion."
        ))
    })
}

struct Messages {
    /// All messages, in a generic format.
    prompt: String,
    user_text: String,
    tokens: usize,
    ends_with_tool: bool,
}

impl Messages {
    fn read(fields: &Fields) -> Result<Self, Refusal> {
        fields.required("messages")?;
        let messages = fields.list("messages")?;
        if messages.is_empty() {
            return Err(wrong("messages", "a non-empty array"));
        }
        let mut read = Self {
            prompt: String::new(),
            user_text: String::new(),
            tokens: 0,
            ends_with_tool: false,
        };
        for (at, message) in messages.iter().enumerate() {
            read.add(at, message)?;
        }
        Ok(read)
    }

    fn add(&mut self, at: usize, message: &Value) -> Result<(), Refusal> {
        let role = message
            .get("role")
            .and_then(Value::as_str)
            .unwrap_or_default();
        if !["system", "user", "assistant", "tool", "function"].contains(&role) {
            return Err(Refusal::invalid(
                "messages",
                format!("Input validation error: messages[{at}].role {role:?} is not supported"),
            ));
        }
        let calls = message
            .get("tool_calls")
            .or_else(|| message.get("function_call"));
        let text = match message.get("content") {
            Some(Value::String(text)) => text.clone(),
            // The specification allows parts only for the user.
            Some(Value::Array(parts)) if role == "user" => text_of(at, parts)?,
            None | Some(Value::Null) if role == "assistant" && calls.is_some() => String::new(),
            _ => {
                return Err(Refusal::invalid(
                    "messages",
                    format!("Input validation error: messages[{at}].content must be a string"),
                ));
            }
        };
        // Each message costs a few tokens of template.
        self.tokens += count_tokens(&text) + 4;
        self.prompt.push_str(&format!("<{role}>: {text}\n"));
        self.ends_with_tool = role == "tool";
        if role == "user" || role == "tool" {
            self.user_text = text;
        }
        Ok(())
    }
}

fn text_of(at: usize, parts: &[Value]) -> Result<String, Refusal> {
    let mut all = String::new();
    for part in parts {
        let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
        let good = match kind {
            "text" => part.get("text").is_some_and(Value::is_string),
            "image_url" | "video_url" | "audio_url" => part
                .pointer(&format!("/{kind}/url"))
                .is_some_and(Value::is_string),
            "input_audio" => part
                .pointer("/input_audio/data")
                .is_some_and(Value::is_string),
            _ => false,
        };
        if !good {
            return Err(Refusal::invalid(
                "messages",
                format!("Input validation error: messages[{at}].content has a bad part {kind:?}"),
            ));
        }
        match part.get("text").and_then(Value::as_str) {
            Some(text) => all.push_str(text),
            None => all.push_str(&format!(" [{kind}]")),
        }
    }
    Ok(all)
}

fn format(fields: &Fields) -> Result<Format, Refusal> {
    let Some(format) = fields.any("response_format") else {
        return Ok(Format::Text);
    };
    // The flat form {"type": "json_schema", "schema": …} is older and still accepted.
    let schema = format
        .pointer("/json_schema/schema")
        .or_else(|| format.get("schema"));
    match (format.get("type").and_then(Value::as_str), schema) {
        (Some("text" | "regex"), _) => Ok(Format::Text),
        (Some("json_object" | "json_schema"), Some(schema)) => Ok(Format::Schema(schema.clone())),
        (Some("json_object"), None) => Ok(Format::Json),
        _ => Err(wrong("response_format", "a known format")),
    }
}

fn reasoning(fields: &Fields) -> Result<bool, Refusal> {
    let off = |value: Option<&Value>| value == Some(&Value::Bool(false));
    if let Some(effort) = fields.any("reasoning_effort")
        && !effort
            .as_str()
            .is_some_and(|effort| ["low", "medium", "high"].contains(&effort))
    {
        return Err(wrong("reasoning_effort", "one of low, medium, high"));
    }
    let disabled = off(fields
        .any("reasoning")
        .and_then(|reasoning| reasoning.get("enabled")));
    let thinking = fields
        .any("chat_template_kwargs")
        .and_then(|all| all.get("enable_thinking"));
    Ok(!disabled && !off(thinking))
}

fn saturated(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
