#![doc = include_str!("../README.md")]
//!
//! Start with [`Store`], [`KeyCache`] and [`Ledger`].

mod cache;
mod error;
mod id;
mod keys;
mod ledger;
mod money;
mod responses;
mod sql;
mod store;
mod time;
mod url;

pub use self::cache::{CacheOptions, KeyCache};
pub use self::error::{Error, ErrorKind, Result};
pub use self::keys::{
    Access, Denial, GeneratedKey, Key, KeyFilter, KeyHash, KeyInfo, KeySettings, Keys,
    LimitSettings, Owner, OwnerFilter, OwnerInfo, OwnerKind, OwnerSettings, Owners,
};
pub use self::ledger::{
    BudgetId, Charge, Ledger, LedgerOptions, Reports, Reservation, SpendBy, SpendRow, UsageCursor,
    UsageFilter, UsageOutcome, UsageRecord, write_csv,
};
pub use self::money::Money;
pub use self::responses::{ResponseOptions, ResponseState, Responses, StoredResponse};
pub use self::sql::Fault;
pub use self::store::{Health, Store, StoreOptions};
pub use self::time::{Clock, Period, Timestamp};
pub use self::url::DatabaseUrl;
