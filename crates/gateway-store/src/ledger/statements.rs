//! The statements of the writer.

use super::{BudgetId, Page, Request, record};
use crate::sql::{Batch, Statement};
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

/// Writes records, charges the new ones to their budgets, and sets the leases.
///
/// A record that is in the database already belongs to another batch, and is not charged again.
pub(super) fn flush(replica: &str, expires_at: Timestamp, batch: &str, page: &Page) -> Batch {
    let mut statements = heartbeat(replica, expires_at);
    if !page.entries.is_empty() {
        let records = page.entries.iter().map(|entry| &entry.record);
        statements = statements
            .and(record::insert(records, batch))
            .and(Statement::new(CHARGE).with(batch));
    }
    let leases = page.leases.iter();
    let leases = leases.map(|(budget, lease)| set_lease(replica, budget, *lease));
    leases.fold(statements, Batch::and)
}

fn set_lease(replica: &str, budget: &BudgetId, lease: Money) -> Statement {
    if lease <= Money::ZERO {
        let delete = "DELETE FROM gateway_leases WHERE replica = ?1 AND budget = ?2";
        return Statement::new(delete).with(replica).with(budget.as_str());
    }
    let put = "INSERT INTO gateway_leases (replica, budget, amount) VALUES (?1, ?2, ?3) \
               ON CONFLICT (replica, budget) DO UPDATE SET amount = excluded.amount";
    Statement::new(put)
        .with(replica)
        .with(budget.as_str())
        .with(lease.nanos())
}

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

/// Adds the costs of a batch to the budgets of its keys, users and teams. The spend of a budget
/// stays below what an integer can hold.
const CHARGE: &str = "UPDATE gateway_budgets SET spent = CASE \
    WHEN spent > 9000000000000000000 - charged.total THEN 9000000000000000000 \
    ELSE spent + charged.total END \
    FROM (SELECT budget, CAST(SUM(cost) AS BIGINT) AS total FROM (\
    SELECT 'key:' || key_id AS budget, cost FROM gateway_usage \
    WHERE batch = ?1 AND key_id IS NOT NULL UNION ALL \
    SELECT 'user:' || user_id, cost FROM gateway_usage \
    WHERE batch = ?1 AND user_id IS NOT NULL UNION ALL \
    SELECT 'team:' || team_id, cost FROM gateway_usage \
    WHERE batch = ?1 AND team_id IS NOT NULL) AS parts GROUP BY budget) AS charged \
    WHERE gateway_budgets.id = charged.budget";
