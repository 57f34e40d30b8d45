//! The input schemas of the simulated models, and inputs checked against them.

use serde_json::{Map, Value, json};

use crate::replicate::problem::Invalid;

/// One property of an `Input` schema.
#[derive(Debug)]
pub(crate) struct Field {
    name: &'static str,
    kind: Kind,
    required: bool,
    default: Preset,
    least: Option<f64>,
    most: Option<f64>,
    one_of: &'static [&'static str],
    about: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Boolean,
    Integer,
    Number,
    Objects,
    Text,
    Uris,
}

#[derive(Clone, Copy, Debug)]
enum Preset {
    None,
    Flag(bool),
    Number(f64),
    Text(&'static str),
}

/// A model's inputs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schema(&'static [Field]);

impl Schema {
    /// `components.schemas.Input`.
    pub(crate) fn input(self) -> Value {
        let mut properties = Map::new();
        for (order, field) in (0_u64..).zip(self.0) {
            properties.insert(field.name.to_owned(), field.property(order));
        }
        let required: Vec<_> = self
            .0
            .iter()
            .filter(|field| field.required)
            .map(|field| field.name)
            .collect();
        let mut input = json!({"type": "object", "title": "Input", "properties": properties});
        if !required.is_empty() {
            input["required"] = json!(required);
        }
        input
    }

    /// What does not fit. Keys that are not in the schema are ignored, as Replicate does.
    pub(crate) fn check(self, input: &Map<String, Value>) -> Vec<Invalid> {
        let missing = |field: &&Field| field.required && !input.contains_key(field.name);
        let mut invalid: Vec<_> = self
            .0
            .iter()
            .filter(missing)
            .map(|field| Invalid::required("input", field.name))
            .collect();
        let given = self
            .0
            .iter()
            .filter_map(|field| Some((field, input.get(field.name)?)));
        invalid.extend(given.filter_map(|(field, value)| field.check(value)));
        invalid
    }

    pub(crate) fn has(self, name: &str) -> bool {
        self.0.iter().any(|field| field.name == name)
    }

    pub(crate) fn default_text(self, name: &str) -> Option<&'static str> {
        self.0
            .iter()
            .find(|field| field.name == name)
            .and_then(|field| match field.default {
                Preset::Text(text) => Some(text),
                _ => None,
            })
    }

    pub(crate) fn default_number(self, name: &str) -> Option<f64> {
        self.0
            .iter()
            .find(|field| field.name == name)
            .and_then(|field| match field.default {
                Preset::Number(number) => Some(number),
                _ => None,
            })
    }
}

impl Field {
    fn property(&self, order: u64) -> Value {
        let mut property = json!({"title": title(self.name), "x-order": order});
        match self.kind {
            Kind::Boolean => property["type"] = json!("boolean"),
            Kind::Integer => property["type"] = json!("integer"),
            Kind::Number => property["type"] = json!("number"),
            Kind::Text => property["type"] = json!("string"),
            Kind::Objects => {
                property["type"] = json!("array");
                property["items"] = json!({"type": "object"});
            }
            Kind::Uris => {
                property["type"] = json!("array");
                property["items"] = json!({"type": "string", "format": "uri"});
            }
        }
        match self.default {
            Preset::None => {}
            Preset::Flag(flag) => property["default"] = json!(flag),
            Preset::Number(number) => property["default"] = self.number(number),
            Preset::Text(text) => property["default"] = json!(text),
        }
        if let Some(least) = self.least {
            property["minimum"] = self.number(least);
        }
        if let Some(most) = self.most {
            property["maximum"] = self.number(most);
        }
        if !self.one_of.is_empty() {
            property["enum"] = json!(self.one_of);
        }
        property["description"] = json!(self.about);
        property
    }

    fn number(&self, number: f64) -> Value {
        match self.kind {
            Kind::Integer => json!(number as i64),
            _ => json!(number),
        }
    }

    fn check(&self, value: &Value) -> Option<Invalid> {
        let path = format!("input.{}", self.name);
        let (fits, expected) = match self.kind {
            Kind::Boolean => (value.is_boolean(), "boolean"),
            Kind::Integer => (
                value.as_f64().is_some_and(|number| number.fract() == 0.0),
                "integer",
            ),
            Kind::Number => (value.is_number(), "number"),
            Kind::Text => (value.is_string(), "string"),
            Kind::Objects | Kind::Uris => (value.is_array(), "array"),
        };
        if !fits {
            return Some(Invalid::wrong_type(&path, expected, value));
        }
        let number = value.as_f64();
        if let (Some(number), Some(least)) = (number, self.least)
            && number < least
        {
            let text = format!("Must be greater than or equal to {least}");
            return Some(Invalid::new("number_gte", path, text));
        }
        if let (Some(number), Some(most)) = (number, self.most)
            && number > most
        {
            let text = format!("Must be less than or equal to {most}");
            return Some(Invalid::new("number_lte", path, text));
        }
        let text = value.as_str()?;
        if !self.one_of.is_empty() && !self.one_of.contains(&text) {
            let known: Vec<_> = self.one_of.iter().map(|one| format!("\"{one}\"")).collect();
            let text = format!(
                "{} must be one of the following: {}",
                self.name,
                known.join(", ")
            );
            return Some(Invalid::new("enum", path, text));
        }
        None
    }
}

