//! The audit: what a stage did of each partition, counted beside the positions and compared with them.
//!
//! The counts are part of the positions, and so of the transaction that moves them ([`Counts`]). Three things are compared:
//! * where the counts lead, with where the group's commit is: at each assignment, and before each commit. Somebody else's hand on
//!   the commits is seen there, and records that were deleted before they were read;
//! * how many results the query gave, with how many records the client took: before each commit;
//! * how many rows a table holds, with how many were written ([`Table::holds`](crate::log::Table::holds)): from time to time.
//!
//! A commit without counts is one of an earlier release, or of somebody who has set it by hand: only those can tell who know
//! whether this group was counted before. So it is said when and why counting began, and the operator decides.

use std::time::Duration;

use headworks_plan::{CountsBegun, PartitionCounts, StageCounts, TableCounts};

use super::keyed_operator::again;
use super::start::Start;
use super::{Pipeline, StageOperator};
use crate::log::{Batch, Counts, Log, LogError, Origin, Partition, Position, Reader};

/// How often a table's rows are counted at most.
const HOLDS_EVERY: Duration = Duration::from_secs(20);
/// Counting a table's rows takes at most one part in so many of the time.
const HOLDS_SHARE: u32 = 100;
/// One whose rows can't be counted in this time is too large.
const HOLDS_LIMIT: Duration = Duration::from_secs(1);
/// It is tried again after this.
const HOLDS_AGAIN: Duration = Duration::from_secs(600);
/// What began within this time, in milliseconds, began together.
const TOGETHER_MS: i64 = 60_000;
/// Most partitions whose counts are shown.
const SHOWN: usize = 256;

/// What is known besides the counts of the partitions.
#[derive(Debug, Default)]
pub(super) struct Audit {
    /// How many records the open transaction was given, as the loop counts them.
    pub(super) given: u64,
    /// When the table's rows are counted next.
    holds_due: Option<Duration>,
    holds: Option<TableCounts>,
}

impl<L: Log> Pipeline<L> {
    /// True: it counts beside its positions. A Replay keeps counts of its own, and a stage with state compares the positions with
    /// those of its changelog.
    fn is_counting(&self) -> bool {
        self.log.reader() == Reader::Pipeline && !matches!(self.operator, StageOperator::Keyed(_))
    }

    /// Takes up the counts of the group's commits, or begins to count. True: that is to be committed.
    pub(super) fn take_up_counts(&mut self, start: &mut Start) -> Result<bool, LogError> {
        if !self.is_counting() {
            for (_, position) in &mut start.positions {
                position.counts = None;
            }
            return Ok(false);
        }
        let now_ms = self.log.wall_ms();
        let fresh = self.begins_the_group(start)?;
        let mut begun = false;
        for ((partition, position), (_, committed)) in
            start.positions.iter_mut().zip(&start.committed)
        {
            let origin = match committed {
                // What a table holds is compared with what was written.
                _ if self.stateless.writes_table() => Origin::Partition,
                Some(_) => Origin::Found,
                None if fresh => Origin::Group,
                None => Origin::Partition,
            };
            let Some((counts, committed)) = position.counts.as_mut().zip(*committed) else {
                position.counts = Some(Counts::begin(position.offset, now_ms, origin));
                begun = true;
                continue;
            };
            let expected = counts.next();
            let mut well = counts.settle(committed);
            if position.offset > committed {
                // A loss that a person has accepted.
                well &= counts.settle(position.offset);
            } else if position.offset < committed {
                counts.move_to(position.offset);
            }
            if !well {
                tracing::error!(
                    topic = self.topics.get(usize::from(partition.topic)),
                    partition = partition.number,
                    expected,
                    found = position.offset,
                    "the group's commit isn't where this pipeline left it"
                );
            }
        }
        Ok(begun)
    }

