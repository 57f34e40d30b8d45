//! Compares a simulated response with a recorded one.

use std::collections::BTreeMap;

use serde_json::Value;

use super::http::Response;
use super::shape::Shape;

/// Where a simulated response differs in status, content type or shape, for people.
pub(super) fn differences(recorded: &Response, simulated: &Response) -> Vec<String> {
    let mut found = Vec::new();
    if recorded.status != simulated.status {
        let (recorded, simulated) = (recorded.status, simulated.status);
        found.push(format!("the status is {recorded}, simulated {simulated}"));
    }
    let [types, simulated_types] = [recorded, simulated].map(|response| {
        let essence = response.content_type.split(';').next();
        essence.unwrap_or_default().trim().to_ascii_lowercase()
    });
    if types != simulated_types {
        found.push(format!(
            "the content type is {types}, simulated {simulated_types}"
        ));
    }
    found.extend(match (recorded.json(), simulated.json()) {
        (Some(recorded), Some(simulated)) => {
            Shape::of(&recorded).differences(&Shape::of(&simulated), "body")
        }
        (None, None) => stream_differences(&recorded.text, &simulated.text),
        (Some(_), None) => vec!["the body is JSON, simulated not".to_owned()],
        (None, Some(_)) => vec!["the body is not JSON, simulated JSON".to_owned()],
    });
    found
}

fn stream_differences(recorded: &str, simulated: &str) -> Vec<String> {
    let (recorded, simulated) = (events(recorded), events(simulated));
    let mut found = Vec::new();
    for (name, shape) in &recorded {
        match simulated.get(name) {
            Some(simulated) => found.extend(shape.differences(simulated, name)),
            None => found.push(format!("the simulation sends no {name}")),
        }
    }
    let added = simulated
        .keys()
        .filter(|name| !recorded.contains_key(*name));
    found.extend(added.map(|name| format!("only the simulation sends {name}")));
    found
}

/// The shape of the data of each kind of event in a stream.
fn events(text: &str) -> BTreeMap<String, Shape> {
    let mut events: BTreeMap<String, Shape> = BTreeMap::new();
    let mut name = "message";
    for line in text.lines() {
        if let Some(event) = line.strip_prefix("event:") {
            name = event.trim();
        } else if let Some(data) = line.strip_prefix("data:") {
            let data = data.trim();
            let value: Value = serde_json::from_str(data).unwrap_or_else(|_| Value::from(data));
            let key = match data {
                "[DONE]" => "[DONE]".to_owned(),
                _ => format!("event {name}"),
            };
            // The text of Replicate's output may look like a number.
            let value = if name == "output" {
                Value::from(data)
            } else {
                value
            };
            events.entry(key).or_default().add(&value);
        } else if line.is_empty() {
            name = "message";
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, content_type: &str, text: &str) -> Response {
        Response {
            status,
            content_type: content_type.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn status_type_and_body_are_compared() {
        let recorded = response(200, "application/json; charset=utf-8", r#"{"a": 1}"#);
        assert!(
            differences(&recorded, &response(200, "application/json", r#"{"a": 2}"#)).is_empty()
        );
        assert_eq!(
            differences(&recorded, &response(201, "text/plain", "hi")),
            [
                "the status is 200, simulated 201",
                "the content type is application/json, simulated text/plain",
                "the body is JSON, simulated not",
            ],
        );
    }

    #[test]
    fn streams_are_compared_by_kind_of_event() {
        let stream = |text| response(200, "text/event-stream", text);
        let recorded = stream("event: output\ndata: hi\n\nevent: done\ndata: {}\n\n");
        assert_eq!(
            differences(
                &recorded,
                &stream("event: output\ndata: 5\n\ndata: {\"a\": 1}\n\n")
            ),
            [
                "the simulation sends no event done",
                "only the simulation sends event message",
            ],
        );
        let chunks = stream("data: {\"a\": 1}\n\ndata: {\"b\": 1}\n\ndata: [DONE]\n\n");
        assert_eq!(
            differences(&chunks, &stream("data: {\"a\": 1}\n\ndata: [DONE]\n\n")),
            ["`event message.b` is missing in the simulation"],
        );
    }
}
