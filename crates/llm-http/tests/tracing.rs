//! A log at trace level shows names and numbers of a call, but no secret and no prompt.

#![allow(clippy::unwrap_used, reason = "test helpers")]

use std::io;
use std::sync::{Arc, Mutex};

use futures_util::{StreamExt, stream};
use http::{Method, Response};
use llm_http::{Authentication, MemoryTransport, UpstreamClient};
use llm_provider::endpoint::{Chat, Endpoint};
use llm_provider::{BaseUrl, Call, Document, Error, ErrorKind, Record, Settings};
use tracing::instrument::WithSubscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;

const SECRETS: [&str; 5] = [
    "key-4711-0815",
    "header-4711-0815",
    "prompt-4711-0815",
    "output-4711-0815",
    "error-4711-0815",
];

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn spans_show_the_call_and_each_attempt_but_no_secret() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .finish();
    calls().with_subscriber(subscriber).await;

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    for secret in SECRETS {
        assert!(!log.contains(secret), "{secret} is in the log:\n{log}");
    }
    let call = r#"call{provider="acme" model=acme-large endpoint="/v1/chat/completions" stream="#;
    let host = r#"http{method=POST host="api.acme.example" attempt="#;
    for expected in [
        format!("{call}false}}:{host}0 status=503}}"),
        format!("{call}false}}:{host}1 status=200}}"),
        format!("{call}true}}:{host}0 status=503}}"),
        format!("{call}true}}: "),
        format!("{call}false error=unexpected body}}: llm_http::upstream_client: failed"),
        format!(
            "{call}true first_output=true error=upstream failed}}: llm_http::upstream_client: the stream failed"
        ),
    ] {
        assert!(
            log.contains(&expected),
            "{expected} is not in the log:\n{log}"
        );
    }
}

/// A call that fails after a retry, and a stream that fails after output.
async fn calls() {
    let mut count = 0;
    let count = Mutex::new(move || {
        count += 1;
        count
    });
    let transport = MemoryTransport::new(move |_| {
        let status = if count.lock().unwrap()() % 2 == 1 {
            503
        } else {
            200
        };
        let body = format!(r#"{{"error":{{"message":"{}"}}}}"#, SECRETS[4]);
        Ok(Response::builder()
            .status(status)
            .body(body.into())
            .unwrap())
    });
    let mut settings = Settings::new().with_transport(transport);
    settings.extra_headers.insert("x-team", SECRETS[1]).unwrap();
    let base = BaseUrl::parse("https://api.acme.example").unwrap();
    let authentication = Authentication::query("key", SECRETS[0]);
    let upstream = UpstreamClient::new("acme", &settings, base, authentication).unwrap();
    let body = format!(
        r#"{{"model":"acme-large","messages":[{{"role":"user","content":"{}"}}]}}"#,
        SECRETS[2]
    );
    let call = Call::new(&Chat, Document::from_bytes(body));
    for is_stream in [false, true] {
        let exchange = match is_stream {
            true => upstream.stream_exchange(&call),
            false => upstream.exchange(&call),
        };
        let body = call.body.pieces();
        let request = upstream.request(Method::POST, "/v1/chat", body).unwrap();
        let answered = exchange.run(async {
            exchange.send(request, Error::from_response).await?;
            match is_stream {
                true => Ok(()),
                false => Err(Error::new(ErrorKind::UnexpectedBody, SECRETS[4])),
            }
        });
        assert_eq!(answered.await.is_ok(), is_stream);
        if is_stream {
            let choice = format!(
                r#"{{"index":0,"delta":{{"content":"{}"}},"finish_reason":null}}"#,
                SECRETS[3]
            );
            let chunk = format!(r#"{{"id":"1","created":1,"model":"m","choices":[{choice}]}}"#);
            let failed = Error::new(ErrorKind::UpstreamFailed, SECRETS[4]);
            let records = stream::iter([Ok(Record::Chunk(chunk.into())), Err(failed)]);
            let normalizer = Chat.chunks(&call.body).unwrap();
            let metadata = exchange.metadata();
            let reply = exchange.reply_stream(metadata, records, normalizer);
            let events: Vec<_> = reply.collect().await;
            assert!(events[0].is_ok() && events.last().unwrap().is_err());
        }
    }
}
