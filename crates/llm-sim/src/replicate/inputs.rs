//! The inputs that the simulated models take, by family.

use crate::replicate::schema::{Field, Kind, Schema, field, integer, number, text};

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
const TEMPERATURE: Field = number("temperature", 0.75, "Randomness of outputs.")
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
    TEMPERATURE,
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
    TEMPERATURE,
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

/// The inputs of a model that is not in the catalogue.
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
    TEMPERATURE,
    REPETITION,
    SEED,
]);

/// Models of other companies, which count their tokens in the logs.
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

/// `replicate/hello-world`, which is not a language model.
pub(crate) const HELLO: Schema = Schema(&[text("text", "Text to prefix with 'hello '").required()]);
