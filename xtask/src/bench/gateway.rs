//! What a request through the gateway costs.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};
use serde_json::json;

use super::callgrind::Counted;
use super::load::{Client, KEY};
use super::{Options, upstream};
use crate::clients::polyllm;
use crate::tool;

/// A sort of request.
struct Case {
    name: &'static str,
    path: &'static str,
    body: String,
    /// How the answer ends.
    end: &'static str,
    /// How many are counted.
    requests: u64,
    /// The most instructions that one may take.
    limit: u64,
}

/// The limits are the counts that were reached, and a tenth more: they change with the compiler.
fn cases() -> [Case; 4] {
    let chat = |content: &str, stream: bool| {
        let messages = json!([{ "role": "user", "content": content }]);
        json!({ "model": "bench", "messages": messages, "stream": stream }).to_string()
    };
    [
        Case {
            name: "request",
            path: "/v1/chat/completions",
            body: chat("Hello!", false),
            end: "}",
            requests: 200,
            limit: 115_000,
        },
        Case {
            name: "stream of 64 chunks",
            path: "/v1/chat/completions",
            body: chat("Hello!", true),
            end: "[DONE]",
            requests: 100,
            limit: 530_000,
        },
        Case {
            name: "prompt of 256 KiB",
            path: "/v1/chat/completions",
            body: chat(&"lorem ipsum ".repeat((256 << 10) / 12), false),
            end: "}",
            requests: 50,
            limit: 445_000,
        },
        Case {
            name: "64 embeddings",
            path: "/v1/embeddings",
            body: json!({ "model": "bench", "input": vec!["word"; 64] }).to_string(),
            end: "}",
            requests: 50,
            limit: 3_000_000,
        },
    ]
}

/// Counts, prints and compares.
pub(super) fn run(options: &Options) -> Result<()> {
    let ours = match &options.polyllm {
        Some(file) => fs::canonicalize(file)?,
        None => polyllm(true)?,
    };
    let ours = counts(&ours)?;
    let others = match &options.against {
        Some(file) => Some(counts(&fs::canonicalize(file)?)?),
        None => None,
    };
    let mut exceeded = Vec::new();
    for (at, (case, count)) in cases().iter().zip(&ours).enumerate() {
        let other = others.as_ref().and_then(|others| others.get(at).copied());
        print(case, *count, other, options.json);
        if *count > case.limit {
            exceeded.push(format!("{}: {count} above {}", case.name, case.limit));
        }
    }
    if !exceeded.is_empty() {
        bail!("more instructions than allowed: {}", exceeded.join(", "));
    }
    Ok(())
}

fn print(case: &Case, count: u64, other: Option<u64>, json: bool) {
    let Case { name, limit, .. } = case;
    if json {
        let line = json!({
            "name": name, "instructions": count, "limit": limit, "against": other,
        });
        println!("{line}");
        return;
    }
    let against = other.map_or_else(String::new, |other| {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let ratio = count as f64 / other as f64;
        format!("  against {other:>9} ({ratio:.2})")
    });
    println!("{name:<20} {count:>9} instructions, limit {limit:>9}{against}");
}

/// The instructions per request of each case.
fn counts(polyllm: &Path) -> Result<Vec<u64>> {
    let folder = tool::target()?.join("bench-gateway");
    fs::create_dir_all(&folder)?;
    let config = folder.join("config.yaml");
    let base = upstream::start()?;
    let text = format!(
        "model_list:\n  - model_name: bench\n    litellm_params:\n      \
         model: together_ai/acme/model\n      api_key: upstream-key-1234\n      \
         api_base: {base}\ngeneral_settings:\n  master_key: {KEY}\n"
    );
    fs::write(&config, text)?;
    let config = config.to_string_lossy();
    let args = ["serve", "--config", &*config, "--port", "0", "--json"];
    let gateway = Counted::start(polyllm, &args, &folder.join("callgrind"))?;
    let mut client = Client::connect(&gateway.address()?)?;
    let mut counts = Vec::new();
    for case in cases() {
        let mut send =
            |requests| (0..requests).try_for_each(|_| client.post(case.path, &case.body, case.end));
        // Connections and buffers are made by the first requests.
        send(5)?;
        counts.push(gateway.count(|| send(case.requests))? / case.requests);
    }
    Ok(counts)
}
