//! What the log of the process contains, at every level.

use serde_json::json;

use crate::upstream::upstream;
use crate::{File, Gateway, config};

const PROMPT: &str = "canary-prompt-51c2";
const REPLY: &str = "canary-reply-88d1";
const MASTER: &str = "sk-canary-master";
const UPSTREAM: &str = "sk-canary-upstream";

fn locked(address: &str) -> File {
    let text = config("alpha")
        .replace("http://127.0.0.1:1", address)
        .replace("api_key: any", &format!("api_key: {UPSTREAM}"));
    let text = format!("{text}general_settings:\n  master_key: {MASTER}\n");
    File::new("canary.yaml", &text)
}

#[test]
fn no_key_prompt_or_reply_is_logged_at_any_level() {
    let reply = json!({
        "id": "1", "object": "chat.completion", "created": 1, "model": "m",
        "choices": [{ "index": 0, "finish_reason": "stop",
                      "message": { "role": "assistant", "content": REPLY } }],
        "usage": { "prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2 },
    });
    let answers = [
        (200, reply.to_string()),
        (500, "{}".to_owned()),
        (401, "{}".to_owned()),
    ];
    for (status, body) in answers {
        let file = locked(&upstream(status, "application/json", &body));
        let trace = [("POLYLLM_LOG", "trace")];
        let gateway = Gateway::start_with(&["--config", file.path()], &trace);
        let (made, key) = gateway.send_with(MASTER, "POST /key/generate", "{}");
        assert_eq!(made, 200, "{key}");
        let key = key["key"].as_str().unwrap();
        for (path, member) in [
            ("/v1/chat/completions", "messages"),
            ("/v1/messages", "messages"),
            ("/v1/responses", "input"),
        ] {
            let body = json!({
                "model": "alpha", "max_tokens": 5, member: [{ "role": "user", "content": PROMPT }],
            });
            gateway.send_with(key, &format!("POST {path}"), &body.to_string());
        }
        gateway.send_with("sk-canary-wrong", "GET /v1/models", "");
        gateway.signal("-HUP");
        let log = gateway.wait_for(0, "reload: ");
        assert!(log.contains("TRACE"), "the log has the level trace: {log}");
        for secret in [PROMPT, REPLY, MASTER, UPSTREAM, key, "sk-canary-wrong"] {
            assert!(!log.contains(secret), "{secret}: {log}");
        }
    }
}

#[test]
fn the_switch_for_prompts_says_so_at_the_start() {
    let file = locked(&upstream(200, "application/json", r#"{"choices":[]}"#));
    let gateway = Gateway::start_with(&["--config", file.path(), "--log-prompts"], &[]);
    gateway.wait_for(0, "the log contains the prompts of all clients");
    let body = json!({ "model": "alpha", "messages": [{ "role": "user", "content": PROMPT }] });
    gateway.send_with(MASTER, "POST /v1/chat/completions", &body.to_string());
    let log = gateway.wait_for(0, PROMPT);
    assert!(!log.contains(MASTER), "{log}");
}
