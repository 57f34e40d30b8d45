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
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) before anything is sent.
pub trait Provider: Send + Sync + fmt::Debug {
    /// The provider's name, which is the prefix of model names, such as `together_ai`.
    fn name(&self) -> &'static str;

    /// What this provider supports.
    fn capabilities(&self) -> Capabilities;

    /// Sends a call, and returns the reply in one piece. `stream` in the request is ignored.
    fn send(&self, call: Call) -> BoxFuture<'_, Result<Reply>> {
        unsupported(self.name(), call.endpoint.capability())
    }

    /// Sends a call, and returns the reply as a stream. `stream` in the request is ignored.
    ///
    /// The future ends when the upstream has accepted the request. A later failure is the last item
    /// of the stream.
    fn stream(&self, call: Call) -> BoxFuture<'_, Result<ReplyStream>> {
        unsupported(self.name(), call.endpoint.capability())
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
