//! Reading from starts to ends, each record once, and what of it is wanted.

use std::collections::BTreeMap;
use std::time::Instant;

use headworks_plan::{DeadLetterFilter, PeekFrom, PeekPlan, PeekPosition, PeekSelection};

use super::{Event, Failure, Found, SILENCE, TICK, Topic};
use crate::peek::dead_letter;

/// What is read of a partition.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// The first offset that is there.
    pub(crate) low: i64,
    /// Where reading begins.
    pub(crate) start: i64,
    /// Where it ends.
    pub(crate) end: i64,
    /// What comes later begins here.
    pub(crate) high: i64,
}

/// Which records are asked for.
#[derive(Clone, Copy, Debug)]
pub(in crate::peek) struct Wanted<'a> {
    pub(super) selection: &'a PeekSelection,
    /// Of dead letters: which ones.
    pub(super) filter: Option<&'a DeadLetterFilter>,
}

impl<'a> Wanted<'a> {
    /// Those of a plan.
    pub(in crate::peek) fn of(plan: &'a PeekPlan) -> Wanted<'a> {
        Wanted {
            selection: &plan.select,
            filter: plan.task.filter(),
        }
    }

    /// Those of a selection, whatever they are.
    pub(in crate::peek) fn all(selection: &'a PeekSelection) -> Wanted<'a> {
        Wanted {
            selection,
            filter: None,
        }
    }

    /// Those of a selection and a filter.
    #[cfg(test)]
    pub(in crate::peek) fn with(
        selection: &'a PeekSelection,
        filter: &'a DeadLetterFilter,
    ) -> Wanted<'a> {
        Wanted {
            selection,
            filter: Some(filter),
        }
    }

    pub(in crate::peek) fn selection(self) -> &'a PeekSelection {
        self.selection
    }

    pub(super) fn is_wanted(self, found: &Found) -> bool {
        let selection = self.selection;
        let since = match selection.from {
            Some(PeekFrom::Time(ms)) => Some(ms),
            _ => None,
        };
        let key = selection.key.as_ref().map(String::as_bytes);
        key.is_none_or(|key| found.key.as_deref() == Some(key))
            && found.timestamp.is_none_or(|at| {
                since.is_none_or(|since| at >= since)
                    && selection.until_ms.is_none_or(|until| at < until)
            })
            && self
                .filter
                .is_none_or(|filter| dead_letter::is_among(found, filter))
    }
}

/// What came of reading from starts to ends.
#[derive(Debug, Default)]
pub(in crate::peek) struct Scanned {
    pub(in crate::peek) read: u64,
    pub(in crate::peek) out_of_time: bool,
    /// A partition was left before its end, because it had given enough.
    pub(in crate::peek) unread: bool,
    /// Who takes records takes no more.
    pub(in crate::peek) stopped: bool,
    /// How far each partition was read.
    pub(in crate::peek) positions: Vec<PeekPosition>,
}

/// What is read, and for how long.
#[derive(Clone, Copy, Debug)]
pub(in crate::peek) struct Reading<'a> {
    /// Which records.
    pub(in crate::peek) wanted: Wanted<'a>,
    /// From where to where.
    pub(in crate::peek) spans: &'a BTreeMap<i32, Span>,
    /// So many of each partition at most.
    pub(in crate::peek) of_each: Option<u64>,
    /// Until when.
    pub(in crate::peek) deadline: Instant,
}

/// Reads, and gives what is wanted to `take`, which answers false once it takes no more: the record that it was given last
/// counts as not read.
///
/// # Errors
/// What Kafka refuses, and a Kafka that is silent.
pub(in crate::peek) fn scan(
    topic: &mut impl Topic,
    reading: Reading<'_>,
    mut take: impl FnMut(Found) -> bool,
) -> Result<Scanned, Failure> {
    let spans = reading.spans;
    let mut scanned = Scanned::default();
    let mut next: BTreeMap<i32, i64> = spans.iter().map(|(p, span)| (*p, span.start)).collect();
    let from: BTreeMap<i32, i64> = spans
        .iter()
        .filter(|(_, span)| span.start < span.end)
        .map(|(partition, span)| (*partition, span.start))
        .collect();
    // For each partition that isn't read to its end, how many of its records were wanted.
    let mut open: BTreeMap<i32, u64> = from.keys().map(|partition| (*partition, 0)).collect();
    if !open.is_empty() {
        topic.read_from(&from)?;
    }
    let mut heard = Instant::now();
    while !open.is_empty() {
        if Instant::now() >= reading.deadline {
            scanned.out_of_time = true;
            break;
        }
        let found = match topic.next(TICK)? {
            None if heard.elapsed() >= SILENCE => return Err(topic.silent(SILENCE)),
            None => continue,
            Some(Event::End(partition)) => {
                heard = Instant::now();
                open.remove(&partition);
                if let Some(span) = spans.get(&partition) {
                    next.insert(partition, span.end);
                }
                continue;
            }
            Some(Event::Record(found)) => found,
        };
        heard = Instant::now();
        let (partition, offset) = (found.partition, found.offset);
        let (Some(span), Some(wanted)) = (spans.get(&partition), open.get_mut(&partition)) else {
            continue;
        };
        let mut over = offset + 1 >= span.end;
        if offset < span.end {
            scanned.read += 1;
            if reading.wanted.is_wanted(&found) {
                if !take(found) {
                    scanned.stopped = true;
                    next.insert(partition, offset);
                    break;
                }
                *wanted += 1;
                if reading.of_each.is_some_and(|most| *wanted >= most) && !over {
                    over = true;
                    scanned.unread = true;
                }
            }
        }
        next.insert(partition, (offset + 1).min(span.end));
        if over {
            open.remove(&partition);
            topic.leave(partition)?;
        }
    }
    scanned.positions = next
        .into_iter()
        .map(|(partition, offset)| PeekPosition {
            partition,
            offset,
            end: spans.get(&partition).map(|span| span.end),
        })
        .collect();
    Ok(scanned)
}
