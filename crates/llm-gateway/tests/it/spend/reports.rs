//! Reports, owners and the description of the gateway.

use http::Method;
use serde_json::{Value, json};

use super::{MASTER, REPLY, ask, chat, gateway, generate, operate, priced, priced_gateway, report};
use crate::support::{Scripted, Step, text};

#[tokio::test]
async fn reports_sum_the_spend_of_keys_teams_and_customers() {
    let gateway = priced_gateway([Step::Json(REPLY)]).await;
    operate(
        &gateway,
        "/team/new",
        json!({ "team_id": "t", "team_alias": "Research" }),
    )
    .await;
    let first = generate(&gateway, json!({ "team_id": "t", "key_alias": "first" })).await;
    let other = generate(&gateway, json!({ "key_alias": "other" })).await;
    for (key, user) in [(&first, "anna"), (&first, "ben"), (&other, "anna")] {
        let response = chat(&gateway, key, json!({ "user": user })).await;
        assert_eq!(response.status(), 200);
    }
    let keys = report(&gateway, MASTER, "/spend/keys").await;
    let spends: Vec<_> = keys
        .as_array()
        .unwrap()
        .iter()
        .map(|key| (key["key_alias"].clone(), key["spend"].clone()))
        .collect();
    assert_eq!(
        spends,
        [(json!("first"), json!(0.3)), (json!("other"), json!(0.15))]
    );
    let days = report(&gateway, MASTER, "/global/spend/report").await;
    let teams = days[0]["teams"].as_array().unwrap();
    let team = teams.iter().find(|team| team["team_name"] == "t").unwrap();
    assert_eq!(team["total_spend"], json!(0.3), "{days}");
    assert_eq!(team["metadata"][0]["total_tokens"], 30);
    let days = report(&gateway, MASTER, "/global/spend/report?group_by=customer").await;
    let anna = &days[0]["customers"][0];
    assert_eq!(
        (&anna["customer"], &anna["total_spend"]),
        (&json!("anna"), &json!(0.3))
    );
    let keys = report(&gateway, MASTER, "/global/spend/report?group_by=api_key").await;
    assert_eq!(keys.as_array().unwrap().len(), 2);
    assert_eq!(keys[0]["model_details"][0]["model"], "llama");
    let team = report(&gateway, MASTER, "/team/info?team_id=t").await;
    assert_eq!(
        (&team["spend"], &team["team_alias"]),
        (&json!(0.3), &json!("Research"))
    );
    for (path, count) in [
        ("/spend/logs?team_id=t", 2),
        ("/spend/logs?start_date=2020-01-01&end_date=2020-01-02", 0),
        ("/spend/logs?start_date=2020-01-01", 3),
        (&format!("/spend/logs?api_key={other}"), 1),
    ] {
        let logs = report(&gateway, MASTER, path).await;
        assert_eq!(logs.as_array().unwrap().len(), count, "{path}");
    }
    // A client sees its own requests only.
    let logs = report(&gateway, &other, "/spend/logs").await;
    assert_eq!(logs.as_array().unwrap().len(), 1);
    for path in [
        "/spend/keys",
        "/global/spend/report",
        "/user/list",
        "/health",
    ] {
        let response = ask(&gateway, &other, Method::GET, path, &[], Value::Null).await;
        assert_eq!(response.status(), 403, "{path}");
    }
}

#[tokio::test]
async fn records_are_read_in_pages_and_as_csv() {
    let gateway = priced_gateway([Step::Json(REPLY)]).await;
    for _ in 0..3 {
        assert_eq!(chat(&gateway, MASTER, json!({})).await.status(), 200);
    }
    let (mut path, mut seen) = ("/spend/logs?size=2".to_owned(), Vec::new());
    loop {
        let response = ask(&gateway, MASTER, Method::GET, &path, &[], Value::Null).await;
        let next = response.headers().get("x-polyllm-next-page").cloned();
        let logs: Vec<Value> = serde_json::from_str(&text(response).await).unwrap();
        seen.extend(logs.iter().map(|log| log["request_id"].to_string()));
        let Some(next) = next else { break };
        path = format!("/spend/logs?size=2&after={}", next.to_str().unwrap());
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 3);
    let path = "/spend/logs?format=csv";
    let response = ask(&gateway, MASTER, Method::GET, path, &[], Value::Null).await;
    assert_eq!(
        response.headers()["content-type"],
        "text/csv; charset=utf-8"
    );
    let csv = text(response).await;
    assert_eq!(csv.lines().count(), 4, "{csv}");
    assert!(csv.starts_with("request_id,started_at,") && csv.contains(",0.15,complete,"));
    for path in [
        "/spend/logs?size=0",
        "/spend/logs?format=xml",
        "/spend/logs?after=x",
        "/spend/logs?start_date=yesterday",
        "/global/spend/report?group_by=colour",
    ] {
        let response = ask(&gateway, MASTER, Method::GET, path, &[], Value::Null).await;
        assert_eq!(response.status(), 400, "{path}");
    }
}

