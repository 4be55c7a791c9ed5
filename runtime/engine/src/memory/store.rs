//! A database with one table, and everything that goes wrong with a real one: connections that are
//! refused, commits whose answer is lost (with and without an effect, which may also come much later),
//! rows that are refused, always or only today, and a process that dies in between.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use arrow::util::display::array_value_to_string;

use super::{MemoryBroker, Mutant};
use crate::log::{Holds, Position, Reason, TableRows};
use crate::store::{Move, Store, StoreError, UnfitRow};

/// How often things go wrong with a store, each in a thousand calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct StoreFaults {
    /// The connection is lost, or refused.
    pub down: u64,
    /// A commit's answer is lost.
    pub unknown_commit: u64,
    /// A row of [`MemoryDatabase::FICKLE`] is refused.
    pub fickle: u64,
    /// The process dies in a call.
    pub kill: u64,
    /// A call takes seconds.
    pub slow: u64,
    /// There is no room for rows.
    pub full: u64,
}

type Place = (String, i32);
/// Place, expected claim and offset (if any), new position.
type Moved = (Place, Option<(u64, i64)>, Position);

#[derive(Debug, Default)]
struct Content {
    rows: Vec<String>,
    /// Position and claim.
    offsets: BTreeMap<Place, (Position, u64)>,
    /// Commits that are still on their way.
    late: Vec<Transaction>,
    /// How often somebody looked and found other rows than were counted.
    unequal: u64,
}

#[derive(Clone, Debug, Default)]
struct Transaction {
    rows: Vec<String>,
    moves: Vec<Moved>,
}

/// A database that several processes share.
#[derive(Clone, Debug)]
pub struct MemoryDatabase {
    content: Rc<RefCell<Content>>,
    broker: MemoryBroker,
    faults: Rc<Cell<StoreFaults>>,
}

