use std::time::{Duration, UNIX_EPOCH};

use serde::Serialize;

use super::record::COLUMNS;
use super::{BudgetId, UsageRecord, statements};
use crate::sql::{Batch, Database, Row, Statement, Value, unreadable};
use crate::{Error, Money, Result, Store, Timestamp};

/// Reports on recorded usage.
#[derive(Clone, Debug)]
pub struct Reports {
    database: Database,
}

/// Which usage records to report. The default is all of them.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct UsageFilter {
    /// Only this request.
    pub request_id: Option<String>,
    /// Only requests with the key of this id.
    pub key_id: Option<String>,
    /// Only requests of this user.
    pub user_id: Option<String>,
    /// Only requests of this team.
    pub team_id: Option<String>,
    /// Only requests to this model group.
    pub model_group: Option<String>,
    /// Only requests of this session.
    pub session_id: Option<String>,
    /// Only requests from this moment on.
    pub from: Option<Timestamp>,
    /// Only requests before this moment.
    pub to: Option<Timestamp>,
}

/// Where the next page of records begins.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct UsageCursor {
    started_at: Timestamp,
    request_id: String,
}

impl UsageCursor {
    /// The place after a record.
    pub fn after(record: &UsageRecord) -> Self {
        Self {
            started_at: record.started_at,
            request_id: record.request_id.clone(),
        }
    }
}

/// What spend is summed by.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum SpendBy {
    /// The day in UTC, such as `2026-11-21`.
    Day,
    /// The id of the key.
    Key,
    /// The id of the user.
    User,
    /// The id of the team.
    Team,
    /// The `user` of the requests.
    EndUser,
    /// The session.
    Session,
    /// The model group.
    ModelGroup,
    /// The provider's name of the model.
    Model,
    /// The provider.
    Provider,
    /// The deployment.
    Deployment,
}

impl SpendBy {
    fn column(self) -> &'static str {
        match self {
            Self::Day => "started_at / 86400000",
            Self::Key => "key_id",
            Self::User => "user_id",
            Self::Team => "team_id",
            Self::EndUser => "end_user",
            Self::Session => "session_id",
            Self::ModelGroup => "model_group",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Deployment => "deployment",
        }
    }

    fn read(self, row: &Row, column: usize) -> Result<Option<String>> {
        match self {
            Self::Day => row.int(column).map(|days| Some(date(days))),
            _ => Ok(row.opt_text(column)?.map(str::to_owned)),
        }
    }
}

/// The usage of one group of requests.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SpendRow {
    /// What the requests have in common, in the order of the [`SpendBy`]s.
    pub group: Vec<Option<String>>,
    /// The number of requests.
    pub requests: u64,
    /// The tokens of the prompts.
    pub input_tokens: u64,
    /// The tokens of the prompts that the provider had cached.
    pub cached_tokens: u64,
    /// The tokens of the replies.
    pub output_tokens: u64,
    /// The tokens of the replies that were reasoning.
    pub reasoning_tokens: u64,
    /// The cost.
    pub cost: Money,
    /// The part of the cost that is estimated.
    pub estimated_cost: Money,
    /// The number of requests whose price is not known.
    pub unpriced_requests: u64,
}

impl Reports {
    pub(crate) fn new(store: &Store) -> Self {
        Self {
            database: store.database.clone(),
        }
    }

    /// At most `limit` usage records, at most 1,000, newest first, from `cursor` on.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn records(
        &self,
        filter: &UsageFilter,
        cursor: Option<&UsageCursor>,
        limit: u32,
    ) -> Result<Vec<UsageRecord>> {
        let mut select = Select::new(filter);
        if let Some(cursor) = cursor {
            let started_at = select.place(cursor.started_at.as_millis());
            let request_id = select.place(cursor.request_id.as_str());
            let before = format!("(started_at, request_id) < ({started_at}, {request_id})");
            select.conditions.push(before);
        }
        let limit = select.place(i64::from(limit.clamp(1, 1000)));
        let rest = format!("ORDER BY started_at DESC, request_id DESC LIMIT {limit}");
        let rows = self
            .database
            .rows(select.statement(&COLUMNS.join(", "), &rest))
            .await?;
        rows.iter().map(UsageRecord::read).collect()
    }

    /// The spend of groups of requests, sorted by group: at most 10,000 groups.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if there are more groups, and
    /// those of the database.
    pub async fn spend(&self, by: &[SpendBy], filter: &UsageFilter) -> Result<Vec<SpendRow>> {
        let columns: Vec<_> = by.iter().map(|by| by.column()).collect();
        let places: Vec<_> = (1..=by.len()).map(|place| place.to_string()).collect();
        let mut select = Select::new(filter);
        let limit = select.place(MOST_GROUPS + 1);
        let mut wanted = columns.join(", ");
        if !by.is_empty() {
            wanted += ", ";
        }
        wanted += SUMS;
        let places = places.join(", ");
        let rest = match by {
            [] => format!("LIMIT {limit}"),
            _ => format!("GROUP BY {places} ORDER BY {places} LIMIT {limit}"),
        };
        let rows = self.database.rows(select.statement(&wanted, &rest)).await?;
        if i64::try_from(rows.len()).is_ok_and(|count| count > MOST_GROUPS) {
            let message = format!("more than {MOST_GROUPS} groups: choose a shorter time");
            return Err(Error::invalid(message));
        }
        rows.iter().map(|row| spend_row(by, row)).collect()
    }

    /// The budgets whose spend is above their `soft_budget`, and their spend: at most 1,000.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn soft_exceeded(&self) -> Result<Vec<(BudgetId, Money)>> {
        let rows = self.database.rows(Statement::new(statements::SOFT)).await?;
        let read = |row: &Row| {
            let id = BudgetId::read(row.text(0)?);
            Ok((id, Money::from_nanos(row.int(1)?)))
        };
        rows.iter().map(read).collect()
    }

    /// Deletes at most 10,000 records of requests before a moment, and returns how many it
    /// deleted. Budgets keep their spend.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn delete_before(&self, moment: Timestamp) -> Result<u64> {
        let delete = "DELETE FROM gateway_usage WHERE request_id IN \
                      (SELECT request_id FROM gateway_usage WHERE started_at < ?1 LIMIT 10000) \
                      RETURNING request_id";
        let delete = Statement::new(delete).with(moment.as_millis());
        let rows = self
            .database
            .run(Batch::write().and(delete))
            .await?
            .rows()?;
        Ok(rows.iter().map(|rows| rows.len() as u64).sum())
    }
}

