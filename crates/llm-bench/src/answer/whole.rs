use http::response;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::answer::chat::WireUsage;
use crate::answer::{Head, Usage};
use crate::client::Sink;
use crate::record::{Failure, FailureKind};

/// An answer that is one piece of JSON: embeddings, rerank, a prediction.
#[derive(Debug, Default)]
pub(crate) struct WholeAnswer {
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

impl WholeAnswer {
    /// The usage of embeddings or a rerank, and whether there is anything in it.
    pub(crate) fn usage(&self) -> Result<Usage, Failure> {
        let protocol = |message: String| Failure {
            kind: FailureKind::Protocol,
            message,
        };
        let wire: Wire = serde_json::from_slice(&self.body)
            .map_err(|error| protocol(format!("the answer is no JSON as expected: {error}")))?;
        let Some(items) = wire.data.or(wire.results) else {
            return Err(protocol(
                "the answer has neither data nor results".to_owned(),
            ));
        };
        if items.is_empty() {
            return Err(Failure {
                kind: FailureKind::Empty,
                message: "the answer has nothing in it".to_owned(),
            });
        }
        Ok(wire.usage.map(Usage::from).unwrap_or_default())
    }
}

impl Sink for WholeAnswer {
    fn head(&mut self, head: &response::Parts) {
        self.head.read(head);
    }

    fn data(&mut self, data: &[u8], _at: u64) -> bool {
        if self.head.body(data) {
            self.body.extend_from_slice(data);
        }
        self.head.goes_on()
    }
}

#[derive(Deserialize)]
struct Wire {
    data: Option<Vec<IgnoredAny>>,
    results: Option<Vec<IgnoredAny>>,
    usage: Option<WireUsage>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_of_embeddings_is_all_input() {
        let usage = |body: &str| {
            let body = body.as_bytes().to_vec();
            let head = Head::default();
            WholeAnswer { head, body }.usage()
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
