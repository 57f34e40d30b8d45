//! Traces and metrics by OTLP: a receiver of a few lines gets one trace from the client through the
//! gateway to the upstream, with the names of the GenAI conventions.

use crate::{File, Gateway, config};

#[cfg(not(feature = "otel"))]
#[test]
fn a_build_without_opentelemetry_names_the_command_that_adds_it() {
    use crate::common::{polyllm, run};

    const INSTALL: &str = "`cargo install --path crates/polyllm-cli --features otel` adds it";
    let text = config("alpha") + "litellm_settings: {callbacks: [otel]}\n";
    let file = File::new("otel.yaml", &text);
    let (_, errors, status) = run(&mut polyllm(&["serve", "--config", file.path()]));
    assert_eq!(status, 1, "{errors}");
    assert!(errors.contains(INSTALL), "{errors}");
    let variable = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    let gateway = Gateway::start_with(&[], &[variable]);
    let log = gateway.wait_for(0, "OTEL_");
    assert!(log.contains(INSTALL), "{log}");
}

#[cfg(feature = "otel")]
mod exported {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::{Arc, Mutex};
    use std::thread;
    use std::time::Duration;

    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    use opentelemetry_proto::tonic::trace::v1::Span;
    use prost::Message;

    use super::{File, Gateway, config};
    use crate::common::{polyllm, run};

