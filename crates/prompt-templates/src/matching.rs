//! Finds the family of a model by its name.

use alloc::string::String;

use crate::family::Family;

/// Finds the family of the model with this name at Together, Replicate or Hugging Face.
///
/// The name may have a provider prefix (`replicate/`, `together_ai/`), an owner, and a version
/// (`:2796ee94…`). Case is ignored. An unknown model is [`MatchReason::Unknown`]: no format is guessed, and
/// the caller can choose one explicitly, such as [`Family::PLAIN`]. Deployments are unknown too,
/// since their names are not those of their models.
///
/// ```
/// use prompt_templates::{Family, MatchReason, match_model};
///
/// let found = match_model("togethercomputer/llama-2-70b-chat");
/// assert_eq!(found.family, Some(Family::LLAMA_2));
/// assert_eq!(found.reason, MatchReason::Name("llama-2 chat"));
/// assert_eq!(match_model("somebody/else").reason, MatchReason::Unknown);
/// ```
pub fn match_model(model: &str) -> ModelMatch {
    let unknown = ModelMatch {
        family: None,
        reason: MatchReason::Unknown,
    };
    let name = model.split(':').next().unwrap_or(model);
    if name.split('/').any(|part| part == "deployments") {
        return unknown;
    }
    let name: String = name
        .rsplit('/')
        .next()
        .unwrap_or(name)
        .to_lowercase()
        .replace('_', "-");
    if let Some(rule) = RULES.iter().find(|rule| rule.matches(&name)) {
        return ModelMatch {
            family: Some(rule.family),
            reason: MatchReason::Name(rule.words),
        };
    }
    let base = BASES.iter().find(|base| is_base(&name, base));
    base.map_or(unknown, |base| ModelMatch {
        family: Some(Family::PLAIN),
        reason: MatchReason::Base(base),
    })
}

/// The result of [`match_model`].
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ModelMatch {
    /// The family; `None` if the model is unknown.
    pub family: Option<Family>,
    /// Why this family was chosen.
    pub reason: MatchReason,
}

/// Why a model has its family.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MatchReason {
    /// The name is that of a base model without a format: the given name, followed only by sizes
    /// and versions.
    Base(&'static str),
    /// The name contains these words.
    Name(&'static str),
    /// No rule matches.
    Unknown,
}

/// A name that contains all `words`, and none of `except`, belongs to the family. The first matching
/// rule wins, so derived models precede the models on which they build.
struct Rule {
    words: &'static str,
    except: &'static str,
    family: Family,
}

impl Rule {
    fn matches(&self, name: &str) -> bool {
        self.words.split(' ').all(|word| name.contains(word))
            && !self
                .except
                .split(' ')
                .any(|word| !word.is_empty() && name.contains(word))
    }
}

/// Whether the name is `base`, followed only by sizes and versions.
fn is_base(name: &str, base: &str) -> bool {
    let name = name.strip_prefix("meta-").unwrap_or(name);
    let is_size = |part: &str| {
        let digits = part.trim_start_matches('v').trim_end_matches(['b', 'k']);
        !digits.is_empty()
            && digits
                .bytes()
                .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'x'))
    };
    name.strip_prefix(base).is_some_and(|rest| {
        rest.split('-').all(|part| {
            is_size(part) || matches!(part, "" | "base" | "fp8" | "hf" | "pt" | "python" | "vllm")
        })
    })
}

const fn rule(words: &'static str, except: &'static str, family: Family) -> Rule {
    Rule {
        words,
        except,
        family,
    }
}

