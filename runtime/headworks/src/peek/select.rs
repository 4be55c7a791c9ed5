//! Which records of a topic are shown: the first ones after a time or an offset, the newest, those of a key.
//!
//! Ends are taken once, at the beginning, so that a topic that is written all the time has one. What is kept until it is
//! printed is bounded in number and in bytes.

mod kept;
#[cfg(test)]
pub(crate) mod memory;
mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use headworks_plan::{PeekFrom, PeekSelection};

use super::{Failure, dead_letter};
use kept::{KEPT_BYTES, Kept};
pub(crate) use scan::Span;
pub(super) use scan::{Reading, Wanted, scan};

/// How long one look for the next record takes.
const TICK: Duration = Duration::from_millis(200);
/// A topic that has more to read and gives nothing for so long isn't waited for.
const SILENCE: Duration = Duration::from_secs(30);
/// The newest records are looked for so many offsets before the end, and then so many times as far: markers of
/// transactions, aborted and compacted records take offsets, too.
const TAIL: i64 = 64;
const FARTHER: i64 = 16;
/// So many partitions are named where it is said how to go on.
const NAMED: usize = 16;

/// A record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// Kafka's, in milliseconds since 1970 UTC.
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    /// Those of a dead letter; of no other record are they kept.
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

impl Found {
    /// When it came to be what it is, in milliseconds since 1970 UTC: of a dead letter when it was made one, since Kafka's
    /// timestamp may be that of the record that it was.
    pub(super) fn time(&self) -> Option<i64> {
        dead_letter::time(self).or(self.timestamp)
    }
}

/// What comes of reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A record.
    Record(Found),
    /// All that is committed in this partition was read.
    End(i32),
}

/// A topic as a committed reader sees it.
pub(crate) trait Topic {
    /// Its partitions.
    fn partitions(&mut self) -> Result<BTreeSet<i32>, Failure>;
    /// The first offset, and the one after the last that is committed.
    fn bounds(&mut self, partition: i32) -> Result<(i64, i64), Failure>;
    /// The first offsets whose records have this timestamp (milliseconds) or a later one; a partition without one is left out.
    fn at_time(
        &mut self,
        partitions: &BTreeSet<i32>,
        ms: i64,
    ) -> Result<BTreeMap<i32, i64>, Failure>;
    /// Reads these partitions from these offsets on, and no others.
    fn read_from(&mut self, offsets: &BTreeMap<i32, i64>) -> Result<(), Failure>;
    /// Reads this partition no more.
    fn leave(&mut self, partition: i32) -> Result<(), Failure>;
    /// The next that comes, if it comes in time.
    fn next(&mut self, patience: Duration) -> Result<Option<Event>, Failure>;
    /// Why nothing came.
    fn silent(&self, patience: Duration) -> Failure;
}

/// What became of a record that was to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It is shown.
    Shown,
    /// It isn't: all that may be shown in one peek was.
    Full,
    /// Nobody listens any more.
    Unheard,
}

/// Who is told.
pub(super) trait Out {
    /// Shows a record, if it may.
    fn record(&mut self, found: &Found) -> Sent;
    /// Something that the reader ought to know.
    fn note(&mut self, message: String);
}

/// How much it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Records that were shown.
    pub(super) records: u64,
    /// Records that were read.
    pub(super) read: u64,
    /// True: there are more of those that were asked for, or may be.
    pub(super) more: bool,
}

/// Shows the records that are selected; none where nobody listens any more.
///
/// # Errors
/// What Kafka refuses, and a Kafka that is silent.
pub(super) fn peek(
    topic: &mut impl Topic,
    wanted: Wanted<'_>,
    out: &mut impl Out,
) -> Result<Option<Counts>, Failure> {
    let selection = wanted.selection;
    let deadline = Instant::now() + Duration::from_secs(selection.seconds);
    let mut spans = spans(topic, selection)?;
    note_clamped(&spans, selection, out);
    let mut counts = Counts::default();
    let kept = loop {
        let mut kept = Kept::new(selection);
        let reading = Reading {
            wanted,
            spans: &spans,
            of_each: is_forward(selection).then_some(selection.limit),
            deadline,
        };
        let scanned = scan(topic, reading, |found| {
            kept.add(found);
            true
        })?;
        counts.read += scanned.read;
        let all = spans.values().all(|span| span.start <= span.low);
        counts.more = scanned.unread
            || scanned.out_of_time
            || kept.evicted
            || !(all || selection.from.is_some());
        if scanned.out_of_time {
            out.note(format!(
                "reading stopped after {} s, when {} records had been read and not all looked at: ask for less with --partition or --since, or give it longer with --timeout",
                selection.seconds, counts.read
            ));
            break kept;
        }
        if !is_tail(selection) || kept.is_full() || all {
            break kept;
        }
        for span in spans.values_mut() {
            let tail = (span.end - span.start).max(1);
            span.start = (span.end - tail.saturating_mul(FARTHER)).max(span.low);
        }
    };
    if kept.too_large {
        out.note(format!(
            "fewer are shown than asked for: more than {} MiB aren't held",
            KEPT_BYTES >> 20
        ));
    }
    let mut left = kept.records.values();
    while let Some(found) = left.next() {
        match out.record(found) {
            Sent::Shown => counts.records += 1,
            Sent::Full => {
                counts.more = true;
                out.note(how_to_go_on(&first_offsets(found, left)));
                return Ok(Some(counts));
            }
            Sent::Unheard => return Ok(None),
        }
    }
    if !selection.follow {
        return Ok(Some(counts));
    }
    let from = spans.iter().map(|(p, span)| (*p, span.high)).collect();
    follow(topic, wanted, from, deadline, counts, out)
}

