//! Limits of a template's memory and time, counted while it runs.

use alloc::string::String;
use core::cell::Cell;
use std::thread_local;

use minijinja::value::{ObjectRepr, Value, ValueKind};
use minijinja::{Error, ErrorKind, State};

use super::context::Fields;
use super::engine::RenderLimits;
use super::generator::Generator;
use super::namespace::Namespace;

/// The remaining bytes that the operations of one render may use: see [`RenderLimits::memory`].
///
/// An operation reserves before it works: [`allocate`](Self::allocate) for what it allocates, and
/// [`read`](Self::read) or [`walk`](Self::walk) for what it reads, of which eight bytes count as
/// one. This bounds both memory and time.
#[derive(Debug)]
pub(super) struct Budget {
    /// The remaining bytes.
    left: usize,
    /// The size limit of a single value, in bytes.
    largest: usize,
    /// The current nesting of filters that run filters.
    calls: usize,
}

impl Budget {
    /// Sets the limits of the next render on this thread. A render stays on its thread, and no
    /// template renders another one.
    pub(super) fn begin(limits: RenderLimits) {
        LIMITS.set(Some(limits));
    }

    /// The budget of the render.
    pub(super) fn of<'b>(state: &'b mut State<'_, '_>) -> &'b mut Self {
        state.get_or_insert_extension_with(|| {
            let limits = LIMITS.get().unwrap_or_default();
            Self {
                left: limits.memory,
                largest: limits.output,
                calls: 0,
            }
        })
    }

    /// Reserves bytes for a new value.
    pub(super) fn allocate(&mut self, bytes: usize) -> Result<(), Error> {
        if bytes > self.largest {
            return Err(exhausted("a value grew too large"));
        }
        self.spend(bytes)
    }

    /// Reserves bytes for a new list or mapping.
    pub(super) fn allocate_items(&mut self, count: usize) -> Result<(), Error> {
        self.allocate(count.saturating_mul(ITEM))
    }

    /// Reserves the time to read bytes.
    pub(super) fn read(&mut self, bytes: usize) -> Result<(), Error> {
        self.spend(bytes / 8 + 1)
    }

    /// Reserves the time to walk through a value.
    ///
    /// # Errors
    ///
    /// If the budget is used up, or the value is nested too deeply.
    pub(super) fn walk(&mut self, value: &Value) -> Result<Walked, Error> {
        let mut walked = Walked::default();
        self.walk_at(value, 0, &mut walked)?;
        Ok(walked)
    }

    /// Walks through a value, and returns the cost.
    pub(super) fn cost_of_walk(&mut self, value: &Value) -> Result<usize, Error> {
        let before = self.left;
        self.walk(value)?;
        Ok(self.used_since(before))
    }

    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), Error> {
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => {
                self.left = 0;
                Err(exhausted("the template uses too much memory or time"))
            }
        }
    }

    /// The length of the longest text that may still be created.
    pub(super) fn room(&self) -> usize {
        self.left.min(self.largest)
    }

    /// The bytes used since `before` bytes were left.
    fn used_since(&self, before: usize) -> usize {
        before - self.left
    }

    fn walk_at(&mut self, value: &Value, depth: usize, walked: &mut Walked) -> Result<(), Error> {
        walked.depth = walked.depth.max(depth);
        if depth > MAX_DEPTH {
            return Err(exhausted("a value is nested too deeply"));
        }
        let Some(object) = value.as_object() else {
            return self.read(NODE + value.as_bytes().map_or(0, <[u8]>::len));
        };
        self.read(NODE)?;
        if let Some(fields) = value.downcast_object_ref::<Fields>() {
            let walk_cost = fields.walk_cost();
            if depth + walk_cost.depth > MAX_DEPTH {
                return Err(exhausted("a value is nested too deeply"));
            }
            walked.depth = walked.depth.max(depth + walk_cost.depth);
            return self.spend(walk_cost.cost);
        }
        if let Some(generator) = value.downcast_object_ref::<Generator>() {
            for item in generator.items() {
                self.walk_at(&item, depth + 1, walked)?;
            }
            return Ok(());
        }
        if let Some(namespace) = value.downcast_object_ref::<Namespace>() {
            walked.has_state = true;
            for item in namespace.values() {
                self.walk_at(&item, depth + 1, walked)?;
            }
            return Ok(());
        }
        match object.repr() {
            ObjectRepr::Map => {
                walked.has_state |= is_loop(value);
                for (key, item) in object.try_iter_pairs().into_iter().flatten() {
                    self.walk_at(&key, depth + 1, walked)?;
                    self.walk_at(&item, depth + 1, walked)?;
                }
            }
            ObjectRepr::Seq | ObjectRepr::Iterable => {
                for item in object.try_iter().into_iter().flatten() {
                    self.walk_at(&item, depth + 1, walked)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Runs a filter that runs filters, possibly recursively.
    pub(super) fn nested<T>(
        state: &mut State<'_, '_>,
        run: impl FnOnce(&mut State<'_, '_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let budget = Self::of(state);
        budget.calls += 1;
        if budget.calls > MAX_CALLS {
            return Err(exhausted("filters are nested too deeply"));
        }
        let result = run(state);
        Self::of(state).calls -= 1;
        result
    }
}

/// The result of a walk through a value.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Walked {
    depth: usize,
    /// Whether it contains a namespace or a loop, which may change later.
    pub(super) has_state: bool,
}

/// The cost of a walk through a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct WalkCost {
    cost: usize,
    depth: usize,
}

impl WalkCost {
    pub(super) fn of<'v>(values: impl Iterator<Item = &'v Value>) -> Self {
        let mut budget = Budget {
            left: usize::MAX,
            largest: usize::MAX,
            calls: 0,
        };
        let mut walked = Walked::default();
        for value in values {
            if budget.walk_at(value, 1, &mut walked).is_err() {
                return Self {
                    cost: 0,
                    depth: MAX_DEPTH + 1,
                };
            }
        }
        Self {
            cost: budget.used_since(usize::MAX),
            depth: walked.depth,
        }
    }
}

/// The length of a text in bytes; 0 for any other value.
pub(super) fn text_len(value: &Value) -> usize {
    value.as_bytes().map_or(0, <[u8]>::len)
}

/// The number of items in a list or a mapping, or of bytes in a text.
pub(super) fn len(value: &Value) -> usize {
    match value.kind() {
        ValueKind::String => text_len(value),
        _ => match value.downcast_object_ref::<Generator>() {
            Some(generator) => generator.len(),
            None => value.len().unwrap_or(0),
        },
    }
}

/// A text under construction, which fails instead of exceeding its limit.
#[derive(Debug)]
pub(super) struct BoundedText {
    pub(super) out: String,
    limit: usize,
}

impl BoundedText {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            out: String::new(),
            limit,
        }
    }

    pub(super) fn push(&mut self, text: &str) -> Result<(), Error> {
        self.check(text.len())?;
        self.out.push_str(text);
        Ok(())
    }

    /// Appends what `write` makes of a text of this length. The result may be a few times as long;
    /// the limit is checked before and after.
    pub(super) fn write(
        &mut self,
        length: usize,
        write: impl FnOnce(&mut String),
    ) -> Result<(), Error> {
        self.check(length)?;
        write(&mut self.out);
        self.check(0)
    }

    fn check(&self, more: usize) -> Result<(), Error> {
        if self.out.len().saturating_add(more) > self.limit {
            return Err(exhausted("a value grew too large"));
        }
        Ok(())
    }
}

pub(super) fn exhausted(detail: &'static str) -> Error {
    Error::new(ErrorKind::OutOfFuel, detail)
}

/// Only loops have all of these.
fn is_loop(value: &Value) -> bool {
    ["depth0", "revindex0"].iter().all(|name| {
        let attribute = value.get_attr(name);
        attribute.is_ok_and(|attribute| !attribute.is_undefined())
    })
}

thread_local! {
    static LIMITS: Cell<Option<RenderLimits>> = const { Cell::new(None) };
}

/// The bytes of a list for each of its items.
pub(super) const ITEM: usize = size_of::<Value>();
/// The cost of inspecting a value, in bytes read.
const NODE: usize = 32;
/// The maximum nesting of values; JSON text has up to 128.
pub(super) const MAX_DEPTH: usize = 200;
/// The maximum nesting of filters that run filters, such as `map('map', 'map', …)`.
const MAX_CALLS: usize = 8;