const RULES: &[Rule] = &[
    // Derived models, named after those on which they build.
    rule("nsql", "", Family::NSQL),
    rule("llama-3 sqlcoder", "", Family::LLAMA_3),
    rule("sqlcoder", "", Family::SQLCODER),
    rule("phind codellama", "", Family::PHIND_CODELLAMA),
    rule("wizardcoder", "", Family::WIZARDCODER),
    rule("wizardlm", "", Family::WIZARDLM),
    rule("chronos-hermes", "", Family::CHRONOS_HERMES),
    rule("nous-hermes-2", "", Family::CHATML),
    rule("nous-hermes", "", Family::NOUS_HERMES),
    rule("openhermes", "", Family::CHATML),
    rule("hermes-2", "", Family::CHATML),
    rule("hermes-3", "", Family::CHATML),
    rule("llama oasst-sft", "", Family::OASST),
    rule("openorca mistral", "", Family::CHATML),
    rule("dolphin", "", Family::CHATML),
    rule("deepseek-r1", "", Family::DEEPSEEK_R1),
    rule("starling-lm", "", Family::OPENCHAT),
    rule("openchat-3.5", "", Family::OPENCHAT),
    rule("zephyr", "stablelm", Family::ZEPHYR),
    rule("solar-0-70b", "", Family::SOLAR),
    rule("solar-10.7b-instruct", "", Family::SOLAR),
    rule("vicuna", "", Family::VICUNA),
    rule("alpaca", "", Family::ALPACA),
    rule("mythologic", "", Family::ALPACA),
    rule("mythomax", "", Family::ALPACA),
    rule("mythomix", "", Family::ALPACA),
    rule("dolly-v2", "", Family::ALPACA),
    rule("starchat", "starchat2", Family::STARCHAT),
    rule("redpajama chat", "", Family::REDPAJAMA),
    // Code Llama 70B has a separate format.
    rule("codellama instruct", "70b", Family::CODELLAMA),
    rule("code-llama instruct", "70b", Family::CODELLAMA),
    rule("llama-4 instruct", "", Family::LLAMA_4),
    rule("llama-3.1 instruct", "", Family::LLAMA_3_1),
    rule("llama-3.2 instruct", "", Family::LLAMA_3_1),
    rule("llama-3.3 instruct", "", Family::LLAMA_3_1),
    rule("llama-3- instruct", "", Family::LLAMA_3),
    rule("llama-3- chat", "", Family::LLAMA_3),
    rule("llama-2 chat", "", Family::LLAMA_2),
    rule("llama2 chat", "", Family::LLAMA_2),
    rule("llama-2 instruct", "", Family::LLAMA_2),
    rule("mixtral-8x22b instruct", "", Family::MISTRAL_V3),
    rule("mixtral instruct", "", Family::MIXTRAL),
    rule("mistral-7b instruct v0.1", "", Family::MISTRAL_V1),
    rule("mistral-7b instruct v0.2", "", Family::MIXTRAL),
    rule("mistral-7b instruct v0.3", "", Family::MISTRAL_V3),
    rule("mistral-large 2407", "", Family::MISTRAL_V3),
    rule("mistral-small 2409", "", Family::MISTRAL_V3),
    rule("codestral-22b", "", Family::MISTRAL_V3),
    rule("mistral-nemo instruct", "", Family::MISTRAL_NEMO),
    rule("ministral-8b instruct", "", Family::MISTRAL_NEMO),
    rule(
        "qwen3",
        "base coder embedding next omni reranker thinking vl",
        Family::QWEN_3,
    ),
    rule("qwen2.5 instruct", "math omni vl", Family::QWEN_2_5),
    rule("qwen2- instruct", "audio math vl", Family::QWEN_2),
    rule("qwen1.5 chat", "", Family::QWEN_2),
    rule("yi- chat", "vl", Family::CHATML),
    rule("arctic-instruct", "", Family::CHATML),
    rule("falcon-180b-chat", "", Family::FALCON_CHAT),
    rule("falcon- instruct", "falcon-h1 mamba", Family::FALCON),
    rule("mpt- chat", "", Family::MPT),
    rule("mpt- instruct", "", Family::ALPACA),
    rule("gemma-3 -it", "", Family::GEMMA_3),
    rule("gemma -it", "gemma-4 paligemma shieldgemma", Family::GEMMA),
    rule("phi-4", "mini multimodal", Family::PHI_4),
    rule("phi-3 instruct", "vision", Family::PHI_3),
    rule("deepseek-v3", "v3.1 v3.2 base", Family::DEEPSEEK_V3),
    rule("command-r", "command-r7b", Family::COMMAND_R),
    rule("granite-3 instruct", "", Family::GRANITE),
    rule("flan-t5", "", Family::FLAN_T5),
    rule("flan-ul2", "", Family::FLAN_T5),
];

/// Models without a format.
const BASES: &[&str] = &[
    "codellama",
    "code-llama",
    "falcon",
    "gemma",
    "gpt-j",
    "gpt-neox",
    "llama-2",
    "llama-3",
    "llama-3.1",
    "llama-3.2",
    "llama",
    "mistral",
    "mixtral",
    "mpt",
    "qwen1.5",
    "qwen2",
    "qwen2.5",
    "yi",
];
