//! `POST /embeddings`

use llm_provider::Json;
use llm_types::embeddings::EmbeddingRequest;

use super::answer::Served;
use crate::error::ApiError;
use crate::request::{Kind, Params, check_texts, object};

impl Served for EmbeddingRequest {
    fn read(body: &Json<Self>) -> Result<Params, ApiError> {
        let object = object(body)?;
        let params = Params::read(&object, MEMBERS)?;
        check_texts(&object, "input")?;
        Ok(params)
    }
}

/// What has one type everywhere.
const MEMBERS: &[(&str, Kind)] = &[
    ("dimensions", Kind::Number),
    ("encoding_format", Kind::String),
];
