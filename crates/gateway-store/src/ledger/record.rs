use std::sync::LazyLock;

use llm_provider::text::excerpt_within;
use serde::Serialize;

use super::BudgetId;
use crate::sql::{Row, Value, unreadable};
use crate::{Access, Money, OwnerKind, Result, Timestamp};

/// What one request used and cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct UsageRecord {
    /// The id of the request. A second record with the same id is ignored.
    pub request_id: String,
    /// When the request came in.
    pub started_at: Timestamp,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The time to the first token of a stream, in milliseconds.
    pub first_token_ms: Option<u64>,
    /// The endpoint, such as `chat`.
    pub endpoint: String,
    /// The model group that the client named.
    pub model_group: String,
    /// The provider's name of the model.
    pub model: String,
    /// The provider.
    pub provider: String,
    /// The id of the deployment.
    pub deployment: String,
    /// The id of the key; none for the master key.
    pub key_id: Option<String>,
    /// The alias of the key at that time.
    pub key_alias: Option<String>,
    /// The user of the key.
    pub user_id: Option<String>,
    /// The team of the key.
    pub team_id: Option<String>,
    /// The `user` of the request.
    pub end_user: Option<String>,
    /// The session, such as that of a coding agent.
    pub session_id: Option<String>,
    /// Tags of the key and of the request.
    pub tags: Vec<String>,
    /// All tokens of the prompt.
    pub input_tokens: u64,
    /// The tokens of the prompt that the provider had cached.
    pub cached_tokens: u64,
    /// All tokens of the reply.
    pub output_tokens: u64,
    /// The tokens of the reply that were reasoning.
    pub reasoning_tokens: u64,
    /// The time that a prediction ran, in milliseconds.
    pub predict_ms: Option<u64>,
    /// The cost.
    pub cost: Money,
    /// Whether the price is known. If not, the cost is 0.
    pub has_price: bool,
    /// How the request ended.
    pub outcome: UsageOutcome,
    /// Whether the reply was streamed.
    pub is_streamed: bool,
    /// Whether tokens and cost are estimated, because the provider did not report them.
    pub is_estimated: bool,
    /// The number of attempts.
    pub attempts: u32,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum UsageOutcome {
    /// The reply was complete.
    #[default]
    Complete,
    /// The client left.
    Cancelled,
    /// The request failed.
    Failed,
    /// The reply came from a cache.
    Cached,
}

impl UsageOutcome {
    const ALL: [Self; 4] = [Self::Complete, Self::Cancelled, Self::Failed, Self::Cached];

    /// The name in the database and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Cached => "cached",
        }
    }
}

impl UsageRecord {
    /// A record that costs nothing yet.
    pub fn new(request_id: impl Into<String>, started_at: Timestamp) -> Self {
        Self {
            request_id: request_id.into(),
            started_at,
            duration_ms: 0,
            first_token_ms: None,
            endpoint: String::new(),
            model_group: String::new(),
            model: String::new(),
            provider: String::new(),
            deployment: String::new(),
            key_id: None,
            key_alias: None,
            user_id: None,
            team_id: None,
            end_user: None,
            session_id: None,
            tags: Vec::new(),
            input_tokens: 0,
            cached_tokens: 0,
            output_tokens: 0,
            reasoning_tokens: 0,
            predict_ms: None,
            cost: Money::ZERO,
            has_price: true,
            outcome: UsageOutcome::default(),
            is_streamed: false,
            is_estimated: false,
            attempts: 1,
        }
    }

    /// Names the key, its user and its team: the cost is charged to their budgets.
    #[must_use]
    pub fn with_access(mut self, access: &Access) -> Self {
        let key = &access.key;
        self.key_id = Some(key.id.clone());
        self.key_alias.clone_from(&key.settings.key_alias);
        self.user_id.clone_from(&key.settings.user_id);
        self.team_id.clone_from(&key.settings.team_id);
        self.tags.clone_from(&key.settings.tags);
        self
    }

    /// Sets the cost.
    #[must_use]
    pub fn with_cost(mut self, cost: Money) -> Self {
        self.cost = cost;
        self
    }

    /// Bounds what a client may have put into the record, and escapes control characters, which
    /// PostgreSQL rejects in part. Ids of keys and owners are the store's own.
    pub(super) fn normalize(&mut self) {
        let texts = [
            &mut self.request_id,
            &mut self.endpoint,
            &mut self.model_group,
            &mut self.model,
            &mut self.provider,
            &mut self.deployment,
        ];
        let optional = [&mut self.end_user, &mut self.session_id];
        self.tags.truncate(MOST_TAGS);
        let all = texts.into_iter().chain(optional.into_iter().flatten());
        for text in all.chain(&mut self.tags) {
            let short = excerpt_within(text, LONGEST_TEXT);
            if short != *text {
                *text = short.into_owned();
            }
        }
        let cost = self.cost.clamp(Money::ZERO, Money::MAX_COST);
        if cost != self.cost {
            tracing::error!(
                request = &*self.request_id,
                nanos = self.cost.nanos(),
                "a cost outside of 0 to 1,000,000 dollars is recorded as the nearest of these"
            );
            self.cost = cost;
        }
    }

