//! Jinja's `namespace`: variables that a loop may set.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use std::sync::{Mutex, MutexGuard, PoisonError};

use minijinja::value::{Enumerator, Kwargs, Object, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::budget::Budget;
use super::methods::invalid;

/// Unlike minijinja's, it cannot contain another namespace, and so never itself: a reference cycle
/// would never be freed.
#[derive(Debug, Default)]
pub(super) struct Namespace(Mutex<BTreeMap<String, Value>>);

impl Namespace {
    /// The function `namespace`: a mapping, keyword arguments, or both.
    pub(super) fn create(
        state: &mut State<'_, '_>,
        of: Option<Value>,
        kwargs: Kwargs,
    ) -> Result<Value, Error> {
        let namespace = Self::default();
        if let Some(of) = of {
            if of.kind() != ValueKind::Map {
                return Err(invalid("`namespace` takes a mapping or keyword arguments"));
            }
            for key in of.try_iter()?.checked() {
                let key = key?;
                if let Some(name) = key.as_str() {
                    namespace.set(state, name, of.get_item(&key)?)?;
                }
            }
        }
        for name in kwargs.args() {
            namespace.set(state, name, kwargs.peek(name)?)?;
        }
        Ok(Value::from_object(namespace))
    }

    pub(super) fn set(
        &self,
        state: &mut State<'_, '_>,
        name: &str,
        value: Value,
    ) -> Result<(), Error> {
        if value.as_object().is_some() && Budget::of(state).walk(&value)?.has_state {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "a namespace cannot contain a namespace or a loop",
            ));
        }
        let mut values = self.lock();
        match values.get_mut(name) {
            Some(known) => *known = value,
            None => _ = values.insert(name.into(), value),
        }
        Ok(())
    }

    pub(super) fn values(&self) -> Vec<Value> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Value>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Object for Namespace {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        self.lock().get(key).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = self
            .lock()
            .keys()
            .map(|name| Value::from(&**name))
            .collect();
        Enumerator::Values(names)
    }
}
