//! [`Script`]: what the simulated models of Together say, turn by turn.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use serde_json::Value;

/// Conversations that the simulated models of Together follow, with tool calls and reasoning.
///
/// It is read from JSON. A conversation applies if a message of the user or the system contains
/// `when`; the latest such message counts. The number of assistant messages after it selects the turn. After the last turn,
/// and in all other conversations, replies are [`SimReply::Echo`](crate::SimReply::Echo).
///
/// ```
/// use llm_sim::{Script, SimOptions, SimReply};
///
/// let script: Script = r#"[{"when": "weather", "turns": [
///     {"reasoning": "Two cities.", "order": "interleaved", "calls": [
///         {"name": "get_weather", "arguments": {"city": "Paris"}},
///         {"name": "get_weather", "arguments": {"city": "Rome"}, "id": "functions.get_weather:1"}]},
///     {"text": "Sunny in both."}]}]"#.parse()?;
/// let options = SimOptions::default().with_reply(SimReply::Script(script));
/// # Ok::<(), llm_sim::ParseScriptError>(())
/// ```
///
/// A turn has any of `reasoning` (only the engines of 2026 send it), `text`, `calls` and `order`.
/// A call has a `name`, `arguments` (an object, or a text that is sent as it is), and perhaps an
/// `id`. `order` is the order of a stream:
///
/// | `order` | chunks |
/// |---|---|
/// | `sequential` (default) | the text, then one call after another |
/// | `interleaved` | the text, then pieces of all calls by turns |
/// | `beside` | the end of the text is in the chunk that begins the arguments of the first call |
#[derive(Clone, Debug)]
pub struct Script(Vec<Conversation>);

/// Why a [`Script`] cannot be read.
#[derive(Debug)]
pub struct ParseScriptError(serde_json::Error);

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Conversation {
    when: String,
    turns: Vec<ScriptedTurn>,
}

/// One reply of a model.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ScriptedTurn {
    pub(crate) reasoning: String,
    pub(crate) text: String,
    pub(crate) calls: Vec<ScriptedCall>,
    pub(crate) order: CallOrder,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScriptedCall {
    pub(crate) id: Option<String>,
    pub(crate) name: String,
    #[serde(default)]
    arguments: Value,
}

/// The order in which a stream has the calls of a turn.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CallOrder {
    #[default]
    Sequential,
    Interleaved,
    Beside,
}

impl Script {
    /// The turn that follows these messages of a chat.
    pub(crate) fn turn(&self, messages: &[Value]) -> Option<&ScriptedTurn> {
        let mut turns = 0;
        for message in messages.iter().rev() {
            match message.get("role").and_then(Value::as_str) {
                Some("assistant") => turns += 1,
                Some("user" | "system") => {
                    let content = message.get("content")?;
                    let matches = |conversation: &&Conversation| has(content, &conversation.when);
                    if let Some(conversation) = self.0.iter().find(matches) {
                        return conversation.turns.get(turns);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

impl FromStr for Script {
    type Err = ParseScriptError;

    fn from_str(json: &str) -> Result<Self, ParseScriptError> {
        serde_json::from_str(json)
            .map(Self)
            .map_err(ParseScriptError)
    }
}

impl ScriptedCall {
    pub(crate) fn arguments(&self) -> String {
        match &self.arguments {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for ParseScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid script: {}", self.0)
    }
}

impl std::error::Error for ParseScriptError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

/// Whether a message's content, a text or parts, contains a text.
fn has(content: &Value, text: &str) -> bool {
    match content {
        Value::String(content) => content.contains(text),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part.get("text")?.as_str())
            .any(|part| part.contains(text)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_latest_matching_message_and_the_turns_after_it_count() {
        let script: Script = r#"[
            {"when": "red", "turns": [{"text": "1"}, {"text": "2"}]},
            {"when": "blue", "turns": [{"text": "3"}]}]"#
            .parse()
            .unwrap();
        let user =
            |text: &str| json!({"role": "user", "content": [{"type": "text", "text": text}]});
        let assistant = json!({"role": "assistant", "content": "x"});
        let text = |messages: &[Value]| script.turn(messages).map(|turn| turn.text.clone());
        assert_eq!(text(&[user("a red one")]).as_deref(), Some("1"));
        let more = [user("red"), assistant.clone(), user("go on")];
        assert_eq!(text(&more).as_deref(), Some("2"));
        let other = [user("red"), assistant.clone(), user("now blue")];
        assert_eq!(text(&other).as_deref(), Some("3"));
        assert_eq!(text(&[user("blue"), assistant, user("x")]), None);
        assert_eq!(text(&[user("green")]), None);
    }

    #[test]
    fn an_unknown_member_is_an_error() {
        let error = r#"[{"when": "a", "turns": [{"txt": "1"}]}]"#.parse::<Script>();
        let error = error.unwrap_err().to_string();
        assert!(error.contains("unknown field `txt`"), "{error}");
    }
}