/// The first offset of each partition among records that aren't shown.
fn first_offsets<'a>(
    found: &'a Found,
    later: impl Iterator<Item = &'a Found>,
) -> BTreeMap<i32, i64> {
    let mut first = BTreeMap::new();
    for found in std::iter::once(found).chain(later) {
        let offset = first.entry(found.partition).or_insert(found.offset);
        *offset = (*offset).min(found.offset);
    }
    first
}

/// What is said where no more may be shown.
fn how_to_go_on(next: &BTreeMap<i32, i64>) -> String {
    let place =
        |(partition, offset): (&i32, &i64)| format!("--partition {partition} --offset {offset}");
    let named: Vec<String> = next.iter().take(NAMED).map(place).collect();
    let others = match next.len().saturating_sub(NAMED) {
        0 => String::new(),
        n => format!("; so with {n} other partitions"),
    };
    format!(
        "no more is shown at once, since a pod's log would be cut; to go on: {}{others}",
        named.join("; ")
    )
}

/// Shows what comes, until the time is over.
fn follow(
    topic: &mut impl Topic,
    wanted: Wanted<'_>,
    mut next: BTreeMap<i32, i64>,
    deadline: Instant,
    mut counts: Counts,
    out: &mut impl Out,
) -> Result<Option<Counts>, Failure> {
    counts.more = false;
    topic.read_from(&next)?;
    while Instant::now() < deadline {
        let Some(Event::Record(found)) = topic.next(TICK)? else {
            continue;
        };
        counts.read += 1;
        next.insert(found.partition, found.offset);
        if wanted.is_wanted(&found) {
            match out.record(&found) {
                Sent::Shown => counts.records += 1,
                Sent::Full => {
                    counts.more = true;
                    out.note(how_to_go_on(&next));
                    return Ok(Some(counts));
                }
                Sent::Unheard => return Ok(None),
            }
        }
        next.insert(found.partition, found.offset + 1);
    }
    Ok(Some(counts))
}

/// True: the newest are asked for, wherever they begin.
fn is_tail(selection: &PeekSelection) -> bool {
    selection.from.is_none() && selection.key.is_none()
}

/// True: the first ones are asked for, and not the newest.
fn is_forward(selection: &PeekSelection) -> bool {
    selection.from.is_some() && !selection.follow
}

pub(crate) fn spans(
    topic: &mut impl Topic,
    selection: &PeekSelection,
) -> Result<BTreeMap<i32, Span>, Failure> {
    let there = topic.partitions()?;
    let partitions = chosen(&there, &selection.partitions)?;
    let begin = match selection.from {
        Some(PeekFrom::Time(ms)) => Some(topic.at_time(&partitions, ms)?),
        _ => None,
    };
    let until = match selection.until_ms {
        Some(ms) => Some(topic.at_time(&partitions, ms)?),
        None => None,
    };
    let tail = TAIL.saturating_add(i64::try_from(selection.limit).unwrap_or(i64::MAX));
    let mut spans = BTreeMap::new();
    for partition in partitions {
        let (low, high) = topic.bounds(partition)?;
        let of = |offsets: &BTreeMap<i32, i64>| offsets.get(&partition).copied().unwrap_or(high);
        let end = until.as_ref().map_or(high, of).clamp(low, high);
        let start = match (selection.from, &begin) {
            (Some(PeekFrom::Offset(offset)), _) => offset,
            (Some(PeekFrom::Time(_)), Some(begin)) => of(begin),
            _ if selection.key.is_some() => low,
            _ => end.saturating_sub(tail),
        };
        let span = Span {
            low,
            start: start.clamp(low, end),
            end,
            high,
        };
        spans.insert(partition, span);
    }
    Ok(spans)
}

fn chosen(there: &BTreeSet<i32>, asked: &[i32]) -> Result<BTreeSet<i32>, Failure> {
    if asked.is_empty() {
        return Ok(there.clone());
    }
    let asked: BTreeSet<i32> = asked.iter().copied().collect();
    match asked.iter().find(|partition| !there.contains(partition)) {
        None => Ok(asked),
        Some(missing) => Err(Failure::new(
            "PartitionNotFound",
            format!(
                "the topic has no partition {missing}: it has {}, numbered from 0",
                there.len()
            ),
        )),
    }
}

/// Says so where the offset that was asked for isn't there, of a partition that was named.
fn note_clamped(spans: &BTreeMap<i32, Span>, selection: &PeekSelection, out: &mut impl Out) {
    let (Some(PeekFrom::Offset(offset)), [partition]) = (selection.from, &selection.partitions[..])
    else {
        return;
    };
    let Some(span) = spans.get(partition) else {
        return;
    };
    if offset < span.low {
        out.note(format!(
            "partition {partition} begins at offset {}: what was before isn't kept any more",
            span.low
        ));
    } else if offset >= span.high {
        out.note(format!(
            "partition {partition} ends before offset {}",
            span.high
        ));
    }
}

#[cfg(test)]
mod tests;