impl MemoryDatabase {
    /// Rows that end so are refused whenever they come: the first by a word about all that came with it, the second by its number.
    pub const REFUSED: [&'static str; 2] = ["=8", "=-10"];
    /// Rows that end so are refused now and then.
    pub const FICKLE: [&'static str; 2] = ["=6", "=0"];

    /// An empty database, with `broker`'s clock, chance and mutant.
    pub fn new(broker: &MemoryBroker, faults: StoreFaults) -> MemoryDatabase {
        MemoryDatabase {
            content: Rc::default(),
            broker: broker.clone(),
            faults: Rc::new(Cell::new(faults)),
        }
    }

    /// From now on this goes wrong, for every session.
    pub fn set_faults(&self, faults: StoreFaults) {
        self.faults.set(faults);
    }

    /// Nothing goes wrong any more, except for fickle rows. What is on its way arrives.
    pub fn calm(&self) {
        self.set_faults(StoreFaults {
            fickle: self.faults.get().fickle,
            ..StoreFaults::default()
        });
        self.arrive(1_000);
    }

    /// The rows that are committed.
    pub fn rows(&self) -> Vec<String> {
        self.content.borrow().rows.clone()
    }

    /// How far a partition was read.
    pub fn position(&self, topic: &str, partition: i32) -> Option<Position> {
        let content = self.content.borrow();
        let found = content.offsets.get(&(topic.to_owned(), partition));
        found.map(|(position, _)| *position)
    }

    /// What it holds beside what was counted.
    pub fn holds(&self) -> Holds {
        let content = self.content.borrow();
        let counts = content.offsets.values();
        let counts = counts.filter_map(|(position, _)| position.counts);
        Holds {
            rows: content.rows.len() as u64,
            expected: counts.map(|counts| counts.written).sum(),
        }
    }

    /// How often a session looked at what it holds, and found other rows than were counted.
    pub fn unequal(&self) -> u64 {
        self.content.borrow().unequal
    }

    /// Takes the last row away, or adds it once more: what somebody else's statement may do.
    #[cfg(test)]
    pub(crate) fn change_last_row(&self, delete: bool) {
        let mut content = self.content.borrow_mut();
        match content.rows.pop() {
            Some(last) if !delete => content.rows.extend([last.clone(), last]),
            _ => {}
        }
    }

    /// A session.
    pub fn open(&self) -> MemoryStore {
        MemoryStore {
            database: self.clone(),
            open: None,
            claims: BTreeMap::new(),
            dead: false,
        }
    }

    fn chance(&self, per_mille: u64) -> bool {
        self.broker.broker.borrow_mut().chance.once_in(per_mille)
    }

    fn arrive(&self, per_mille: u64) {
        let late = std::mem::take(&mut self.content.borrow_mut().late);
        for transaction in late {
            if self.chance(per_mille) {
                // Whether it may: its client will never hear.
                let _ = self.apply(transaction);
            } else {
                self.content.borrow_mut().late.push(transaction);
            }
        }
    }

    fn apply(&self, transaction: Transaction) -> Result<(), StoreError> {
        let mut content = self.content.borrow_mut();
        let unchecked = self.broker.mutant == Some(Mutant::OffsetsUnchecked);
        let unclaimed = self.broker.mutant == Some(Mutant::ClaimsUnchecked);
        let offset = |of: Option<(u64, i64)>| of.map(|(_, offset)| offset);
        for (place, expected, _) in &transaction.moves {
            let found = content.offsets.get(place);
            let found = found.map(|(position, claim)| (*claim, position.offset));
            let same = found == *expected || (unclaimed && offset(found) == offset(*expected));
            if !same && !unchecked {
                return Err(StoreError::Conflict {
                    message: format!("{place:?} is at {found:?}, not {expected:?}"),
                });
            }
        }
        content.rows.extend(transaction.rows);
        for (place, expected, position) in transaction.moves {
            let claim = expected.map_or(0, |(claim, _)| claim);
            content.offsets.insert(place, (position, claim));
        }
        Ok(())
    }
}

/// Rows as text: their values, with `=` between them.
pub fn lines(rows: &TableRows) -> Vec<String> {
    let line = |row: usize| -> Vec<String> {
        let columns = rows.columns().columns().iter();
        columns
            .map(|column| array_value_to_string(column, row).unwrap_or_default())
            .collect()
    };
    (0..rows.len()).map(|row| line(row).join("=")).collect()
}

/// One session with a [`MemoryDatabase`].
#[derive(Debug)]
pub struct MemoryStore {
    database: MemoryDatabase,
    open: Option<Vec<String>>,
    claims: BTreeMap<Place, u64>,
    dead: bool,
}

impl MemoryStore {
    fn call(&mut self) -> Result<(), StoreError> {
        let faults = self.database.faults.get();
        let slow = self.database.chance(faults.slow);
        self.database.broker.tick(if slow { 4_000 } else { 1 });
        self.database.arrive(100);
        if self.dead || self.database.chance(faults.kill) {
            self.dead = true;
            self.open = None;
            return Err(StoreError::Broken {
                message: "killed".to_owned(),
            });
        }
        if self.database.chance(faults.down) {
            self.open = None;
            return Err(StoreError::Held {
                reason: Reason::StoreUnavailable,
                message: "connection refused".to_owned(),
            });
        }
        Ok(())
    }

    fn take_open(&mut self) -> Result<Vec<String>, StoreError> {
        self.open.take().ok_or_else(|| StoreError::Broken {
            message: "no transaction is open".to_owned(),
        })
    }
}

impl Store for MemoryStore {
    fn claim(&mut self, partitions: &[(String, i32)]) -> Result<Vec<Option<Position>>, StoreError> {
        self.open = None;
        self.call()?;
        let mut content = self.database.content.borrow_mut();
        let mut found = Vec::new();
        for place in partitions {
            let offset = content.offsets.get_mut(place);
            found.push(offset.map(|(position, claim)| {
                *claim += 1;
                self.claims.insert(place.clone(), *claim);
                *position
            }));
        }
        Ok(found)
    }

    fn offsets(
        &mut self,
        partitions: &[(String, i32)],
    ) -> Result<Vec<Option<Position>>, StoreError> {
        self.open = None;
        self.call()?;
        let content = self.database.content.borrow();
        Ok(partitions
            .iter()
            .map(|place| content.offsets.get(place).map(|(position, _)| *position))
            .collect())
    }

    fn begin(&mut self) -> Result<(), StoreError> {
        self.call()?;
        self.open = Some(Vec::new());
        Ok(())
    }

    fn write(&mut self, rows: &TableRows) -> Result<(), StoreError> {
        self.call()?;
        let rows = lines(rows);
        let [_, unfit] = MemoryDatabase::REFUSED;
        let unfit = (0..rows.len()).filter(|row| rows[*row].ends_with(unfit));
        let unfit: Vec<UnfitRow> = unfit
            .map(|row| UnfitRow {
                row,
                message: "no such row".to_owned(),
            })
            .collect();
        if !unfit.is_empty() {
            return Err(StoreError::Unfit { rows: unfit });
        }
        let faults = self.database.faults.get();
        if self.database.chance(faults.full) {
            self.open = None;
            return Err(StoreError::Held {
                reason: Reason::StoreFull,
                message: "no space left on device".to_owned(),
            });
        }
        let mut open = self.take_open()?;
        for row in &rows {
            let ends = |ends: &&str| row.ends_with(*ends);
            let fickle =
                MemoryDatabase::FICKLE.iter().any(&ends) && self.database.chance(faults.fickle);
            if fickle || MemoryDatabase::REFUSED.iter().any(ends) {
                self.open = Some(open);
                return Err(StoreError::Refused {
                    message: "the row breaks a constraint".to_owned(),
                });
            }
        }
        open.extend(rows);
        self.open = Some(open);
        Ok(())
    }

    fn commit(&mut self, moves: &[Move<'_>]) -> Result<(), StoreError> {
        self.call()?;
        let of = |one: &Move<'_>| {
            let place = (one.topic.to_owned(), one.partition);
            let claim = self.claims.get(&place).copied().unwrap_or(0);
            let expected = one.expected.map(|offset| (claim, offset));
            (place, expected, one.position)
        };
        let moves = moves.iter().map(of).collect();
        let mut transaction = Transaction {
            rows: self.take_open()?,
            moves,
        };
        let lost = || StoreError::Unknown {
            message: "the connection was lost while committing".to_owned(),
        };
        if self
            .database
            .chance(self.database.faults.get().unknown_commit)
        {
            if self.database.chance(300) {
                return Err(lost());
            }
            if self.database.chance(500) {
                self.database.content.borrow_mut().late.push(transaction);
                return Err(lost());
            }
            let _ = self.database.apply(transaction);
            return Err(lost());
        }
        if self.database.broker.mutant == Some(Mutant::OffsetsApart) {
            let rows = std::mem::take(&mut transaction.rows);
            self.database.content.borrow_mut().rows.extend(rows);
            self.call()?;
        }
        self.database.apply(transaction)?;
        self.call().map_err(|error| match error {
            StoreError::Held { .. } => lost(),
            other => other,
        })
    }

    fn rollback(&mut self) {
        self.open = None;
    }

    fn holds(&mut self) -> Option<Holds> {
        self.open = None;
        self.call().ok()?;
        let holds = self.database.holds();
        let mut content = self.database.content.borrow_mut();
        content.unequal += u64::from(holds.rows != holds.expected);
        Some(holds)
    }
}
