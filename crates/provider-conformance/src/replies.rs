//! Successful replies.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::{Harness, PROMPT, TEXT};
use crate::{Scenario, Simulation};
use llm_provider::{Capability, ErrorKind, Metadata};

pub(crate) async fn answers(simulation: &dyn Simulation) {
    let harness = Harness::new(simulation, Scenario::Reply(TEXT.to_owned())).await;
    let answer = match harness.plain(&harness.chat(PROMPT)).await {
        Ok(answer) => answer,
        Err(error) => panic!("a plain call failed: {error:?}"),
    };
    assert_eq!(answer.text(), TEXT);
    assert_eq!(answer.choices.len(), 1, "not one choice");
    assert_eq!(answer.finish(), "stop");
    let id = answer.body["id"].as_str().unwrap_or_default();
    assert!(
        !id.is_empty(),
        "a plain reply has no id: generate one if the upstream has none"
    );
}

pub(crate) async fn streams(simulation: &dyn Simulation) {
    let harness = Harness::new(simulation, Scenario::Reply(TEXT.to_owned())).await;
    match harness.streamed(&harness.chat(PROMPT)).await {
        Ok(answer) => {
            assert_eq!(answer.text(), TEXT);
            assert_eq!(answer.choices.len(), 1, "not one choice");
            assert_eq!(answer.finish(), "stop");
            let chunks = answer.body.as_array().map_or(0, Vec::len);
            assert!(
                chunks > 3,
                "{chunks} chunks only: the reply was not streamed"
            );
        }
        Err(error) => panic!("a streamed call failed: {error:?}"),
    }
}

pub(crate) async fn metadata(simulation: &dyn Simulation) {
    let harness = Harness::new(simulation, Scenario::Reply(TEXT.to_owned())).await;
    for (how, answer) in harness.answers(&harness.chat(PROMPT)).await {
        let Metadata {
            provider,
            model,
            deployment,
            attempts,
            upstream_id,
            dropped_params,
            ..
        } = answer.metadata;
        assert_eq!(provider, harness.provider.name(), "{how}: provider");
        assert_eq!(model, harness.model(Capability::Chat), "{how}: model");
        assert_eq!(
            (deployment, attempts),
            (None, 0),
            "{how}: a router's members"
        );
        assert!(
            dropped_params.is_empty(),
            "{how}: {dropped_params:?} dropped"
        );
        let id = upstream_id.as_deref();
        assert_ne!(id, Some(""), "{how}: an empty upstream id");
        assert!(
            id.is_some() || !simulation.has_upstream_ids(),
            "{how}: no upstream id"
        );
    }
}

pub(crate) async fn usage(simulation: &dyn Simulation) {
    let harness = Harness::new(simulation, Scenario::Reply(TEXT.to_owned())).await;
    let answers = harness.answers(&harness.chat(PROMPT)).await;
    let counts = answers.map(|(how, answer)| {
        let count = |name: &str| answer.usage[name].as_u64();
        let counts = ["prompt_tokens", "completion_tokens", "total_tokens"].map(count);
        if let [Some(prompt), Some(completion), Some(total)] = counts {
            assert!(prompt > 0 && completion > 0, "{how}: no tokens: {counts:?}");
            assert_eq!(prompt + completion, total, "{how}: {counts:?}");
        } else {
            assert!(
                answer.usage.is_null(),
                "{how}: incomplete: {}",
                answer.usage
            );
        }
        counts
    });
    assert_eq!(counts[0], counts[1], "plain and streamed usage differ");
}

pub(crate) async fn token_limit(simulation: &dyn Simulation) {
    let harness = Harness::new(simulation, Scenario::Reply(TEXT.to_owned())).await;
    for limit in ["max_tokens", "max_completion_tokens"] {
        let body = json!({ "messages": [{ "role": "user", "content": PROMPT }], limit: 2 });
        let call = harness.request(Capability::Chat, body);
        for (how, answer) in harness.both(&call).await {
            match answer {
                Ok(answer) => {
                    assert_eq!(answer.finish(), "length", "{how}, {limit}: 2");
                    let text = answer.text();
                    assert!(
                        !text.is_empty() && text.len() < TEXT.len() && TEXT.starts_with(text),
                        "{how}, {limit}: 2 gave {text:?}"
                    );
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}"),
            }
        }
    }
}

pub(crate) async fn unicode(simulation: &dyn Simulation) {
    let text = "日本語 العربية हिन्दी 👩‍👩‍👧‍👦 e\u{301} \u{200d} \u{feff}\u{2028} \"\\/\t 𝄞 \u{10ffff}";
    let harness = Harness::new(simulation, Scenario::Reply(text.to_owned())).await;
    for (how, answer) in harness.answers(&harness.chat(text)).await {
        assert_eq!(answer.text(), text, "{how}");
    }
    for request in harness.tap.requests() {
        assert!(
            std::str::from_utf8(&request.body).is_ok(),
            "a request is not UTF-8"
        );
    }
    let content = |message: &Value| message["content"].as_str() == Some(text);
    let sent = harness.sent();
    let mut messages = sent["messages"].as_array().into_iter().flatten();
    assert!(
        messages.any(content),
        "the upstream got another prompt: {sent}"
    );
}

pub(crate) async fn big_bodies(simulation: &dyn Simulation) {
    // Few words, so that it fits into a simulated model's context.
    let long = format!("{:>64}", "Words.").repeat((1 << 20) / 64);
    let harness = Harness::new(simulation, Scenario::Reply(long.clone())).await;
    for (how, answer) in harness.answers(&harness.chat(long.as_str())).await {
        let length = answer.text().len();
        assert!(answer.text() == long, "{how}: {length} bytes came back");
    }
    let requests = harness.tap.requests();
    let big = requests
        .iter()
        .filter(|request| request.body.len() >= long.len());
    assert_eq!(big.count(), 2, "the prompt was cut");
}

pub(crate) async fn concurrency(simulation: &dyn Simulation) {
    let harness = &Harness::new(simulation, Scenario::Echo).await;
    let calls = (0..64).map(|number| async move {
        let question = format!("This is number {number} of 64.");
        let call = harness.chat(question.as_str());
        match harness.send(&call, number % 2 == 1).await {
            Ok(answer) => assert!(
                answer.text().contains(&question),
                "call {number} got the reply of another: {:?}",
                answer.text()
            ),
            Err(error) => panic!("call {number} failed: {error:?}"),
        }
    });
    join_all(calls).await;
}
