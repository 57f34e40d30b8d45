//! The parameters of reports.

use std::time::{Duration, SystemTime};

use gateway_store::{Store, Timestamp, UsageCursor, UsageFilter, UsageRecord};

use crate::error::ApiError;
use crate::routes::keys::hash;
use crate::routes::query::Query;

/// Which records are reported. The end date is a part of the report.
pub(super) async fn filter(store: &Store, query: &Query<'_>) -> Result<UsageFilter, ApiError> {
    let mut filter = UsageFilter::default();
    filter.request_id = query.get("request_id");
    filter.user_id = query
        .get("user_id")
        .or_else(|| query.get("internal_user_id"));
    filter.team_id = query.get("team_id");
    filter.model_group = query.get("model_group").or_else(|| query.get("model"));
    filter.session_id = query.get("session_id");
    filter.from = moment(query, "start_date", Duration::ZERO)?;
    filter.to = moment(query, "end_date", DAY)?;
    if let Some(key) = query.get("api_key") {
        // Records outlive their key, so that its id is accepted, too.
        let found = store.keys().get(&hash(&key)).await?;
        filter.key_id = Some(found.map_or(key, |info| info.key.id));
    }
    Ok(filter)
}

/// A date, plus `after`, or a moment.
fn moment(
    query: &Query<'_>,
    field: &'static str,
    after: Duration,
) -> Result<Option<Timestamp>, ApiError> {
    let Some(text) = query.get(field) else {
        return Ok(None);
    };
    let date = |text: &str| humantime::parse_rfc3339(&format!("{text}T00:00:00Z"));
    let moment: SystemTime = match date(&text) {
        Ok(date) => date + after,
        Err(_) => humantime::parse_rfc3339_weak(&text).map_err(|_| {
            ApiError::invalid("the date is invalid: give one in UTC, such as 2026-11-21")
                .with_param(field)
        })?,
    };
    Ok(Some(moment.into()))
}

/// The number of entries.
pub(super) fn size(query: &Query<'_>, usual: usize, most: usize) -> Result<usize, ApiError> {
    let Some(size) = query.get("size").or_else(|| query.get("limit")) else {
        return Ok(usual);
    };
    let size = size.parse().ok().filter(|size| (1..=most).contains(size));
    size.ok_or_else(|| ApiError::invalid(format!("`size`: give 1 to {most}")).with_param("size"))
}

/// The place after a record, as text.
pub(super) fn cursor_text(record: &UsageRecord) -> String {
    format!("{}.{}", record.started_at.as_millis(), record.request_id)
}

pub(super) fn cursor(text: &str) -> Result<UsageCursor, ApiError> {
    let read = || {
        let (millis, request_id) = text.split_once('.')?;
        let millis = millis.parse().ok()?;
        let record = UsageRecord::new(request_id, Timestamp::from_millis(millis));
        Some(UsageCursor::after(&record))
    };
    read().ok_or_else(|| {
        let message = "`after`: give the value of the header `x-polyllm-next-page`";
        ApiError::invalid(message).with_param("after")
    })
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
