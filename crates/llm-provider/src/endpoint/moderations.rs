use llm_types::moderations::{ModerationRequest, ModerationResponse};

use super::check::{self, Kind};
use super::chunks::unexpected;
use super::{Endpoint, Request};
use crate::{Capability, Document, Metadata, Result};

/// Moderations: whether texts and images are potentially harmful.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_structs, reason = "it has no fields")]
pub struct Moderations;

impl Endpoint for Moderations {
    fn capability(&self) -> Capability {
        Capability::Moderations
    }

    fn path(&self) -> &'static str {
        "/v1/moderations"
    }

    fn check(&self, request: &Document) -> Result<()> {
        let object = check::members(request, &[])?;
        let expected = "a string, or an array of strings or of parts";
        match object.bytes("input").map(Kind::of) {
            Some(Kind::String | Kind::Array) => Ok(()),
            None | Some(Kind::Null) => Err(check::missing("input", expected)),
            Some(found) => Err(check::wrong("input", expected, found)),
        }
    }

    fn normalize(&self, _: &Document, reply: Document, _: &mut Metadata) -> Result<Document> {
        let read = reply.read::<ModerationResponse>();
        read.map_err(unexpected("a moderation"))?;
        Ok(reply)
    }
}

impl Request for ModerationRequest {
    type Response = ModerationResponse;
    const ENDPOINT: &'static dyn Endpoint = &Moderations;
}
