//! [`Instruments`]: the metrics of requests and calls.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter};

use super::conventions::{self, Kind};
use super::fields::Fields;

/// The metrics of OpenTelemetry's conventions. The SDK limits the series of each of them to 2000;
/// further ones are counted together.
#[derive(Debug)]
pub(super) struct Instruments {
    request_duration: Histogram<f64>,
    call_duration: Histogram<f64>,
    first_chunk: Histogram<f64>,
    tokens: Histogram<u64>,
}

impl Instruments {
    pub(super) fn new(meter: &Meter) -> Self {
        let seconds = |name, description, bounds: &[f64]| {
            let histogram = meter.f64_histogram(name).with_unit("s");
            let histogram = histogram.with_description(description);
            histogram.with_boundaries(bounds.to_vec()).build()
        };
        Self {
            request_duration: seconds(
                "http.server.request.duration",
                "Duration of HTTP server requests.",
                &REQUEST_SECONDS,
            ),
            call_duration: seconds(
                "gen_ai.client.operation.duration",
                "Duration of calls at upstreams.",
                &CALL_SECONDS,
            ),
            first_chunk: seconds(
                "gen_ai.client.operation.time_to_first_chunk",
                "Time to the first output of streamed calls at upstreams.",
                &CALL_SECONDS,
            ),
            tokens: meter
                .u64_histogram("gen_ai.client.token.usage")
                .with_unit("{token}")
                .with_description("Input and output tokens of calls at upstreams.")
                .with_boundaries(TOKENS.to_vec())
                .build(),
        }
    }

    /// Records a span that has ended after `duration`.
    pub(super) fn record(
        &self,
        kind: Kind,
        fields: &Fields,
        duration: Duration,
        first_output: Option<Duration>,
    ) {
        match kind {
            Kind::Server => {
                let attributes = conventions::server_metric(fields);
                let seconds = duration.as_secs_f64();
                self.request_duration.record(seconds, &attributes);
            }
            Kind::Call => self.call(fields, duration, first_output),
            Kind::Http => {}
        }
    }

    fn call(&self, fields: &Fields, duration: Duration, first_output: Option<Duration>) {
        let Some(mut attributes) = conventions::call_metric(fields) else {
            return;
        };
        if let Some(time) = first_output {
            self.first_chunk.record(time.as_secs_f64(), &attributes);
        }
        for (field, kind) in [("input_tokens", "input"), ("output_tokens", "output")] {
            let tokens = fields.number(field).map(u64::try_from);
            if let Some(Ok(tokens)) = tokens {
                attributes.push(KeyValue::new("gen_ai.token.type", kind));
                self.tokens.record(tokens, &attributes);
                attributes.pop();
            }
        }
        let error = conventions::error_type(Kind::Call, fields);
        attributes.extend(error.map(|error| KeyValue::new("error.type", error)));
        self.call_duration
            .record(duration.as_secs_f64(), &attributes);
    }
}

/// The boundaries that the conventions recommend.
const REQUEST_SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
const CALL_SECONDS: [f64; 14] = [
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
];
const TOKENS: [f64; 14] = [
    1.0,
    4.0,
    16.0,
    64.0,
    256.0,
    1024.0,
    4096.0,
    16384.0,
    65536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
];
