//! Calls of LiteLLM's documentation for keys, users and teams.

use gateway_store::{Store, StoreOptions};
use http::Method;
use llm_gateway::{Config, Gateway, GatewayOptions, VirtualKeys};
use llm_provider::ApiKey;
use serde_json::{Value, json};

use crate::keys::{MASTER, call, operate};
use crate::support::{Scripted, deployment};

async fn gateway() -> Gateway {
    let config = Config::new(vec![deployment(Scripted::new([]))]);
    let config = config.with_master_key(ApiKey::new(MASTER));
    let store = Store::open("sqlite::memory:", StoreOptions::default());
    let keys = VirtualKeys::new(store.await.unwrap()).await.unwrap();
    Gateway::new(config, GatewayOptions::new().with_virtual_keys(keys))
}

async fn read(gateway: &Gateway, path: &str) -> Value {
    let (status, answer) = call(gateway, MASTER, Method::GET, path, Value::Null).await;
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

#[tokio::test]
async fn keys_are_listed_by_page() {
    let gateway = gateway().await;
    operate(&gateway, "/team/new", json!({ "team_id": "t" })).await;
    for _ in 0..5 {
        operate(&gateway, "/key/generate", json!({ "team_id": "t" })).await;
    }
    operate(&gateway, "/key/generate", json!({})).await;
    let mut seen = Vec::new();
    for (page, length) in [(1, 2), (2, 2), (3, 1), (4, 0)] {
        let path = format!("/key/list?team_id=t&size=2&page={page}");
        let list = read(&gateway, &path).await;
        let facts = ["total_count", "current_page", "total_pages"].map(|name| &list[name]);
        assert_eq!(facts, [&json!(5), &json!(page), &json!(3)], "{list}");
        let keys = list["keys"].as_array().unwrap();
        assert_eq!(keys.len(), length, "page {page}");
        seen.extend(keys.iter().map(ToString::to_string));
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 5);
    let first = read(&gateway, "/key/list?size=4").await;
    let next = first["next"].as_str().unwrap();
    let rest = read(&gateway, &format!("/key/list?size=4&after={next}")).await;
    assert_eq!(rest["keys"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&rest["total_count"], &rest["current_page"]),
        (&json!(6), &Value::Null)
    );
    for query in ["page=0", "page=x", "page=1&after=a"] {
        let path = format!("/key/list?{query}");
        let (status, answer) = call(&gateway, MASTER, Method::GET, &path, Value::Null).await;
        assert_eq!((status, &answer["error"]["param"]), (400, &json!("page")));
    }
}

#[tokio::test]
async fn the_examples_of_litellm_are_accepted() {
    let gateway = gateway().await;
    let user = json!({
        "user_id": "u", "user_email": "a@example.com", "user_role": "internal_user",
        "key_alias": "of-u",
    });
    operate(&gateway, "/user/new", user).await;
    let info = read(&gateway, "/user/info?user_id=u").await;
    assert_eq!(info["user_info"]["metadata"]["user_email"], "a@example.com");
    assert_eq!(info["metadata"]["user_role"], "internal_user");
    assert_eq!(info["keys"][0]["key_alias"], "of-u", "{info}");
    let roles = json!([{ "role": "admin", "user_id": "u" }]);
    let team = json!({ "team_id": "t", "members_with_roles": roles, "tags": ["a"] });
    operate(&gateway, "/team/new", team).await;
    let info = read(&gateway, "/team/info?team_id=t").await;
    assert_eq!(info["team_info"]["metadata"]["members_with_roles"], roles);
    assert_eq!(
        (&info["team_info"]["team_id"], &info["keys"]),
        (&json!("t"), &json!([]))
    );
    let key = json!({ "duration": "30min", "permissions": { "allow_pii_controls": true } });
    let first = operate(&gateway, "/key/generate", key).await;
    assert_eq!(first["metadata"]["permissions"]["allow_pii_controls"], true);
    assert!(first["expires"].is_string(), "{first}");
    let bare = operate(&gateway, "/key/generate", json!({ "permissions": {} })).await;
    assert_eq!(bare["metadata"], json!({}), "{bare}");
    let change = json!({ "key": first["key"], "max_budget": 7.0 });
    let second = operate(&gateway, "/key/regenerate", change).await;
    assert_eq!(
        (&second["max_budget"], &second["key_id"]),
        (&json!(7), &first["key_id"])
    );
    let path = format!("/key/{}/regenerate", second["key"].as_str().unwrap());
    let third = operate(&gateway, &path, Value::Null).await;
    assert_eq!(
        (&third["max_budget"], &third["key_id"]),
        (&json!(7), &first["key_id"])
    );
    assert_ne!(third["key"], second["key"]);
    let path = format!("/key/{}/regenerate", third["token"].as_str().unwrap());
    let fourth = operate(&gateway, &path, json!({ "max_budget": 8.0 })).await;
    assert_eq!(
        (&fourth["max_budget"], &fourth["key_id"]),
        (&json!(8), &first["key_id"])
    );
    // What would restrict access is still an error.
    for (path, body) in [
        ("/key/generate", json!({ "spend": -1 })),
        ("/key/generate", json!({ "guardrails": ["pii"] })),
        ("/user/new", json!({ "members_with_roles": roles })),
        ("/user/update", json!({ "user_id": "u", "key_alias": "x" })),
        ("/team/new", json!({ "key_alias": "x" })),
    ] {
        let (status, answer) = call(&gateway, MASTER, Method::POST, path, body).await;
        assert_eq!(status, 400, "{path}: {answer}");
    }
}

/// LiteLLM resets the spend of a key with `/key/update`, and moves keys with what they spent.
#[tokio::test]
async fn the_spend_of_keys_and_owners_can_be_set() {
    let gateway = gateway().await;
    operate(&gateway, "/user/new", json!({ "user_id": "u", "spend": 3 })).await;
    operate(&gateway, "/team/new", json!({ "team_id": "t" })).await;
    let key = json!({ "spend": 2.5, "user_id": "u", "team_id": "t", "max_budget": 2 });
    let key = operate(&gateway, "/key/generate", key).await;
    let key = key["key"].as_str().unwrap();
    let path = format!("/key/info?key={key}");
    assert_eq!(read(&gateway, &path).await["info"]["spend"], json!(2.5));
    let user = read(&gateway, "/user/info?user_id=u").await;
    assert_eq!(user["spend"], json!(3), "{user}");
    operate(
        &gateway,
        "/team/update",
        json!({ "team_id": "t", "spend": 0.5 }),
    )
    .await;
    let team = read(&gateway, "/team/info?team_id=t").await;
    assert_eq!(team["spend"], json!(0.5), "{team}");
    operate(&gateway, "/key/update", json!({ "key": key, "spend": 0 })).await;
    let info = read(&gateway, &path).await;
    assert_eq!(info["info"]["spend"], json!(0), "{info}");
    assert_eq!(info["info"]["max_budget"], json!(2), "{info}");
}
