//! No secret of a deployment comes back from Replicate, wherever it is repeated.

use llm_provider::{Error, Provider};
use provider_replicate::Replicate;
use serde_json::{Value, json};

use crate::canaries::{
    CANARIES, KEY, assert_clean, assert_metadata_clean, assert_text_clean, planted, spellings,
};
use crate::scripted::settings as plain_settings;
use crate::support::*;

fn provider(server: &Server) -> Replicate {
    let mut settings = crate::canaries::settings(&server.url);
    settings.transport = plain_settings(&server.url).transport;
    Replicate::new(settings).unwrap()
}

/// The errors of a chat and of a stream. Checks the stream's metadata and progress, too.
async fn failures(server: &Server, case: &str) -> [Error; 2] {
    let provider = provider(server);
    let plain = chat(&provider, chat_request(MODEL)).await.unwrap_err();
    let streamed = match stream(&provider, chat_request(MODEL)).await {
        Err(error) => error,
        Ok(stream) => {
            assert_metadata_clean(&stream.metadata, case);
            let outcome = StreamOutcome::all(stream).await;
            for status in &outcome.progress {
                assert_text_clean(status, case);
            }
            outcome.error.unwrap()
        }
    };
    [plain, streamed]
}

#[tokio::test]
async fn no_secret_comes_back_in_an_error_answer() {
    let problem = json!({ "title": "Input validation failed", "detail": "- no", "status": 422,
        "invalid_fields": [{ "type": "t", "field": "input.n", "description": "No." }] });
    let plain = json!({ "detail": "No." });
    for canary in CANARIES {
        let mut documents = planted(&problem, canary);
        documents.extend(planted(&plain, canary));
        let mut blamed = problem.clone();
        blamed["invalid_fields"][0]["field"] = json!(format!("input.{canary}"));
        documents.push(blamed);
        // At the cut of a long text, too.
        documents.push(json!({ "detail": "x".repeat(490) + canary }));
        for document in documents {
            for body in spellings(&document) {
                let case = format!("a problem {body}");
                let server = Server::start(move |_, _, _| {
                    Response::new(422, "application/problem+json", body.clone())
                })
                .await;
                for error in failures(&server, &case).await {
                    assert_clean(&error, &case);
                }
                let listed = provider(&server).models().await;
                assert_clean(&listed.unwrap_err(), &case);
            }
        }
        for status in [307, 403, 502, 201] {
            let server = Server::start(move |_, _, _| {
                let page = format!("<p>{canary}</p>");
                Response::new(status, &format!("text/{canary}"), page)
                    .header("location", format!("https://{canary}/"))
                    .header("x-request-id", canary)
                    .header("retry-after", canary)
            })
            .await;
            for error in failures(&server, "a page").await {
                assert_clean(&error, "a page");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_secret_comes_back_in_a_prediction_that_fails() {
    advance_in_small_steps();
    for canary in CANARIES {
        // At the cut of a long text, too.
        let long = "x".repeat(490) + canary;
        for (status, error) in [
            ("failed", json!(format!("it was {canary} (code: {canary})"))),
            ("failed", json!(long)),
            ("failed", json!({ canary: [canary] })),
            ("canceled", json!(canary)),
            ("aborted", json!(canary)),
        ] {
            let case = format!("{status} because of {error}");
            let server = Server::start(move |url, seen, _| match seen.line().as_str() {
                LOOK_UP => Response::json(401, json!({ "detail": canary })),
                CREATE => {
                    let mut made = prediction(url, canary, Value::Null);
                    made["urls"]["web"] = json!(format!("https://replicate.com/{canary}"));
                    made["urls"]["stream"] = json!(format!("https://{canary}@127.0.0.1:1/"));
                    made["logs"] = json!(canary);
                    Response::json(201, made)
                }
                GET => {
                    let mut ended = prediction(url, status, json!(canary));
                    ended["error"] = error.clone();
                    ended["logs"] = json!(canary);
                    Response::json(200, ended)
                }
                _ => Response::not_found(),
            })
            .await;
            for error in failures(&server, &case).await {
                assert_clean(&error, &case);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_secret_comes_back_in_an_event_stream() {
    advance_in_small_steps();
    for canary in CANARIES {
        let detail = json!({ "detail": format!("it was {canary}") });
        let long = json!({ "detail": "x".repeat(490) + canary });
        let reason = json!({ "reason": canary });
        let odd = json!({ "reason": "error", "detail": { canary: canary } });
        for event in ["error", "done"] {
            for data in [&detail, &long, &reason, &odd]
                .into_iter()
                .flat_map(spellings)
            {
                let case = format!("{event} with {data}");
                let events = format!("event: {event}\nid: 1\ndata: {data}\n\n");
                let server = Server::start(move |url, seen, before| match seen.line().as_str() {
                    CREATE | GET if before < 40 => {
                        let mut runs = prediction(url, "processing", Value::Null);
                        runs["urls"]["stream"] = json!(format!("{url}/events"));
                        Response::json(201, runs)
                    }
                    GET => Response::json(200, prediction(url, "failed", Value::Null)),
                    "GET /events" => Response::sse(events.clone()),
                    _ => Response::not_found(),
                })
                .await;
                let stream = stream(&provider(&server), chat_request(MODEL))
                    .await
                    .unwrap();
                // With `done` and no reason, the stream succeeds.
                if let Some(error) = StreamOutcome::all(stream).await.error {
                    assert_clean(&error, &case);
                }
            }
        }
    }
}

#[tokio::test]
async fn no_secret_comes_back_as_an_id_or_in_metadata() {
    let server = Server::start(|url, seen, _| match seen.line().as_str() {
        CREATE => {
            let mut made = succeeded(url, json!(["Hi"]));
            made["urls"]["web"] = json!(format!("https://replicate.com/{KEY}"));
            Response::json(201, made)
        }
        _ => Response::not_found(),
    })
    .await;
    let reply = chat(&provider(&server), chat_request(MODEL)).await.unwrap();
    assert_metadata_clean(&reply.metadata, "the page of a prediction");

    for canary in CANARIES {
        let server = Server::start(move |url, seen, _| match seen.line().as_str() {
            CREATE => {
                let mut made = succeeded(url, json!(["Hi"]));
                made["id"] = json!(canary);
                Response::json(201, made)
            }
            _ => Response::not_found(),
        })
        .await;
        for error in failures(&server, "an id").await {
            assert_clean(&error, "an id");
        }
    }
}
