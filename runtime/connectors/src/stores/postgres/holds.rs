//! What a table holds, beside what was written to it: `COUNT(*)` and the counts of all partitions in one statement, and so as of
//! one instant.
//!
//! Rows may have been there before, so the first look notes how many: as a row of `headworks_offsets` with the partition -1 and no
//! topic, which is none that anybody reads. What it says holds as long as the partitions' counts go on from those that it was made
//! of; new partitions have their counts from nothing on.

use headworks_engine::log::{Counts, Holds};
use tokio_postgres::{Client, Error};

use super::offsets::TABLE;
use super::quoted;

/// Longest time that the server may count, in milliseconds.
const LIMIT_MS: u32 = 900;
/// The partition of the row that holds the base.
const BASE: i32 = -1;

/// The statements, for one table.
#[derive(Debug)]
pub(super) struct HoldsStatements {
    count: String,
    note: String,
}

/// The counts of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counted {
    began_ms: i64,
    written: u64,
}

/// What the first look noted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Base {
    /// Rows that the counts don't explain.
    rows: i64,
    /// How many partitions were counted, and the sum of when counting began.
    partitions: usize,
    began: i64,
}

impl HoldsStatements {
    /// `table` is the table's name, quoted; the offsets are in `schema`.
    pub(super) fn new(schema: &str, table: &str) -> HoldsStatements {
        let offsets = format!("{}.{TABLE}", quoted(schema));
        HoldsStatements {
            count: format!(
                "SELECT (SELECT count(*) FROM {table}), o.partition, o.next_offset, o.first_start_ms, o.epoch, \
                 CASE WHEN o.counted_epoch = o.epoch THEN o.counts END FROM {offsets} AS o WHERE o.pipeline = $1"
            ),
            note: format!(
                "INSERT INTO {offsets} (pipeline, topic, partition, next_offset, first_start_ms, epoch) \
                 VALUES ($1, '', {BASE}, $2, $3, $4) ON CONFLICT (pipeline, topic, partition) \
                 DO UPDATE SET next_offset = EXCLUDED.next_offset, first_start_ms = EXCLUDED.first_start_ms, epoch = EXCLUDED.epoch"
            ),
        }
    }

    /// Looks. None: the rows can't be counted in time, or not all of them were counted when they were written.
    pub(super) async fn look(&self, client: &Client, group: &str) -> Result<Option<Holds>, Error> {
        let begin = format!("BEGIN READ WRITE; SET LOCAL statement_timeout = {LIMIT_MS}");
        client.batch_execute(&begin).await?;
        let answer = self.look_in_transaction(client, group).await;
        let end = if answer.is_ok() { "COMMIT" } else { "ROLLBACK" };
        client.batch_execute(end).await?;
        answer
    }

    async fn look_in_transaction(
        &self,
        client: &Client,
        group: &str,
    ) -> Result<Option<Holds>, Error> {
        let (mut held, mut base, mut all, mut whole) = (0, None, Vec::new(), true);
        for row in client.query(&self.count, &[&group]).await? {
            held = row.try_get(0)?;
            let partition: i32 = row.try_get(1)?;
            if partition == BASE {
                let partitions: i64 = row.try_get(4)?;
                base = Some(Base {
                    rows: row.try_get(2)?,
                    began: row.try_get::<_, Option<i64>>(3)?.unwrap_or_default(),
                    partitions: usize::try_from(partitions).unwrap_or_default(),
                });
                continue;
            }
            let text: Option<String> = row.try_get(5)?;
            match text.as_deref().and_then(Counts::of_text) {
                Some(counts) => all.push(Counted {
                    began_ms: counts.began_ms,
                    written: counts.written,
                }),
                None => whole = false,
            }
        }
        if !whole || all.is_empty() {
            return Ok(None);
        }
        let (holds, noted) = judge(held, base, all);
        if let Some(base) = noted {
            let partitions = i64::try_from(base.partitions).unwrap_or_default();
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 4] =
                [&group, &base.rows, &base.began, &partitions];
            client.execute(&self.note, &values).await?;
        }
        Ok(Some(holds))
    }
}

/// What a table of `held` rows should hold; and the base to be noted, where there is none that holds.
fn judge(held: i64, base: Option<Base>, mut all: Vec<Counted>) -> (Holds, Option<Base>) {
    let written = all
        .iter()
        .fold(0_u64, |sum, one| sum.saturating_add(one.written));
    let written = i64::try_from(written).unwrap_or(i64::MAX);
    all.sort_by_key(|one| one.began_ms);
    let sum = |of: &[Counted]| {
        of.iter()
            .fold(0_i64, |sum, one| sum.saturating_add(one.began_ms))
    };
    // Those that came later are counted from nothing on, and change nothing.
    let holds = |base: &Base| {
        all.get(..base.partitions)
            .is_some_and(|first| sum(first) == base.began)
    };
    let kept = base.filter(holds);
    let base = kept.unwrap_or_else(|| Base {
        rows: held.saturating_sub(written),
        partitions: all.len(),
        began: sum(&all),
    });
    let expected = base.rows.saturating_add(written);
    let holds = Holds {
        rows: held.max(0).unsigned_abs(),
        expected: expected.max(0).unsigned_abs(),
    };
    (holds, kept.is_none().then_some(base))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(all: &[(i64, u64)]) -> Vec<Counted> {
        let one = |(began_ms, written): &(i64, u64)| Counted {
            began_ms: *began_ms,
            written: *written,
        };
        all.iter().map(one).collect()
    }

    fn shown(holds: Holds) -> (u64, u64) {
        (holds.rows, holds.expected)
    }

    #[test]
    fn what_was_there_before_is_noted_once_and_what_changes_afterwards_is_seen() {
        let (first, base) = judge(107, None, counted(&[(50, 4), (60, 3)]));
        assert_eq!(shown(first), (107, 107));
        assert_eq!(base.map(|base| base.rows), Some(100));
        let later = |held, all: &[(i64, u64)]| {
            let (holds, noted) = judge(held, base, counted(all));
            (shown(holds), noted)
        };
        assert_eq!(later(120, &[(50, 14), (60, 6)]), ((120, 120), None));
        assert_eq!(
            later(119, &[(60, 6), (50, 14)]),
            ((119, 120), None),
            "a row is gone"
        );
        assert_eq!(
            later(121, &[(50, 14), (60, 6)]),
            ((121, 120), None),
            "one too many"
        );
        assert_eq!(
            later(125, &[(50, 14), (60, 6), (90, 5)]),
            ((125, 125), None),
            "a new partition"
        );
    }

    #[test]
    fn counts_that_begin_anew_need_a_new_base() {
        let base = Some(Base {
            rows: 0,
            partitions: 2,
            began: 110,
        });
        // An older pod wrote in between, and its partition is counted from a later time on.
        let (holds, noted) = judge(120, base, counted(&[(50, 14), (500, 1)]));
        assert_eq!(shown(holds), (120, 120));
        assert_eq!(noted.map(|base| base.rows), Some(105));
        // One of its rows is gone: fewer partitions than before.
        assert!(judge(120, base, counted(&[(50, 14)])).1.is_some());
        // Nor do numbers that somebody made up overflow.
        judge(
            i64::MIN,
            base,
            counted(&[(i64::MAX, u64::MAX), (i64::MAX, u64::MAX)]),
        );
    }
}