#[tokio::test]
async fn users_and_teams_are_managed_with_the_fields_of_litellm() {
    let gateway = priced_gateway([Step::Json(REPLY)]).await;
    let body = json!({ "user_id": "u", "user_alias": "Anna", "models": ["llama"], "metadata": {} });
    let made = operate(&gateway, "/user/new", body).await;
    assert_eq!(made["user_alias"], "Anna");
    let key = made["key"].as_str().unwrap().to_owned();
    assert_eq!(chat(&gateway, &key, json!({})).await.status(), 200);
    let models = json!({ "user_id": "u", "models": ["qwen"] });
    operate(&gateway, "/user/update", models).await;
    assert_eq!(chat(&gateway, &key, json!({})).await.status(), 403);
    operate(
        &gateway,
        "/user/update",
        json!({ "user_id": "u", "models": null }),
    )
    .await;
    operate(&gateway, "/user/block", json!({ "user_id": "u" })).await;
    assert_eq!(chat(&gateway, &key, json!({})).await.status(), 401);
    operate(&gateway, "/user/unblock", json!({ "user_ids": ["u"] })).await;
    assert_eq!(chat(&gateway, &key, json!({})).await.status(), 200);
    let list = report(&gateway, MASTER, "/user/list").await;
    assert_eq!(
        (&list["users"][0]["user_id"], &list["users"][0]["spend"]),
        (&json!("u"), &json!(0.3))
    );
    operate(&gateway, "/user/delete", json!({ "user_ids": ["u"] })).await;
    assert_eq!(chat(&gateway, &key, json!({})).await.status(), 401);
    let team = operate(&gateway, "/team/new", json!({ "team_alias": "x" })).await;
    assert!(
        team["team_id"].as_str().unwrap().starts_with("team_"),
        "{team}"
    );
    for (path, body, expected) in [
        ("/team/new", json!({ "team_id": team["team_id"] }), 409),
        (
            "/team/new",
            json!({ "team_id": "b", "members": ["x"] }),
            400,
        ),
        (
            "/team/new",
            json!({ "team_id": "b", "max_budget": -1 }),
            400,
        ),
        ("/team/new", json!({ "team_id": "b\u{1b}[2J" }), 400),
        ("/team/update", json!({ "team_id": "nobody" }), 404),
        ("/team/update", json!({}), 400),
        ("/team/delete", json!({ "team_ids": [] }), 400),
    ] {
        let response = ask(&gateway, MASTER, Method::POST, path, &[], body.clone()).await;
        assert_eq!(response.status(), expected, "{path} {body}");
    }
}

#[tokio::test]
async fn deployments_are_described_and_probed() {
    let provider = Scripted::with_capabilities(
        llm_provider::Capabilities::new([llm_provider::Capability::Chat]),
        [Step::Json(REPLY)],
    );
    let gateway = gateway(vec![priced(provider).with_context_window(8192)]).await;
    let info = report(&gateway, MASTER, "/v1/model/info").await;
    let first = &info["data"][0];
    assert_eq!(first["model_name"], "llama");
    assert_eq!(first["litellm_params"]["model"], "scripted/upstream/model");
    assert_eq!(first["model_info"]["input_cost_per_token"], json!(0.01));
    assert_eq!(first["model_info"]["max_input_tokens"], 8192);
    let health = report(&gateway, MASTER, "/health").await;
    assert_eq!(
        (&health["healthy_count"], &health["unhealthy_count"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(health["unhealthy_endpoints"], json!([]));
    let ready = report(&gateway, MASTER, "/health/readiness").await;
    assert_eq!(ready, json!({ "status": "healthy", "db": "connected" }));
}

#[tokio::test]
async fn every_route_of_the_openapi_document_exists_and_answers_with_a_listed_status() {
    let gateway = priced_gateway([Step::Json(REPLY)]).await;
    let document = report(&gateway, "none", "/openapi.json").await;
    let open = &document["paths"]["/health/liveliness"]["get"]["security"];
    assert_eq!(
        (open, &document["paths"]["/health"]["get"]["security"]),
        (&json!([]), &Value::Null)
    );
    let page = json!({ "name": "page", "in": "query", "required": false,
        "schema": { "type": "integer", "minimum": 1 } });
    let list = document["paths"]["/key/list"]["get"]["parameters"].as_array();
    assert!(list.unwrap().contains(&page));
    let body = |path: &str| {
        let body = &document["paths"][path]["post"]["requestBody"];
        body["content"]["application/json"]["schema"]["additionalProperties"].clone()
    };
    assert_eq!(body("/team/new"), json!(false));
    assert_eq!(body("/v1/chat/completions"), Value::Null);
    for (path, method, allowed) in [
        ("/v1/responses/resp_1", Method::POST, "GET,HEAD,DELETE"),
        ("/v1/responses/resp_1/cancel", Method::GET, "POST"),
        (
            "/v1/responses/resp_1/input_items",
            Method::DELETE,
            "GET,HEAD",
        ),
    ] {
        let answer = ask(&gateway, MASTER, method, path, &[], Value::Null).await;
        assert_eq!(answer.headers()["allow"], allowed, "{path}");
    }
    let mut count = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let path = path.replace("{id}", "llama");
            let method: Method = method.to_uppercase().parse().unwrap();
            for key in [MASTER, "none"] {
                let body = json!({ "unknown": 1 });
                let answer = ask(&gateway, key, method.clone(), &path, &[], body).await;
                let status = answer.status().as_u16();
                let text = text(answer).await;
                let listed = operation["responses"].get(status.to_string()).is_some();
                assert!(listed && status < 500, "{method} {path}: {status} {text}");
                let is_route = !["unknown_url", "method_not_allowed"]
                    .iter()
                    .any(|code| text.contains(code));
                assert!(is_route, "{method} {path}: {text}");
            }
            count += 1;
        }
    }
    assert!(count > 30, "{count}");
}
