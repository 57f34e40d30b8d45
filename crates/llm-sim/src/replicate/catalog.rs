//! The models of the simulated Replicate.

use serde_json::{Value, json};

use crate::replicate::inputs::{
    CLAUDE, COG_LLAMA, COG_VLLM, GPTJ, HELLO, LLAMA2, LLAMA3, PROXY, VLLM,
};
use crate::replicate::schema::Schema;
use crate::seed::{HEX, Rng, hash};

/// A model as named in a request.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) owner: String,
    pub(crate) name: String,
    pub(crate) listed: &'static Listed,
}

/// The catalogue's entry of a model, or of a group of models.
#[derive(Debug)]
pub(crate) struct Listed {
    name: &'static str,
    /// Newest first; if empty, the model's id is derived from its name.
    versions: &'static [&'static str],
    pub(crate) official: bool,
    pub(crate) schema: Schema,
    pub(crate) output: Output,
}

/// The shape of a model's output.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Output {
    /// Tokens, with their number in the metrics.
    Tokens,
    /// The same with an empty last token, like Llama 3.
    TokensAndEnd,
    /// Tokens, with their number in the logs.
    TokensInLogs,
    /// One string, no stream.
    Text,
}

impl Model {
    /// Any `owner/name` is a model, unless its name contains `no-such`. Names that are not in the
    /// catalogue have vLLM's inputs. Those of owners whose models are official on Replicate are
    /// official here, too.
    pub(crate) fn find(owner: &str, name: &str) -> Option<Self> {
        let full = format!("{owner}/{name}").to_ascii_lowercase();
        let good = |part: &str| {
            let byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            !part.is_empty() && part.len() <= 100 && part.bytes().all(byte)
        };
        if !good(owner) || !good(name) || full.contains("no-such") {
            return None;
        }
        let listed = MODELS
            .iter()
            .find(|listed| listed.name.eq_ignore_ascii_case(&full));
        let listed = listed.unwrap_or_else(|| match owner.to_ascii_lowercase().as_str() {
            "meta" if name.to_ascii_lowercase().contains("llama-3") => &ANY_LLAMA3,
            "meta" | "deepseek-ai" | "ibm-granite" | "qwen" | "snowflake" => &ANY_OFFICIAL,
            "anthropic" => &ANY_CLAUDE,
            "google" | "openai" | "xai" => &ANY_PROXY,
            _ => &ANY,
        });
        // Names match in any case and are returned in the catalogue's case.
        let (owner, name) = match listed.name.split_once('/') {
            Some((_, "*")) | None => (owner, name),
            Some(canonical) => canonical,
        };
        Some(Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
            listed,
        })
    }

    /// The model with this version, if it is in the catalogue.
    pub(crate) fn of_version(id: &str) -> Option<Self> {
        let listed = MODELS.iter().find(|listed| listed.versions.contains(&id))?;
        let (owner, name) = listed.name.split_once('/')?;
        Some(Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
            listed,
        })
    }

    /// The catalogue, by name.
    pub(crate) fn all() -> Vec<Self> {
        let named = MODELS.iter().filter_map(|listed| {
            let (owner, name) = listed.name.split_once('/')?;
            Self::find(owner, name)
        });
        let mut all: Vec<_> = named.collect();
        all.sort_by_key(Self::full_name);
        all
    }

    pub(crate) fn description(&self) -> String {
        let what = match self.listed.output {
            Output::Text => "model",
            _ => "language model",
        };
        format!("A simulation of the {what} {}", self.full_name())
    }

    pub(crate) fn gives_tokens(&self) -> bool {
        self.listed.output != Output::Text
    }

    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    pub(crate) fn latest(&self) -> String {
        match self.listed.versions.first() {
            Some(id) => (*id).to_owned(),
            None => Rng(hash([self.owner.as_str(), self.name.as_str()])).word(HEX, 64),
        }
    }

    /// A catalogued model has the listed versions; others accept any 64 hexadecimal digits.
    pub(crate) fn has_version(&self, id: &str) -> bool {
        let digits = id.len() == 64 && id.bytes().all(|byte| HEX.contains(&byte));
        match self.listed.versions {
            [] => digits,
            versions => versions.contains(&id),
        }
    }

    pub(crate) fn versions(&self) -> Vec<String> {
        match self.listed.versions {
            [] => vec![self.latest()],
            versions => versions.iter().map(|id| (*id).to_owned()).collect(),
        }
    }

    pub(crate) fn version(&self, id: &str) -> Value {
        let output = match self.listed.output {
            Output::Text => json!({"type": "string", "title": "Output"}),
            _ => json!({
                "type": "array",
                "items": {"type": "string"},
                "title": "Output",
                "x-cog-array-type": "iterator",
                "x-cog-array-display": "concatenate",
            }),
        };
        json!({
            "id": id,
            "created_at": "2024-04-18T17:39:29.115460Z",
            "cog_version": "0.9.4",
            "openapi_schema": {
                "openapi": "3.0.2",
                "info": {"title": "Cog", "version": "0.1.0"},
                "components": {
                    "schemas": {"Input": self.listed.schema.input(), "Output": output},
                },
            },
        })
    }

    pub(crate) fn entry(&self, base: &str) -> Value {
        json!({
            "url": format!("{base}/{}", self.full_name()),
            "owner": self.owner,
            "name": self.name,
            "description": self.description(),
            "visibility": "public",
            "is_official": self.listed.official,
            "github_url": null,
            "paper_url": null,
            "license_url": null,
            "run_count": hash([self.name.as_str()]) % 10_000_000,
            "cover_image_url": null,
            "default_example": null,
            "latest_version": self.version(&self.latest()),
        })
    }
}

