//! What a router takes over from the one that it replaces.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::core::Core;
use crate::deployment::State;
use crate::group::Group;
use crate::queue::Queue;
use crate::{Deployment, PriceTable};

/// The state of the previous router that has not been taken over yet.
#[derive(Debug)]
pub(crate) struct Inheritance<'p> {
    previous: Option<&'p Core>,
    /// By id, in reverse order.
    states: HashMap<&'p str, Vec<&'p Arc<State>>>,
    pub(crate) next_index: u32,
}

impl<'p> Inheritance<'p> {
    pub(crate) fn new(previous: Option<&'p Core>) -> Self {
        let mut states: HashMap<_, Vec<_>> = HashMap::new();
        for state in previous.iter().flat_map(|core| core.states.iter().rev()) {
            let id = state.deployment.id.as_str();
            states.entry(id).or_default().push(state);
        }
        Self {
            previous,
            states,
            next_index: previous.map_or(0, |core| core.next_index),
        }
    }

    /// The groups of `deployments`, and the states of all in their order.
    pub(crate) fn groups(
        &mut self,
        deployments: Vec<Deployment>,
        prices: &PriceTable,
    ) -> (BTreeMap<String, Arc<Group>>, Vec<Arc<State>>) {
        let mut groups: BTreeMap<String, (Arc<Queue>, Vec<Arc<State>>)> = BTreeMap::new();
        let mut states = Vec::with_capacity(deployments.len());
        let mut names: HashMap<String, usize> = HashMap::new();
        for mut deployment in deployments {
            deployment.prices = deployment.prices_in(prices, None);
            let group = deployment.group.clone();
            let new = || (self.queue(&group), Vec::new());
            let (queue, members) = groups.entry(group.clone()).or_insert_with(new);
            let queue = Arc::clone(queue);
            let name = shared_name(&deployment);
            let number = names.entry(name.clone()).or_default();
            *number += 1;
            let key = format!("polyllm:deployment:{name}:{number}");
            let state = Arc::new(self.state(deployment, queue, key.into()));
            members.push(Arc::clone(&state));
            states.push(state);
        }
        let groups = groups.into_iter().map(|(name, (queue, members))| {
            let group = Group::new(name.clone(), queue, &members);
            (name, Arc::new(group))
        });
        (groups.collect(), states)
    }

    /// The queue of the previous group of this name, whose calls wait for the same deployments.
    fn queue(&self, group: &str) -> Arc<Queue> {
        let previous = self.previous.and_then(|core| core.names.group(group));
        previous.map_or_else(Arc::default, |group| Arc::clone(&group.queue))
    }

    fn state(&mut self, deployment: Deployment, queue: Arc<Queue>, key: Arc<str>) -> State {
        let candidates = self.states.get_mut(&*deployment.id);
        let same = candidates.and_then(|candidates| {
            let is_same = |state: &&Arc<State>| is_same(&state.deployment, &deployment);
            let place = candidates.iter().rposition(is_same)?;
            Some(candidates.remove(place))
        });
        if let Some(state) = same {
            return state.continued(deployment, queue, key);
        }
        let index = self.next_index;
        self.next_index += 1;
        State::new(deployment, index, queue, key)
    }
}

/// What identifies a deployment in a shared state, besides its number among those of the same name.
fn shared_name(deployment: &Deployment) -> String {
    let Deployment {
        group, id, model, ..
    } = deployment;
    [group.as_str(), id, model].join(":")
}

/// Whether what is known of one deployment holds for the other; they have the same id.
fn is_same(a: &Deployment, b: &Deployment) -> bool {
    let is_same_provider = Arc::ptr_eq(&a.provider, &b.provider)
        || (a.fingerprint.is_some()
            && a.fingerprint == b.fingerprint
            && a.provider.name() == b.provider.name());
    is_same_provider && a.group == b.group && a.model == b.model && a.limits == b.limits
}
