//! The stored predictions, and the warm models.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::clock::later;
use crate::options::Timing;
use crate::replicate::counts::PredictionCounts;
use crate::replicate::prediction::Prediction;

#[derive(Debug)]
pub(crate) struct Store {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Oldest first.
    order: VecDeque<Arc<Prediction>>,
    by_id: HashMap<String, Arc<Prediction>>,
    by_stream: HashMap<String, Arc<Prediction>>,
    /// The number of those that were forgotten.
    forgotten: PredictionCounts,
    /// The time from which a model, version or deployment is warm.
    warm: HashMap<String, Instant>,
}

impl Store {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            state: Mutex::default(),
        }
    }

    /// Stores a prediction and forgets the oldest finished one if there are too many; fails if all
    /// of them are still running.
    pub(crate) fn add(&self, prediction: Arc<Prediction>) -> Result<(), Full> {
        let mut state = self.state();
        if state.order.len() >= self.capacity {
            let done = |one: &Arc<Prediction>| one.now().status.is_terminal();
            let oldest = state.order.iter().position(done).ok_or(Full)?;
            if let Some(old) = state.order.remove(oldest) {
                state.forgotten.add(&old);
                state.by_id.remove(&old.id);
                if let Some(stream) = &old.stream {
                    state.by_stream.remove(&stream.token);
                }
            }
        }
        state
            .by_id
            .insert(prediction.id.clone(), Arc::clone(&prediction));
        if let Some(stream) = &prediction.stream {
            state
                .by_stream
                .insert(stream.token.clone(), Arc::clone(&prediction));
        }
        state.order.push_back(prediction);
        Ok(())
    }

    pub(crate) fn find(&self, id: &str) -> Option<Arc<Prediction>> {
        self.state().by_id.get(id).cloned()
    }

    pub(crate) fn find_stream(&self, token: &str) -> Option<Arc<Prediction>> {
        self.state().by_stream.get(token).cloned()
    }

    /// Oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Prediction>> {
        self.state().order.iter().cloned().collect()
    }

    /// The counts of all predictions, including the forgotten ones.
    pub(crate) fn counts(&self) -> PredictionCounts {
        let state = self.state();
        let mut counts = state.forgotten;
        for prediction in &state.order {
            counts.add(prediction);
        }
        counts
    }

    /// The start of a prediction that is created now: the first one boots the model, and those
    /// created meanwhile wait for the same boot.
    pub(crate) fn start_of(&self, what: &str, now: Instant, timing: &Timing) -> Instant {
        let mut state = self.state();
        let queued = later(now, timing.queue);
        match state.warm.get(what) {
            Some(warm) => queued.max(*warm),
            None => {
                let warm = later(now, timing.boot);
                // Forgetting which models are warm costs a boot; unlimited growth would cost more.
                if state.warm.len() >= MAX_WARM {
                    state.warm.clear();
                }
                state.warm.insert(what.to_owned(), warm);
                queued.max(warm)
            }
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every stored prediction is still running.
#[derive(Debug)]
pub(crate) struct Full;

const MAX_WARM: usize = 10_000;
