//! Tools, structured output, streams with their response, and the other APIs, against the simulated
//! upstreams.

#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use llm_sim::{Fault, Sim, SimOptions};
use polyllm::schemars::{self, JsonSchema};
use polyllm::types::messages::{InputMessage, MessagesRequest};
use polyllm::types::responses::ResponsesRequest;
use polyllm::types::{FinishReason, FunctionDefinition, Role, ToolChoice};
use polyllm::{
    ApiKey, Client, ErrorKind, Functions, Message, Settings, Tool, blocking, gateway, registry,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

const MODEL: &str = "together_ai/openai/gpt-oss-20b";
const LLAMA: &str = "replicate/meta/meta-llama-3-8b-instruct";

async fn setup() -> (Sim, Client) {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let client = client_of(&sim);
    (sim, client)
}

fn client_of(sim: &Sim) -> Client {
    let settings = |base: &str| {
        let settings = Settings::new().with_api_base(base);
        settings.with_api_key(ApiKey::new("k"))
    };
    Client::new(registry())
        .with_settings("together_ai", settings(sim.together_url()))
        .unwrap()
        .with_settings("replicate", settings(sim.replicate_url()))
        .unwrap()
}

#[derive(Debug, Deserialize, JsonSchema)]
struct Place {
    #[allow(dead_code, reason = "only the schema is used")]
    city: String,
}

#[derive(Debug, Serialize)]
struct Weather {
    degrees: i32,
}

#[tokio::test]
async fn a_request_is_sent_when_it_is_awaited() {
    let (_sim, client) = setup().await;
    let chat = client.chat(MODEL).with_user("Good morning!");
    let sent = chat.clone().send().await.unwrap();
    assert_eq!(chat.await.unwrap().text(), sent.text());
    let vectors = client.embed("together_ai/BAAI/bge-base-en-v1.5", "a");
    assert_eq!(vectors.await.unwrap().data.len(), 1);
}

#[tokio::test]
async fn functions_are_called_until_the_model_replies() {
    let (sim, client) = setup().await;
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let definition = FunctionDefinition::typed::<Place>("weather").with_description("Of a city.");
    let functions = Functions::new().with_function(definition, move |_: Place| {
        count.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, std::fmt::Error>(Weather { degrees: 21 }) }
    });
    let chat = client
        .chat(MODEL)
        .with_user("How is the weather in Bern?")
        .with_tool_choice(ToolChoice::function("weather"));
    let conversation = chat.run(&functions).await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    assert_eq!(conversation.responses.len(), 2);
    let roles = conversation.messages.iter().map(|message| &message.role);
    let expected = [&Role::User, &Role::Assistant, &Role::Tool, &Role::Assistant];
    assert_eq!(roles.collect::<Vec<_>>(), expected);
    assert!(!conversation.text().unwrap().is_empty());
    assert!(!format!("{conversation:?}{functions:?}").contains("Bern"));

    let requests = sim.together().requests();
    let (first, second) = (requests[0].json(), requests[1].json());
    let tool = &first["tools"][0]["function"];
    assert_eq!(tool["parameters"]["required"], json!(["city"]));
    assert_eq!(first["tool_choice"]["function"]["name"], "weather");
    // The model may use the result, instead of calling again.
    assert_eq!(second.get("tool_choice"), None);
    let result = &second["messages"][2];
    assert_eq!(result["content"], r#"{"degrees":21}"#);
    let call = &second["messages"][1]["tool_calls"][0];
    assert_eq!(result["tool_call_id"], call["id"]);
}

/// The model gets the errors of its calls, so that it can correct them.
#[tokio::test]
async fn the_model_gets_the_errors_of_its_calls() {
    let (_sim, client) = setup().await;
    let result = async |functions: Functions| {
        let other = Tool::function("weather", json!({"type": "object"}));
        let chat = client.chat(MODEL).with_user("The weather?");
        let chat = chat.with_tools([other]).run(&functions).await.unwrap();
        chat.messages[2].text().unwrap().into_owned()
    };
    let definition = || FunctionDefinition::new("weather").with_parameters(json!({}));
    let fails = |_: serde_json::Value| async { Err::<(), _>("the station is closed") };
    let functions = Functions::new().with_function(definition(), fails);
    assert_eq!(result(functions).await, "error: the station is closed");
    let reads = |place: Place| async move { Ok::<_, std::fmt::Error>(place.city) };
    let functions = Functions::new().with_function(definition(), reads);
    let text = result(functions).await;
    assert!(
        text.starts_with("error: the arguments are invalid: missing field `city`"),
        "{text}"
    );
    let text = result(Functions::new()).await;
    assert_eq!(text, "error: there is no such function");
}

#[tokio::test]
async fn endless_calls_are_an_error() {
    let (sim, client) = setup().await;
    let nothing = |_: serde_json::Value| async { Ok::<_, std::fmt::Error>("") };
    let functions = Functions::new()
        .with_function(FunctionDefinition::new("look"), nothing)
        .with_max_rounds(0);
    let chat = client.chat(MODEL).with_user("look").run(&functions);
    let error = chat.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ModelFailed);
    assert_eq!(sim.together().request_count(), 1);
}

#[derive(Debug, Deserialize, JsonSchema)]
#[allow(dead_code, reason = "they are only read from JSON")]
struct Answer {
    city: String,
    population: u64,
    note: Option<String>,
}

