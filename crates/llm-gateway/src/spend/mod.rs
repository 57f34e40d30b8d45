//! What calls cost: limits before a call, and a usage record after it.
//!
//! A call is admitted ([`admit`]): its key's rates, its parallel calls and its budgets are reserved.
//! The [`Running`] call is settled exactly once, when its reply or its stream ends, when it fails, or
//! when it is dropped because the client left. Without a database, all of this costs nothing.

mod limits;
mod origin;
mod prices;
mod rates;
mod running;
mod stream;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use gateway_store::{Charge, ErrorKind, Ledger, Money, Reservation, UsageRecord};
use llm_provider::Call;
use llm_router::{Estimate, Fallbacks, RouteOptions, TokenCounts};

use crate::auth::Client;
use crate::error::ApiError;
use crate::gateway::Shared;

pub(crate) use self::limits::Limits;
pub(crate) use self::origin::Origin;
pub(crate) use self::prices::PriceBook;
pub(crate) use self::rates::Rates;
pub(crate) use self::running::Running;

/// When the rate limits that several gateways share are charged.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum RateCharge {
    /// Before the call is routed.
    Now,
    /// By the router when it chooses a deployment, so that both take one exchange with the shared
    /// state. A refusal is then an error of the router, which [`Running`] and its bill convert.
    WithChoice,
}

/// Reserves what a call may use. Fallbacks that the budgets do not allow are taken out of its route.
///
/// # Errors
/// If a rate limit or a budget of the key, its user or its team does not allow the call.
pub(crate) async fn admit(
    shared: &Arc<Shared>,
    client: &Client,
    call: &Call,
    route: &mut RouteOptions,
    rates: RateCharge,
) -> Result<Running, ApiError> {
    let (Some(keys), Some(origin)) = (&shared.options.virtual_keys, &client.origin) else {
        return Ok(Running::unrecorded());
    };
    let estimate = Estimate::of(&call.body);
    let counts = TokenCounts::new(estimate.prompt, estimate.total - estimate.prompt);
    let access = client.access();
    let mut permits = match access {
        Some(access) => keys.limits().begin(access, estimate.total)?,
        None => limits::Permits::default(),
    };
    match (shared.router.shared_state(), rates) {
        (Some(_), RateCharge::WithChoice) => route.claim = permits.rates().claim(),
        // Most calls have no rate limits.
        (state, _) if permits.rates().has_any() => Box::pin(permits.take(state)).await?,
        _ => {}
    }
    let charge = access.map_or_else(Charge::default, |access| access.charge());
    let reservation = Box::pin(reserve(shared, keys.ledger(), charge, call, &counts, route));
    let reservation = match reservation.await {
        Ok(reservation) => reservation,
        Err(error) => {
            permits.cancel();
            return Err(error.into());
        }
    };
    let mut record = UsageRecord::new(origin.call_id.as_str(), origin.started_at);
    if let Some(access) = access {
        record = record.with_access(access);
    }
    origin.fill(&mut record);
    record.endpoint = call.endpoint.capability().to_string();
    record.model_group = call.model().into_owned();
    if let Some(user) = call.body.str("user") {
        record.end_user = Some(user.into_owned());
    }
    let prices = Arc::clone(&shared.prices);
    let running = Running::new(reservation, record, origin.started, prices, permits, counts);
    Ok(running.observed_by(client.active.clone()))
}

/// Reserves the most that a call can cost. If the budgets allow the model of the call, but not the models
/// that can take over from it, the call has no fallbacks.
async fn reserve(
    shared: &Shared,
    ledger: &Ledger,
    charge: Charge,
    call: &Call,
    counts: &TokenCounts,
    route: &mut RouteOptions,
) -> gateway_store::Result<Reservation> {
    if charge.capped().is_empty() {
        return ledger.reserve(charge, Money::ZERO).await;
    }
    let counts = counts.with_run_time(USUAL_RUN_TIME);
    let cost = |model: &str| {
        let highest = shared.prices.highest(model, &counts);
        highest.unwrap_or(Money::ZERO).min(Money::MAX_COST)
    };
    let model = call.model();
    let own = cost(&model);
    let others = shared.router.fallbacks_of(&model, route);
    let most = others.iter().map(|model| cost(model)).fold(own, Money::max);
    if most > own {
        match ledger.reserve(charge.clone(), most).await {
            Err(error) if error.kind() == ErrorKind::BudgetExceeded => {}
            reserved => return reserved,
        }
        route.fallbacks = Some(Fallbacks::default());
    }
    ledger.reserve(charge, own).await
}

/// What is reserved for a model with a price per second: nobody knows in advance how long it runs.
const USUAL_RUN_TIME: Duration = Duration::from_secs(10);
