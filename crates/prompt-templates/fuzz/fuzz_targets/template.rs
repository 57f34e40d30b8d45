//! Any text as a chat template: no panic, and a prompt within the limits.
//!
//! `cargo +nightly fuzz run template -- -dict=fuzz_targets/jinja.dict -rss_limit_mb=256`, in the
//! folder `fuzz`: libFuzzer stops inputs that use too much memory or time.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prompt_templates::{ChatTemplate, Context, RenderLimits, PromptMessage, Options};
use serde_json::json;

const OUTPUT: usize = 64 << 10;

fuzz_target!(|source: &str| {
    let mut limits = RenderLimits::default();
    limits.fuel = 50_000;
    limits.output = OUTPUT;
    limits.memory = 4 << 20;
    let Ok(template) = ChatTemplate::compile_with("fuzz", source, limits) else {
        return;
    };
    let messages = [
        PromptMessage::system("s"),
        PromptMessage::user("u"),
        PromptMessage::assistant("a"),
    ];
    let context = Context::new(json!([{"role": "user", "content": ["x", {"y": 1}]}]))
        .with_variable("x", "ab&'\\\n".repeat(100))
        .with_variable("y", vec![1, 2, 3]);
    for prompt in [
        template.render(&messages, &Options::new()),
        template.render_context(&context),
    ]
    .into_iter()
    .flatten()
    {
        assert!(prompt.len() <= OUTPUT);
    }
});