#[tokio::test]
async fn a_response_is_read_into_a_type() {
    let (sim, client) = setup().await;
    let chat = || client.chat(MODEL).with_user("The largest city?");
    let answer: Answer = chat().json().await.unwrap();
    assert!(!answer.city.is_empty(), "{answer:?}");
    let format = &sim.together().requests()[0].json()["response_format"];
    assert_eq!(format["type"], "json_schema", "{format}");

    let error = chat()
        .with_max_tokens(1)
        .json::<Answer>()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ModelFailed, "{error}");
    assert_eq!(error.provider(), Some("together_ai"));
    // Replicate has no response formats.
    let chat = client.chat(LLAMA).with_user("The largest city?");
    let error = chat.json::<Answer>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(error.param(), Some("response_format"));
}

#[tokio::test]
async fn a_stream_also_returns_its_response() {
    let (_sim, client) = setup().await;
    for model in [MODEL, LLAMA] {
        let chat = || client.chat(model).with_user("Good morning!");
        let mut stream = chat().accumulating_stream().await.unwrap();
        let mut text = stream.next_text().await.unwrap().unwrap();
        while let Some(more) = stream.next_text().await.unwrap() {
            text.push_str(&more);
        }
        let response = stream.finish().await.unwrap();
        assert_eq!(response.text().unwrap(), text, "{model}");
        let reason = response.choices[0].finish_reason.value();
        assert_eq!(reason, Some(&FinishReason::Stop));
        assert!(response.usage.is_value());
        // The rest is read if the caller does not read it.
        let stream = chat().accumulating_stream().await.unwrap();
        assert_eq!(stream.finish().await.unwrap().text().unwrap(), text);
    }
}

#[tokio::test]
async fn a_failed_stream_returns_no_response() {
    let (sim, client) = setup().await;
    let chat = client.chat(MODEL).with_user("Good morning!");
    sim.together().inject(Fault::ErrorAfter(2));
    let mut stream = chat.accumulating_stream().await.unwrap();
    while let Ok(chunk) = stream.next_chunk().await {
        assert!(chunk.is_some(), "the stream is complete");
    }
    let error = stream.finish().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport, "{error}");
}

#[tokio::test]
async fn messages_are_converted_to_chats() {
    let (_sim, client) = setup().await;
    let request = || {
        let messages = [InputMessage::new("user", "Good morning!")];
        MessagesRequest::new(MODEL, 200, messages)
    };
    let message = client.messages(request()).await.unwrap();
    assert_eq!(message.model, MODEL);
    let mut stream = client.messages(request()).stream().await.unwrap();
    let mut names = Vec::new();
    while let Some(event) = stream.next().await {
        names.push(event.unwrap().name().to_owned());
    }
    assert_eq!(names.first().map(String::as_str), Some("message_start"));
    assert_eq!(names.last().map(String::as_str), Some("message_stop"));
    let mut tiered = request();
    tiered
        .extra
        .insert("service_tier".to_owned(), "auto".into());
    let reply = client.messages(tiered).reply().await.unwrap();
    assert!(reply.ignored.iter().any(|name| name == "service_tier"));
    assert_eq!(reply.metadata.provider, "together_ai");
    assert_eq!(reply.response.model, MODEL);
    let late = client
        .messages(request())
        .with_timeout(Duration::from_nanos(1));
    assert_eq!(late.await.unwrap_err().kind(), ErrorKind::Timeout);
    let mut wrong = request();
    wrong.max_tokens = None;
    let error = client.messages(wrong).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    assert_eq!(error.param(), Some("max_tokens"));
}

#[tokio::test]
async fn responses_are_converted_to_chats() {
    let (_sim, client) = setup().await;
    let request = || ResponsesRequest::new(LLAMA, "Good morning!");
    let response = client.responses(request()).await.unwrap();
    assert!(!response.output.is_empty());
    let mut stream = client.responses(request()).stream().await.unwrap();
    let mut last = String::new();
    while let Some(event) = stream.next().await {
        last = event.unwrap().name().to_owned();
    }
    assert_eq!(last, "response.completed");
}

#[test]
fn requests_work_without_async() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sim = runtime.block_on(Sim::start(SimOptions::default())).unwrap();
    let client = client_of(&sim);
    let chat = || {
        client
            .chat(LLAMA)
            .with_messages([Message::user("Good morning!")])
    };
    let response = blocking::wait(chat()).unwrap();
    let mut streamed = String::new();
    let mut stream = blocking::stream(chat()).unwrap();
    while let Some(text) = stream.next_text().unwrap() {
        streamed.push_str(&text);
    }
    assert_eq!(response.text().unwrap(), streamed);
    assert!(blocking::stream(chat()).unwrap().all(|event| event.is_ok()));
    // A stream that is dropped is stopped upstream.
    drop(blocking::stream(chat()).unwrap());
    assert!(blocking::finish_cleanup(Duration::from_secs(60)).unwrap());
    let _context = runtime.enter();
    let error = blocking::wait(chat()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
}

#[tokio::test]
async fn a_client_of_a_config_calls_its_models() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let text = format!(
        "
model_list:
  - model_name: llama-3
    litellm_params: {{model: {LLAMA}, api_key: k, api_base: '{}', max_tokens: 7}}
litellm_settings: {{drop_params: true}}
",
        sim.replicate_url()
    );
    let config = gateway::Config::parse(&text, &registry(), &|_| None).unwrap();
    let client = Client::from_config(&config);
    let chat = client.chat("llama-3").with_user("Good morning!");
    // Replicate has no tools: the config leaves them out.
    let tool = Tool::function("look", json!({"type": "object"}));
    chat.with_tools([tool]).await.unwrap();
    assert_eq!(sim.replicate().predictions()[0].input["max_tokens"], 7);
    let error = client.chat("llama-4").with_user("Hi").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
}