    /// The budgets that the cost is charged to: those of the key, the user and the team.
    pub(super) fn budgets(&self) -> Vec<BudgetId> {
        let key = self.key_id.as_deref().map(BudgetId::key);
        let owner = |kind, id: &Option<String>| Some(BudgetId::owner(kind, id.as_deref()?));
        let user = owner(OwnerKind::User, &self.user_id);
        let team = owner(OwnerKind::Team, &self.team_id);
        [key, user, team].into_iter().flatten().collect()
    }

    /// The row of [`COLUMNS`].
    pub(super) fn into_row(self) -> Row {
        let tags = match self.tags.as_slice() {
            [] => "[]".to_owned(),
            tags => serde_json::to_string(tags).unwrap_or_else(|_| "[]".to_owned()),
        };
        let values: [Value; COLUMNS.len()] = [
            self.request_id.into(),
            self.started_at.as_millis().into(),
            count(self.duration_ms),
            self.first_token_ms.map_or(Value::Null, count),
            self.endpoint.into(),
            self.model_group.into(),
            self.model.into(),
            self.provider.into(),
            self.deployment.into(),
            self.key_id.into(),
            self.key_alias.into(),
            self.user_id.into(),
            self.team_id.into(),
            self.end_user.into(),
            self.session_id.into(),
            tags.into(),
            count(self.input_tokens),
            count(self.cached_tokens),
            count(self.output_tokens),
            count(self.reasoning_tokens),
            self.predict_ms.map_or(Value::Null, count),
            self.cost.nanos().into(),
            self.outcome.name().into(),
            self.is_streamed.into(),
            self.is_estimated.into(),
            i64::from(self.attempts).into(),
            self.has_price.into(),
        ];
        values.into()
    }

    /// Reads a row of [`COLUMNS`].
    pub(super) fn read(row: &Row) -> Result<Self> {
        let text = |column| row.text(column).map(str::to_owned);
        let optional = |column| Ok(row.opt_text(column)?.map(str::to_owned));
        let number = |column| u64::try_from(row.int(column)?).map_err(|_| unreadable());
        let millis = |column| {
            Ok(row
                .opt_int(column)?
                .map(|ms| u64::try_from(ms).unwrap_or(0)))
        };
        let outcome = row.text(22)?;
        let outcome = UsageOutcome::ALL.into_iter().find(|o| o.name() == outcome);
        Ok(Self {
            request_id: text(0)?,
            started_at: Timestamp::from_millis(row.int(1)?),
            duration_ms: number(2)?,
            first_token_ms: millis(3)?,
            endpoint: text(4)?,
            model_group: text(5)?,
            model: text(6)?,
            provider: text(7)?,
            deployment: text(8)?,
            key_id: optional(9)?,
            key_alias: optional(10)?,
            user_id: optional(11)?,
            team_id: optional(12)?,
            end_user: optional(13)?,
            session_id: optional(14)?,
            tags: serde_json::from_str(row.text(15)?).map_err(|_| unreadable())?,
            input_tokens: number(16)?,
            cached_tokens: number(17)?,
            output_tokens: number(18)?,
            reasoning_tokens: number(19)?,
            predict_ms: millis(20)?,
            cost: Money::from_nanos(row.int(21)?),
            outcome: outcome.ok_or_else(unreadable)?,
            is_streamed: row.int(23)? != 0,
            is_estimated: row.int(24)? != 0,
            attempts: u32::try_from(row.int(25)?).map_err(|_| unreadable())?,
            has_price: row.int(26)? != 0,
        })
    }
}

fn count(count: u64) -> Value {
    i64::try_from(count).unwrap_or(i64::MAX).into()
}

/// Writes a row of [`COLUMNS`], unless the database has a record of the request.
pub(super) fn insert() -> &'static str {
    static INSERT: LazyLock<String> = LazyLock::new(|| {
        let places: Vec<_> = (1..=COLUMNS.len())
            .map(|place| format!("?{place}"))
            .collect();
        format!(
            "INSERT INTO gateway_usage ({}) VALUES ({}) ON CONFLICT (request_id) DO NOTHING",
            COLUMNS.join(", "),
            places.join(", ")
        )
    });
    &INSERT
}

/// The columns of `gateway_usage` and of the CSV.
pub(super) const COLUMNS: [&str; 27] = [
    "request_id",
    "started_at",
    "duration_ms",
    "first_token_ms",
    "endpoint",
    "model_group",
    "model",
    "provider",
    "deployment",
    "key_id",
    "key_alias",
    "user_id",
    "team_id",
    "end_user",
    "session_id",
    "tags",
    "input_tokens",
    "cached_tokens",
    "output_tokens",
    "reasoning_tokens",
    "predict_ms",
    "cost",
    "outcome",
    "is_streamed",
    "is_estimated",
    "attempts",
    "has_price",
];

/// The longest text, in bytes.
const LONGEST_TEXT: usize = 512;
const MOST_TAGS: usize = 100;
