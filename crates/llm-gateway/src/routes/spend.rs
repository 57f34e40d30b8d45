//! The routes that report what requests cost, in LiteLLM's forms.

mod log;
mod query;
mod report;

use bytes::Bytes;
use gateway_store::{KeyFilter, UsageCursor, UsageFilter, UsageRecord, write_csv};
use http::Response;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::request::Parts;
use serde_json::{Value, json};

use self::log::SpendLog;
use super::keys::answer::KeyAnswer;
use super::keys::virtual_keys;
use super::query::Query;
use crate::auth::Client;
use crate::error::ApiError;
use crate::gateway::Shared;
use crate::headers;
use crate::response::{self, ResponseBody};

/// A report.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum SpendRoute {
    Logs,
    Keys,
    Report,
}

impl SpendRoute {
    /// All reports and their paths.
    pub(super) const ALL: [(&'static str, Self); 3] = [
        ("/spend/logs", Self::Logs),
        ("/spend/keys", Self::Keys),
        ("/global/spend/report", Self::Report),
    ];

    pub(super) fn of(path: &str) -> Option<Self> {
        let mut all = Self::ALL.iter();
        Some(all.find(|(known, _)| *known == path)?.1)
    }
}

/// Answers a request for a report.
pub(super) async fn serve(
    shared: &Shared,
    client: &Client,
    route: SpendRoute,
    head: &Parts,
) -> Result<Response<ResponseBody>, ApiError> {
    let query = Query::of(&head.uri);
    // A client may look at its own requests.
    if !(route == SpendRoute::Logs && client.access().is_some()) {
        client.require_operator()?;
    }
    let keys = virtual_keys(shared)?;
    if client.access().is_none() {
        keys.write_records().await?;
    }
    let store = keys.store();
    match route {
        SpendRoute::Logs => {
            let mut filter = query::filter(store, &query).await?;
            if let Some(access) = client.access() {
                filter.key_id = Some(access.key.id.clone());
            }
            logs(store, &query, &filter).await
        }
        SpendRoute::Keys => keys_by_spend(store, &query).await,
        SpendRoute::Report => {
            let filter = query::filter(store, &query).await?;
            let group = query.get("group_by").unwrap_or_else(|| "team".to_owned());
            report::serve(&store.reports(), &filter, &group).await
        }
    }
}

/// The records, newest first: as JSON, or as CSV with `format=csv`.
async fn logs(
    store: &gateway_store::Store,
    query: &Query<'_>,
    filter: &UsageFilter,
) -> Result<Response<ResponseBody>, ApiError> {
    let is_csv = match query.get("format").as_deref() {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => {
            let invalid = ApiError::invalid("`format`: give `json` or `csv`");
            return Err(invalid.with_param("format"));
        }
    };
    let (usual, most) = if is_csv {
        (10_000, 50_000)
    } else {
        (100, 1_000)
    };
    let size = query::size(query, usual, most)?;
    let mut cursor = query
        .get("after")
        .map(|text| query::cursor(&text))
        .transpose()?;
    let mut records: Vec<UsageRecord> = Vec::new();
    let mut is_last = false;
    while records.len() < size && !is_last {
        let page = u32::try_from(size - records.len())
            .unwrap_or(PAGE)
            .min(PAGE);
        let found = store
            .reports()
            .records(filter, cursor.as_ref(), page)
            .await?;
        is_last = found.len() < usize::try_from(page).unwrap_or(usize::MAX);
        cursor = found.last().map(UsageCursor::after);
        records.extend(found);
    }
    let mut response = if is_csv {
        let mut text = Vec::new();
        write_csv(&records, &mut text)?;
        csv(text.into())
    } else {
        let logs: Vec<_> = records.iter().map(SpendLog::new).collect();
        response::json_of(&logs)
    };
    if let Some(last) = records.last().filter(|_| !is_last) {
        let next = query::cursor_text(last);
        headers::insert(response.headers_mut(), NEXT, Some(&next));
    }
    Ok(response)
}

/// The keys, those with the highest spend first.
async fn keys_by_spend(
    store: &gateway_store::Store,
    query: &Query<'_>,
) -> Result<Response<ResponseBody>, ApiError> {
    let mut filter = KeyFilter::default();
    filter.limit = 1_000;
    let mut keys = Vec::new();
    loop {
        let found = store.keys().list(&filter).await?;
        filter.after = found.last().map(|info| info.key.id.clone());
        let is_last = found.len() < 1_000;
        keys.extend(found);
        if is_last {
            break;
        }
    }
    keys.sort_by_key(|info| std::cmp::Reverse(info.spend));
    let size = query::size(query, 100, 1_000)?;
    let keys = keys.iter().take(size);
    let answers: Vec<Value> = keys
        .map(|info| json!(KeyAnswer::new(&info.key).with_spend(info)))
        .collect();
    Ok(response::json_of(&answers))
}

fn csv(text: Bytes) -> Response<ResponseBody> {
    let mut response = response::json(text);
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/csv; charset=utf-8"),
    );
    let name = HeaderValue::from_static("attachment; filename=\"spend.csv\"");
    headers.insert(CONTENT_DISPOSITION, name);
    response
}

/// The records that are read at once.
const PAGE: u32 = 1_000;

/// The value of `after` for the next page, if there may be one.
const NEXT: HeaderName = HeaderName::from_static("x-polyllm-next-page");
