//! One test for each fault of LiteLLM with Replicate. The comment on a test describes LiteLLM's
//! behaviour.

use std::time::Duration;

use llm_provider::{Call, Capability, ErrorKind, Provider, Settings};
use llm_sim::{Fault, FaultRule, PredictionFailure, Sim, SimOptions, SimReply, SimStatus, Timing};
use llm_types::embeddings::EmbeddingRequest;
use llm_types::{ChatResponse, Message, Stop};
use provider_replicate::Replicate;
use serde_json::{Value, json};

use crate::support::*;

const HASH: &str = "2796ee9483c3fd7aa2e171d38f4ca12251a30609463dcfd4cd76703f22e96cdf";

async fn sim(options: SimOptions) -> (Sim, Replicate) {
    let sim = Sim::start(options.with_reply(SimReply::Text("One two.".to_owned())))
        .await
        .unwrap();
    let replicate = Replicate::new(settings(sim.replicate_url())).unwrap();
    (sim, replicate)
}

/// A model whose predictions end as `end` returns.
async fn ending(end: impl Fn(&str) -> Value + Send + Sync + 'static) -> Server {
    Server::start(move |url, seen, _| match seen.line().as_str() {
        LOOK_UP => Response::json(200, official(llama_3())),
        CREATE => Response::json(201, prediction(url, "starting", Value::Null)),
        GET => Response::json(200, end(url)),
        _ => Response::not_found(),
    })
    .await
}

/// Sends `Token None`.
#[tokio::test]
async fn without_a_key_nothing_is_sent() {
    let error = Replicate::new(Settings::new().with_api_base("http://127.0.0.1:1")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    assert!(error.message().contains("REPLICATE_API_KEY"), "{error}");
}

/// Sends the scheme `Token`, and ignores `api_base`.
#[tokio::test]
async fn the_address_is_kept_with_or_without_its_version() {
    let (sim, _) = sim(SimOptions::default()).await;
    for base in ["", "/", "/v1", "/v1/"] {
        let settings = settings(&format!("{}{base}", sim.replicate_url()));
        let replicate = Replicate::new(settings).unwrap();
        chat(&replicate, chat_request(MODEL)).await.unwrap();
    }
    let requests = sim.replicate().requests();
    assert!(requests.iter().all(|request| {
        request.path.starts_with("/v1/")
            && request
                .header("authorization")
                .is_some_and(|value| value.starts_with("Bearer "))
    }));
    assert_eq!(sim.replicate().count(SimStatus::Succeeded), 4);
}

/// Posts versions to `/v1/models/<version>/predictions`.
#[tokio::test]
async fn versions_go_into_the_body() {
    let (sim, replicate) = sim(SimOptions::default()).await;
    for model in [&format!("replicate/llama-2-70b-chat:{HASH}"), HASH] {
        chat(&replicate, chat_request(model)).await.unwrap();
    }
    let requests = sim.replicate().requests();
    let mut created = requests.iter().filter(|seen| seen.method == "POST");
    assert!(created.all(|seen| seen.path == "/v1/predictions"));
    let predictions = sim.replicate().predictions();
    assert!(predictions.iter().all(|seen| seen.version == HASH));
}

/// Takes every name that contains "deployments" for a deployment.
#[tokio::test]
async fn a_model_called_deployments_is_a_model() {
    let (sim, replicate) = sim(SimOptions::default()).await;
    chat(&replicate, chat_request("acme/deployments"))
        .await
        .unwrap();
    let requests = sim.replicate().requests();
    let post = requests.iter().find(|seen| seen.method == "POST").unwrap();
    assert_eq!(post.path, "/v1/predictions");
}

/// Puts `stream` into the input, and polls every half second instead of reading the stream.
#[tokio::test]
async fn streams_are_read_and_not_polled() {
    let (sim, replicate) = sim(SimOptions::default()).await;
    let outcome = StreamOutcome::all(stream(&replicate, chat_request(MODEL)).await.unwrap()).await;
    assert_eq!(outcome.text, "One two.");
    let input = &sim.replicate().predictions()[0].input;
    assert_eq!(input.get("stream"), None);
    let requests = sim.replicate().requests();
    let streams = requests
        .iter()
        .filter(|seen| seen.path.starts_with("/v1/streams/"));
    assert_eq!(streams.count(), 1);
}

/// Guesses the name of max_tokens from the model's (granite gets `max_new_tokens`); sends stops as
/// a list; drops the seed.
#[tokio::test]
async fn parameters_are_those_of_the_models_own_schema() {
    let (sim, replicate) = sim(SimOptions::default()).await;
    let model = "ibm-granite/granite-3.1-8b-instruct";
    let request = chat_request(model)
        .with_max_tokens(20)
        .with_stop(Stop::Many(vec!["a".into(), "b".into()]))
        .with_seed(-1);
    chat(&replicate, request).await.unwrap();
    let input = &sim.replicate().predictions()[0].input;
    let sent = json!([input["max_tokens"], input["stop_sequences"], input["seed"]]);
    assert_eq!(sent, json!([20, "a,b,<|end_of_text|>", -1]));
}

/// Drops tools silently, and does not support `max_completion_tokens`.
#[tokio::test]
async fn nothing_is_dropped_silently() {
    let (sim, replicate) = sim(SimOptions::default()).await;
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let mut request = chat_request(MODEL).with_extra("tools", tools);
    request.max_completion_tokens = Some(7);
    let error = chat(&replicate, request.clone()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.param()),
        (ErrorKind::Unsupported, Some("tools"))
    );
    let mut call = Call::of(&request).with_drop_params(true);
    call.dropped_params = vec!["user".to_owned()]; // by a router
    let reply = replicate.send(call).await.unwrap();
    assert_eq!(reply.metadata.dropped_params, ["tools", "user"]);
    assert_eq!(sim.replicate().predictions()[0].input["max_tokens"], 7);
}

