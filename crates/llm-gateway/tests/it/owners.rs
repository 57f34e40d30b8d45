//! Users and teams: the routes below `/user` and `/team`.

use gateway_store::{Store, StoreOptions};
use http::Method;
use llm_gateway::{Config, Gateway, GatewayOptions, VirtualKeys};
use llm_provider::ApiKey;
use serde_json::{Value, json};

use crate::keys::{MASTER, call, operate};
use crate::support::{Scripted, deployment};

/// One of several gateways over a database.
async fn gateway(url: &str) -> Gateway {
    let config = Config::new(vec![deployment(Scripted::new([]))]);
    let config = config.with_master_key(ApiKey::new(MASTER));
    let store = Store::open(url, StoreOptions::default()).await.unwrap();
    let keys = VirtualKeys::new(store).await.unwrap();
    Gateway::new(config, GatewayOptions::new().with_virtual_keys(keys))
}

/// Changes an owner; again if others changed it too often at the same time.
async fn change(gateway: &Gateway, path: &str, body: Value) {
    loop {
        let (status, answer) = call(gateway, MASTER, Method::POST, path, body.clone()).await;
        match status {
            200 => return,
            status => assert_eq!(status, 409, "{answer}"),
        }
    }
}

#[tokio::test]
async fn updates_of_two_gateways_at_the_same_time_lose_no_field() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("keys.db").display());
    let (one, other) = (gateway(&url).await, gateway(&url).await);
    for kind in ["user", "team"] {
        let id = format!("{kind}_id");
        operate(&one, &format!("/{kind}/new"), json!({ &id: "x" })).await;
        let update = format!("/{kind}/update");
        let ids = format!("{kind}_ids");
        for round in 1..=20 {
            let (block, blocked) = match round % 2 {
                0 => (format!("/{kind}/unblock"), false),
                _ => (format!("/{kind}/block"), true),
            };
            tokio::join!(
                change(&one, &update, json!({ &id: "x", "rpm_limit": round })),
                change(&one, &update, json!({ &id: "x", "tpm_limit": round })),
                change(
                    &other,
                    &update,
                    json!({ &id: "x", "max_parallel_requests": round })
                ),
                change(&other, &block, json!({ &ids: ["x"] })),
            );
            let path = format!("/{kind}/info?{id}=x");
            let (_, info) = call(&one, MASTER, Method::GET, &path, Value::Null).await;
            for field in ["rpm_limit", "tpm_limit", "max_parallel_requests"] {
                assert_eq!(info[field], round, "{field} of {info}");
            }
            assert_eq!(info["blocked"], blocked, "{info}");
        }
    }
}

#[tokio::test]
async fn an_owner_that_exists_is_not_created_again() {
    let gateway = gateway("sqlite::memory:").await;
    let new = json!({ "team_id": "x", "rpm_limit": 3 });
    operate(&gateway, "/team/new", new.clone()).await;
    let (status, answer) = call(&gateway, MASTER, Method::POST, "/team/new", new).await;
    assert_eq!(status, 409, "{answer}");
    assert_eq!(answer["error"]["message"], "the team exists");
    assert_eq!(answer["error"]["param"], "team_id");
    assert_eq!(answer["error"]["code"], "conflict");
    let unknown = json!({ "team_id": "y", "rpm_limit": 3 });
    let (status, answer) = call(&gateway, MASTER, Method::POST, "/team/update", unknown).await;
    assert_eq!(status, 404, "{answer}");
    assert_eq!(answer["error"]["message"], "no such team: \"y\"");
}

/// An unknown one among several leaves no other in use.
#[tokio::test]
async fn keys_and_owners_that_exist_are_deleted_although_others_are_unknown() {
    let gateway = gateway("sqlite::memory:").await;
    let mut keys = Vec::new();
    for alias in ["a", "b", "c"] {
        let body = json!({ "key_alias": alias });
        let key = operate(&gateway, "/key/generate", body).await["key"].take();
        keys.push(key.as_str().unwrap().to_owned());
    }
    let unknown = "sk-unknown-0123456789";
    let body = json!({ "keys": [keys[0], keys[0], unknown, keys[1]], "key_aliases": ["x", "c"] });
    let (status, answer) = call(&gateway, MASTER, Method::POST, "/key/delete", body).await;
    let message = "no such key: …6789, \"x\"; 3 others were deleted";
    assert_eq!(
        (status, &answer["error"]["message"]),
        (404, &json!(message))
    );
    for key in &keys {
        let (status, _) = call(&gateway, key, Method::GET, "/v1/models", Value::Null).await;
        assert_eq!(status, 401);
    }
    for id in ["a", "b"] {
        operate(&gateway, "/team/new", json!({ "team_id": id })).await;
    }
    let blocked = operate(&gateway, "/team/block", json!({ "team_id": "a" })).await;
    assert_eq!(
        (&blocked["team_id"], &blocked["blocked"]),
        (&json!("a"), &json!(true))
    );
    for path in ["/team/unblock", "/team/delete"] {
        let body = json!({ "team_ids": ["a", "x", "b"] });
        let (status, answer) = call(&gateway, MASTER, Method::POST, path, body).await;
        let message = answer["error"]["message"].as_str().unwrap();
        assert_eq!(status, 404, "{answer}");
        assert!(
            message.starts_with("no such team: \"x\"; 2 others were "),
            "{message}"
        );
    }
    let (_, list) = call(&gateway, MASTER, Method::GET, "/team/list", Value::Null).await;
    assert_eq!(list, json!([]));
}

#[tokio::test]
async fn owners_are_listed_in_pages_and_their_keys_end_with_them() {
    let gateway = gateway("sqlite::memory:").await;
    for id in ["a", "b", "c"] {
        let user = json!({ "user_id": id, "auto_create_key": false });
        operate(&gateway, "/user/new", user).await;
    }
    let get = async |path: &str| call(&gateway, MASTER, Method::GET, path, Value::Null).await;
    let ids = |users: &Value| -> Vec<String> {
        let users = users.as_array().unwrap().iter();
        users
            .map(|user| user["user_id"].as_str().unwrap().to_owned())
            .collect()
    };
    let (_, page) = get("/user/list?page=2&page_size=2").await;
    assert_eq!(ids(&page["users"]), ["c"]);
    let numbers = ["total", "page", "page_size", "total_pages"].map(|name| page[name].clone());
    assert_eq!(numbers, [json!(3), json!(2), json!(2), json!(2)]);
    let (_, page) = get("/user/list?page=3&page_size=2").await;
    assert!(ids(&page["users"]).is_empty());
    for query in ["page=0", "page_size=5000", "user_ids=a", "page=1&after=a"] {
        let (status, answer) = get(&format!("/user/list?{query}")).await;
        assert_eq!(status, 400, "{query}: {answer}");
    }

    let key = operate(&gateway, "/key/generate", json!({ "user_id": "a" })).await["key"].take();
    let key = key.as_str().unwrap();
    operate(&gateway, "/user/delete", json!({ "user_ids": ["a"] })).await;
    let user = json!({ "user_id": "a", "auto_create_key": false });
    operate(&gateway, "/user/new", user).await;
    let (status, _) = call(&gateway, key, Method::GET, "/v1/models", Value::Null).await;
    assert_eq!(status, 401);
}
