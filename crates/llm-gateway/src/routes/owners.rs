//! The routes below `/user` and `/team`: owners of keys, whose keys share limits and a budget. The
//! fields have LiteLLM's names.

use bytes::Bytes;
use gateway_store::{
    BudgetId, ErrorKind, KeyFilter, KeySettings, Owner, OwnerFilter, OwnerInfo, OwnerKind,
    OwnerSettings, Store,
};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use llm_provider::text::excerpt;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::keys::answer::KeyAnswer;
use super::keys::request::{
    LimitChanges, check_others, describe, parse, present, set, set_or_clear,
};
use super::keys::{respond, unknown_of, virtual_keys};
use super::query::Query;
use crate::auth::Client;
use crate::error::ApiError;
use crate::gateway::Shared;
use crate::headers::random_id;
use crate::response::ResponseBody;

/// An operation on users or teams.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct OwnerRoute {
    kind: OwnerKind,
    operation: Operation,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Operation {
    New,
    Info,
    Update,
    Delete,
    List,
    Block,
    Unblock,
}

impl OwnerRoute {
    /// The operation of a path.
    pub(super) fn of(path: &str) -> Option<Self> {
        let (kind, operation) = if let Some(operation) = path.strip_prefix("/user/") {
            (OwnerKind::User, operation)
        } else {
            (OwnerKind::Team, path.strip_prefix("/team/")?)
        };
        let operation = match operation {
            "new" => Operation::New,
            "info" => Operation::Info,
            "update" => Operation::Update,
            "delete" => Operation::Delete,
            "list" => Operation::List,
            "block" => Operation::Block,
            "unblock" => Operation::Unblock,
            _ => return None,
        };
        Some(Self { kind, operation })
    }

    pub(super) fn takes(self, method: &Method) -> bool {
        match self.operation {
            Operation::Info | Operation::List => matches!(*method, Method::GET | Method::HEAD),
            _ => *method == Method::POST,
        }
    }
}

/// The body of `new` and `update`.
#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    user_id: Option<String>,
    #[serde(default)]
    team_id: Option<String>,
    #[serde(default, deserialize_with = "present")]
    user_alias: Option<Option<String>>,
    #[serde(default, deserialize_with = "present")]
    team_alias: Option<Option<String>>,
    /// Whether a new user gets a key.
    #[serde(default)]
    auto_create_key: Option<bool>,
    /// The name of that key.
    #[serde(default)]
    key_alias: Option<String>,
    #[serde(default, deserialize_with = "present")]
    metadata: Option<Option<Map<String, Value>>>,
    #[serde(flatten)]
    limits: LimitChanges,
    #[serde(flatten)]
    others: Map<String, Value>,
}

/// The body of the other routes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Selected {
    user_id: Option<String>,
    team_id: Option<String>,
    user_ids: Option<Vec<String>>,
    team_ids: Option<Vec<String>>,
}

impl Request {
    fn id(&mut self, kind: OwnerKind) -> Option<String> {
        match kind {
            OwnerKind::Team => self.team_id.take(),
            _ => self.user_id.take(),
        }
    }

    fn apply(&self, kind: OwnerKind, settings: &mut OwnerSettings) {
        let alias = match kind {
            OwnerKind::Team => &self.team_alias,
            _ => &self.user_alias,
        };
        set(&mut settings.alias, alias.as_ref());
        set_or_clear(&mut settings.metadata, self.metadata.as_ref());
        describe(&mut settings.metadata, &self.others, descriptive(kind));
        self.limits.apply(&mut settings.limits);
    }
}

impl Selected {
    /// Whether the request has one id, and not a list.
    fn is_one(&self, kind: OwnerKind) -> bool {
        match kind {
            OwnerKind::Team => self.team_ids.is_none(),
            _ => self.user_ids.is_none(),
        }
    }

    fn ids(self, kind: OwnerKind) -> Result<Vec<String>, ApiError> {
        let (one, many) = match kind {
            OwnerKind::Team => (self.team_id, self.team_ids),
            _ => (self.user_id, self.user_ids),
        };
        let all: Vec<_> = many.into_iter().flatten().chain(one).collect();
        if (1..=MOST_IDS).contains(&all.len()) {
            return Ok(all);
        }
        let field = id_name(kind);
        Err(ApiError::invalid(format!("give 1 to {MOST_IDS} ids")).with_param(field))
    }
}

/// Runs an operation. Its body is empty for `GET`.
pub(super) async fn serve(
    shared: &Shared,
    client: &Client,
    route: OwnerRoute,
    head: &Parts,
    body: Bytes,
) -> Result<Response<ResponseBody>, ApiError> {
    client.require_operator()?;
    let keys = virtual_keys(shared)?;
    if !route.takes(&Method::POST) {
        keys.write_records().await?;
    }
    let query = Query::of(&head.uri);
    let answer = run(keys.store(), route, &query, &body).await;
    respond(keys, route.takes(&Method::POST), answer).await
}

