//! What a provider does when all goes well.

use futures_util::future::join_all;
use llm_types::completions::CompletionRequest;
use llm_types::embeddings::EmbeddingRequest;
use llm_types::rerank::RerankRequest;

use super::bench::{Bench, PROMPT, TEXT};
use super::{Mood, Simulation};
use crate::{
    Call, Capability, CompletionEvent, ErrorKind, Json, Operation, Provider, Reply, Result,
};

/// A plain answer has the model's text to the last byte, and tells who gave it.
pub async fn answers(simulation: &dyn Simulation) {
    let bench = Bench::new(simulation, Mood::Says(TEXT.to_owned())).await;
    let call = bench.ask(PROMPT);
    match bench.provider.chat(call.clone()).await {
        Ok(Reply { metadata, .. }) => {
            assert_eq!(metadata.provider, bench.provider.name());
            assert_eq!(metadata.model, bench.model(Capability::Chat));
            assert!(
                metadata.upstream_id.is_some(),
                "the upstream's id is not told"
            );
        }
        Err(error) => panic!("a plain call failed: {error:?}"),
    }
    assert_eq!(bench.chat(call).await.ok().as_deref(), Some(TEXT));
}

/// A streamed answer has the same text, one finish reason, and its usage alone at the end.
pub async fn streams(simulation: &dyn Simulation) {
    let bench = Bench::new(simulation, Mood::Says(TEXT.to_owned())).await;
    match bench.stream(bench.ask(PROMPT)).await {
        Ok(text) => assert_eq!(text, TEXT),
        Err(error) => panic!("a streamed call failed: {error:?}"),
    }
}

/// A text completion keeps the promises of a chat: the whole text, plain and streamed, one finish
/// reason, and the usage alone at the end; and it is stopped when it is dropped.
pub async fn completions(simulation: &dyn Simulation) {
    let bench = Bench::new(simulation, Mood::Says(TEXT.to_owned())).await;
    if !bench.provider.capabilities().has(Capability::Completions) {
        return;
    }
    let request = CompletionRequest::new(bench.model(Capability::Completions), PROMPT);
    let call = Call::new(Json::from_value(request));
    match bench.provider.complete(call.clone()).await {
        Ok(Reply { body, metadata, .. }) => {
            let answer = body.into_value();
            let answer = answer.unwrap_or_else(|error| panic!("no text completion: {error}"));
            let choice = answer.choices.first();
            let choice = choice.unwrap_or_else(|| panic!("a completion has no choice"));
            assert_eq!(choice.text, TEXT);
            assert!(
                choice.finish_reason.is_value(),
                "a completion has no finish reason"
            );
            assert_eq!(metadata.provider, bench.provider.name());
        }
        Err(error) => panic!("a plain completion failed: {error:?}"),
    }
    let stream = bench.provider.complete_stream(call.clone()).await;
    let mut stream = stream.unwrap_or_else(|error| panic!("a completion failed: {error:?}"));
    let (mut text, mut finishes, mut usages) = (String::new(), 0, 0);
    while let Some(event) = stream.next().await {
        let event = event.unwrap_or_else(|error| panic!("a streamed completion broke: {error:?}"));
        let CompletionEvent::Chunk(chunk) = event else {
            continue;
        };
        let chunk = chunk.into_value();
        let chunk = chunk.unwrap_or_else(|error| panic!("a chunk is none: {error}"));
        assert!(usages == 0, "something came after the usage");
        usages += usize::from(chunk.usage.is_value());
        assert!(
            !chunk.usage.is_value() || chunk.choices.is_empty(),
            "the usage is not alone in its chunk"
        );
        for choice in chunk.choices {
            text.push_str(&choice.text);
            finishes += usize::from(choice.finish_reason.is_value());
        }
    }
    assert_eq!(
        (text.as_str(), finishes),
        (TEXT, 1),
        "a streamed completion"
    );

    let endless = Bench::new(simulation, Mood::Endless).await;
    match endless.provider.complete_stream(call).await {
        Ok(mut stream) => {
            assert!(stream.next().await.is_some_and(|event| event.is_ok()));
            endless.until_running(true).await;
        }
        Err(error) => panic!("an endless completion did not begin: {error:?}"),
    }
    endless.until_running(false).await;
}

/// Text of any script comes and goes as it is.
pub async fn unicode(simulation: &dyn Simulation) {
    let text = "日本語 العربية हिन्दी 👩‍👩‍👧‍👦 e\u{301} \u{200d} \u{feff}\u{2028} \"\\/\t 𝄞 \u{10ffff}";
    let bench = Bench::new(simulation, Mood::Says(text.to_owned())).await;
    for answer in [
        bench.chat(bench.ask(text)).await,
        bench.stream(bench.ask(text)).await,
    ] {
        assert_eq!(answer.ok().as_deref(), Some(text));
    }
    let sent: Vec<_> = bench.tap.requests();
    for request in sent.iter().filter(|request| request.is_post()) {
        let body = String::from_utf8(request.body.clone());
        assert!(body.is_ok(), "a request is not UTF-8");
        assert!(
            body.is_ok_and(|body| body.contains("日本語") || body.contains("\\u65e5\\u672c")),
            "a request does not hold the prompt"
        );
    }
}