/// Needs `supports_system_prompt` to use `system_prompt`.
#[tokio::test]
async fn the_system_prompt_goes_where_the_model_has_one() {
    let (sim, replicate) = sim(SimOptions::default()).await;
    let mut request = chat_request("anthropic/claude-4-sonnet");
    request.messages.insert(0, Message::system("Be good!"));
    chat(&replicate, request).await.unwrap();
    let input = &sim.replicate().predictions()[0].input;
    assert_eq!(
        (&input["system_prompt"], &input["prompt"]),
        (&json!("Be good!"), &json!("Hello!"))
    );
}

/// Sleeps for a second before its first poll, even if the output exists.
#[tokio::test(start_paused = true)]
async fn a_finished_reply_is_returned_without_a_pause() {
    advance_in_small_steps();
    let (sim, replicate) = sim(SimOptions::default()).await;
    chat(&replicate, chat_request(MODEL)).await.unwrap();
    let before = tokio::time::Instant::now();
    chat(&replicate, chat_request(MODEL)).await.unwrap();
    assert!(before.elapsed() < Duration::from_millis(900));
    // One to make it, and one for its metrics.
    assert!(sim.replicate().request_count() <= 5);
}

/// Stops after 25 seconds and leaves the prediction running; uses its own timeout instead of the
/// caller's.
#[tokio::test(start_paused = true)]
async fn the_timeout_of_the_call_is_used() {
    advance_in_small_steps();
    let timing = Timing::default().with_boot(Duration::from_secs(200));
    let (sim, replicate) = sim(SimOptions::default().with_timing(timing)).await;
    let call = |seconds| {
        let limit = Duration::from_secs(seconds);
        Call::of(&chat_request(MODEL)).with_timeout(limit)
    };
    let error = replicate.send(call(30)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let counts = sim.replicate().counts_until(|counts| counts.running() == 0);
    assert_eq!(counts.await.created(), 1);
    assert!(replicate.send(call(300)).await.is_ok());
}

/// Fails with "Unable to parse response. Got=None" while a stream's output is null; polls an aborted
/// prediction forever; hides the error of a failed one.
#[tokio::test(start_paused = true)]
async fn every_final_status_is_reported_plain_and_streamed() {
    advance_in_small_steps();
    for (status, error, kind, says) in [
        (
            "failed",
            json!("ValueError: no"),
            ErrorKind::ModelFailed,
            "ValueError: no",
        ),
        ("failed", json!(["odd"]), ErrorKind::ModelFailed, "odd"),
        ("canceled", Value::Null, ErrorKind::Cancelled, "cancelled"),
        ("aborted", Value::Null, ErrorKind::Cancelled, "aborted"),
    ] {
        let server = ending(move |url| {
            let mut ended = prediction(url, status, Value::Null);
            ended["error"] = error.clone();
            ended
        })
        .await;
        let plain = chat(&server.provider(), chat_request(MODEL))
            .await
            .unwrap_err();
        let streamed = StreamOutcome::all(
            stream(&server.provider(), chat_request(MODEL))
                .await
                .unwrap(),
        )
        .await;
        for error in [plain, streamed.error.unwrap()] {
            assert_eq!(error.kind(), kind);
            assert!(error.message().contains(says), "{error}");
        }
        assert_eq!((server.count(CREATE), server.count(CANCEL)), (2, 0));
    }
}

/// Joins the keys of an object as text; returns a space for an empty list.
#[tokio::test(start_paused = true)]
async fn output_is_the_models_text_or_an_error() {
    advance_in_small_steps();
    for (output, expected) in [
        (json!("a b"), Ok("a b")),
        (json!(["a", " b", ""]), Ok("a b")),
        (json!([]), Ok("")),
        (Value::Null, Ok("")),
        (
            json!({"text": "x", "score": 1}),
            Err(ErrorKind::Unsupported),
        ),
        (json!(["a", 1]), Err(ErrorKind::Unsupported)),
    ] {
        let server = ending(move |url| succeeded(url, output.clone())).await;
        let reply = chat(&server.provider(), chat_request(MODEL)).await;
        let text = reply.map(|reply| {
            reply
                .read::<ChatResponse>()
                .unwrap()
                .text()
                .unwrap()
                .into_owned()
        });
        let text = text.map_err(|error| error.kind());
        assert_eq!(text.as_deref().map_err(|kind| *kind), expected);
        let outcome = StreamOutcome::all(
            stream(&server.provider(), chat_request(MODEL))
                .await
                .unwrap(),
        )
        .await;
        let text = outcome
            .error
            .map_or(Ok(outcome.text), |error| Err(error.kind()));
        assert_eq!(text.as_deref().map_err(|kind| *kind), expected);
    }
}

/// Ignores failed polls forever.
#[tokio::test(start_paused = true)]
async fn polling_ends_at_a_permanent_error() {
    advance_in_small_steps();
    let server = Server::start(|url, seen, _| match seen.line().as_str() {
        CREATE => Response::json(201, prediction(url, "starting", Value::Null)),
        _ => Response::json(401, json!({"detail": "no"})),
    })
    .await;
    let error = chat(&server.provider(), chat_request(MODEL))
        .await
        .unwrap_err();
    assert_eq!((error.kind(), server.count(GET)), (ErrorKind::Auth, 1));
}

/// Counts tokens with its own tokenizer; always reports `stop`; uses different model names and ids in
/// replies and streams.
#[tokio::test]
async fn the_reply_has_replicates_id_and_token_counts() {
    let (sim, replicate) = sim(SimOptions::default()).await;
    let request = chat_request(MODEL).with_max_tokens(2);
    let reply = chat(&replicate, request.clone()).await.unwrap();
    let body = reply.read::<ChatResponse>().unwrap();
    let outcome = StreamOutcome::all(stream(&replicate, request).await.unwrap()).await;
    let ids: Vec<_> = sim
        .replicate()
        .predictions()
        .iter()
        .map(|seen| format!("chatcmpl-{}", seen.id))
        .collect();
    assert_eq!(
        [body.id.as_str(), outcome.chunks[0]["id"].as_str().unwrap()],
        [ids[0].as_str(), ids[1].as_str()]
    );
    assert_eq!(
        (body.model.as_str(), &outcome.chunks[0]["model"]),
        (MODEL, &json!(MODEL))
    );
    let usage = body.usage.value().unwrap();
    // The empty text at the end of Llama 3's output is no token.
    assert_eq!((usage.completion(), usage.extra.len()), (2, 0));
    let whole = serde_json::to_value(body).unwrap();
    assert_eq!(whole["choices"][0]["finish_reason"], "length");
}

/// Returns 500 for 402 and 404.
#[tokio::test]
async fn each_error_status_has_its_kind() {
    for (status, kind) in [
        (401, ErrorKind::Auth),
        (402, ErrorKind::InsufficientCredit),
        (404, ErrorKind::NotFound),
        (422, ErrorKind::InvalidRequest),
        (429, ErrorKind::RateLimited),
        (500, ErrorKind::UpstreamFailed),
    ] {
        let rule = FaultRule::new(Fault::Status(status)).on_path("/predictions");
        let (_sim, replicate) = sim(SimOptions::default().with_fault(rule)).await;
        let error = chat(&replicate, chat_request(MODEL)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{status}");
    }
}

/// Reports an unknown provider for embeddings and reranking.
#[tokio::test]
async fn an_unsupported_endpoint_is_named() {
    let (_sim, replicate) = sim(SimOptions::default()).await;
    assert!(!replicate.capabilities().has(Capability::Embeddings));
    let call = Call::of(&EmbeddingRequest::new("a/b", "text"));
    let error = replicate.send(call).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(
        error.to_string(),
        "replicate: embeddings not supported (supported: chat, text completions and models)"
    );
}

/// Failed predictions are created again only if Replicate asks for a retry.
#[tokio::test(start_paused = true)]
async fn failed_predictions_are_retried_if_replicate_asks_for_it() {
    advance_in_small_steps();
    for (failure, is_passing) in [
        (PredictionFailure::Interrupted, true),
        (PredictionFailure::Director, true),
        (PredictionFailure::Timeout, true),
        (PredictionFailure::OutOfMemory, false),
        (PredictionFailure::Sensitive, false),
    ] {
        for streams in [false, true] {
            let rule = FaultRule::new(Fault::Fail(failure))
                .on_method("POST")
                .times(2);
            let (sim, _) = sim(SimOptions::default().with_fault(rule)).await;
            let settings = settings(sim.replicate_url()).with_max_retries(2);
            let replicate = Replicate::new(settings).unwrap();
            let (text, id, error) = if streams {
                let outcome =
                    StreamOutcome::all(stream(&replicate, chat_request(MODEL)).await.unwrap())
                        .await;
                let id = outcome.chunks.first().map(|chunk| chunk["id"].clone());
                (outcome.text, id, outcome.error)
            } else {
                match chat(&replicate, chat_request(MODEL)).await {
                    Ok(reply) => {
                        let body = reply.read::<ChatResponse>().unwrap();
                        (
                            body.text().unwrap().into_owned(),
                            Some(json!(body.id)),
                            None,
                        )
                    }
                    Err(error) => (String::new(), None, Some(error)),
                }
            };
            // It fails after half of its text, which another prediction would not continue.
            let too_late = streams && failure == PredictionFailure::Timeout;
            let counts = sim.replicate().counts();
            assert_eq!(counts.running(), 0);
            if is_passing && !too_late {
                assert_eq!(
                    (text.as_str(), counts.created()),
                    ("One two.", 3),
                    "{failure:?}"
                );
                let last = &sim.replicate().predictions()[2];
                assert_eq!(id, Some(json!(format!("chatcmpl-{}", last.id))));
            } else {
                assert_eq!(counts.created(), 1, "{failure:?}");
                assert_eq!(error.unwrap().is_retryable(), is_passing, "{failure:?}");
            }
        }
    }
}

/// Ignores `extra_headers`.
#[tokio::test]
async fn extra_headers_are_sent_to_replicate_only() {
    let foreign =
        Server::start(|_, _, _| Response::sse("event: output\nid: 1:0\ndata: Hi\n\n")).await;
    let events = format!("{}/events", foreign.url);
    let server = Server::start(move |url, seen, before| match seen.line().as_str() {
        LOOK_UP => Response::json(200, official(llama_3())),
        CREATE => {
            let mut made = prediction(url, "starting", Value::Null);
            made["urls"]["stream"] = json!(if before == 0 { &events } else { "" });
            Response::json(201, made)
        }
        GET => Response::json(200, succeeded(url, json!("Hi"))),
        _ => Response::not_found(),
    })
    .await;
    let mut settings = settings(&server.url);
    for (name, value) in [("X-Team", "blue"), ("User-Agent", "ours/1")] {
        settings.extra_headers.insert(name, value).unwrap();
    }
    let replicate = Replicate::new(settings).unwrap();
    let outcome = StreamOutcome::all(stream(&replicate, chat_request(MODEL)).await.unwrap()).await;
    outcome.assert_whole();
    chat(&replicate, chat_request(MODEL)).await.unwrap();
    assert!(server.seen().len() > 4);
    for seen in server.seen() {
        assert_eq!(seen.header("x-team"), Some("blue"));
        assert_eq!(seen.header("user-agent"), Some("ours/1"));
        assert_eq!(seen.header("authorization"), Some("Bearer r8_test"));
    }
    let seen = &foreign.seen()[0];
    assert_eq!(
        (seen.header("x-team"), seen.header("authorization")),
        (None, None)
    );
}

/// Computes a cost a thousand times too low. polyllm computes none, but reports the times and tokens.
#[tokio::test]
async fn times_and_token_counts_are_reported_plain_and_streamed() {
    let server = ending(|url| succeeded(url, json!("Hi"))).await;
    let reply = chat(&server.provider(), chat_request(MODEL)).await.unwrap();
    let plain = json!(reply.metadata.extra);
    let outcome = StreamOutcome::all(
        stream(&server.provider(), chat_request(MODEL))
            .await
            .unwrap(),
    )
    .await;
    let streamed = &outcome.chunks.last().unwrap()["usage"];
    for metrics in [&plain, streamed] {
        let times = ["predict_time", "total_time", "wait_time"].map(|name| &metrics[name]);
        assert_eq!(json!(times), json!([0.5, 2.5, 2.0]));
    }
    assert_eq!(streamed["completion_tokens"], 4);
}
