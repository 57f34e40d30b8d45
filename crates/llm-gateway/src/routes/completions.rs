//! `POST /completions`

use llm_provider::Json;
use llm_types::completions::CompletionRequest;

use super::answer::Served;
use crate::error::ApiError;
use crate::request::{Kind, Params, check_texts, object};

impl Served for CompletionRequest {
    fn read(body: &Json<Self>) -> Result<Params, ApiError> {
        let object = object(body)?;
        let params = Params::read(&object, MEMBERS)?;
        check_texts(&object, "prompt")?;
        Ok(params)
    }
}

/// What has one type everywhere.
const MEMBERS: &[(&str, Kind)] = &[
    ("best_of", Kind::Number),
    ("echo", Kind::Bool),
    ("frequency_penalty", Kind::Number),
    ("logit_bias", Kind::Object),
    ("max_tokens", Kind::Number),
    ("n", Kind::Number),
    ("presence_penalty", Kind::Number),
    ("seed", Kind::Number),
    ("suffix", Kind::String),
    ("temperature", Kind::Number),
    ("top_p", Kind::Number),
];
