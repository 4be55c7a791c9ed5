//! Records of several topics, as they came: the one with the least Kafka timestamp first, whatever partition it is in.
//!
//! What two versions of a query make of records depends on their order, where rows can be late. So both are given the same one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::peek::{Event, Failure, Found, Span, Topic};

/// How long one look for the next record takes.
const TICK: Duration = Duration::from_millis(50);
/// A topic that has more to read and gives nothing for so long isn't waited for.
const SILENCE: Duration = Duration::from_secs(30);
/// Who is asked less often than this isn't waited for.
const ASKS: Duration = Duration::from_secs(1);
/// So much is held while a partition is waited for; beyond, the first of those that are there goes on.
const HELD_BYTES: usize = 64 << 20;

/// A topic that is read, and what of it.
pub(super) struct Part<T> {
    topic: T,
    spans: BTreeMap<i32, Span>,
    /// Read, and not given yet, by partition.
    held: BTreeMap<i32, VecDeque<Found>>,
    /// Partitions that have more to read.
    open: BTreeSet<i32>,
    heard: Instant,
    asked: Instant,
}

impl<T: Topic> Part<T> {
    /// Begins to read.
    ///
    /// # Errors
    /// What Kafka says.
    pub(super) fn begin(mut topic: T, spans: BTreeMap<i32, Span>) -> Result<Part<T>, Failure> {
        let from: BTreeMap<i32, i64> = spans
            .iter()
            .filter(|(_, span)| span.start < span.end)
            .map(|(partition, span)| (*partition, span.start))
            .collect();
        if !from.is_empty() {
            topic.read_from(&from)?;
        }
        Ok(Part {
            topic,
            spans,
            held: BTreeMap::new(),
            open: from.into_keys().collect(),
            heard: Instant::now(),
            asked: Instant::now(),
        })
    }

    /// True: a partition that has more to read has nothing here.
    fn is_waiting(&self) -> bool {
        let here = |partition: &i32| {
            self.held
                .get(partition)
                .is_some_and(|held| !held.is_empty())
        };
        !self.open.iter().all(here)
    }

    /// Takes what comes next; gives its size.
    fn read(&mut self) -> Result<usize, Failure> {
        let mut size = 0;
        // It wasn't silent while nobody asked.
        if self.asked.elapsed() > ASKS {
            self.heard = Instant::now();
        }
        let next = self.topic.next(TICK);
        self.asked = Instant::now();
        match next? {
            None if self.heard.elapsed() > SILENCE => return Err(self.topic.silent(SILENCE)),
            None => {}
            Some(Event::End(partition)) => {
                self.heard = Instant::now();
                self.close(partition)?;
            }
            Some(Event::Record(found)) => {
                self.heard = Instant::now();
                let (partition, offset) = (found.partition, found.offset);
                let end = self.spans.get(&partition).map_or(0, |span| span.end);
                if offset < end {
                    size = weight(&found);
                    self.held.entry(partition).or_default().push_back(found);
                }
                if offset.saturating_add(1) >= end {
                    self.close(partition)?;
                }
            }
        }
        Ok(size)
    }

    fn close(&mut self, partition: i32) -> Result<(), Failure> {
        if self.open.remove(&partition) {
            self.topic.leave(partition)?;
        }
        Ok(())
    }

    /// The least timestamp of what is here, and where it is.
    fn first(&self) -> Option<(i64, i32)> {
        let fronts = self.held.iter().filter_map(|(partition, held)| {
            let found = held.front()?;
            Some((found.timestamp.unwrap_or(i64::MIN), *partition))
        });
        fronts.min()
    }
}

fn weight(found: &Found) -> usize {
    let key = found.key.as_ref().map_or(0, Vec::len);
    let value = found.value.as_ref().map_or(0, Vec::len);
    key + value + size_of::<Found>()
}

/// Gives the records of all parts to `take`, with the part's number, until there are no more, or it answers false, or time is over.
/// True: all were given.
///
/// # Errors
/// What Kafka says, and what `take` does.
pub(super) fn merge<T: Topic>(
    parts: &mut [Part<T>],
    deadline: Instant,
    mut take: impl FnMut(usize, Found) -> Result<bool, Failure>,
) -> Result<bool, Failure> {
    let mut held = 0_usize;
    loop {
        if Instant::now() >= deadline {
            return Ok(false);
        }
        let is_full = held >= HELD_BYTES;
        let waiting = parts.iter().position(Part::is_waiting);
        if let Some(waiting) = waiting.filter(|_| !is_full) {
            held += parts[waiting].read()?;
            continue;
        }
        let fronts = parts.iter().enumerate().filter_map(|(number, part)| {
            part.first().map(|(at, partition)| (at, number, partition))
        });
        let Some((_, number, partition)) = fronts.min() else {
            return Ok(true);
        };
        let queue = parts[number].held.get_mut(&partition);
        let Some(found) = queue.and_then(VecDeque::pop_front) else {
            return Ok(true);
        };
        held = held.saturating_sub(weight(&found));
        if !take(number, found)? {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peek::select::memory::Memory;
    use crate::peek::spans;
    use headworks_plan::{PeekFrom, PeekSelection};

    fn part(topic: Memory, from: i64, until: i64) -> Part<Memory> {
        let mut topic = topic;
        let select = PeekSelection {
            from: Some(PeekFrom::Time(from)),
            until_ms: Some(until),
            ..PeekSelection::default()
        };
        let spans = spans(&mut topic, &select).unwrap();
        Part::begin(topic, spans).unwrap()
    }

    fn all(parts: &mut [Part<Memory>], most: usize) -> (Vec<(usize, String)>, bool) {
        let mut given = Vec::new();
        let deadline = Instant::now() + Duration::from_secs(60);
        let whole = merge(parts, deadline, |number, found| {
            let key = String::from_utf8(found.key.unwrap()).unwrap();
            given.push((number, key));
            Ok(given.len() < most)
        });
        (given, whole.unwrap())
    }

    #[test]
    fn records_come_by_their_time_over_topics_and_partitions() {
        let one = Memory::default()
            .with(0, &[(1, "before"), (10, "a"), (40, "d")])
            .with(1, &[(20, "b"), (50, "e"), (60, "after")]);
        let other = Memory::default().with(0, &[(30, "c"), (59, "f")]);
        let mut parts = [part(one, 10, 60), part(other, 10, 60)];
        let (given, whole) = all(&mut parts, usize::MAX);
        let text: String = given.iter().map(|(_, key)| key.as_str()).collect();
        assert_eq!(text, "abcdef");
        assert_eq!(given.iter().filter(|(number, _)| *number == 1).count(), 2);
        assert!(whole);
    }

    #[test]
    fn whoever_takes_no_more_is_given_no_more_and_an_empty_span_is_over_at_once() {
        let topic = || Memory::default().with(0, &[(1, "a"), (2, "b"), (3, "c")]);
        let (given, whole) = all(&mut [part(topic(), 1, 9)], 2);
        assert_eq!((given.len(), whole), (2, false));
        let (given, whole) = all(&mut [part(topic(), 10, 20)], 9);
        assert_eq!((given.len(), whole), (0, true));
    }

    #[test]
    fn markers_of_transactions_at_the_end_of_a_span_hold_nothing_up() {
        let mut topic = Memory::default().with(0, &[(1, "a"), (2, "b")]);
        topic.marker(0);
        let (given, whole) = all(&mut [part(topic, 1, 9)], 9);
        assert_eq!((given.len(), whole), (2, true));
    }
}
