use std::fmt;

use futures_core::future::BoxFuture;
use llm_types::ModelList;

use crate::{Call, Capabilities, Capability, Error, Reply, ReplyStream, Result};

/// One account at one provider. Object safe: a router holds `Arc<dyn Provider>`.
///
/// The `model` of a request is the name that the upstream knows, without polyllm's provider
/// prefix. Dropping a returned future or stream stops the work upstream.
///
/// A call whose endpoint is not among the [`capabilities`](Self::capabilities) fails with
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) before anything is sent. A call ends at its
/// [`timeout`](Call::timeout), or else at that of the provider's settings; see
/// [`Timeouts`](crate::Timeouts).
pub trait Provider: Send + Sync + fmt::Debug {
    /// The provider's name, which is the prefix of model names, such as `together_ai`.
    fn name(&self) -> &'static str;

    /// What this provider supports.
    fn capabilities(&self) -> Capabilities;

    /// Checks the form of a model's name, without asking the upstream. Any name is right by default.
    ///
    /// # Errors
    /// What [`send`](Self::send) would return for a call of this model.
    fn check_model(&self, model: &str) -> Result<()> {
        let _ = model;
        Ok(())
    }

    /// The names under which requests can set the same parameter as `name`. A default is not used for a
    /// request that has one of them.
    fn synonyms(&self, name: &str) -> &'static [&'static str] {
        match name {
            "max_tokens" | "max_completion_tokens" => &["max_tokens", "max_completion_tokens"],
            _ => &[],
        }
    }

    /// Sends a call, and returns the reply in one piece. `stream` in the request is ignored.
    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply>> {
        unsupported(self.name(), call.endpoint.capability())
    }

    /// Sends a call, and returns the reply as a stream. `stream` in the request is ignored.
    ///
    /// The future ends when the upstream has accepted the request. A later failure is the last item
    /// of the stream. By default, the stream has the reply in one piece, when that is complete.
    fn stream(&self, call: Call) -> BoxFuture<'_, Result<ReplyStream>> {
        Box::pin(async move {
            let (endpoint, request) = (call.endpoint, call.body.clone());
            let reply = self.send(call).await?;
            ReplyStream::from_reply(endpoint, &request, reply)
        })
    }

    /// Checks that the endpoint of a call is among the capabilities.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported), naming what is supported.
    fn require(&self, call: &Call) -> Result<()> {
        let capability = call.endpoint.capability();
        self.capabilities().require(capability, self.name())
    }

    /// Lists the models that the account can use, with everything that the upstream reports of
    /// each.
    fn models(&self) -> BoxFuture<'_, Result<ModelList>> {
        unsupported(self.name(), Capability::Models)
    }
}

fn unsupported<T: Send + 'static>(
    provider: &'static str,
    capability: Capability,
) -> BoxFuture<'static, Result<T>> {
    let error = Error::unsupported(provider, capability);
    Box::pin(std::future::ready(Err(error)))
}
