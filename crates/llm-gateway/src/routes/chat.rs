//! `POST /chat/completions`

use bytes::Bytes;
use llm_types::ChatRequest;

use super::answer::Served;
use crate::error::ApiError;
use crate::request::Params;

impl Served for ChatRequest {
    fn read(body: &Bytes) -> Result<Params, ApiError> {
        Params::chat(body)
    }
}
