use std::fmt;

use super::limits::ALL_TEAM_MODELS;
use super::{Key, Owner, OwnerRow};
use crate::{BudgetId, Charge, Timestamp};

/// What a client with a key may do: the key with its user and its team.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Access {
    /// The key.
    pub key: Key,
    pub(crate) user: OwnerRow,
    pub(crate) team: OwnerRow,
}

/// Why a client is rejected.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Denial {
    /// The key has expired.
    Expired,
    /// The key is blocked.
    Blocked,
    /// The user or the team of the key is blocked or was deleted.
    OwnerBlocked,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "the API key has expired",
            Self::Blocked => "the API key is blocked",
            Self::OwnerBlocked => "the user or team of the API key is blocked",
        })
    }
}

impl Access {
    /// The user of the key.
    pub fn user(&self) -> Option<&Owner> {
        self.user.0.as_ref()
    }

    /// The team of the key.
    pub fn team(&self) -> Option<&Owner> {
        self.team.0.as_ref()
    }

    /// Whether the key works at the moment.
    ///
    /// # Errors
    /// The reason why it does not.
    pub fn check(&self, now: Timestamp) -> Result<(), Denial> {
        let settings = &self.key.settings;
        if settings.limits.blocked {
            return Err(Denial::Blocked);
        }
        if settings.expires.is_some_and(|expires| expires <= now) {
            return Err(Denial::Expired);
        }
        let is_open = |id: &Option<String>, owner: &OwnerRow| match (id, &owner.0) {
            (None, _) => true,
            (Some(_), Some(owner)) => !owner.settings.limits.blocked,
            (Some(_), None) => false,
        };
        if is_open(&settings.user_id, &self.user) && is_open(&settings.team_id, &self.team) {
            return Ok(());
        }
        Err(Denial::OwnerBlocked)
    }

    /// The model group that a model name of the client stands for.
    pub fn resolve<'a>(&'a self, model: &'a str) -> &'a str {
        let aliases = &self.key.settings.aliases;
        aliases.get(model).map_or(model, String::as_str)
    }

    /// Whether the key may call a model group.
    pub fn allows(&self, model_group: &str) -> bool {
        self.allows_any(&[model_group])
    }

    /// Whether the key may call a model that has several names, such as an alias and its model group:
    /// the key, its user and its team each have to allow one of them.
    pub fn allows_any(&self, names: &[&str]) -> bool {
        let owners = [self.user(), self.team()].into_iter().flatten();
        let mut owners = owners.map(|owner| &owner.settings.limits);
        let own = &self.key.settings.limits;
        (own.allows_any(names) || self.has_models_of_team())
            && owners.all(|limits| limits.allows_any(names))
    }

    /// Whether the team alone limits the models of the key.
    fn has_models_of_team(&self) -> bool {
        let models = &self.key.settings.limits.models;
        self.team().is_some() && models.iter().any(|model| model == ALL_TEAM_MODELS)
    }

    /// The budgets that a call with the key is charged to.
    pub fn charge(&self) -> Charge {
        let key = &self.key;
        let mut charge = Charge::default();
        if key.settings.limits.max_budget.is_some() {
            charge.add(BudgetId::key(&key.id), true);
        }
        for owner in [self.user(), self.team()].into_iter().flatten() {
            if owner.settings.limits.max_budget.is_some() {
                charge.add(BudgetId::owner(owner.kind, &owner.id), true);
            }
        }
        charge
    }
}
