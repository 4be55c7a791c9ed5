//! What a query is planned against: the streams that it may read, and what numbers without room become.

use std::collections::BTreeMap;

use headworks_plan::{Contract, OnOverflow};

/// What becomes of a number that may be null and has more digits than its decimal type has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// It is NULL, as in Flink.
    #[default]
    Null,
    /// The row fails.
    Fail,
}

impl From<OnOverflow> for Overflow {
    fn from(said: OnOverflow) -> Overflow {
        match said {
            OnOverflow::SetNull => Overflow::Null,
            OnOverflow::DeadLetter => Overflow::Fail,
        }
    }
}

/// The streams that a query may name, with their contracts.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    streams: BTreeMap<String, Contract>,
    overflow: Overflow,
}

impl Catalog {
    /// A catalog without streams.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a stream, or replaces it.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, contract: Contract) -> Self {
        self.streams.insert(name.into(), contract);
        self
    }

    /// Says what becomes of a number with more digits than its decimal type has.
    #[must_use]
    pub fn on_overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    pub(crate) fn overflow(&self) -> Overflow {
        self.overflow
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Contract> {
        self.streams.get(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.streams.keys().map(String::as_str)
    }
}