/// A prompt and an answer of a mebibyte each.
pub async fn big_bodies(simulation: &dyn Simulation) {
    // Few words, so that it fits into a simulated model's context.
    let long = format!("{:>64}", "Words.").repeat((1 << 20) / 64);
    let bench = Bench::new(simulation, Mood::Says(long.clone())).await;
    for answer in [
        bench.chat(bench.ask(long.as_str())).await,
        bench.stream(bench.ask(long.as_str())).await,
    ] {
        match answer {
            Ok(text) => assert!(text == long, "{} bytes came back", text.len()),
            Err(error) => panic!("a big body failed: {error:?}"),
        }
    }
    let requests = bench.tap.requests();
    let big = requests
        .iter()
        .filter(|request| request.body.len() >= long.len());
    assert_eq!(big.count(), 2, "the prompt was cut");
}

/// Sixty-four calls at once, plain and streamed, each get their own answer.
pub async fn concurrency(simulation: &dyn Simulation) {
    let bench = &Bench::new(simulation, Mood::Echoes).await;
    let calls = (0..64).map(|number| async move {
        let question = format!("This is number {number} of 64.");
        let call = bench.ask(question.as_str());
        let answer = if number % 2 == 0 {
            bench.chat(call).await
        } else {
            bench.stream(call).await
        };
        match answer {
            Ok(text) => assert!(
                text.contains(&question),
                "call {number} got another's answer: {text:?}"
            ),
            Err(error) => panic!("call {number} failed: {error:?}"),
        }
    });
    join_all(calls).await;
}

/// What the provider says it can do works; the rest is refused before anything is sent.
pub async fn capabilities(simulation: &dyn Simulation) {
    let bench = Bench::new(simulation, Mood::Echoes).await;
    let able = bench.provider.capabilities();
    assert!(able.iter().count() > 0, "the provider can do nothing");
    for capability in [
        Capability::Chat,
        Capability::Completions,
        Capability::Embeddings,
        Capability::Rerank,
        Capability::Models,
    ] {
        bench.tap.forget_requests();
        let outcome = try_out(&bench, capability).await;
        if able.has(capability) {
            if let Err(error) = outcome {
                panic!("{capability} is said to work, and failed: {error:?}");
            }
        } else {
            let kind = outcome.map_err(|error| error.kind());
            assert_eq!(kind, Err(ErrorKind::Unsupported), "{capability}");
            assert!(
                bench.tap.requests().is_empty(),
                "{capability} was sent though it is not supported"
            );
        }
    }
}

/// A parameter that cannot be honoured is an error that names it, before anything is sent; or it
/// is left out when the caller allows that, and told.
pub async fn parameters(simulation: &dyn Simulation) {
    let Some((name, value)) = simulation.refused_param() else {
        return;
    };
    let bench = Bench::new(simulation, Mood::Echoes).await;
    let none = serde_json::Map::new();
    let call = bench.ask(PROMPT);
    let body = call.body.edit([(name, value)], &none);
    let body = body.unwrap_or_else(|error| panic!("{name} cannot be set: {error:?}"));
    let call = call.like(body);
    for (how, error) in bench.failures(&call).await {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{how}: {error:?}");
        assert_eq!(error.param(), Some(name), "{how}: {error:?}");
    }
    assert_eq!(
        bench.tap.posts(),
        0,
        "{name} was refused after all was sent"
    );
    match bench.provider.chat(call.with_drop_params(true)).await {
        Ok(reply) => assert!(
            reply
                .metadata
                .dropped_params
                .iter()
                .any(|param| param == name),
            "{name} was dropped in silence"
        ),
        Err(error) => panic!("{name} was not dropped: {error:?}"),
    }
}

async fn try_out(bench: &Bench<'_>, capability: Capability) -> Result<()> {
    let model = bench.model(capability);
    let provider = &*bench.provider;
    match capability {
        Capability::Chat => {
            bench.chat(bench.ask(PROMPT)).await?;
            bench.stream(bench.ask(PROMPT)).await?;
        }
        Capability::Completions => {
            let request = CompletionRequest::new(model, PROMPT);
            send(provider, request.clone()).await?;
            let mut stream = provider
                .complete_stream(Call::new(Json::from_value(request)))
                .await?;
            let mut text = String::new();
            while let Some(piece) = stream.next_text().await? {
                text += &piece;
            }
            assert!(!text.is_empty(), "a streamed completion has no text");
        }
        Capability::Embeddings => {
            let answer = send(provider, EmbeddingRequest::new(model, PROMPT)).await?;
            assert_eq!(answer.data.len(), 1);
        }
        Capability::Rerank => {
            let request = RerankRequest::new(model, PROMPT, ["stripes", "rust"]);
            assert_eq!(send(provider, request).await?.results.len(), 2);
        }
        Capability::Models => {
            let models = provider.models().await?;
            assert!(!models.data.is_empty(), "there are no models");
        }
    }
    Ok(())
}

async fn send<R: Operation>(provider: &dyn Provider, request: R) -> Result<R::Response> {
    let reply = R::send(provider, Call::new(Json::from_value(request))).await?;
    let answer = reply.body.into_value();
    Ok(answer.unwrap_or_else(|error| panic!("the answer has another shape: {error}")))
}
