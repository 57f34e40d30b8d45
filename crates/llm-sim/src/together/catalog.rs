//! The models, and the form of their responses.

use serde_json::{Value, json};

use crate::seed::{Rng, hash};

/// The form of a model's responses on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Engine {
    /// 2026: reasoning tokens, and usage in a separate chunk without being requested.
    Current,
    /// 2026 with OpenAI-style `*_details` in the usage (Qwen).
    Detailed,
    /// 2024 to 2026: `text` beside `delta.content`, all at once in the last chunk.
    Turbo,
    /// The same in 2024: `eos` for `stop`, and content in the last chunk.
    TurboEos,
}

impl Engine {
    /// By family: gpt-oss, DeepSeek and Qwen are served by the new engine, all others by the old.
    pub(crate) fn of(model: &str) -> Self {
        let model = model.to_ascii_lowercase();
        if model.contains("qwen") {
            Self::Detailed
        } else if model.contains("gpt-oss") || model.contains("deepseek") {
            Self::Current
        } else if model.contains("llama-3.1") {
            Self::TurboEos
        } else {
            Self::Turbo
        }
    }

    pub(crate) fn is_turbo(self) -> bool {
        matches!(self, Self::Turbo | Self::TurboEos)
    }
}

/// Every model `owner/name` is served, unless its name contains `no-such`; so is the one without an
/// owner in the rerank example of LiteLLM's page on Together.
pub(crate) fn is_served(model: &str) -> bool {
    if model == "rerank-english-v3.0" {
        return true;
    }
    let parts = model.split_once('/');
    parts.is_some_and(|(owner, name)| !owner.is_empty() && !name.is_empty())
        && !model.to_ascii_lowercase().contains("no-such")
}

/// Some models reject plain calls: here, those whose name contains `stream-only`.
pub(crate) fn is_stream_only(model: &str) -> bool {
    model.to_ascii_lowercase().contains("stream-only")
}

/// Base models accept prompts but no chats.
pub(crate) fn takes_chats(model: &str) -> bool {
    let mut listed = MODELS.iter();
    !listed.any(|listed| listed.kind == "language" && listed.id.eq_ignore_ascii_case(model))
}

/// The context length: 64 for names that contain `tiny-context`, otherwise 131,072.
pub(crate) fn context_length(model: &str) -> usize {
    if model.to_ascii_lowercase().contains("tiny-context") {
        return 64;
    }
    let listed = MODELS
        .iter()
        .find(|listed| listed.id.eq_ignore_ascii_case(model));
    listed.and_then(|listed| listed.context).unwrap_or(131_072)
}

/// The number of dimensions of an embedding model's vectors.
pub(crate) fn dimensions(model: &str) -> usize {
    let model = model.to_ascii_lowercase();
    if model.contains("large") { 1024 } else { 768 }
}

/// `GET /v1/models`: a bare array.
pub(crate) fn list() -> Value {
    MODELS.iter().map(Listed::entry).collect()
}

struct Listed {
    id: &'static str,
    kind: &'static str,
    context: Option<usize>,
    stop: &'static [&'static str],
    bos: Option<&'static str>,
    template: Option<&'static str>,
    /// USD per million tokens, for input and output.
    price: (f64, f64),
}

impl Listed {
    const fn new(id: &'static str, kind: &'static str, context: Option<usize>) -> Self {
        Self {
            id,
            kind,
            context,
            stop: &[],
            bos: None,
            template: None,
            price: (0.0, 0.0),
        }
    }

    const fn stops(self, stop: &'static [&'static str], bos: Option<&'static str>) -> Self {
        Self { stop, bos, ..self }
    }

    const fn template(self, template: &'static str) -> Self {
        Self {
            template: Some(template),
            ..self
        }
    }

    const fn price(self, input: f64, output: f64) -> Self {
        Self {
            price: (input, output),
            ..self
        }
    }

    fn entry(&self) -> Value {
        let (owner, name) = self.id.split_once('/').unwrap_or(("", self.id));
        let mut entry = json!({
            "id": self.id,
            "object": "model",
            "created": 0,
            "type": self.kind,
            "running": false,
            "display_name": name.replace('-', " "),
            "organization": owner,
            "link": format!("https://huggingface.co/api/models/{}", self.id),
            "config": {
                "chat_template": self.template,
                "stop": self.stop,
                "bos_token": self.bos,
                "eos_token": self.stop.first(),
            },
            "pricing": {
                "hourly": 0, "input": self.price.0, "output": self.price.1, "base": 0,
                "finetune": 0, "image_pixel": 0, "transcribe": 0, "image": 0, "video": 0,
            },
        });
        if let Some(context) = self.context {
            entry["context_length"] = json!(context);
        }
        if !matches!(self.kind, "audio" | "code" | "transcribe") {
            let kind = match self.kind {
                "language" | "rerank" => "model",
                _ => "endpoint",
            };
            let uuid = Rng(hash([self.id])).uuid();
            entry["uuid"] = json!(format!("{kind}-{uuid}"));
        }
        if self.kind == "chat" {
            entry["license"] = json!("simulated");
            entry["pricing"]["cached_input"] = json!(self.price.0 / 5.0);
        }
        // Prices that are not per token are objects.
        match self.kind {
            "image" => {
                entry["pricing"]["image_pixel"] =
                    json!({"price_per_megapixel": 0.0027, "min_steps": 4});
            }
            "transcribe" => {
                entry["pricing"]["transcribe"] = json!({"price_per_minute": 0.0015});
            }
            _ => {}
        }
        entry
    }
}

