//! Rows that a store refuses for what they hold: those that it names are left out, and where it names none, which of a batch they
//! are is found by halving.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{StoreError, UnfitRow};
use crate::log::{LogError, Reason, Refusal, TableRows};

/// Longest search within one batch.
const SEARCH: Duration = Duration::from_secs(15);

/// Writes rows all or none.
type Write<'a> = &'a mut dyn FnMut(&TableRows) -> Result<(), StoreError>;

/// Writes rows, but for those of records that the store refuses; gives these, in order. `first_only`: nothing after the first of
/// them is written, and it alone is given.
pub(super) fn insert(
    rows: &TableRows,
    first_only: bool,
    write: Write<'_>,
    now: &dyn Fn() -> Duration,
) -> Result<Vec<Refusal>, StoreError> {
    let mut search = Search {
        first_only,
        write,
        now,
        deadline: now() + SEARCH,
        refusals: BTreeMap::new(),
    };
    search.run(rows.clone())?;
    let most = if first_only { 1 } else { usize::MAX };
    let refusals = search.refusals.into_iter().take(most);
    Ok(refusals
        .map(|(record, message)| Refusal {
            record: record as usize,
            message,
        })
        .collect())
}

struct Search<'a> {
    first_only: bool,
    write: Write<'a>,
    now: &'a dyn Fn() -> Duration,
    deadline: Duration,
    /// By record.
    refusals: BTreeMap<u32, String>,
}

impl Search<'_> {
    fn run(&mut self, mut rows: TableRows) -> Result<(), StoreError> {
        loop {
            let (Some(first), Some(last)) = (rows.records().first(), rows.records().last()) else {
                return Ok(());
            };
            if (self.now)() > self.deadline {
                return Err(StoreError::Held {
                    reason: Reason::StoreUnavailable,
                    message: format!(
                        "the store was still busy with one batch of rows after {} s; it is written again in smaller ones",
                        SEARCH.as_secs()
                    ),
                });
            }
            match (self.write)(&rows) {
                Err(StoreError::Unfit { rows: unfit }) => rows = self.without(&rows, unfit)?,
                Err(StoreError::Refused { message }) if first == last => {
                    self.refusals.insert(*first, message);
                    return Ok(());
                }
                Err(StoreError::Refused { .. }) => return self.halves(&rows),
                other => return other,
            }
        }
    }

    fn halves(&mut self, rows: &TableRows) -> Result<(), StoreError> {
        let records = rows.records();
        // A record goes in whole or not at all, so its rows stay together.
        let middle = records[records.len() / 2];
        let mut at = records.partition_point(|record| *record < middle);
        if at == 0 {
            at = records.partition_point(|record| *record <= middle);
        }
        self.run(rows.slice(0, at))?;
        if self.first_only && self.refusals.range(..records[at]).next().is_some() {
            return Ok(());
        }
        self.run(rows.slice(at, rows.len() - at))
    }

    /// The rows that are left where the store named some.
    fn without(&mut self, rows: &TableRows, unfit: Vec<UnfitRow>) -> Result<TableRows, StoreError> {
        let mut refused = BTreeMap::new();
        for UnfitRow { row, message } in unfit {
            if let Some(record) = rows.records().get(row) {
                refused.entry(*record).or_insert(message);
            }
        }
        let Some((first, _)) = refused.first_key_value() else {
            return Err(StoreError::Broken {
                message: "the store refuses rows that it wasn't given".to_owned(),
            });
        };
        let left = if self.first_only {
            let at = rows.records().partition_point(|record| record < first);
            Ok(rows.slice(0, at))
        } else {
            rows.filter(|record| !refused.contains_key(&record))
        };
        self.refusals.append(&mut refused);
        left.map_err(|error| StoreError::Broken {
            message: error.to_string(),
        })
    }
}