/// A query on `gateway_usage`.
struct Select {
    conditions: Vec<String>,
    values: Vec<Value>,
}

impl Select {
    fn new(filter: &UsageFilter) -> Self {
        let mut select = Self {
            conditions: Vec::new(),
            values: Vec::new(),
        };
        for (condition, text) in [
            ("request_id =", &filter.request_id),
            ("key_id =", &filter.key_id),
            ("user_id =", &filter.user_id),
            ("team_id =", &filter.team_id),
            ("model_group =", &filter.model_group),
            ("session_id =", &filter.session_id),
        ] {
            if let Some(text) = text {
                let place = select.place(text.as_str());
                select.conditions.push(format!("{condition} {place}"));
            }
        }
        for (condition, moment) in [("started_at >=", filter.from), ("started_at <", filter.to)] {
            if let Some(moment) = moment {
                let place = select.place(moment.as_millis());
                select.conditions.push(format!("{condition} {place}"));
            }
        }
        select
    }

    /// Adds a parameter, and returns its placeholder.
    fn place(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("?{}", self.values.len())
    }

    fn statement(self, columns: &str, rest: &str) -> Statement {
        let conditions = match self.conditions.as_slice() {
            [] => String::new(),
            conditions => format!("WHERE {}", conditions.join(" AND ")),
        };
        let sql = format!("SELECT {columns} FROM gateway_usage {conditions} {rest}");
        let statement = Statement::new(sql);
        self.values.into_iter().fold(statement, Statement::with)
    }
}

fn spend_row(by: &[SpendBy], row: &Row) -> Result<SpendRow> {
    let first = by.len();
    let group = by
        .iter()
        .enumerate()
        .map(|(column, by)| by.read(row, column));
    let count = |column: usize| {
        let sum = row.opt_int(first + column)?.unwrap_or_default();
        u64::try_from(sum).map_err(|_| unreadable())
    };
    let money = |column: usize| {
        let nanos = row.opt_int(first + column)?.unwrap_or_default();
        Ok(Money::from_nanos(nanos))
    };
    Ok(SpendRow {
        group: group.collect::<Result<_>>()?,
        requests: count(0)?,
        input_tokens: count(1)?,
        cached_tokens: count(2)?,
        output_tokens: count(3)?,
        reasoning_tokens: count(4)?,
        cost: money(5)?,
        estimated_cost: money(6)?,
        unpriced_requests: count(7)?,
    })
}

/// A number of days since 1970 as a date.
fn date(days: i64) -> String {
    let days = u64::try_from(days).unwrap_or_default().min(LAST_DAY);
    let moment = UNIX_EPOCH + Duration::from_secs(days * 24 * 60 * 60);
    let mut text = humantime::format_rfc3339_seconds(moment).to_string();
    text.truncate("2026-11-21".len());
    text
}

/// 9999-12-31.
const LAST_DAY: u64 = 2_932_896;

const MOST_GROUPS: i64 = 10_000;

const SUMS: &str = "COUNT(*), CAST(SUM(input_tokens) AS BIGINT), \
    CAST(SUM(cached_tokens) AS BIGINT), CAST(SUM(output_tokens) AS BIGINT), \
    CAST(SUM(reasoning_tokens) AS BIGINT), CAST(SUM(cost) AS BIGINT), \
    CAST(SUM(CASE WHEN is_estimated = 1 THEN cost ELSE 0 END) AS BIGINT), \
    CAST(SUM(CASE WHEN has_price = 0 THEN 1 ELSE 0 END) AS BIGINT)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_dates() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(20_778), "2026-11-21");
        assert_eq!(date(i64::MAX), "9999-12-31");
        assert_eq!(date(-1), "1970-01-01");
    }
}
