//! Keys, users and teams, and the cache of keys.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests"
)]

mod common;

use std::time::Duration;

use gateway_store::{
    CacheOptions, Denial, ErrorKind, KeyCache, KeyFilter, OwnerFilter, OwnerKind, OwnerSettings,
    Period,
};
use llm_provider::ApiKey;

use self::common::{Place, TestClock, access, cache, dollars, eventually, settings, team};

on_every_database!(
    a_generated_key_is_found_by_its_secret_only,
    all_settings_of_a_key_are_kept,
    names_with_sql_and_unicode_are_kept,
    an_alias_is_unique_until_its_key_is_deleted,
    a_key_of_an_unknown_team_is_rejected,
    a_new_secret_replaces_the_old_one,
    updates_at_the_same_time_are_all_kept,
    updates_of_owners_at_the_same_time_are_all_kept,
    an_owner_is_created_once,
    keys_are_listed_in_pages,
    owners_are_created_changed_listed_and_deleted,
    what_is_missing_is_not_found,
    a_change_reaches_the_cache_of_another_gateway,
    a_change_is_announced_to_other_gateways_or_polled,
    a_blocked_team_blocks_its_keys_and_a_deleted_one_has_none,
    an_absent_key_is_found_after_it_was_added,
    a_small_cache_still_finds_every_key,
);

async fn a_generated_key_is_found_by_its_secret_only(place: &Place) {
    let store = place.open().await;
    let generated = store.keys().generate(settings(|_| {})).await.unwrap();
    let cache = cache(&store).await;
    let secret = generated.secret.expose().to_owned();
    let found = cache.find(secret.as_bytes()).await.unwrap().unwrap();
    assert_eq!(found.key, generated.key);
    assert!(generated.key.name.ends_with(&secret[secret.len() - 4..]));
    for other in [
        "".to_owned(),
        secret[..secret.len() - 1].to_owned(),
        format!("{secret}x"),
        secret.to_uppercase(),
        generated.key.hash.to_string(),
        format!("sk-{}", "x".repeat(100_000)),
    ] {
        assert!(
            cache.find(other.as_bytes()).await.unwrap().is_none(),
            "{other}"
        );
    }
    // Neither the database nor any text of the program has the secret.
    let shown = format!("{generated:?} {found:?} {store:?} {cache:?}");
    assert!(!shown.contains(&secret[3..]));
}

async fn all_settings_of_a_key_are_kept(place: &Place) {
    let store = place.open().await;
    team(&store, "team-1", |_| {}).await;
    let user = OwnerSettings::default();
    store
        .owners()
        .put(OwnerKind::User, "user-1", user)
        .await
        .unwrap();
    let all = settings(|s| {
        s.key_alias = Some("prod".into());
        s.limits.models = vec!["gpt".into(), "llama".into()];
        s.aliases.insert("gpt-4".into(), "llama".into());
        s.limits.max_budget = Some(dollars("12.345678901"));
        s.limits.budget_duration = Some("30d".parse::<Period>().unwrap());
        s.limits.rpm_limit = Some(60);
        s.limits.tpm_limit = Some(100_000);
        s.limits.max_parallel_requests = Some(8);
        s.expires = Some(TestClock::default().now().after(Duration::from_secs(60)));
        s.user_id = Some("user-1".into());
        s.team_id = Some("team-1".into());
        s.tags = vec!["batch".into()];
        s.metadata.insert("cost-center".into(), 42.into());
    });
    let key = store.keys().generate(all.clone()).await.unwrap().key;
    let info = store.keys().get(&key.hash).await.unwrap().unwrap();
    assert_eq!(info.key, key);
    assert_eq!(info.key.settings, all);
    assert_eq!(info.spend, dollars("0"));
    let month = Duration::from_secs(30 * 24 * 3600);
    assert_eq!(info.budget_reset_at, Some(key.created_at.after(month)));
}