/// What a store's error means for the loop.
pub(super) fn said(error: StoreError) -> LogError {
    match error {
        StoreError::Refused { message } | StoreError::Broken { message } => {
            LogError::Broken { message }
        }
        StoreError::Unfit { rows } => LogError::Broken {
            message: rows
                .into_iter()
                .next()
                .map_or_else(String::new, |unfit| unfit.message),
        },
        StoreError::Conflict { message } | StoreError::Unknown { message } => {
            LogError::Abortable { message }
        }
        StoreError::Held { reason, message } => LogError::Held { reason, message },
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use arrow::array::{AsArray, Int64Array, RecordBatch};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};

    use super::*;
    use crate::memory::Chance;

    /// What a row holds: whether the store names it, or refuses it and says no more.
    const FITS: i64 = 0;
    const NAMED: i64 = 1;
    const REFUSED: i64 = 2;

    fn rows(kinds: &[i64], records: &[u32]) -> TableRows {
        let schema = Schema::new(vec![Field::new("kind", DataType::Int64, false)]);
        let column = Arc::new(Int64Array::from(kinds.to_vec()));
        let columns = RecordBatch::try_new(Arc::new(schema), vec![column]).unwrap();
        TableRows::new(columns, records.to_vec()).unwrap()
    }

    /// A store that knows unfit rows, all or only the first, before it is asked to take any.
    struct Store {
        names_all: bool,
        written: Vec<u32>,
    }

    impl Store {
        fn write(&mut self, rows: &TableRows) -> Result<(), StoreError> {
            let column = rows.columns().column(0).as_primitive::<Int64Type>();
            let kinds = column.values();
            let most = if self.names_all { usize::MAX } else { 1 };
            let named = (0..rows.len())
                .filter(|row| kinds[*row] == NAMED)
                .take(most);
            let unfit: Vec<UnfitRow> = named
                .map(|row| UnfitRow {
                    row,
                    message: "named".to_owned(),
                })
                .collect();
            if !unfit.is_empty() {
                return Err(StoreError::Unfit { rows: unfit });
            }
            if kinds.contains(&REFUSED) {
                return Err(StoreError::Refused {
                    message: "refused".to_owned(),
                });
            }
            self.written.extend(rows.records());
            Ok(())
        }
    }

    fn run(
        rows: &TableRows,
        first_only: bool,
        names_all: bool,
    ) -> (Vec<u32>, Vec<(usize, String)>) {
        let mut store = Store {
            names_all,
            written: Vec::new(),
        };
        let refusals = insert(rows, first_only, &mut |rows| store.write(rows), &|| {
            Duration::ZERO
        });
        let refusals = refusals.unwrap().into_iter();
        let refusals = refusals.map(|refusal| (refusal.record, refusal.message));
        (store.written, refusals.collect())
    }

    #[test]
    fn rows_that_the_store_names_and_rows_that_are_found_are_refused_with_all_of_their_record() {
        let mut chance = Chance::new(11);
        for _ in 0..2_000 {
            let (mut kinds, mut records, mut record) = (Vec::new(), Vec::new(), 0);
            for _ in 0..chance.below(12) {
                record += 1 + chance.below(3) as u32;
                for _ in 0..=chance.below(3) {
                    records.push(record);
                    kinds.push(match chance.below(8) {
                        0 => NAMED,
                        1 => REFUSED,
                        _ => FITS,
                    });
                }
            }
            let kinds_of = |record: u32| {
                let of = records
                    .iter()
                    .zip(&kinds)
                    .filter(move |(of, _)| **of == record);
                of.map(|(_, kind)| *kind)
            };
            let is_bad = |record: u32| kinds_of(record).any(|kind| kind != FITS);
            let rows = rows(&kinds, &records);
            for names_all in [true, false] {
                let (written, refusals) = run(&rows, false, names_all);
                let fit: Vec<u32> = records.iter().copied().filter(|r| !is_bad(*r)).collect();
                let mut bad: Vec<usize> = records
                    .iter()
                    .filter(|record| is_bad(**record))
                    .map(|record| *record as usize)
                    .collect();
                bad.dedup();
                let mut found = written;
                found.sort_unstable();
                assert_eq!(found, fit, "{kinds:?} {records:?}");
                let refused: Vec<usize> = refusals.iter().map(|(record, _)| *record).collect();
                assert_eq!(refused, bad, "{kinds:?} {records:?}");
                for (record, message) in refusals {
                    let named = kinds_of(record as u32).any(|kind| kind == NAMED);
                    assert_eq!(message == "named", named, "{kinds:?} {records:?}");
                }

                let (written, refusals) = run(&rows, true, names_all);
                let first = bad.first().copied();
                let before: Vec<u32> = records
                    .iter()
                    .copied()
                    .filter(|record| first.is_none_or(|first| (*record as usize) < first))
                    .collect();
                assert_eq!(written, before, "{kinds:?} {records:?}");
                let refused: Vec<usize> = refusals.iter().map(|(record, _)| *record).collect();
                assert_eq!(refused, Vec::from_iter(first), "{kinds:?} {records:?}");
            }
        }
    }

    #[test]
    fn a_search_that_takes_too_long_is_given_up_and_one_over_nothing_is_none() {
        let rows = rows(&[REFUSED; 64], &(0..64).collect::<Vec<_>>());
        let clock = Cell::new(0);
        let now = || {
            clock.set(clock.get() + 1);
            Duration::from_secs(clock.get())
        };
        let refuse = |_: &TableRows| -> Result<(), StoreError> {
            Err(StoreError::Refused {
                message: String::new(),
            })
        };
        let answer = insert(&rows, false, &mut { refuse }, &now);
        assert!(matches!(
            answer,
            Err(StoreError::Held {
                reason: Reason::StoreUnavailable,
                ..
            })
        ));
        let none = insert(&rows.slice(0, 0), false, &mut { refuse }, &|| {
            Duration::ZERO
        });
        assert_eq!(none, Ok(Vec::new()));
    }

    #[test]
    fn a_store_that_refuses_rows_it_was_not_given_is_of_no_use() {
        let unfit = |_: &TableRows| -> Result<(), StoreError> {
            let row = UnfitRow {
                row: 7,
                message: String::new(),
            };
            Err(StoreError::Unfit { rows: vec![row] })
        };
        let answer = insert(&rows(&[FITS], &[0]), false, &mut { unfit }, &|| {
            Duration::ZERO
        });
        assert!(
            matches!(answer, Err(StoreError::Broken { .. })),
            "{answer:?}"
        );
    }
}
