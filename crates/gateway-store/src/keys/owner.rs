use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::LimitSettings;
use crate::sql::{Row, unreadable};
use crate::{Money, Result, Timestamp};

/// The two kinds of [`Owner`].
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum OwnerKind {
    /// A person or a program.
    User,
    /// Several users.
    Team,
}

impl OwnerKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Team => "team",
        }
    }
}

/// A user or a team that keys belong to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Owner {
    /// Whether it is a user or a team.
    pub kind: OwnerKind,
    /// The id, unique among the owners of its kind.
    pub id: String,
    /// What its keys may do together.
    pub settings: OwnerSettings,
}

/// What the keys of a user or a team may do together. The default has no limits.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct OwnerSettings {
    /// A name to show, such as LiteLLM's `team_alias`.
    pub alias: Option<String>,
    /// What its keys may call, and how much.
    #[serde(flatten)]
    pub limits: LimitSettings,
    /// Any data of the operator.
    pub metadata: Map<String, Value>,
}

/// An owner and its spend.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OwnerInfo {
    /// The owner.
    pub owner: Owner,
    /// What its calls cost in the current period.
    pub spend: Money,
    /// When the spend is reset to zero next.
    pub budget_reset_at: Option<Timestamp>,
}

/// Which owners to list, by id.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct OwnerFilter {
    /// Only owners after the one with this id.
    pub after: Option<String>,
    /// The number of owners to leave out at the beginning.
    pub skip: u32,
    /// The maximum number of owners; 1,000 by default, which is also the most.
    pub limit: u32,
}

impl Default for OwnerFilter {
    fn default() -> Self {
        Self {
            after: None,
            skip: 0,
            limit: 1000,
        }
    }
}

/// An owner as it is stored: `None` if it was deleted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct OwnerRow(pub(crate) Option<Owner>);

impl OwnerRow {
    /// Reads the columns `deleted` and `data`, from `column` on.
    pub(crate) fn read(kind: OwnerKind, id: &str, row: &Row, column: usize) -> Result<Self> {
        // Without the join, the columns are null.
        if row.opt_int(column)? != Some(0) {
            return Ok(Self(None));
        }
        let data = row.text(column + 1)?;
        let settings = serde_json::from_str(data).map_err(|_| unreadable())?;
        Ok(Self(Some(Owner {
            kind,
            id: id.to_owned(),
            settings,
        })))
    }
}
