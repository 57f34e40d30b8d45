//! `POST /chat/completions`

use llm_provider::Json;
use llm_types::ChatRequest;

use super::answer::Served;
use crate::error::ApiError;
use crate::request::Params;

impl Served for ChatRequest {
    fn read(body: &Json<Self>) -> Result<Params, ApiError> {
        Params::chat(body)
    }
}