    /// True: no partition of the inputs has a commit, whoever owns it.
    fn begins_the_group(&mut self, start: &Start) -> Result<bool, LogError> {
        if start.positions.is_empty()
            || self.stateless.writes_table()
            || start.committed.iter().any(|(_, offset)| offset.is_some())
        {
            return Ok(false);
        }
        for topic in 0..self.topics.len() {
            let topic = u16::try_from(topic).unwrap_or(u16::MAX);
            let siblings = again(|| self.log.siblings(Partition { topic, number: 0 }))?;
            let commits = again(|| self.log.peek(&siblings))?;
            if commits.iter().any(Option::is_some) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// So many records of the batch go on from here.
    pub(super) fn count_read(&mut self) {
        let mut row = 0;
        while row < self.batch.len() {
            let (partition, _) = self.batch.place(row);
            let end = run_of(&self.batch, row, partition);
            if let Some(counts) = self.owned.counts(partition) {
                counts.read += (end - row) as u64;
            }
            row = end;
        }
    }

    /// Compares what the counts come to with what is about to be committed.
    pub(super) fn check_counts(&mut self) {
        if !self.is_counting() {
            return;
        }
        let (given, written) = (self.audit.given, self.log.written());
        let compared = matches!(self.operator, StageOperator::Stateless);
        let mut first = true;
        for assigned in self.owned.assigned_mut() {
            let Position { offset, counts, .. } = &mut assigned.position;
            let Some(counts) = counts else { continue };
            let mut well = counts.settle(*offset);
            if std::mem::take(&mut first) && compared {
                well &= counts.compare(given, written, *offset);
            }
            if !well {
                tracing::error!(
                    partition = assigned.partition.number,
                    given,
                    written,
                    "what was counted isn't what is committed: this is a fault of the engine, please tell us"
                );
            }
        }
    }

    /// Counts what the table holds, from time to time, and between transactions. One member does, that which owns the first
    /// partition.
    pub(super) fn look_at_table(&mut self) {
        let first = self.owned.assigned().first();
        let ours = first.is_some_and(|first| {
            first.partition
                == Partition {
                    topic: 0,
                    number: 0,
                }
        });
        if !ours || !self.stateless.writes_table() {
            self.audit.holds = None;
            return;
        }
        let now = self.log.now();
        let due = *self.audit.holds_due.get_or_insert(now + HOLDS_EVERY);
        if self.has_uncommitted() || self.rewind_owed || self.is_held() || now < due {
            return;
        }
        let holds = self.log.holds();
        let took = self.log.now().saturating_sub(now);
        self.audit.holds_due = Some(match holds {
            None if took > HOLDS_LIMIT => now + HOLDS_AGAIN,
            _ => now + HOLDS_EVERY.max(took * HOLDS_SHARE),
        });
        if let Some(holds) = holds {
            self.audit.holds = Some(TableCounts {
                rows: holds.rows,
                expected: holds.expected,
            });
        }
    }

    /// Keeps the status fresh.
    pub(super) fn tell_of_counts(&mut self) {
        if !self.is_counting() {
            return;
        }
        let mut all = StageCounts {
            topics: self.topics.clone(),
            table: self.audit.holds.clone(),
            ..StageCounts::default()
        };
        for assigned in self.owned.assigned() {
            let (partition, position) = (assigned.partition, assigned.position);
            let Some(counts) = position.counts else {
                continue;
            };
            let topic = self.topics.get(usize::from(partition.topic));
            let topic = topic.map_or("", String::as_str);
            add(&mut all, topic, partition.number, &position, &counts);
        }
        if let Some(begun) = &mut all.begun {
            let together = |counts: &Counts| {
                counts.origin != Origin::Partition && begun.at_ms - counts.began_ms <= TOGETHER_MS
            };
            let counts = self.owned.assigned().iter();
            let counts = counts.filter_map(|assigned| assigned.position.counts);
            begun.partitions = counts.filter(together).count() as u32;
        }
        self.status.set_counts(all);
    }
}

/// The row after the last one of those from `row` on that are of `partition`.
fn run_of(batch: &Batch, row: usize, partition: Partition) -> usize {
    let mut end = row + 1;
    while end < batch.len() && batch.place(end).0 == partition {
        end += 1;
    }
    end
}

/// Adds a partition's counts to those of the stage.
fn add(all: &mut StageCounts, topic: &str, number: i32, position: &Position, counts: &Counts) {
    let place = |offset: i64| format!("{topic}[{number}]@{offset}");
    all.owned += 1;
    let counted = counts.read.saturating_add(counts.gaps);
    all.position = all
        .position
        .saturating_add(position.offset.max(0).unsigned_abs());
    all.counted = all.counted.saturating_add(counted);
    for (sum, more) in [
        (&mut all.read, counts.read),
        (&mut all.dropped, counts.dropped),
        (&mut all.dead_letters, counts.dead_letters),
        (&mut all.written, counts.written),
        (&mut all.missing, counts.missing),
        (&mut all.extra, counts.extra),
    ] {
        *sum = sum.saturating_add(more);
    }
    if let (None, Some(at)) = (&all.place, counts.at) {
        all.place = Some(place(at));
    }
    all.began_ms = all.began_ms.max(Some(counts.began_ms));
    let fresh = match counts.origin {
        Origin::Partition => None,
        Origin::Group => Some(true),
        Origin::Found => Some(false),
    };
    let later = |begun: &CountsBegun| begun.at_ms < counts.began_ms;
    if let Some(fresh) = fresh
        && all.begun.as_ref().is_none_or(later)
    {
        all.begun = Some(CountsBegun {
            at_ms: counts.began_ms,
            fresh,
            partitions: 0,
            place: place(
                counts
                    .next()
                    .saturating_sub(i64::try_from(counted).unwrap_or(i64::MAX)),
            ),
        });
    }
    if all.partitions.len() < SHOWN {
        all.partitions.push(PartitionCounts {
            topic: topic.to_owned(),
            partition: number,
            position: position.offset,
            read: counts.read,
            dropped: counts.dropped,
            dead_letters: counts.dead_letters,
            written: counts.written,
            missing: counts.missing,
            extra: counts.extra,
        });
    }
}