/// `max_new_tokens` to `Max New Tokens`, as Cog does.
fn title(name: &str) -> String {
    let words = name.split('_').map(|word| match word.chars().next() {
        Some(first) => format!(
            "{}{}",
            first.to_ascii_uppercase(),
            &word[first.len_utf8()..]
        ),
        None => String::new(),
    });
    words.collect::<Vec<_>>().join(" ")
}

const fn field(name: &'static str, kind: Kind, about: &'static str) -> Field {
    Field {
        name,
        kind,
        required: false,
        default: Preset::None,
        least: None,
        most: None,
        one_of: &[],
        about,
    }
}

const fn text(name: &'static str, about: &'static str) -> Field {
    field(name, Kind::Text, about)
}

const fn integer(name: &'static str, default: f64, least: f64, about: &'static str) -> Field {
    let field = field(name, Kind::Integer, about);
    Field {
        default: Preset::Number(default),
        least: Some(least),
        ..field
    }
}

const fn number(name: &'static str, default: f64, about: &'static str) -> Field {
    Field {
        default: Preset::Number(default),
        ..field(name, Kind::Number, about)
    }
}

impl Field {
    const fn required(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    const fn preset(self, text: &'static str) -> Self {
        Self {
            default: Preset::Text(text),
            ..self
        }
    }

    const fn flag(self, flag: bool) -> Self {
        Self {
            default: Preset::Flag(flag),
            ..self
        }
    }

    const fn from(self, least: f64) -> Self {
        Self {
            least: Some(least),
            ..self
        }
    }

    const fn to(self, most: f64) -> Self {
        Self {
            most: Some(most),
            ..self
        }
    }

    const fn one_of(self, one_of: &'static [&'static str]) -> Self {
        Self { one_of, ..self }
    }
}

const PROMPT: Field = text("prompt", "Prompt to send to the model.");
const SYSTEM: Field = text(
    "system_prompt",
    "Sent before the prompt, to guide the model.",
)
.preset("You are a helpful assistant.");
const SEED: Field = field(
    "seed",
    Kind::Integer,
    "Random seed. Leave blank to randomize.",
);
const STOPS: Field = text(
    "stop_sequences",
    "A comma-separated list of sequences to stop at.",
);
const TOP_P: Field = number("top_p", 0.9, "Nucleus sampling.").from(0.0).to(1.0);
const TOP_K: Field = integer("top_k", 50.0, 0.0, "How many tokens to sample from.");
const WARMTH: Field = number("temperature", 0.75, "Randomness of outputs.")
    .from(0.01)
    .to(5.0);
const PRESENCE: Field = number("presence_penalty", 0.0, "Penalty for what was said.");
const FREQUENCY: Field = number("frequency_penalty", 0.0, "Penalty for what is said often.");
const MIN_TOKENS: Field = integer("min_tokens", 0.0, -1.0, "Fewest tokens to generate.");
const MAX_TOKENS: Field = integer("max_tokens", 512.0, 1.0, "Most tokens to generate.");
const MAX_NEW: Field = integer("max_new_tokens", 128.0, 1.0, "Most tokens to generate.");
const MIN_NEW: Field = integer("min_new_tokens", -1.0, -1.0, "Fewest tokens to generate.");
const TEMPLATE: Field = text(
    "prompt_template",
    "Template; {prompt} and {system_prompt} are filled in.",
);
const REPETITION: Field = number("repetition_penalty", 1.0, "Penalty for repetition.")
    .from(0.01)
    .to(5.0);

const LLAMA3_TEMPLATE: &str = "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n\
    {system_prompt}<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n{prompt}<|eot_id|>\
    <|start_header_id|>assistant<|end_header_id|>\n\n";

const LLAMA2_TEMPLATE: &str = "<s>[INST] <<SYS>>\n{system_prompt}\n<</SYS>>\n\n{prompt} [/INST]";

