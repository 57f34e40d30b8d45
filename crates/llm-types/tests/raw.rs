//! Raw objects: reading, editing, refusing.

use llm_types::{ChunkSummary, RawObject};
use serde_json::json;

#[test]
fn reads_and_edits() {
    let body = br#" { "model" : "a\"b", "stream": true,
  "messages": [ {"role":"user"} ] } "#;
    let object = RawObject::parse(body).unwrap();
    assert_eq!(object.str("model").as_deref(), Some("a\"b"));
    assert_eq!(object.bool("stream"), Some(true));
    assert_eq!(object.get("messages"), Some(r#"[ {"role":"user"} ]"#));
    let edited = object
        .edit()
        .set("model", &json!("x"))
        .set_default("max_tokens", &json!(5))
        .set_default("stream", &json!(false))
        .remove("messages")
        .finish();
    assert_eq!(
        String::from_utf8(edited).unwrap(),
        " { \"model\" : \"x\", \"stream\": true,\"max_tokens\":5 } "
    );
}

#[test]
fn summarises() {
    let chunk = br#"{"choices":[{"index":0,"delta":{"content":"a\n","tool_calls":[]},"finish_reason":"eos"}],"usage":null}"#;
    let summary = ChunkSummary::parse(chunk).unwrap();
    assert_eq!(summary.content.as_deref(), Some("a\n"));
    assert!(!summary.tool_calls && summary.usage.is_null());
    assert_eq!(summary.finish_reason.as_deref(), Some("eos"));
}
