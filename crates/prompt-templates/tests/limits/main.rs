//! Every template ends and stays within its limits. The tests cover each operation that can grow,
//! recurse or take long; each runs on a thread's stack of two megabytes.
#![cfg(feature = "jinja")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod growth;
mod nesting;
mod rewriting;

use allocation_counter::measure;
use prompt_templates::{ChatTemplate, Context, Error, ErrorKind, RenderLimits};
use serde_json::json;

const FUEL: u64 = 50_000;
const OUTPUT: usize = 64 << 10;
const MEMORY: usize = 1 << 20;
/// The peak memory of a render: the values, buffers that double when they grow, and a few words for
/// each instruction.
const PEAK: u64 = 24 << 20;

fn render(source: &str) -> Result<String, Error> {
    let mut limits = RenderLimits::default();
    limits.fuel = FUEL;
    limits.output = OUTPUT;
    limits.memory = MEMORY;
    let context = Context::new(json!([{"role": "user", "content": "x"}]))
        .with_variable("text", "ab&'\\\n".repeat(5_000))
        .with_variable("numbers", (0..5_000).collect::<Vec<_>>());
    let mut result = None;
    let allocations = measure(|| {
        let template = ChatTemplate::compile_with("test", source, limits);
        result = Some(template.and_then(|template| template.render_context(&context)));
    });
    let shown = &source[..source.len().min(200)];
    assert!(allocations.bytes_max < PEAK, "{allocations:?}: {shown}");
    let result = result.unwrap();
    assert!(!matches!(&result, Ok(out) if out.len() > OUTPUT), "{shown}");
    result
}

/// Checks that a render fails because of a limit.
#[track_caller]
fn is_stopped(source: &str) {
    let shown = &source[..source.len().min(200)];
    match render(source) {
        Ok(out) => panic!("{} bytes: {shown}", out.len()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Limit, "{error}: {shown}"),
    }
}

/// Applies an expression of `ns.x` to itself many times.
fn repeated(start: &str, step: &str) -> String {
    format!(
        "{{% set ns = namespace(x={start}) %}}{{% for i in range(3000) %}}\
         {{% set ns.x = {step} %}}{{% endfor %}}"
    )
}