async fn run(
    store: &Store,
    route: OwnerRoute,
    query: &Query<'_>,
    body: &[u8],
) -> Result<Value, ApiError> {
    let kind = route.kind;
    Ok(match route.operation {
        Operation::New => new(store, kind, parse(body)?).await?,
        Operation::Info => {
            let id = query.get(id_name(kind)).ok_or_else(|| missing(kind))?;
            described(store, &find(store, kind, &id).await?).await?
        }
        Operation::Update => update(store, kind, parse(body)?).await?,
        Operation::Delete => {
            let ids = parse::<Selected>(body)?.ids(kind)?;
            let (mut deleted, mut unknown) = (Vec::new(), Vec::new());
            for id in ids {
                match store.owners().delete(kind, &id).await {
                    Ok(()) => deleted.push(id),
                    Err(error) if error.kind() == ErrorKind::NotFound => unknown.push(id),
                    Err(error) => return Err(error.into()),
                }
            }
            require_known(kind, &unknown, &deleted, "deleted")?;
            json!({ "deleted": deleted })
        }
        Operation::List => list(store, kind, query).await?,
        Operation::Block | Operation::Unblock => {
            let blocked = route.operation == Operation::Block;
            let selected = parse::<Selected>(body)?;
            let is_one = selected.is_one(kind);
            let (mut answers, mut unknown) = (Vec::new(), Vec::new());
            for id in selected.ids(kind)? {
                let block = |settings: &mut OwnerSettings| settings.limits.blocked = blocked;
                match store.owners().update(kind, &id, block).await {
                    Ok(_) => answers.push(answer(&find(store, kind, &id).await?)),
                    Err(error) if error.kind() == ErrorKind::NotFound => unknown.push(id),
                    Err(error) => return Err(error.into()),
                }
            }
            let verb = if blocked { "blocked" } else { "unblocked" };
            require_known(kind, &unknown, &answers, verb)?;
            match answers.pop() {
                // As in LiteLLM, which takes one id here.
                Some(answer) if is_one => answer,
                last => answers.into_iter().chain(last).collect(),
            }
        }
    })
}

async fn list(store: &Store, kind: OwnerKind, query: &Query<'_>) -> Result<Value, ApiError> {
    for name in FILTERS {
        if query.get(name).is_some() {
            let (kind, filter) = (owners(kind), excerpt(name));
            let message = format!("`{filter}`: lists of {kind}s have no such filter");
            return Err(ApiError::invalid(message).with_param(name));
        }
    }
    let page = query.page(&["page_size", "size"])?;
    let mut filter = OwnerFilter::default();
    filter.after = query.get("after");
    filter.limit = match page.number {
        // LiteLLM's size of a page.
        Some(_) => page.size.unwrap_or(25),
        None => page.size.unwrap_or(filter.limit),
    };
    filter.skip = page.skip(filter.limit);
    let found = store.owners().list(kind, &filter).await?;
    let found: Value = found.iter().map(answer).collect();
    // As in LiteLLM.
    if kind == OwnerKind::Team {
        return Ok(found);
    }
    let count = store.owners().count(kind).await?;
    Ok(json!({
        "users": found,
        "total": count,
        "page": page.number.unwrap_or(1),
        "page_size": filter.limit,
        "total_pages": count.div_ceil(u64::from(filter.limit)),
    }))
}

/// The error that names unknown ids, after the operation on all others.
fn require_known<T>(
    kind: OwnerKind,
    unknown: &[String],
    done: &[T],
    verb: &str,
) -> Result<(), ApiError> {
    if unknown.is_empty() {
        return Ok(());
    }
    let quoted = |id: &String| format!("\"{}\"", excerpt(id));
    let unknown: Vec<_> = unknown.iter().map(quoted).collect();
    Err(unknown_of(owners(kind), &unknown, done.len(), verb).with_param(id_name(kind)))
}

async fn new(store: &Store, kind: OwnerKind, mut request: Request) -> Result<Value, ApiError> {
    check_others(&request.others, descriptive(kind), owners(kind))?;
    let gets_key = kind == OwnerKind::User && request.auto_create_key.unwrap_or(true);
    if request.key_alias.is_some() && !gets_key {
        let message = "`key_alias` names the key of a new user: remove it";
        return Err(ApiError::invalid(message).with_param("key_alias"));
    }
    let id = match request.id(kind) {
        Some(id) => id,
        None => random_id(&format!("{}_", &id_name(kind)[..4])),
    };
    let mut settings = OwnerSettings::default();
    request.apply(kind, &mut settings);
    let created = store.owners().create(kind, &id, settings).await;
    let owner = created.map_err(|error| {
        let is_conflict = error.kind() == ErrorKind::Conflict;
        let error = ApiError::from(error);
        match is_conflict {
            true => error.with_param(id_name(kind)),
            false => error,
        }
    })?;
    let budget = BudgetId::owner(kind, &id);
    request.limits.set_spend(store, &budget).await?;
    let mut answer = settings_of(&owner);
    // As in LiteLLM.
    if gets_key {
        let mut settings = KeySettings::default();
        settings.user_id = Some(id);
        settings.key_alias = request.key_alias;
        let generated = store.keys().generate(settings).await?;
        let key = json!(KeyAnswer::new(&generated.key).with_secret(&generated.secret));
        for name in ["key", "token", "key_name"] {
            answer.insert(name.to_owned(), key[name].clone());
        }
    }
    Ok(answer.into())
}

