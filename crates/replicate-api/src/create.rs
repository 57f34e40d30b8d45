//! Creating predictions.

use std::fmt;
use std::time::Duration;

use http::header::HeaderName;
use http::{HeaderValue, Method};
use llm_provider::Result;
use serde_json::{Map, Value};

use crate::client::{ApiRequest, ReplicateClient};
use crate::error::unexpected;
use crate::prediction::Prediction;
use crate::target::{Target, is_plain};

/// A request to create a prediction.
#[derive(Clone)]
#[non_exhaustive]
pub struct NewPrediction {
    /// The model, version or deployment to run.
    pub target: Target,
    /// The model's input.
    pub input: Map<String, Value>,
    /// Whether to also provide the output as an event stream.
    pub stream: bool,
    /// How long Replicate waits for the output before it responds: zero, or up to a minute
    /// (`Prefer: wait`). Fractions of a second are dropped.
    pub wait: Duration,
    /// The time after its creation at which Replicate cancels the prediction: at least 5 seconds
    /// (`Cancel-After`).
    pub cancel_after: Option<Duration>,
    /// Other members of the body, such as `webhook` and `webhook_events_filter`.
    pub extra: Map<String, Value>,
}

impl NewPrediction {
    /// Creates a request with only the required members.
    pub fn new(target: Target, input: Map<String, Value>) -> Self {
        Self {
            target,
            input,
            stream: false,
            wait: Duration::ZERO,
            cancel_after: None,
            extra: Map::new(),
        }
    }

    fn request(&self) -> ApiRequest {
        let (path, version) = self.target.endpoint();
        let mut body = self.extra.clone();
        body.insert("input".to_owned(), self.input.clone().into());
        if let Some(version) = version {
            body.insert("version".to_owned(), version.into());
        }
        if self.stream {
            body.insert("stream".to_owned(), true.into());
        }
        let mut request = ApiRequest::new(Method::POST, path).with_json(&body.into());
        if let Some(after) = self.cancel_after {
            let seconds = after.as_secs().max(5); // Replicate rejects less
            request = request.with_header(CANCEL_AFTER, header(format!("{seconds}s")));
        }
        let wait = self.wait.min(self.cancel_after.unwrap_or(self.wait));
        match wait.as_secs().min(60) {
            0 => request,
            wait => request
                .with_header(PREFER, header(format!("wait={wait}")))
                .with_wait(Duration::from_secs(wait)),
        }
    }
}

/// Leaves out the input, which may be a prompt.
impl fmt::Debug for NewPrediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewPrediction")
            .field("target", &self.target)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

impl ReplicateClient {
    /// Creates a prediction. Dropping the future or its result leaves the prediction running.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](llm_provider::ErrorKind::NotFound) if there is no such model,
    /// version or deployment, and `InvalidRequest` if the model rejects the input.
    pub async fn create_prediction(&self, new: &NewPrediction) -> Result<Prediction> {
        let prediction = self.send_prediction(new.request()).await?;
        // The id becomes part of URL paths.
        if is_plain(&prediction.id) {
            return Ok(prediction);
        }
        Err(unexpected("the prediction's id is invalid"))
    }
}

/// A header value from digits, letters and `=`, which cannot fail.
fn header(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

const CANCEL_AFTER: HeaderName = HeaderName::from_static("cancel-after");
const PREFER: HeaderName = HeaderName::from_static("prefer");
