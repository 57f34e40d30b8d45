//! Lists, searches, and other information about models.

use std::time::Duration;

use llm_sim::Sim;
use reqwest::Method;
use serde_json::{Value, json};

use super::{LLAMA3, ask, create, said, slow};
use crate::common::{KEY, client, get, json, start};

async fn read(sim: &Sim, path: &str) -> Value {
    let (status, body) = json(get(format!("{}/v1/{path}", sim.replicate_url()))).await;
    assert_eq!(status, 200, "{body}");
    body
}

fn names(page: &Value) -> Vec<String> {
    let results = page["results"].as_array().expect("a page").iter();
    let name = |model: &Value| format!("{}/{}", model["owner"], model["name"]).replace('"', "");
    results.map(name).collect()
}

fn ids(page: &Value) -> Vec<&str> {
    let results = page["results"].as_array().expect("a page").iter();
    results
        .map(|one| one["id"].as_str().expect("an id"))
        .collect()
}

#[tokio::test]
async fn pages_are_stable_while_predictions_are_created() {
    let sim = start().await;
    for _ in 0..103 {
        create(&sim, LLAMA3, &ask("hi")).await;
    }
    let url = |page: &Value, which: &str| page[which].as_str().expect("a URL").to_owned();
    let first = read(&sim, "predictions").await;
    create(&sim, LLAMA3, &ask("hi")).await;
    let (_, second) = json(get(url(&first, "next"))).await;
    assert_eq!((ids(&second).len(), &second["next"]), (3, &Value::Null));
    let mut all = [ids(&first), ids(&second)].concat();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 103);
    let (_, back) = json(get(url(&second, "previous"))).await;
    assert_eq!(ids(&back), ids(&first));

    let (status, problem) = json(get(format!(
        "{}/v1/predictions?cursor=nonsense",
        sim.replicate_url()
    )))
    .await;
    assert_eq!(
        (status, problem["detail"].as_str()),
        (404, Some("Invalid cursor"))
    );
}

#[tokio::test(start_paused = true)]
async fn predictions_are_filtered_by_time() {
    let sim = slow().await;
    let mut times = Vec::new();
    for _ in 0..3 {
        let fresh = create(&sim, LLAMA3, &ask("hi")).await;
        times.push(fresh["created_at"].as_str().unwrap().to_owned());
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    let count = async |query: String| ids(&read(&sim, &format!("predictions?{query}")).await).len();
    assert_eq!(count(format!("created_before={}", times[1])).await, 1);
    assert_eq!(
        count(format!("created_after={}", times[2].replace(':', "%3A"))).await,
        1
    );
    let both = format!("created_after={}&created_before={}", times[0], times[2]);
    assert_eq!(count(both).await, 2);
    assert_eq!(count("created_after=2999-01-01".to_owned()).await, 0);
    assert_eq!(
        count("created_before=2001-01-01T00:00:00%2B01:00".to_owned()).await,
        0
    );
    let wrong = format!(
        "{}/v1/predictions?created_after=yesterday",
        sim.replicate_url()
    );
    let (status, problem) = json(get(wrong)).await;
    assert_eq!(
        (status, &problem["invalid_fields"][0]["field"]),
        (422, &json!("created_after"))
    );

    // The next page has the same period.
    for _ in 0..101 {
        create(&sim, LLAMA3, &ask("hi")).await;
    }
    let page = read(&sim, &format!("predictions?created_after={}", times[2])).await;
    let (_, next) = json(get(page["next"].as_str().unwrap().to_owned())).await;
    assert_eq!(ids(&next).len(), 102 - 100);
}

#[tokio::test]
async fn models_are_listed_and_searched() {
    let sim = start().await;
    let all = names(&read(&sim, "models").await);
    assert!(all.contains(&"meta/meta-llama-3-8b-instruct".to_owned()) && all.is_sorted());

    let search = async |words: &'static str| {
        let method = Method::from_bytes(b"QUERY").unwrap();
        let request = client().request(method, format!("{}/v1/models", sim.replicate_url()));
        let request = request
            .bearer_auth(KEY)
            .header("content-type", "text/plain");
        let (status, page) = json(request.body(words)).await;
        assert_eq!(status, 200);
        names(&page)
    };
    let llama2 = [
        "a16z-infra/llama-2-13b-chat",
        "meta/llama-2-70b-chat",
        "replicate/llama-2-70b-chat",
    ];
    assert_eq!(search("Llama-2 CHAT").await, llama2);
    assert_eq!(search("\"llama-2 chat\"").await, llama2);
    assert_eq!(search("no such thing").await, Vec::<String>::new());

    let found = read(&sim, "search?query=hello").await;
    assert_eq!(found["query"], "hello");
    assert_eq!(found["models"].as_array().unwrap().len(), 1);
    assert_eq!(found["models"][0]["model"]["name"], "hello-world");
    let found = read(&sim, "search?query=need%20no%20version").await;
    assert_eq!(found["collections"][0]["slug"], "official");
}

#[tokio::test]
async fn collections_hold_models() {
    let sim = start().await;
    let list = read(&sim, "collections").await;
    let slugs: Vec<_> = list["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["slug"])
        .collect();
    assert_eq!(slugs, ["language-models", "official"]);
    let official = read(&sim, "collections/official").await;
    let models = official["models"].as_array().unwrap();
    assert!(!models.is_empty() && models.iter().all(|model| model["is_official"] == true));
    let missing = get(format!("{}/v1/collections/nothing", sim.replicate_url()));
    assert_eq!(json(missing).await.0, 404);
}

#[tokio::test]
async fn models_have_a_readme_and_an_example() {
    let sim = start().await;
    let url = format!(
        "{}/v1/models/meta/llama-2-70b-chat/readme",
        sim.replicate_url()
    );
    let response = get(url).send().await.unwrap();
    assert_eq!(
        response.headers()["content-type"],
        "text/plain; charset=utf-8"
    );
    assert!(
        response
            .text()
            .await
            .unwrap()
            .starts_with("# meta/llama-2-70b-chat\n")
    );

    let page = read(&sim, "models/meta/llama-2-70b-chat/examples").await;
    let example = &page["results"][0];
    assert_eq!(example["status"], "succeeded");
    assert!(said(&example["output"]).contains("Hello from a model's page"));
    let page = read(&sim, "models/replicate/hello-world/examples").await;
    assert_eq!(
        page["results"][0]["output"],
        "hello Hello from a model's page"
    );
    // They have no predictions.
    assert_eq!(sim.replicate().counts().created(), 0);
}