const fn official(name: &'static str, schema: Schema, output: Output) -> Listed {
    Listed {
        name,
        versions: &[],
        official: true,
        schema,
        output,
    }
}

const fn community(
    name: &'static str,
    versions: &'static [&'static str],
    schema: Schema,
    output: Output,
) -> Listed {
    Listed {
        name,
        versions,
        official: false,
        schema,
        output,
    }
}

static MODELS: &[Listed] = &[
    official(
        "meta/meta-llama-3-8b-instruct",
        LLAMA3,
        Output::TokensAndEnd,
    ),
    official(
        "meta/meta-llama-3-70b-instruct",
        LLAMA3,
        Output::TokensAndEnd,
    ),
    Listed {
        versions: &["02e509c789964a7ea8736978a43525956ef40397be9033abf9fd2badfe68c9e3"],
        ..official("meta/llama-2-70b-chat", LLAMA2, Output::Tokens)
    },
    community(
        "replicate/llama-2-70b-chat",
        &["2796ee9483c3fd7aa2e171d38f4ca12251a30609463dcfd4cd76703f22e96cdf"],
        COG_LLAMA,
        Output::Tokens,
    ),
    community(
        "a16z-infra/llama-2-13b-chat",
        &["2a7f981751ec7fdf87b5b91ad4db53683a98082e9ff7bfd12c8cd5ea85980a52"],
        COG_LLAMA,
        Output::Tokens,
    ),
    community(
        "mistralai/mistral-7b-instruct-v0.1",
        &["5fe0a3d7ac2852264a25279d1dfb798acbc4d49711d126646594e212cb821749"],
        COG_VLLM,
        Output::Tokens,
    ),
    community(
        "replicate/vicuna-13b",
        &["6282abe6a492de4145d7bb601023762212f9ddbbe78278bd6771c8b3b2f2a13b"],
        GPTJ,
        Output::Tokens,
    ),
    community(
        "daanelson/flan-t5-large",
        &["ce962b3f6792a57074a601d3979db5839697add2e4e02696b3ced4c022d4767f"],
        GPTJ,
        Output::Tokens,
    ),
    community(
        "replicate/hello-world",
        &["5c7d5dc6dd8bf75c1acaa8565735e7986bc5b66206b55cca93cb72c9bf15ccaa"],
        HELLO,
        Output::Text,
    ),
    // The placeholder in documentation for a version of one's own.
    community(
        "sim/custom-llm",
        &["custom-llm-version-id"],
        VLLM,
        Output::Tokens,
    ),
];

static ANY: Listed = community("*/*", &[], VLLM, Output::Tokens);
static ANY_OFFICIAL: Listed = official("*/*", VLLM, Output::Tokens);
static ANY_LLAMA3: Listed = official("*/*", LLAMA3, Output::TokensAndEnd);
static ANY_PROXY: Listed = official("*/*", PROXY, Output::TokensInLogs);
static ANY_CLAUDE: Listed = official("*/*", CLAUDE, Output::TokensInLogs);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_case_insensitive() {
        let model = Model::find("mistralai", "Mistral-7B-Instruct-v0.1").unwrap();
        assert_eq!(model.full_name(), "mistralai/mistral-7b-instruct-v0.1");
        assert!(!model.listed.official);
        let model = Model::find("togethercomputer", "LLaMA-2-7B-32K").unwrap();
        assert_eq!(model.full_name(), "togethercomputer/LLaMA-2-7B-32K");
        assert_eq!(model.latest().len(), 64);
        assert!(model.has_version(&model.latest()));
    }

    #[test]
    fn unknown_names_and_versions_are_rejected() {
        assert!(Model::find("meta", "no-such-model").is_none());
        assert!(Model::find("", "x").is_none());
        assert!(Model::find("a b", "x").is_none());
        let listed = Model::find("replicate", "vicuna-13b").unwrap();
        assert!(!listed.has_version(&"0".repeat(64)));
        assert!(Model::of_version(&listed.latest()).is_some());
        assert!(Model::of_version(&"0".repeat(64)).is_none());
    }
}
