use http::response;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::client::ResponseSink;
use crate::record::{Failure, FailureKind};
use crate::response::chat::WireUsage;
use crate::response::{ResponseHead, Usage};

/// A response in one JSON document: embeddings, rerank, a prediction.
#[derive(Debug, Default)]
pub(crate) struct JsonResponse {
    pub(crate) head: ResponseHead,
    pub(crate) body: Vec<u8>,
}

impl JsonResponse {
    /// The usage of embeddings or a rerank; an error if there are no results.
    pub(crate) fn usage(&self) -> Result<Usage, Failure> {
        let protocol = |message: String| Failure {
            kind: FailureKind::Protocol,
            message,
        };
        let wire: WireBody = serde_json::from_slice(&self.body)
            .map_err(|error| protocol(format!("the response is not the expected JSON: {error}")))?;
        let Some(items) = wire.data.or(wire.results) else {
            return Err(protocol(
                "the response has neither data nor results".to_owned(),
            ));
        };
        if items.is_empty() {
            return Err(Failure {
                kind: FailureKind::Empty,
                message: "the response has no results".to_owned(),
            });
        }
        Ok(wire.usage.map(Usage::from).unwrap_or_default())
    }
}

impl ResponseSink for JsonResponse {
    fn head(&mut self, head: &response::Parts) {
        self.head.read(head);
    }

    fn data(&mut self, data: &[u8], _at: u64) -> bool {
        if self.head.body(data) {
            self.body.extend_from_slice(data);
        }
        self.head.is_within_limit()
    }
}

#[derive(Deserialize)]
struct WireBody {
    data: Option<Vec<IgnoredAny>>,
    results: Option<Vec<IgnoredAny>>,
    usage: Option<WireUsage>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_usage_of_embeddings_is_input() {
        let usage = |body: &str| {
            let body = body.as_bytes().to_vec();
            let head = ResponseHead::default();
            JsonResponse { head, body }.usage()
        };
        let found = usage(r#"{"data":[{"embedding":[0.1]}],"usage":{"total_tokens":9}}"#);
        assert_eq!(found.unwrap().input, Some(9));
        assert_eq!(usage(r#"{"results":[{}]}"#).unwrap(), Usage::default());
        assert_eq!(
            usage(r#"{"data":[]}"#).unwrap_err().kind,
            FailureKind::Empty
        );
        assert_eq!(usage("{}").unwrap_err().kind, FailureKind::Protocol);
        assert_eq!(usage("[").unwrap_err().kind, FailureKind::Protocol);
    }
}