async fn names_with_sql_and_unicode_are_kept(place: &Place) {
    let store = place.open().await;
    for alias in [
        "Robert'); DROP TABLE gateway_keys;--",
        "?1 $1 %s \\ \"x\"",
        "naïve 鍵 🔑",
    ] {
        let settings = settings(|s| s.key_alias = Some(alias.into()));
        store.keys().generate(settings).await.unwrap();
        let mut filter = KeyFilter::default();
        filter.key_alias = Some(alias.into());
        let found = store.keys().list(&filter).await.unwrap();
        assert_eq!(found.len(), 1, "{alias}");
        assert_eq!(found[0].key.settings.key_alias.as_deref(), Some(alias));
    }
    let control = settings(|s| s.key_alias = Some("a\u{1b}[2Jb\0".into()));
    let error = store.keys().generate(control).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().starts_with("`key_alias`"), "{error}");
}

async fn an_alias_is_unique_until_its_key_is_deleted(place: &Place) {
    let store = place.open().await;
    let keys = store.keys();
    let named = settings(|s| s.key_alias = Some("prod".into()));
    let first = keys.generate(named.clone()).await.unwrap().key;
    let other = keys.generate(settings(|_| {})).await.unwrap().key;
    let error = keys.generate(named.clone()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let rename = |s: &mut gateway_store::KeySettings| s.key_alias = Some("prod".into());
    let error = keys.update(&other.hash, rename).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    keys.delete(&first.hash).await.unwrap();
    keys.generate(named).await.unwrap();
}

async fn a_key_of_an_unknown_team_is_rejected(place: &Place) {
    let store = place.open().await;
    let lost = settings(|s| s.team_id = Some("nobody".into()));
    let error = store.keys().generate(lost).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(error.to_string().contains("`team_id`"), "{error}");
    assert!(
        store
            .keys()
            .list(&KeyFilter::default())
            .await
            .unwrap()
            .is_empty()
    );
}

async fn a_new_secret_replaces_the_old_one(place: &Place) {
    let store = place.open().await;
    let cache = cache(&store).await;
    let old = store
        .keys()
        .generate(settings(|s| s.limits.rpm_limit = Some(5)))
        .await
        .unwrap();
    let find = |secret: ApiKey| {
        let cache = cache.clone();
        async move { cache.find(secret.expose().as_bytes()).await.unwrap() }
    };
    assert!(find(old.secret.clone()).await.is_some());
    let new = store.keys().regenerate(&old.key.hash).await.unwrap();
    cache.refresh().await.unwrap();
    assert!(find(old.secret).await.is_none());
    let found = find(new.secret).await.unwrap();
    assert_eq!(
        (&found.key.id, found.key.settings.limits.rpm_limit),
        (&old.key.id, Some(5))
    );
    let own = ApiKey::new("sk-chosen-by-the-operator");
    store.keys().add(&own, settings(|_| {})).await.unwrap();
    assert!(find(own.clone()).await.is_some());
    let error = store.keys().add(&own, settings(|_| {})).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let error = store
        .keys()
        .add(&ApiKey::new("sk-1234"), settings(|_| {}))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

async fn updates_at_the_same_time_are_all_kept(place: &Place) {
    let (one, other) = (place.open().await, place.open().await);
    let key = one.keys().generate(settings(|_| {})).await.unwrap().key;
    let add = async |store: &gateway_store::Store, tag: String| {
        loop {
            let tag = tag.clone();
            let push = move |s: &mut gateway_store::KeySettings| s.tags.push(tag.clone());
            match store.keys().update(&key.hash, push).await {
                Ok(_) => return,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
            }
        }
    };
    for round in 0..5 {
        tokio::join!(
            add(&one, format!("a{round}")),
            add(&other, format!("b{round}"))
        );
    }
    let info = one.keys().get(&key.hash).await.unwrap().unwrap();
    let mut tags = info.key.settings.tags;
    tags.sort();
    assert_eq!(tags.join(" "), "a0 a1 a2 a3 a4 b0 b1 b2 b3 b4");
}

async fn updates_of_owners_at_the_same_time_are_all_kept(place: &Place) {
    let (one, other) = (place.open().await, place.open().await);
    team(&one, "t", |_| {}).await;
    let add = async |store: &gateway_store::Store, model: String| {
        loop {
            let model = model.clone();
            let push = move |s: &mut OwnerSettings| s.limits.models.push(model.clone());
            match store.owners().update(OwnerKind::Team, "t", push).await {
                Ok(_) => return,
                Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
            }
        }
    };
    for round in 0..5 {
        tokio::join!(
            add(&one, format!("a{round}")),
            add(&other, format!("b{round}"))
        );
    }
    let info = one.owners().get(OwnerKind::Team, "t").await.unwrap();
    let mut models = info.unwrap().owner.settings.limits.models;
    models.sort();
    assert_eq!(models.join(" "), "a0 a1 a2 a3 a4 b0 b1 b2 b3 b4");
}

async fn an_owner_is_created_once(place: &Place) {
    let (one, other) = (place.open().await, place.open().await);
    let (kind, settings) = (OwnerKind::User, OwnerSettings::default());
    let (a, b) = (one.owners(), other.owners());
    let create = |owners: &gateway_store::Owners| {
        let (owners, settings) = (owners.clone(), settings.clone());
        async move { owners.create(kind, "ann", settings).await }
    };
    let (first, second) = tokio::join!(create(&a), create(&b));
    let errors: Vec<_> = [first, second]
        .into_iter()
        .filter_map(Result::err)
        .collect();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].kind(), ErrorKind::Conflict, "{}", errors[0]);
    a.delete(kind, "ann").await.unwrap();
    create(&b).await.unwrap();
}

