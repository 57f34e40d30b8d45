//! Checks the order of the events of a Responses stream.

use std::collections::HashSet;

use llm_types::responses::{Item, ItemContent, ItemPart, ResponsesEvent, ResponsesResponse};
use serde_json::{Value, json};

/// Checks each event against the rules that OpenAI's SDKs, Codex and the AI SDK rely on.
#[derive(Debug, Default)]
pub(crate) struct ResponsesOrder {
    next: u64,
    response: Option<Value>,
    items: Vec<OpenItem>,
    ids: HashSet<String>,
    last: Option<Box<ResponsesResponse>>,
}

#[derive(Debug, Default)]
struct OpenItem {
    id: String,
    type_: String,
    /// The text of each part, and whether it has ended.
    parts: Vec<(String, bool)>,
    /// The arguments or the input, and whether they have ended.
    input: (String, bool),
    done: Option<Item>,
}

impl ResponsesOrder {
    pub(crate) fn push(&mut self, event: &ResponsesEvent) {
        let value = json!(event);
        assert_eq!(event.sequence_number, self.next, "events are numbered");
        assert!(self.last.is_none(), "{} after the end", event.type_);
        self.next += 1;
        match self.next {
            1 => assert_eq!(event.type_, "response.created"),
            2 => assert_eq!(event.type_, "response.in_progress"),
            _ => {}
        }
        if let Some(response) = &event.response {
            return self.push_response(event, response);
        }
        assert!(self.next > 2);
        let index = usize::try_from(event.output_index.unwrap()).unwrap();
        if event.type_ == "response.output_item.added" {
            return self.add_item(index, event);
        }
        let item = &mut self.items[index];
        assert!(item.done.is_none(), "{} after the item's end", event.type_);
        if event.type_ == "response.output_item.done" {
            item.check_done(event.item.as_deref().unwrap());
            item.done = event.item.as_deref().cloned();
            return;
        }
        assert_eq!(event.item_id.as_ref(), Some(&item.id), "ids do not change");
        let part = event
            .content_index
            .or(event.summary_index)
            .map(|part| usize::try_from(part).unwrap());
        match (event.type_.as_str(), part) {
            (
                "response.content_part.added" | "response.reasoning_summary_part.added",
                Some(part),
            ) => {
                assert_eq!(part, item.parts.len());
                assert!(item.parts.iter().all(|(_, ended)| *ended));
                assert_eq!(event.part.as_ref().unwrap().as_text(), Some(""));
                item.parts.push((String::new(), false));
            }
            ("response.content_part.done" | "response.reasoning_summary_part.done", Some(part)) => {
                let text = event.part.as_ref().unwrap().as_text().unwrap();
                assert_eq!((text, true), (&*item.parts[part].0, item.parts[part].1));
            }
            (
                "response.output_text.delta"
                | "response.refusal.delta"
                | "response.reasoning_summary_text.delta",
                Some(part),
            ) => {
                assert!(!item.parts[part].1, "a delta is in an open part");
                item.parts[part].0.push_str(event.delta.as_ref().unwrap());
            }
            (
                "response.output_text.done"
                | "response.refusal.done"
                | "response.reasoning_summary_text.done",
                Some(part),
            ) => {
                let whole = event.text.as_ref().or(event.refusal.as_ref());
                assert_eq!(whole.unwrap(), &item.parts[part].0);
                item.parts[part].1 = true;
            }
            (
                "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta",
                None,
            ) => {
                assert!(!item.input.1);
                item.input.0.push_str(event.delta.as_ref().unwrap());
            }
            (
                "response.function_call_arguments.done" | "response.custom_tool_call_input.done",
                None,
            ) => {
                let whole = event.arguments.as_ref().or(event.input.as_ref());
                assert_eq!(whole.unwrap(), &item.input.0);
                item.input.1 = true;
            }
            _ => panic!("{value}"),
        }
        if event.type_.starts_with("response.output_text.d") {
            assert!(event.logprobs.is_some(), "the AI SDK requires logprobs");
        }
    }

    /// The response of the last event.
    pub(crate) fn into_response(self) -> ResponsesResponse {
        *self.last.expect("the stream has a last event")
    }