async fn update(store: &Store, kind: OwnerKind, mut request: Request) -> Result<Value, ApiError> {
    check_others(&request.others, descriptive(kind), owners(kind))?;
    if request.key_alias.is_some() {
        let message = "`key_alias` is for new users: see `/key/update`";
        return Err(ApiError::invalid(message).with_param("key_alias"));
    }
    let id = request.id(kind).ok_or_else(|| missing(kind))?;
    let apply = |settings: &mut OwnerSettings| request.apply(kind, settings);
    let owner = change(store, kind, &id, apply).await?;
    let budget = BudgetId::owner(kind, &id);
    request.limits.set_spend(store, &budget).await?;
    Ok(settings_of(&owner).into())
}

async fn change(
    store: &Store,
    kind: OwnerKind,
    id: &str,
    change: impl Fn(&mut OwnerSettings),
) -> Result<Owner, ApiError> {
    let changed = store.owners().update(kind, id, change).await;
    changed.map_err(|error| match error.kind() {
        ErrorKind::NotFound => not_found(kind, id),
        _ => error.into(),
    })
}

async fn find(store: &Store, kind: OwnerKind, id: &str) -> Result<OwnerInfo, ApiError> {
    let found = store.owners().get(kind, id).await?;
    found.ok_or_else(|| not_found(kind, id))
}

fn not_found(kind: OwnerKind, id: &str) -> ApiError {
    let message = format!("no such {}: \"{}\"", owners(kind), excerpt(id));
    ApiError::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
        .with_param(id_name(kind))
        .with_code("not_found")
}

/// An owner with its keys: also in LiteLLM's form, with the owner below `user_info` or `team_info`.
async fn described(store: &Store, info: &OwnerInfo) -> Result<Value, ApiError> {
    let (kind, id) = (info.owner.kind, info.owner.id.clone());
    let mut filter = KeyFilter::default();
    filter.limit = 1000;
    match kind {
        OwnerKind::Team => filter.team_id = Some(id),
        _ => filter.user_id = Some(id),
    }
    let keys = store.keys().list(&filter).await?;
    let keys: Value = keys
        .iter()
        .map(|info| json!(KeyAnswer::new(&info.key).with_spend(info)))
        .collect();
    let mut described = answer(info);
    described[format!("{}_info", owners(kind))] = answer(info);
    described["keys"] = keys;
    Ok(described)
}

/// LiteLLM's members of an owner that are kept in its metadata.
fn descriptive(kind: OwnerKind) -> &'static [&'static str] {
    match kind {
        OwnerKind::Team => &["members_with_roles", "tags"],
        _ => &["user_email", "user_role"],
    }
}

fn answer(info: &OwnerInfo) -> Value {
    let mut answer = settings_of(&info.owner);
    answer.insert("spend".to_owned(), json!(info.spend));
    let reset_at = info.budget_reset_at.map(|at| at.to_string());
    answer.insert("budget_reset_at".to_owned(), json!(reset_at));
    answer.into()
}

/// An owner with the names of LiteLLM's fields.
fn settings_of(owner: &Owner) -> Map<String, Value> {
    let mut members = match json!(owner.settings) {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    let alias = members.remove("alias").unwrap_or_default();
    let kind = owners(owner.kind);
    members.insert(format!("{kind}_alias"), alias);
    members.insert(format!("{kind}_id"), owner.id.as_str().into());
    members
}

fn missing(kind: OwnerKind) -> ApiError {
    let message = match kind {
        OwnerKind::Team => "give `team_id`",
        _ => "give `user_id`",
    };
    ApiError::invalid(message).with_param(id_name(kind))
}

fn id_name(kind: OwnerKind) -> &'static str {
    match kind {
        OwnerKind::Team => "team_id",
        _ => "user_id",
    }
}

fn owners(kind: OwnerKind) -> &'static str {
    match kind {
        OwnerKind::Team => "team",
        _ => "user",
    }
}

/// LiteLLM's filters of lists. Ignoring one would list others, too.
const FILTERS: [&str; 8] = [
    "organization_id",
    "role",
    "sort_by",
    "team",
    "team_id",
    "user_email",
    "user_id",
    "user_ids",
];

/// Owners that one request may change.
const MOST_IDS: usize = 1000;