async fn keys_are_listed_in_pages(place: &Place) {
    let clock = TestClock::default();
    let store = place.open_at(&clock).await;
    team(&store, "t", |_| {}).await;
    let mut ids = Vec::new();
    for index in 0..7 {
        clock.advance(Duration::from_millis(1));
        let team = (index % 2 == 0).then(|| "t".to_owned());
        let key = store
            .keys()
            .generate(settings(|s| s.team_id = team))
            .await
            .unwrap()
            .key;
        ids.push(key.id);
    }
    let (mut filter, mut found) = (KeyFilter::default(), Vec::new());
    filter.limit = 3;
    loop {
        let page = store.keys().list(&filter).await.unwrap();
        let Some(last) = page.last() else { break };
        filter.after = Some(last.key.id.clone());
        found.extend(page.into_iter().map(|info| info.key.id));
    }
    assert_eq!(found, ids);
    let mut filter = KeyFilter::default();
    filter.team_id = Some("t".into());
    assert_eq!(store.keys().list(&filter).await.unwrap().len(), 4);
}

async fn owners_are_created_changed_listed_and_deleted(place: &Place) {
    let store = place.open().await;
    let owners = store.owners();
    let kind = OwnerKind::User;
    for id in ["ann", "bob", "o'neil"] {
        owners
            .put(kind, id, OwnerSettings::default())
            .await
            .unwrap();
    }
    let mut changed = OwnerSettings::default();
    changed.limits.max_budget = Some(dollars("3"));
    owners.put(kind, "bob", changed.clone()).await.unwrap();
    let bob = owners.get(kind, "bob").await.unwrap().unwrap();
    assert_eq!(bob.owner.settings, changed);
    assert!(owners.get(OwnerKind::Team, "bob").await.unwrap().is_none());
    owners.delete(kind, "ann").await.unwrap();
    let rest = owners.list(kind, &OwnerFilter::default()).await.unwrap();
    let ids: Vec<_> = rest.iter().map(|info| info.owner.id.as_str()).collect();
    assert_eq!(ids, ["bob", "o'neil"]);
    let mut filter = OwnerFilter::default();
    filter.after = Some("bob".into());
    assert_eq!(owners.list(kind, &filter).await.unwrap().len(), 1);
}

