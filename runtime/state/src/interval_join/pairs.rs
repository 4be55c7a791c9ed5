//! Rows that come in, and the pairs that they make with those that are kept.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, TimestampMillisecondArray};
use headworks_sql::join::JoinKind;

use super::{IntervalJoins, RESULTS, Right};
use crate::codec::Rows;
use crate::error::{StateError, columns};
use crate::joined::{Pair, results};
use crate::mutant::Mutant;
use crate::timed_rows::buffer::{Entry, Place};

/// A pair that may be one, if the condition holds.
struct Candidate {
    pub pair: Pair,
    /// The places of both rows.
    places: [Place; 2],
}

/// A row that no row of the other side can come for any more.
struct Alone {
    pub right: Right,
    pub place: Place,
    pub row: Arc<[u8]>,
}

impl IntervalJoins {
    /// Brings rows in from the one that is given on, as long as what may be pairs of them isn't too much at once. Gives which
    /// row is next.
    pub(super) fn pair(&mut self, input: &Incoming<'_>, from: usize) -> Result<usize, StateError> {
        let (candidates, alone, next) = self.bring_in(input, from);
        let holding = self.holding(candidates)?;
        let mut paired: BTreeSet<(Right, Place)> = BTreeSet::new();
        for Candidate { pair, places } in holding {
            let mut first = false;
            for right in [true, false] {
                if !self.tracks(right) {
                    continue;
                }
                let place = places[usize::from(right)];
                let in_batch = place.1 >= input.first && paired.insert((right, place));
                // Where it isn't kept, all its pairs are here.
                first = self.matched(right, place).unwrap_or(in_batch);
            }
            match self.join.kind {
                // Whether the left row had none before was asked last.
                JoinKind::Semi if first => self.overlay.give(pair.of_left()),
                JoinKind::Semi | JoinKind::Anti => {}
                _ => self.overlay.give(pair),
            }
        }
        for Alone { right, place, row } in alone {
            if self.keeps(right) && !paired.contains(&(right, place)) {
                self.overlay.give(Pair::alone(right, row));
            }
        }
        Ok(next)
    }

    /// Brings rows in, in order, from the one that is given on, and gives what may be pairs, and which row is next: once there
    /// are many, they are to be looked at first.
    fn bring_in(
        &mut self,
        input: &Incoming<'_>,
        from: usize,
    ) -> (Vec<Candidate>, Vec<Alone>, usize) {
        let mut candidates = Vec::new();
        let mut alone = Vec::new();
        for row in from..input.keys.len() {
            if candidates.len() >= RESULTS {
                return (candidates, alone, row);
            }
            if input.over.get(row).copied().unwrap_or(false) {
                continue;
            }
            let right = input.sides.value(row);
            let place = (input.times.value(row), input.first + row as i64);
            let bytes: Arc<[u8]> = input.row(right, row).into();
            let key = input.keys.row(row);
            if self.broken == Some(Mutant::LateDropped) && place.0 <= self.cut {
                continue;
            }
            let lone = |row| Alone { right, place, row };
            if input.is_null(row) {
                // Null equals nothing, so the row has no partner.
                alone.push(lone(bytes));
                continue;
            }
            let partners = self.partners(right, place.0);
            let other = usize::from(!right);
            let committed = self.committed[other].of_key(key, partners);
            let added = self.overlay.added[other].of_key(key, partners);
            for (partner, entry) in committed.chain(added) {
                let (mine, theirs) = (Some(bytes.clone()), Some(entry.row.clone()));
                let (left, of_right) = if right {
                    (theirs, mine)
                } else {
                    (mine, theirs)
                };
                candidates.push(Candidate {
                    pair: Pair {
                        left,
                        right: of_right,
                    },
                    places: if right {
                        [partner, place]
                    } else {
                        [place, partner]
                    },
                });
            }
            if self.broken == Some(Mutant::PaddedEarly)
                && self.keeps(right)
                && !candidates
                    .iter()
                    .any(|c: &Candidate| c.places[usize::from(right)] == place)
            {
                self.overlay.give(Pair::alone(right, bytes.clone()));
            }
            if self.cut < partners.1 {
                let entry = Entry {
                    row: bytes,
                    marked: false,
                };
                self.overlay.added[usize::from(right)].insert(place, key, entry);
            } else {
                alone.push(lone(bytes));
            }
        }
        (candidates, alone, input.keys.len())
    }

    /// Of the candidates those of which the condition is true.
    fn holding(&self, candidates: Vec<Candidate>) -> Result<Vec<Candidate>, StateError> {
        let Some(condition) = &self.join.condition else {
            return Ok(candidates);
        };
        let mut holding = Vec::with_capacity(candidates.len());
        let mut rest = candidates.into_iter();
        loop {
            let chunk: Vec<Candidate> = rest.by_ref().take(RESULTS).collect();
            if chunk.is_empty() {
                return Ok(holding);
            }
            let pairs: Vec<&Pair> = chunk.iter().map(|candidate| &candidate.pair).collect();
            let holds = condition
                .evaluate(&self.results(&pairs)?)
                .map_err(columns)?;
            let chunk = chunk.into_iter().enumerate();
            let kept = chunk.filter(|(row, _)| holds.is_valid(*row) && holds.value(*row));
            holding.extend(kept.map(|(_, candidate)| candidate));
        }
    }

    /// True if it makes a difference whether a row of a side has made a pair.
    fn tracks(&self, right: Right) -> bool {
        self.keeps(right) || (self.join.kind == JoinKind::Semi && !right)
    }

    /// Notes that a row has made a pair. Gives whether it is its first; none, where the row isn't kept.
    fn matched(&mut self, right: Right, place: Place) -> Option<bool> {
        let side = usize::from(right);
        match self.committed[side].get(place) {
            Some(entry) => Some(!entry.marked && self.overlay.matched[side].insert(place)),
            None => self.overlay.added[side].mark(place),
        }
    }

    /// Pairs as a batch of results.
    pub(super) fn results(&self, pairs: &[&Pair]) -> Result<RecordBatch, StateError> {
        results(&self.layout, &self.codecs, pairs)
    }
}

/// A batch that comes in.
pub(super) struct Incoming<'a> {
    pub keys: Rows,
    pub key_columns: &'a [ArrayRef],
    pub sides: &'a BooleanArray,
    pub times: &'a TimestampMillisecondArray,
    /// The columns of each side, encoded: of every row, whichever side it is of.
    pub rows: [Rows; 2],
    /// The arrival number of the first row.
    pub first: i64,
    /// Of a window join: rows whose window is over.
    pub over: Vec<bool>,
}

impl Incoming<'_> {
    pub(super) fn row(&self, right: Right, row: usize) -> &[u8] {
        self.rows[usize::from(right)].row(row)
    }

    /// True if a column of the key is null.
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.key_columns.iter().any(|column| column.is_null(row))
    }
}
