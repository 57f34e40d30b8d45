//! Keys, their users and teams.

mod access;
mod changes;
mod check;
mod limits;
mod owner;
mod owners;
mod queries;
mod secret;

use std::collections::BTreeMap;

use llm_provider::ApiKey;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Money, Timestamp};

pub use self::access::{Access, Denial};
pub(crate) use self::check::amount as check_amount;
pub use self::limits::LimitSettings;
pub(crate) use self::owner::OwnerRow;
pub use self::owner::{Owner, OwnerFilter, OwnerInfo, OwnerKind, OwnerSettings};
pub use self::owners::Owners;
pub use self::queries::Keys;
pub(crate) use self::queries::{KEY_COLUMNS, read_key};
pub use self::secret::KeyHash;
pub(crate) use self::secret::is_plausible;

/// A key of a client of the gateway, without its secret.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Key {
    /// The id, which stays the same when the secret is replaced.
    pub id: String,
    /// The hash of the secret.
    pub hash: KeyHash,
    /// An abbreviation of the secret, such as `sk-...x9Qa`.
    pub name: String,
    /// What the key may do, and its owners.
    pub settings: KeySettings,
    /// When the key was generated.
    pub created_at: Timestamp,
    /// When its settings or its secret were changed last.
    pub updated_at: Timestamp,
}

/// What a key may do, and its owners. The names in JSON are LiteLLM's.
///
/// The default has no limits.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
#[non_exhaustive]
pub struct KeySettings {
    /// A unique name.
    pub key_alias: Option<String>,
    /// What it may call, and how much.
    #[serde(flatten)]
    pub limits: LimitSettings,
    /// Model names of the client, and the model groups that they stand for.
    pub aliases: BTreeMap<String, String>,
    /// When the key stops working; never by default.
    pub expires: Option<Timestamp>,
    /// The user that owns the key.
    pub user_id: Option<String>,
    /// The team that owns the key.
    pub team_id: Option<String>,
    /// Tags that usage records of the key get.
    pub tags: Vec<String>,
    /// Any data of the operator.
    pub metadata: Map<String, Value>,
}

/// A new key, with the secret that cannot be read again.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct GeneratedKey {
    /// The secret, for the client.
    pub secret: ApiKey,
    /// The key.
    pub key: Key,
}

/// A key and its spend.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct KeyInfo {
    /// The key.
    pub key: Key,
    /// What its calls cost in the current period.
    pub spend: Money,
    /// When the spend is reset to zero next.
    pub budget_reset_at: Option<Timestamp>,
}

/// Which keys to list, in the order of their creation.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct KeyFilter {
    /// Only keys of this user.
    pub user_id: Option<String>,
    /// Only keys of this team.
    pub team_id: Option<String>,
    /// Only the key with this alias.
    pub key_alias: Option<String>,
    /// Only keys after the one with this id.
    pub after: Option<String>,
    /// The number of keys to leave out at the beginning.
    pub skip: u32,
    /// The maximum number of keys; 100 by default, at most 1,000.
    pub limit: u32,
}

impl Default for KeyFilter {
    fn default() -> Self {
        Self {
            user_id: None,
            team_id: None,
            key_alias: None,
            after: None,
            skip: 0,
            limit: 100,
        }
    }
}
