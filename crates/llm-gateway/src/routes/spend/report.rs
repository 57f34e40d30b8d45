//! `/global/spend/report`: the spend of teams, customers, keys and others.

use gateway_store::{Money, Reports, SpendBy, SpendRow, UsageFilter};
use http::Response;
use serde_json::{Map, Value, json};

use crate::error::ApiError;
use crate::response::{self, ResponseBody};

/// Reports the spend, summed by `group`.
pub(super) async fn serve(
    reports: &Reports,
    filter: &UsageFilter,
    group: &str,
) -> Result<Response<ResponseBody>, ApiError> {
    let answer = match group {
        "team" => by_day(reports, filter, SpendBy::Team, "teams", "team_name").await?,
        "customer" => by_day(reports, filter, SpendBy::EndUser, "customers", "customer").await?,
        "api_key" => by_owner(reports, filter, SpendBy::Key, "api_key").await?,
        "internal_user_id" => by_owner(reports, filter, SpendBy::User, "internal_user_id").await?,
        other => match OTHERS.iter().find(|(name, _)| *name == other) {
            Some((name, by)) => rows(reports, filter, *by, name).await?,
            None => {
                let others: Vec<_> = OTHERS.iter().map(|(name, _)| *name).collect();
                let message = format!(
                    "`group_by`: give team, customer, api_key, internal_user_id, {}",
                    others.join(", ")
                );
                return Err(ApiError::invalid(message).with_param("group_by"));
            }
        },
    };
    Ok(response::json_of(&answer))
}

/// LiteLLM's report for each day: `plural` are the groups of a day, `name` is the name of a group.
async fn by_day(
    reports: &Reports,
    filter: &UsageFilter,
    by: SpendBy,
    plural: &str,
    name: &str,
) -> Result<Value, ApiError> {
    let all = reports
        .spend(&[SpendBy::Day, by, SpendBy::ModelGroup], filter)
        .await?;
    // The rows are sorted by day and group.
    let days = all.chunk_by(|a, b| a.group.first() == b.group.first());
    let days = days.map(|day| {
        let groups = day.chunk_by(|a, b| a.group.get(1) == b.group.get(1));
        let groups: Vec<Value> = groups
            .map(|rows| {
                let models: Vec<Value> = rows.iter().map(|row| model(row, 2)).collect();
                let mut group = Map::new();
                group.insert(name.to_owned(), label(rows, 1));
                group.insert("total_spend".to_owned(), json!(total(rows)));
                group.insert("metadata".to_owned(), models.into());
                Value::Object(group)
            })
            .collect();
        let mut entry = Map::new();
        entry.insert("group_by_day".to_owned(), label(day, 0));
        entry.insert(plural.to_owned(), groups.into());
        Value::Object(entry)
    });
    Ok(days.collect())
}

/// LiteLLM's report for each key or user.
async fn by_owner(
    reports: &Reports,
    filter: &UsageFilter,
    by: SpendBy,
    name: &str,
) -> Result<Value, ApiError> {
    let all = reports.spend(&[by, SpendBy::ModelGroup], filter).await?;
    let owners = all.chunk_by(|a, b| a.group.first() == b.group.first());
    let owners = owners.map(|rows| {
        let sum = |count: fn(&SpendRow) -> u64| -> u64 { rows.iter().map(count).sum() };
        let models: Vec<Value> = rows
            .iter()
            .map(|row| {
                json!({
                    "model": row.group.get(1),
                    "total_cost": row.cost,
                    "total_input_tokens": row.input_tokens,
                    "total_output_tokens": row.output_tokens,
                })
            })
            .collect();
        let mut owner = Map::new();
        owner.insert(name.to_owned(), label(rows, 0));
        owner.insert("total_cost".to_owned(), json!(total(rows)));
        owner.insert(
            "total_input_tokens".to_owned(),
            sum(|row| row.input_tokens).into(),
        );
        owner.insert(
            "total_output_tokens".to_owned(),
            sum(|row| row.output_tokens).into(),
        );
        owner.insert("model_details".to_owned(), models.into());
        Value::Object(owner)
    });
    Ok(owners.collect())
}

/// The sums of other groups.
async fn rows(
    reports: &Reports,
    filter: &UsageFilter,
    by: SpendBy,
    name: &str,
) -> Result<Value, ApiError> {
    let all = reports.spend(&[by], filter).await?;
    let rows = all.iter().map(|row| {
        let mut value = json!(row);
        if let Some(members) = value.as_object_mut() {
            members.remove("group");
            members.insert(name.to_owned(), json!(row.group.first()));
        }
        value
    });
    Ok(rows.collect())
}

fn model(row: &SpendRow, place: usize) -> Value {
    json!({
        "model": row.group.get(place),
        "spend": row.cost,
        "total_tokens": row.input_tokens.saturating_add(row.output_tokens),
        "requests": row.requests,
    })
}

fn label(rows: &[SpendRow], place: usize) -> Value {
    json!(rows.first().and_then(|row| row.group.get(place)))
}

fn total(rows: &[SpendRow]) -> Money {
    rows.iter().map(|row| row.cost).sum()
}

const OTHERS: [(&str, SpendBy); 6] = [
    ("day", SpendBy::Day),
    ("model_group", SpendBy::ModelGroup),
    ("model", SpendBy::Model),
    ("provider", SpendBy::Provider),
    ("deployment", SpendBy::Deployment),
    ("session", SpendBy::Session),
];
