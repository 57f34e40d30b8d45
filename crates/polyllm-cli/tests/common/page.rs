//! The models of LiteLLM's documentation.

/// The models of LiteLLM's page on Replicate, as in its examples.
pub(crate) const ROWS: [&str; 8] = [
    "replicate/meta/meta-llama-3-8b-instruct",
    "replicate/mistralai/Mistral-7B-Instruct-v0.1",
    "replicate/llama-2-70b-chat:2796ee9483c3fd7aa2e171d38f4ca12251a30609463dcfd4cd76703f22e96cdf",
    "replicate/a16z-infra/llama-2-13b-chat:2a7f981751ec7fdf87b5b91ad4db53683a98082e9ff7bfd12c8cd5ea85980a52",
    "replicate/vicuna-13b:6282abe6a492de4145d7bb601023762212f9ddbbe78278bd6771c8b3b2f2a13b",
    "replicate/daanelson/flan-t5-large:ce962b3f6792a57074a601d3979db5839697add2e4e02696b3ced4c022d4767f",
    "replicate/custom-llm-version-id",
    "replicate/deployments/ishaan-jaff/ishaan-mistral",
];