async fn what_is_missing_is_not_found(place: &Place) {
    let store = place.open().await;
    let hash = gateway_store::KeyHash::of("sk-unknown");
    let keys = store.keys();
    assert!(keys.get(&hash).await.unwrap().is_none());
    assert!(keys.get_by_id("x").await.unwrap().is_none());
    for error in [
        keys.delete(&hash).await.unwrap_err(),
        keys.set_blocked(&hash, true).await.unwrap_err(),
        keys.regenerate(&hash).await.unwrap_err(),
        store
            .owners()
            .delete(OwnerKind::Team, "x")
            .await
            .unwrap_err(),
        store
            .owners()
            .update(OwnerKind::Team, "x", |_| {})
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
}

async fn a_change_reaches_the_cache_of_another_gateway(place: &Place) {
    let clock = TestClock::default();
    let (here, there) = (place.open_at(&clock).await, place.open_at(&clock).await);
    let cache = cache(&there).await;
    let expires = Some(clock.now().after(Duration::from_secs(60)));
    let key = here
        .keys()
        .generate(settings(|s| s.expires = expires))
        .await
        .unwrap();
    let secret = key.secret.expose().as_bytes();
    let check = async || {
        cache.refresh().await.unwrap();
        let found = cache.find(secret).await.unwrap();
        found.map(|access| access.check(clock.now()))
    };
    assert_eq!(check().await, Some(Ok(())));
    here.keys().set_blocked(&key.key.hash, true).await.unwrap();
    assert_eq!(check().await, Some(Err(Denial::Blocked)));
    here.keys().set_blocked(&key.key.hash, false).await.unwrap();
    assert_eq!(check().await, Some(Ok(())));
    clock.advance(Duration::from_secs(60));
    assert_eq!(check().await, Some(Err(Denial::Expired)));
    here.keys().delete(&key.key.hash).await.unwrap();
    assert_eq!(check().await, None);
}

async fn a_change_is_announced_to_other_gateways_or_polled(place: &Place) {
    let (here, there) = (place.open().await, place.open().await);
    // PostgreSQL announces changes; SQLite is asked for them.
    let poll = match place.url.starts_with("sqlite") {
        true => Duration::from_millis(20),
        false => Duration::from_secs(3600),
    };
    let options = CacheOptions::default().with_poll_interval(poll);
    let cache = KeyCache::new(&there, options).await.unwrap();
    let key = here.keys().generate(settings(|_| {})).await.unwrap();
    let secret = key.secret.expose().as_bytes();
    assert!(cache.find(secret).await.unwrap().is_some());
    // The listener may not be connected yet, and then receives only a later change.
    eventually("the revoked key is rejected", async || {
        let _ = here.keys().set_blocked(&key.key.hash, true).await;
        let found = cache.find(secret).await.unwrap();
        found.is_none_or(|access| access.key.settings.limits.blocked)
    })
    .await;
}

async fn a_blocked_team_blocks_its_keys_and_a_deleted_one_has_none(place: &Place) {
    let clock = TestClock::default();
    let store = place.open_at(&clock).await;
    team(&store, "t", |_| {}).await;
    let key = store
        .keys()
        .generate(settings(|s| s.team_id = Some("t".into())))
        .await
        .unwrap();
    let cache = cache(&store).await;
    let check = async || {
        cache.refresh().await.unwrap();
        let found = cache.find(key.secret.expose().as_bytes()).await.unwrap();
        found.map(|access| access.check(clock.now()))
    };
    assert_eq!(check().await, Some(Ok(())));
    team(&store, "t", |s| s.limits.blocked = true).await;
    assert_eq!(check().await, Some(Err(Denial::OwnerBlocked)));
    team(&store, "t", |_| {}).await;
    assert_eq!(check().await, Some(Ok(())));
    store.owners().delete(OwnerKind::Team, "t").await.unwrap();
    assert_eq!(check().await, None);
    // The key does not belong to another team with this id.
    team(&store, "t", |_| {}).await;
    assert_eq!(check().await, None);
    assert!(store.keys().get(&key.key.hash).await.unwrap().is_none());
}

async fn an_absent_key_is_found_after_it_was_added(place: &Place) {
    let store = place.open().await;
    let cache = cache(&store).await;
    let secret = ApiKey::new("sk-0123456789abcdef");
    let find = async || cache.find(secret.expose().as_bytes()).await.unwrap();
    assert!(find().await.is_none());
    store.keys().add(&secret, settings(|_| {})).await.unwrap();
    cache.refresh().await.unwrap();
    assert!(find().await.is_some());
}

async fn a_small_cache_still_finds_every_key(place: &Place) {
    let store = place.open().await;
    let options = CacheOptions::default().with_capacity(3);
    let cache = KeyCache::new(&store, options).await.unwrap();
    let mut secrets = Vec::new();
    for _ in 0..10 {
        secrets.push(
            store
                .keys()
                .generate(settings(|_| {}))
                .await
                .unwrap()
                .secret,
        );
    }
    for _ in 0..3 {
        for secret in &secrets {
            assert!(
                cache
                    .find(secret.expose().as_bytes())
                    .await
                    .unwrap()
                    .is_some()
            );
        }
    }
}

/// Without the table, only what is in memory can be found.
#[tokio::test]
async fn a_known_key_costs_no_query() {
    let place = Place::sqlite();
    let store = place.open().await;
    let cache = cache(&store).await;
    let (known, other) = (
        store.keys().generate(settings(|_| {})).await.unwrap(),
        store.keys().generate(settings(|_| {})).await.unwrap(),
    );
    let find = async |secret: &ApiKey| cache.find(secret.expose().as_bytes()).await;
    cache.refresh().await.unwrap();
    assert!(find(&known.secret).await.unwrap().is_some());
    let raw = rusqlite::Connection::open(place.url.trim_start_matches("sqlite:")).unwrap();
    raw.execute_batch("DROP TABLE gateway_keys").unwrap();
    for _ in 0..100 {
        assert!(find(&known.secret).await.unwrap().is_some());
    }
    assert!(find(&other.secret).await.is_err());
}

#[tokio::test]
async fn models_are_limited_by_key_and_team() {
    let place = Place::sqlite();
    let store = place.open().await;
    team(&store, "t", |s| {
        s.limits.models = vec!["a".into(), "b".into()]
    })
    .await;
    let found = access(
        &store,
        settings(|s| {
            s.team_id = Some("t".into());
            s.limits.models = vec!["b".into(), "c".into()];
            s.aliases.insert("gpt-4".into(), "b".into());
        }),
    )
    .await;
    for (model, allowed) in [("a", false), ("b", true), ("c", false), ("gpt-4", true)] {
        assert_eq!(found.allows(found.resolve(model)), allowed, "{model}");
    }
    // The key allows one of the names, and the team the other.
    for (names, allowed) in [(["a", "c"], true), (["a", "d"], false), (["c", "d"], false)] {
        assert_eq!(found.allows_any(&names), allowed, "{names:?}");
    }
}

#[tokio::test]
async fn the_models_of_a_team_are_those_of_a_key_that_says_so() {
    let place = Place::sqlite();
    let store = place.open().await;
    team(&store, "t", |s| s.limits.models = vec!["a".into()]).await;
    for (team, expected) in [(Some("t"), [true, false]), (None, [false, false])] {
        let found = access(
            &store,
            settings(|s| {
                s.team_id = team.map(Into::into);
                s.limits.models = vec!["all-team-models".into()];
            }),
        )
        .await;
        assert_eq!(
            ["a", "b"].map(|model| found.allows(model)),
            expected,
            "{team:?}"
        );
    }
}
