//! The statements of the writer.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::book::Entry;
use super::{BudgetId, Page, Request, record};
use crate::sql::{Batch, Row, Statement};
use crate::{Money, Timestamp};

pub(super) fn register(replica: &str, expires_at: Timestamp) -> Batch {
    let insert = "INSERT INTO gateway_replicas (id, expires_at) VALUES (?1, ?2)";
    let insert = Statement::new(insert)
        .with(replica)
        .with(expires_at.as_millis());
    Batch::write().and(insert)
}

/// Shows that the replica is alive. Refused if others already removed it and its leases.
fn heartbeat(replica: &str, expires_at: Timestamp) -> Batch {
    let update = "UPDATE gateway_replicas SET expires_at = ?2 WHERE id = ?1";
    let update = Statement::new(update).with(replica);
    Batch::write().and(update.with(expires_at.as_millis()).required())
}

/// The index of the heartbeat in a batch.
pub(super) const HEARTBEAT: usize = 0;

/// The index of the first lease in a grant.
pub(super) const FIRST_GRANT: usize = 1;

/// Takes leases, if the leases and the spend of each budget leave `headroom` below its maximum.
pub(super) fn grant(
    replica: &str,
    expires_at: Timestamp,
    request: &Request,
    headroom: Headroom,
) -> Batch {
    let part = match headroom {
        Headroom::None => 0,
        Headroom::Tenth => 1,
    };
    let leases = request.leases.iter().map(|(budget, lease)| {
        let insert = "INSERT INTO gateway_leases (replica, budget, amount) \
             SELECT CAST(?1 AS TEXT), b.id, CAST(?3 AS BIGINT) FROM gateway_budgets b \
             WHERE b.id = ?2 AND (b.max_spend IS NULL OR CAST(?3 AS BIGINT) + \
             (SELECT CAST(COALESCE(SUM(l.amount), 0) AS BIGINT) FROM gateway_leases l \
             WHERE l.budget = b.id AND l.replica <> ?1) \
             <= b.max_spend - CAST(?4 AS BIGINT) * (b.max_spend / 10) - b.spent) \
             ON CONFLICT (replica, budget) DO UPDATE SET amount = excluded.amount";
        Statement::new(insert)
            .with(replica)
            .with(budget.as_str())
            .with(lease.nanos())
            .with(part)
            .required()
    });
    leases.fold(heartbeat(replica, expires_at), Batch::and)
}

/// What a grant has to leave of each budget.
#[derive(Clone, Copy, Debug)]
pub(super) enum Headroom {
    None,
    Tenth,
}

/// Writes records, charges them to their budgets, and sets the leases. Records of requests in `known`
/// are left out.
///
/// Refused if the database has a record of one of the others, which it must not charge twice.
pub(super) fn flush(
    replica: &str,
    expires_at: Timestamp,
    page: &Page,
    known: &BTreeSet<String>,
) -> Batch {
    let mut batch = heartbeat(replica, expires_at);
    let mut seen: HashSet<&str> = known.iter().map(String::as_str).collect();
    let entries = page.entries.iter();
    let new: Vec<_> = entries
        .filter(|entry| seen.insert(entry.request_id()))
        .collect();
    if !new.is_empty() {
        let rows = new.iter().map(|entry| Arc::clone(&entry.row));
        batch = batch.and(Statement::repeated(record::insert(), rows).required());
        batch = batch.and(charge(&new));
    }
    let (mut put, mut delete) = (Vec::new(), Vec::new());
    for (budget, lease) in &page.leases {
        let (replica, budget) = (replica.into(), budget.as_str().into());
        match *lease > Money::ZERO {
            true => put.push(Row::from([replica, budget, lease.nanos().into()])),
            false => delete.push(Row::from([replica, budget])),
        }
    }
    for (sql, rows) in [(PUT_LEASE, put), (DELETE_LEASE, delete)] {
        if !rows.is_empty() {
            batch = batch.and(Statement::repeated(sql, rows.into_iter().map(Arc::new)));
        }
    }
    batch
}

/// Adds the costs of records to the budgets of their keys, users and teams.
fn charge(entries: &[&Entry]) -> Statement {
    let mut costs: BTreeMap<&BudgetId, Money> = BTreeMap::new();
    for entry in entries {
        for budget in &entry.budgets {
            let cost = costs.entry(budget).or_default();
            *cost = *cost + entry.cost;
        }
    }
    let charges = costs.into_iter().map(|(budget, cost)| {
        let charge = [budget.as_str().into(), cost.nanos().into()];
        Arc::new(Row::from(charge))
    });
    Statement::repeated(CHARGE, charges)
}

/// Which requests of a page the database has records of.
pub(super) fn known(page: &Page) -> Batch {
    let ids = page.entries.iter().map(Entry::request_id);
    let ids = ids.map(|id| Arc::new(Row::from([id.into()])));
    let select = "SELECT request_id FROM gateway_usage WHERE request_id = ?1";
    Batch::read(Statement::repeated(select, ids))
}

const PUT_LEASE: &str = "INSERT INTO gateway_leases (replica, budget, amount) VALUES (?1, ?2, ?3) \
    ON CONFLICT (replica, budget) DO UPDATE SET amount = excluded.amount";

const DELETE_LEASE: &str = "DELETE FROM gateway_leases WHERE replica = ?1 AND budget = ?2";

/// Returns all leases of a replica that ends.
pub(super) fn unregister(replica: &str) -> Batch {
    let leases = "DELETE FROM gateway_leases WHERE replica = ?1";
    let replicas = "DELETE FROM gateway_replicas WHERE id = ?1";
    Batch::write()
        .and(Statement::new(leases).with(replica))
        .and(Statement::new(replicas).with(replica))
}

/// Returns the leases of replicas that ended without doing so.
pub(super) fn sweep(now: Timestamp) -> Batch {
    let leases = "DELETE FROM gateway_leases WHERE replica IN \
                  (SELECT id FROM gateway_replicas WHERE expires_at <= ?1)";
    let replicas = "DELETE FROM gateway_replicas WHERE expires_at <= ?1";
    Batch::write()
        .and(Statement::new(leases).with(now.as_millis()))
        .and(Statement::new(replicas).with(now.as_millis()))
}

/// The budgets whose period has ended.
pub(super) fn due(now: Timestamp) -> Statement {
    let select = "SELECT id, period, reset_at FROM gateway_budgets WHERE reset_at <= ?1 LIMIT 100";
    Statement::new(select).with(now.as_millis())
}

/// The budgets whose spend is above their soft limit.
pub(super) const SOFT: &str = "SELECT id, spent, reset_at FROM gateway_budgets \
    WHERE soft_spend IS NOT NULL AND spent > soft_spend ORDER BY id LIMIT 1000";

/// Begins the next period of a budget, unless another replica did.
pub(super) fn reset(budget: &str, reset_at: i64, next: i64) -> Statement {
    let update = "UPDATE gateway_budgets SET spent = 0, reset_at = ?3 \
                  WHERE id = ?1 AND reset_at = ?2";
    Statement::new(update)
        .with(budget)
        .with(reset_at)
        .with(next)
}

/// Adds a cost to a budget. The spend of a budget stays below what an integer can hold.
const CHARGE: &str = "UPDATE gateway_budgets SET spent = CASE \
    WHEN spent > 9000000000000000000 - CAST(?2 AS BIGINT) THEN 9000000000000000000 \
    ELSE spent + CAST(?2 AS BIGINT) END WHERE id = ?1";