const CHATML: &str = "{% for message in messages %}<|im_start|>{{ message['role'] }}\n\
    {{ message['content'] }}<|im_end|>\n{% endfor %}\
    {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

const LLAMA3_STOP: &[&str] = &["<|eot_id|>", "<|eom_id|>"];

const MODELS: &[Listed] = &[
    Listed::new(
        "meta-llama/Llama-3.3-70B-Instruct-Turbo",
        "chat",
        Some(131_072),
    )
    .stops(LLAMA3_STOP, Some("<|begin_of_text|>"))
    .price(0.88, 0.88),
    Listed::new(
        "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo",
        "chat",
        Some(131_072),
    )
    .stops(LLAMA3_STOP, Some("<|begin_of_text|>"))
    .price(0.18, 0.18),
    Listed::new("mistralai/Mixtral-8x7B-Instruct-v0.1", "chat", Some(32_768))
        .stops(&["</s>", "[/INST]"], Some("<s>"))
        .price(0.6, 0.6),
    Listed::new("openai/gpt-oss-120b", "chat", Some(131_072)).price(0.15, 0.6),
    Listed::new("openai/gpt-oss-20b", "chat", Some(131_072)).price(0.05, 0.2),
    Listed::new("deepseek-ai/DeepSeek-V4-Pro", "chat", Some(163_840)).price(1.25, 1.25),
    Listed::new("Qwen/Qwen2.5-7B-Instruct-Turbo", "chat", Some(32_768))
        .stops(&["<|im_end|>"], None)
        .template(CHATML)
        .price(0.3, 0.3),
    Listed::new("OpenAssistant/llama2-70b-oasst-sft-v10", "chat", Some(4096))
        .stops(&["<|im_end|>"], Some("<s>"))
        .template(CHATML)
        .price(0.9, 0.9),
    Listed::new("togethercomputer/LLaMA-2-7B-32K", "language", Some(32_768))
        .stops(&["</s>"], Some("<s>"))
        .price(0.2, 0.2),
    Listed::new("Qwen/Qwen2-1.5B", "language", Some(32_768)),
    Listed::new("BAAI/bge-large-en-v1.5", "embedding", Some(512)).price(0.02, 0.02),
    Listed::new(
        "intfloat/multilingual-e5-large-instruct",
        "embedding",
        Some(514),
    )
    .stops(&["</s>"], Some("<s>"))
    .price(0.02, 0.02),
    Listed::new(
        "togethercomputer/m2-bert-80M-8k-retrieval",
        "embedding",
        Some(8192),
    )
    .price(0.008, 0.008),
    Listed::new("Salesforce/Llama-Rank-V1", "rerank", Some(8192)).price(0.1, 0.1),
    Listed::new(
        "mixedbread-ai/mxbai-rerank-large-v2",
        "rerank",
        Some(32_768),
    ),
    Listed::new("facebook/cwm", "code", Some(131_072)),
    Listed::new(
        "meta-llama/Llama-Guard-4-12B",
        "moderation",
        Some(1_048_576),
    )
    .price(0.2, 0.2),
    Listed::new("hexgrad/Kokoro-82M", "audio", None),
    Listed::new("openai/sora-2", "video", None),
    Listed::new("black-forest-labs/FLUX.1-schnell", "image", None),
    Listed::new("openai/whisper-large-v3", "transcribe", None),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_engine_depends_on_the_family() {
        assert_eq!(
            Engine::of("meta-llama/Llama-3.3-70B-Instruct-Turbo"),
            Engine::Turbo
        );
        assert_eq!(
            Engine::of("meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo"),
            Engine::TurboEos
        );
        assert_eq!(Engine::of("openai/gpt-oss-120b"), Engine::Current);
        assert_eq!(Engine::of("deepseek-ai/DeepSeek-V4-Pro"), Engine::Current);
        assert_eq!(Engine::of("Qwen/Qwen3.8-Flash"), Engine::Detailed);
    }

    #[test]
    fn models_without_an_owner_are_unknown() {
        assert!(is_served("acme/anything"));
        for unknown in ["gpt-4", "acme/", "/x", "acme/no-such-model", ""] {
            assert!(!is_served(unknown), "{unknown}");
        }
    }
}