    fn push_response(&mut self, event: &ResponsesEvent, response: &ResponsesResponse) {
        let value = json!(response);
        check_keys(&value);
        let identity = json!([value["id"], value["created_at"], value["model"]]);
        assert_eq!(
            self.response.get_or_insert_with(|| identity.clone()),
            &identity
        );
        let status = response.status.value().unwrap().as_str();
        match event.type_.as_str() {
            "response.created" | "response.in_progress" => {
                assert!(self.next <= 2);
                assert_eq!((status, response.output.len()), ("in_progress", 0));
                return;
            }
            "response.completed" | "response.incomplete" => {
                assert!(!self.items.is_empty(), "there is at least one item");
                let done = self.items.iter().map(|item| item.done.clone().unwrap());
                assert_eq!(response.output, done.collect::<Vec<_>>());
                assert!(response.usage.is_value());
            }
            "response.failed" => assert!(response.error.is_value()),
            other => panic!("{other}"),
        }
        assert_eq!(event.type_, format!("response.{status}"));
        self.last = Some(Box::new(response.clone()));
    }

    fn add_item(&mut self, index: usize, event: &ResponsesEvent) {
        assert_eq!(index, self.items.len());
        let item = json!(event.item);
        assert_eq!(item["status"], "in_progress");
        let id = item["id"].as_str().unwrap().to_owned();
        assert!(self.ids.insert(id.clone()), "ids are unique");
        if let Some(call_id) = item["call_id"].as_str() {
            assert!(!call_id.is_empty());
            assert!(
                self.ids.insert(format!("call {call_id}")),
                "call ids are unique"
            );
        }
        self.items.push(OpenItem {
            id,
            type_: item["type"].as_str().unwrap().to_owned(),
            ..OpenItem::default()
        });
    }
}

impl OpenItem {
    fn check_done(&self, item: &Item) {
        assert_eq!(item.type_(), self.type_);
        assert_eq!(item.id(), Some(self.id.as_str()));
        assert!(self.parts.iter().all(|(_, ended)| *ended));
        let texts = |parts: &[ItemPart]| -> Vec<String> {
            parts
                .iter()
                .map(|part| part.as_text().unwrap().to_owned())
                .collect()
        };
        let streamed: Vec<_> = self.parts.iter().map(|(text, _)| text.clone()).collect();
        match item {
            Item::Message(item) => match &item.content {
                ItemContent::Parts(parts) => assert_eq!(texts(parts), streamed),
                other => panic!("{other:?}"),
            },
            Item::Reasoning(item) => {
                assert_eq!(texts(&item.summary), streamed);
            }
            Item::FunctionCall(item) => {
                assert_eq!((&item.arguments, true), (&self.input.0, self.input.1));
                assert!(!item.arguments.trim().is_empty());
            }
            Item::CustomToolCall(item) => {
                assert_eq!((&item.input, true), (&self.input.0, self.input.1));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Checks the order of a stream and returns its last response.
pub(crate) fn last_response(events: &[ResponsesEvent]) -> ResponsesResponse {
    let mut order = ResponsesOrder::default();
    events.iter().for_each(|event| order.push(event));
    order.into_response()
}

/// The keys that the Open Responses specification requires, with the types of some.
fn check_keys(response: &Value) {
    for key in [
        "id",
        "object",
        "created_at",
        "completed_at",
        "status",
        "incomplete_details",
        "model",
        "previous_response_id",
        "instructions",
        "output",
        "error",
        "tools",
        "tool_choice",
        "truncation",
        "parallel_tool_calls",
        "text",
        "top_p",
        "temperature",
        "presence_penalty",
        "frequency_penalty",
        "top_logprobs",
        "reasoning",
        "usage",
        "max_output_tokens",
        "max_tool_calls",
        "store",
        "background",
        "service_tier",
        "metadata",
        "safety_identifier",
        "prompt_cache_key",
    ] {
        assert!(response.get(key).is_some(), "{key} is missing");
    }
    for key in [
        "top_p",
        "temperature",
        "presence_penalty",
        "frequency_penalty",
    ] {
        assert!(response[key].is_number(), "{key}");
    }
    assert_eq!(response["object"], "response");
    assert!(response["text"]["format"]["type"].is_string());
    for tool in response["tools"].as_array().unwrap() {
        if tool["type"] == "function" {
            for key in ["description", "parameters", "strict"] {
                assert!(tool.get(key).is_some(), "tools.{key}");
            }
        }
    }
}