/// Official Llama 3: everything optional, wraps the prompt in `prompt_template`.
pub(crate) const LLAMA3: Schema = Schema(&[
    PROMPT.preset(""),
    SYSTEM,
    MIN_TOKENS,
    MAX_TOKENS,
    number("temperature", 0.7, "Randomness of outputs.")
        .from(0.0)
        .to(5.0),
    TOP_P,
    TOP_K,
    PRESENCE,
    FREQUENCY,
    number("length_penalty", 1.0, "Weight of the length.")
        .from(0.0)
        .to(5.0),
    STOPS.preset("<|end_of_text|>,<|eot_id|>"),
    TEMPLATE.preset(LLAMA3_TEMPLATE),
    SEED,
    field("log_performance_metrics", Kind::Boolean, "Log performance.").flag(false),
]);

/// Official Llama 2, as recorded: no `prompt_template`.
pub(crate) const LLAMA2: Schema = Schema(&[
    PROMPT.required(),
    SYSTEM,
    MAX_NEW,
    MIN_NEW,
    WARMTH,
    TOP_P,
    TOP_K,
    STOPS,
    SEED,
    field("debug", Kind::Boolean, "Log debugging output.").flag(false),
    text("replicate_weights", "Path to fine-tuned weights."),
]);

/// Community Llama 2: the same family with `prompt_template`, and -1 for no `top_k`.
pub(crate) const COG_LLAMA: Schema = Schema(&[
    PROMPT.required(),
    SYSTEM,
    MAX_NEW,
    MIN_NEW,
    WARMTH,
    TOP_P,
    integer(
        "top_k",
        -1.0,
        -1.0,
        "How many tokens to sample from; -1 for all.",
    ),
    number("repetition_penalty", 1.15, "Penalty for repetition.").from(0.0),
    STOPS,
    TEMPLATE.preset(LLAMA2_TEMPLATE),
    SEED,
    field("debug", Kind::Boolean, "Log debugging output.").flag(false),
]);

/// Mistral by cog-vllm: the prompt alone, wrapped.
pub(crate) const COG_VLLM: Schema = Schema(&[
    PROMPT.required(),
    MAX_NEW,
    number("temperature", 0.8, "Randomness of outputs.")
        .from(0.01)
        .to(5.0),
    number("top_p", 0.95, "Nucleus sampling.").from(0.0).to(1.0),
    TOP_K,
    PRESENCE,
    FREQUENCY,
    TEMPLATE.preset("<s>[INST] {prompt} [/INST] "),
]);

/// What any model has that is not in the catalogue.
pub(crate) const VLLM: Schema = Schema(&[
    PROMPT.preset(""),
    SYSTEM,
    MIN_TOKENS,
    MAX_TOKENS,
    number("temperature", 0.6, "Randomness of outputs.")
        .from(0.0)
        .to(5.0),
    TOP_P,
    TOP_K,
    PRESENCE,
    FREQUENCY,
    STOPS,
    TEMPLATE,
    SEED,
]);

/// The GPT-J family: no system prompt, no template.
pub(crate) const GPTJ: Schema = Schema(&[
    PROMPT.required(),
    integer("max_length", 500.0, 1.0, "Most tokens to generate."),
    text("decoding", "How to decode.")
        .preset("top_p")
        .one_of(&["beam_search", "top_p", "top_k"]),
    integer("num_beams", 1.0, 1.0, "Beams, for beam search."),
    TOP_K,
    number("top_p", 1.0, "Nucleus sampling.").from(0.01).to(1.0),
    WARMTH,
    REPETITION,
    SEED,
]);

/// Models of other houses, which count their tokens in the logs.
pub(crate) const PROXY: Schema = Schema(&[
    PROMPT.preset(""),
    field("messages", Kind::Objects, "Messages instead of the prompt."),
    text("system_prompt", "System prompt."),
    field("image_input", Kind::Uris, "Images."),
    text("reasoning_effort", "How hard to think.")
        .preset("medium")
        .one_of(&["minimal", "low", "medium", "high"]),
    text("verbosity", "How much to say.")
        .preset("medium")
        .one_of(&["low", "medium", "high"]),
    integer(
        "max_completion_tokens",
        4096.0,
        1.0,
        "Most tokens to generate.",
    ),
]);

/// Claude's own names and ranges.
pub(crate) const CLAUDE: Schema = Schema(&[
    PROMPT.required(),
    text("system_prompt", "System prompt.").preset(""),
    integer("max_tokens", 8192.0, 1024.0, "Most tokens to generate.").to(64_000.0),
    text("image", "Image to look at."),
    number("max_image_resolution", 0.5, "Megapixels.")
        .from(0.001)
        .to(2.0),
]);

/// `replicate/hello-world`: no language model at all.
pub(crate) const HELLO: Schema = Schema(&[text("text", "Text to prefix with 'hello '").required()]);
