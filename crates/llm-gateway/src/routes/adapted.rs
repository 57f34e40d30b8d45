//! APIs other than OpenAI's chat, on top of chat: the steps that they share.

use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use http::header::HeaderMap;
use llm_adapters::{Ignored, estimate_tokens};
use llm_provider::endpoint::Chat;
use llm_provider::{Call, Chunk, Document, Endpoint, Error, ErrorKind, Result};
use llm_router::{Deployment, RouteOptions};
use llm_types::{ChatChunk, ChatRequest, ChatResponse, parse};
use serde::de::DeserializeOwned;

use super::endpoint::{check_model, streamed, unreadable};
use crate::auth::Client;
use crate::error::ApiError;
use crate::gateway::Shared;
use crate::learned::Watch;
use crate::response::ResponseBody;
use crate::spend::{self, RateCharge};
use crate::sse::FrameWriter;
use crate::{call_options, headers};

/// A request that was converted to a call.
///
/// The chat request itself is not kept: what waits for the reply stays small.
pub(super) struct Exchange<R> {
    pub(super) call: Call,
    pub(super) route: RouteOptions,
    pub(super) is_stream: bool,
    pub(super) watch: Watch,
    pub(super) ignored: Ignored,
    pub(super) replies: R,
}

impl<R: Replies> Exchange<R> {
    /// The exchange of a converted request.
    ///
    /// # Errors
    /// If the chat request is not valid, or if the client wants no parameters without effect.
    pub(super) fn new(
        shared: &Shared,
        client: &Client,
        headers: &HeaderMap,
        (chat, ignored, replies): (ChatRequest, Ignored, R),
    ) -> Result<Self, ApiError> {
        if client.is_strict && !ignored.is_empty() {
            let message = format!("these members have no effect: {ignored}");
            return Err(ApiError::invalid(message).with_code("unsupported_parameter"));
        }
        let watch = Watch::new(&shared.learned, &chat, estimate_tokens(&chat));
        let replies = replies.with_estimate(watch.tokens());
        let mut call = Call::new(&Chat, Document::new(&chat))
            .with_drop_params(shared.drop_params)
            .with_optional_params(OPTIONAL);
        Chat.check(&call.body)?;
        check_model(client, &mut call)?;
        let route = call_options::take(client, headers, &mut call, shared.reads_tags)?;
        Ok(Self {
            call,
            route,
            is_stream: chat.is_stream(),
            watch,
            ignored,
            replies,
        })
    }
}

/// Converts the replies to a request.
pub(super) trait Replies: Sized + Send + 'static {
    type Writer: FrameWriter;

    /// Sets the estimate of the prompt's tokens.
    fn with_estimate(self, tokens: u64) -> Self;

    /// The response to a reply in one piece.
    fn response(
        self,
        chat: ChatResponse,
    ) -> impl Future<Output = Result<Response<ResponseBody>, ApiError>> + Send;

    /// The writer of a streamed reply.
    fn writer(self, watch: Watch) -> Self::Writer;
}

/// Reads the body of a request.
pub(super) fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, ApiError> {
    parse(body).map_err(|error| {
        let invalid = ApiError::invalid(format!("the request cannot be read: {error}"));
        match error.path() {
            "" => invalid,
            path => invalid.with_param(path),
        }
    })
}

/// Whether every deployment of a model takes files as parts of messages.
pub(super) fn takes_files(shared: &Shared, client: &Client, model: &str) -> bool {
    if !shared.has_files {
        return false;
    }
    let group = client
        .access()
        .map_or(model, |access| access.resolve(model));
    let group = shared.router.group_of(group);
    let mut deployments = shared.deployments.iter();
    let is_other = |deployment: &Deployment| Some(&deployment.group) != group.as_ref();
    deployments.all(|deployment| deployment.takes_files || is_other(deployment))
}

/// The tokens of a prompt: by the tokenizer of its model, or else by an estimate.
///
/// # Errors
/// If there is no such model.
pub(super) async fn count_tokens(
    shared: &Shared,
    client: &Client,
    chat: &ChatRequest,
) -> Result<u64, ApiError> {
    // The model as a call would find it.
    let model = client
        .access()
        .map_or(&*chat.model, |access| access.resolve(&chat.model));
    client.require_model(model)?;
    shared.router.check_model(model)?;
    let group = shared.router.group_of(model);
    let count = shared.tokenizers.count(group.as_deref(), chat).await;
    Ok(count.unwrap_or_else(|| shared.learned.tokens(&chat.model, estimate_tokens(chat))))
}

/// Sends a converted request.
pub(super) async fn serve<R: Replies>(
    shared: &Arc<Shared>,
    client: &Client,
    exchange: Exchange<R>,
) -> Result<Response<ResponseBody>, ApiError> {
    let Exchange {
        call,
        mut route,
        is_stream,
        watch,
        ignored,
        replies,
    } = exchange;
    let mut response = if is_stream {
        let writer = replies.writer(watch);
        // Boxed, so that a response in one piece does not pay for its size.
        Box::pin(streamed(Arc::clone(shared), client, call, route, writer)).await?
    } else {
        let running =
            spend::admit(shared, client, &call, &mut route, RateCharge::WithChoice).await?;
        let reply = pin!(shared.router.send_with(call, route));
        let (reply, bill) = running.send(reply).await?;
        let chat: ChatResponse = reply.body.read().map_err(|_| unreadable())?;
        watch.reply(&chat);
        let mut response = replies.response(chat).await?;
        headers::describe(response.headers_mut(), &reply.metadata);
        bill.describe(&mut response);
        response
    };
    describe(response.headers_mut(), &ignored);
    Ok(response)
}

/// Agents always set an effort, and a model without efforts replies equally well.
const OPTIONAL: &[&str] = &["reasoning_effort"];

/// Reads a chunk of a stream.
pub(super) fn chunk(chunk: &Chunk) -> Result<ChatChunk> {
    parse(chunk.bytes()).map_err(|error| {
        let message = "the upstream sent a chunk that is not a chunk of a chat";
        Error::new(ErrorKind::UnexpectedBody, message).with_source(error)
    })
}

/// Names the members of the request that were ignored.
pub(super) fn describe(headers: &mut HeaderMap, ignored: &Ignored) {
    let names = (!ignored.is_empty()).then(|| ignored.to_string());
    headers::insert(headers, headers::IGNORED, names.as_deref());
}