    const REPLY: &str = r#"{"id":"1","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":7,"total_tokens":18,"prompt_tokens_details":{"cached_tokens":3}}}"#;
    const CHUNKS: &str = "data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\n\
        data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
        data: {\"id\":\"1\",\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,\"total_tokens\":7}}\n\n\
        data: [DONE]\n\n";
    const BODY: &str =
        r#"{"model":"alpha","messages":[{"role":"user","content":"canary-prompt"}]}"#;
    const STREAMED: &str =
        r#"{"model":"alpha","stream":true,"messages":[{"role":"user","content":"canary-prompt"}]}"#;
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const PARENT: &str = "b7ad6b7169203331";

    /// A request that a server got: the first line, the headers, and the body.
    type Seen = (String, String, Vec<u8>);

    /// Starts a server that answers each request, and keeps what it got.
    fn server(answer: fn(&Seen) -> String) -> (String, Arc<Mutex<Vec<Seen>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&seen);
        thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                let Ok(request) = read(&socket) else { continue };
                let text = answer(&request);
                kept.lock().unwrap().push(request);
                let _ = socket.write_all(text.as_bytes());
            }
        });
        (address, seen)
    }

    fn read(socket: &TcpStream) -> std::io::Result<Seen> {
        let mut reader = BufReader::new(socket);
        let (mut first, mut headers, mut length) = (String::new(), String::new(), 0);
        reader.read_line(&mut first)?;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let line = line.trim_end().to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            headers += &(line + "\n");
        }
        let mut body = Vec::new();
        reader.take(length).read_to_end(&mut body)?;
        Ok((first, headers, body))
    }

    fn answer(status: &str, content_type: &str, body: &str) -> String {
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\
             connection: close\r\n\r\n{body}",
            body.len()
        )
    }

    /// An upstream that streams if it is asked to.
    fn upstream((_, _, body): &Seen) -> String {
        match String::from_utf8_lossy(body).contains(r#""stream":true"#) {
            true => answer("200 OK", "text/event-stream", CHUNKS),
            false => answer("200 OK", "application/json", REPLY),
        }
    }

    fn spans(seen: &Mutex<Vec<Seen>>) -> Vec<Span> {
        let seen = seen.lock().unwrap();
        let traces = seen
            .iter()
            .filter(|(line, ..)| line.starts_with("POST /v1/traces "));
        let traces = traces.map(|(_, _, body)| ExportTraceServiceRequest::decode(&**body).unwrap());
        let resources = traces.flat_map(|export| export.resource_spans);
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    /// The names of the metrics, with the attributes of their points.
    fn metrics(seen: &Mutex<Vec<Seen>>) -> Vec<(String, Vec<KeyValue>)> {
        let seen = seen.lock().unwrap();
        let exports = seen
            .iter()
            .filter(|(line, ..)| line.starts_with("POST /v1/metrics "));
        let mut found = Vec::new();
        for (_, _, body) in exports {
            let export = ExportMetricsServiceRequest::decode(&**body).unwrap();
            let scopes = export
                .resource_metrics
                .into_iter()
                .flat_map(|of| of.scope_metrics);
            for metric in scopes.flat_map(|scope| scope.metrics) {
                if let Some(Data::Histogram(histogram)) = metric.data {
                    let points = histogram.data_points.into_iter();
                    found.extend(points.map(|point| (metric.name.clone(), point.attributes)));
                }
            }
        }
        found
    }

    fn attribute(attributes: &[KeyValue], name: &str) -> Option<String> {
        let found = attributes.iter().find(|attribute| attribute.key == name)?;
        Some(match found.value.as_ref()?.value.as_ref()? {
            Value::StringValue(text) => text.clone(),
            Value::IntValue(number) => number.to_string(),
            Value::BoolValue(is) => is.to_string(),
            other => panic!("{name} is {other:?}"),
        })
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A gateway that exports to `collector`, and whose model is at `upstream`.
    fn gateway(collector: &str, upstream: &str) -> (Gateway, File) {
        let text = config("alpha").replace("http://127.0.0.1:1", upstream);
        let file = File::new("otel.yaml", &text);
        let environment = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ];
        (
            Gateway::start_with(&["--config", file.path()], &environment),
            file,
        )
    }

    fn call(gateway: &Gateway, headers: &str, body: &str) -> String {
        let mut socket = TcpStream::connect(&gateway.address).unwrap();
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             {headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
            gateway.address,
            body.len()
        );
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Stops a gateway, which exports what is left.
    fn stop(gateway: &mut Gateway) {
        gateway.signal("-TERM");
        gateway.child.wait().unwrap();
    }

    #[test]
    fn one_trace_goes_from_the_client_through_the_gateway_to_the_upstream() {
        let (collector, exports) = server(|_| answer("200 OK", "application/x-protobuf", ""));
        let (address, requests) = server(upstream);
        let (mut gateway, _file) = gateway(&collector, &address);
        let context = format!("traceparent: 00-{TRACE}-{PARENT}-01\r\ntracestate: vendor=1\r\n");
        assert!(call(&gateway, &context, BODY).starts_with("HTTP/1.1 200"));
        assert!(call(&gateway, &context, STREAMED).starts_with("HTTP/1.1 200"));
        stop(&mut gateway);

        let spans = spans(&exports);
        let named = |name: &str| {
            spans
                .iter()
                .filter(|span| span.name == name)
                .collect::<Vec<_>>()
        };
        let servers = named("POST /v1/chat/completions");
        let calls = named("chat some/model");
        let https = named("POST");
        assert_eq!(
            (servers.len(), calls.len(), https.len()),
            (2, 2, 2),
            "{spans:?}"
        );
        for span in &spans {
            assert_eq!(hex(&span.trace_id), TRACE);
        }
        let sent = requests.lock().unwrap();
        for at in 0..2 {
            assert_eq!(hex(&servers[at].parent_span_id), PARENT);
            assert_eq!(calls[at].parent_span_id, servers[at].span_id);
            assert_eq!(https[at].parent_span_id, calls[at].span_id);
            let parent = format!("traceparent: 00-{TRACE}-{}-01\n", hex(&https[at].span_id));
            assert!(sent[at].1.contains(&parent), "{}", sent[at].1);
            assert!(
                sent[at].1.contains("tracestate: vendor=1\n"),
                "{}",
                sent[at].1
            );
        }
        for (span, name, expected) in [
            (servers[0], "http.request.method", "POST"),
            (servers[0], "http.route", "/v1/chat/completions"),
            (servers[0], "http.response.status_code", "200"),
            (calls[0], "gen_ai.operation.name", "chat"),
            (calls[0], "gen_ai.provider.name", "together_ai"),
            (calls[0], "gen_ai.request.model", "some/model"),
            (calls[0], "gen_ai.request.stream", "false"),
            (calls[0], "gen_ai.usage.input_tokens", "11"),
            (calls[0], "gen_ai.usage.cache_read.input_tokens", "3"),
            (calls[0], "gen_ai.usage.output_tokens", "7"),
            (calls[1], "gen_ai.request.stream", "true"),
            (calls[1], "gen_ai.usage.input_tokens", "5"),
            (calls[1], "gen_ai.usage.output_tokens", "2"),
            (https[0], "server.address", "127.0.0.1"),
            (https[0], "http.response.status_code", "200"),
        ] {
            let found = attribute(&span.attributes, name);
            assert_eq!(found.as_deref(), Some(expected), "{name} of {}", span.name);
        }

        let metrics = metrics(&exports);
        for (name, attributes) in [
            (
                "http.server.request.duration",
                ("http.route", "/v1/chat/completions"),
            ),
            (
                "gen_ai.client.operation.duration",
                ("gen_ai.operation.name", "chat"),
            ),
            (
                "gen_ai.client.operation.time_to_first_chunk",
                ("gen_ai.request.model", "some/model"),
            ),
            ("gen_ai.client.token.usage", ("gen_ai.token.type", "input")),
            ("gen_ai.client.token.usage", ("gen_ai.token.type", "output")),
        ] {
            let has = |(found, points): &(String, Vec<KeyValue>)| {
                found == name && attribute(points, attributes.0).as_deref() == Some(attributes.1)
            };
            assert!(
                metrics.iter().any(has),
                "{name} {attributes:?}: {metrics:?}"
            );
        }
        for (_, _, body) in &*exports.lock().unwrap() {
            let text = String::from_utf8_lossy(body);
            assert!(!text.contains("canary-prompt"), "{text}");
            assert!(text.contains("polyllm"), "the name of the service: {text}");
        }
    }

    #[test]
    fn a_call_without_a_trace_begins_one_and_a_failure_is_an_error() {
        let (collector, exports) = server(|_| answer("200 OK", "application/x-protobuf", ""));
        let (address, _) = server(|_| answer("400 Bad Request", "application/json", "{}"));
        let (mut gateway, _file) = gateway(&collector, &address);
        let hostile = "traceparent: 00-zz-zz-01\r\n";
        assert!(call(&gateway, hostile, BODY).starts_with("HTTP/1.1 400"));
        stop(&mut gateway);
        let spans = spans(&exports);
        let find = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
        let server = find("POST /v1/chat/completions");
        let call = find("chat some/model");
        assert!(server.parent_span_id.is_empty());
        assert_eq!(server.trace_id, call.trace_id);
        let error = attribute(&call.attributes, "error.type");
        assert_eq!(error.as_deref(), Some("invalid_request"));
        assert_eq!(call.status.as_ref().unwrap().code, 2);
    }

    #[test]
    fn a_collector_that_is_down_is_logged_once_and_harms_no_call() {
        let (address, _) = server(upstream);
        let (mut gateway, _file) = gateway("http://127.0.0.1:1", &address);
        for _ in 0..3 {
            assert!(call(&gateway, "", BODY).starts_with("HTTP/1.1 200"));
            thread::park_timeout(Duration::from_millis(200));
        }
        gateway.wait_for(0, "are not exported");
        stop(&mut gateway);
        let log = gateway.log.lock().unwrap();
        assert_eq!(log.matches("are not exported").count(), 1, "{log}");
    }

    #[test]
    fn a_protocol_that_is_not_supported_is_an_error() {
        let file = File::new(
            "otel.yaml",
            &(config("alpha") + "litellm_settings: {callbacks: [otel]}\n"),
        );
        let mut command = polyllm(&["serve", "--config", file.path()]);
        command.env("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
        let (_, errors, status) = run(&mut command);
        assert_eq!(status, 1, "{errors}");
        assert!(
            errors.contains("OTEL_EXPORTER_OTLP_PROTOCOL=grpc is not supported"),
            "{errors}"
        );
        assert!(errors.contains("http/protobuf"), "{errors}");
    }
}
