//! The separate host of Replicate's event streams: it serves nothing else and requires no key.

use std::sync::Arc;

use hyper::Method;

use crate::http::{Answer, Call};
use crate::replicate::api::Api;
use crate::replicate::problem::Problem;
use crate::upstream::{Shared, Upstream};

#[derive(Debug)]
pub(crate) struct StreamHost(Arc<Api>);

impl StreamHost {
    pub(crate) fn new(api: &Arc<Api>) -> Self {
        Self(Arc::clone(api))
    }
}

impl Upstream for StreamHost {
    fn shared(&self) -> &Shared {
        &self.0.shared
    }

    async fn answer(&self, call: Call) -> Answer {
        let path = call.path();
        let answer = match (&call.method, path.as_slice()) {
            (&Method::GET, ["v1", "streams", token]) => self.0.stream(&call, token),
            _ => Err(Problem::not_found()),
        };
        answer.unwrap_or_else(Problem::into_answer)
    }

    fn error(&self, status: u16, message: Option<&str>) -> Answer {
        self.0.error(status, message)
    }
}
