//! `POST /rerank` and `POST /v2/rerank`, the two versions of Cohere's API.

use bytes::Bytes;
use http::Response;
use llm_provider::Json;
use llm_types::RawObject;
use llm_types::rerank::RerankRequest;
use serde_json::{Map, Value};

use super::answer::{self, Served};
use crate::error::ApiError;
use crate::gateway::Shared;
use crate::request::{Kind, Params, missing, object, wrong};
use crate::response::Body;

/// Version 2 has no `return_documents`, and its results have no documents.
pub(super) async fn v2(shared: &Shared, body: Bytes) -> Result<Response<Body>, ApiError> {
    let (params, mut call) = answer::question::<RerankRequest>(shared, body)?;
    let none = Map::from_iter([("return_documents".to_owned(), Value::Bool(false))]);
    call.body = call.body.edit([], &none)?;
    answer::whole(shared, params, call).await
}

impl Served for RerankRequest {
    const NAMES_MODEL: bool = false;

    fn read(body: &Json<Self>) -> Result<Params, ApiError> {
        let object = object(body)?;
        let params = Params::read(&object, MEMBERS)?;
        match object.bytes("query").map(Kind::of) {
            None | Some(Kind::Null) => return Err(missing("query", "a string")),
            Some(_) => {}
        }
        check_documents(&object)?;
        Ok(params)
    }
}

fn check_documents(object: &RawObject<'_>) -> Result<(), ApiError> {
    let mut documents = object.items("documents").into_iter().flatten().peekable();
    if documents.peek().is_none() {
        let expected = "an array with at least one document";
        return Err(missing("documents", expected));
    }
    for (index, document) in documents.enumerate() {
        match Kind::of(document) {
            Kind::String | Kind::Object => {}
            found => {
                let expected = "a string or an object";
                return Err(wrong(&format!("documents[{index}]"), expected, found));
            }
        }
    }
    Ok(())
}

/// What has one type everywhere, in either version.
const MEMBERS: &[(&str, Kind)] = &[
    ("query", Kind::String),
    ("documents", Kind::Array),
    ("max_chunks_per_doc", Kind::Number),
    ("max_tokens_per_doc", Kind::Number),
    ("rank_fields", Kind::Array),
    ("return_documents", Kind::Bool),
    ("top_n", Kind::Number),
];
