//! A log that ends: a part of a topic, of which some records are selected. The loop above sees a log like any other.

use std::collections::BTreeMap;
use std::time::Duration;

use headworks_plan::ReplayFigures;

use super::Settings;
use super::note::{Counts, Note};
use super::pace::Pace;
use super::selection::{Selected, select};
use crate::log::{
    Batch, Bounds, Changelog, Event, Former, GroupConsumer, Limits, Log, LogError, Outgoing,
    Partition, Position, Reader, RecordHeaders, Refusal, Table, TableRows, Take, Transactions,
    has_no,
};
use crate::status::StatusHandle;

/// Longest wait while the pace lets nothing through: how late the next record may be for it.
const PACED_WAIT: Duration = Duration::from_millis(50);
/// What was passed over is committed so soon: that may be the last that there is to do.
const PASSED_WAIT: Duration = Duration::from_millis(500);

/// See the module. `L` is the member of the group.
pub(crate) struct ReplayLog<L> {
    inner: L,
    settings: Settings,
    status: StatusHandle,
    parts: BTreeMap<Partition, Part>,
    /// What the group's commits say was done, and what the open transaction adds.
    committed: Counts,
    pending: Counts,
    /// What was passed over and isn't told yet.
    passed: BTreeMap<Partition, Passed>,
    pace: Option<Pace>,
    held: Vec<Partition>,
}

/// The part of a partition that is replayed.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// Known once it is committed.
    start: Option<i64>,
    end: i64,
    /// The next offset, as the group's commit has it.
    position: Option<i64>,
    /// The next offset to be read.
    at: i64,
}

impl Part {
    fn is_done(&self) -> bool {
        self.position.is_some_and(|position| position >= self.end)
    }
}

/// Records that the loop doesn't see.
#[derive(Clone, Copy, Debug, Default)]
struct Passed {
    /// The offset after the last of them.
    next: i64,
    truncated: u64,
}

impl<L: Log> ReplayLog<L> {
    /// `inner` reads the topic that is replayed, as the only member of its group.
    pub(crate) fn new(inner: L, settings: Settings, status: StatusHandle) -> ReplayLog<L> {
        let now = inner.now();
        let pace = settings.records_per_second.map(|rate| Pace::new(rate, now));
        ReplayLog {
            inner,
            settings,
            status,
            parts: BTreeMap::new(),
            committed: Counts::default(),
            pending: Counts::default(),
            passed: BTreeMap::new(),
            pace,
            held: Vec::new(),
        }
    }

    /// Takes the bounds from the group's commits, or fixes them where there are none.
    fn fix(
        &mut self,
        partitions: &[Partition],
        positions: &[Option<Position>],
    ) -> Result<(), LogError> {
        let notes = self.inner.commit_metadata(partitions)?;
        let begun = positions.iter().any(Option::is_some);
        if self.settings.begun && !begun && !partitions.is_empty() {
            return Err(self.settings.lost());
        }
        let ends = if begun {
            // A partition that came later holds nothing that was there.
            vec![0; partitions.len()]
        } else {
            self.ends(partitions)?
        };
        let (mut parts, mut committed) = (BTreeMap::new(), Counts::default());
        let all = partitions.iter().zip(positions).zip(notes).zip(ends);
        for (((partition, position), note), end) in all {
            let part = match position {
                Some(position) => {
                    let note = note.as_deref().and_then(Note::read);
                    let note = note.filter(|note| note.id == self.settings.id);
                    let note = note.ok_or_else(|| self.settings.conflict())?;
                    committed = committed.plus(note.counts);
                    Part {
                        start: Some(note.start),
                        end: note.end,
                        position: Some(position.offset),
                        at: position.offset,
                    }
                }
                None => Part {
                    start: None,
                    end,
                    position: None,
                    at: 0,
                },
            };
            parts.insert(*partition, part);
        }
        self.parts = parts;
        self.committed = committed;
        self.forget();
        Ok(())
    }

    /// Where the partitions end now, or at the instant that the plan names.
    fn ends(&mut self, partitions: &[Partition]) -> Result<Vec<i64>, LogError> {
        let bounds = self.inner.bounds(partitions)?;
        let ends = bounds.iter().map(|bounds| bounds.end);
        Ok(match self.settings.end_ms {
            None => ends.collect(),
            Some(time) => {
                let at = self.inner.offsets_at(partitions, time)?;
                ends.zip(at).map(|(end, at)| end.min(at)).collect()
            }
        })
    }

    /// What isn't committed is read again.
    fn forget(&mut self) {
        self.pending = Counts::default();
        self.passed.clear();
    }

    /// Leaves in the batch what is to be replayed.
    fn select(&mut self, batch: &mut Batch, headers: &[RecordHeaders]) {
        let none = RecordHeaders::new();
        let mut row = 0;
        let ReplayLog {
            settings,
            parts,
            pending,
            passed,
            ..
        } = self;
        batch.retain(|partition, offset| {
            let headers = headers.get(row).unwrap_or(&none);
            row += 1;
            let Some(part) = parts.get_mut(&partition) else {
                return false;
            };
            let next = offset.saturating_add(1).min(part.end);
            part.at = part.at.max(next);
            let selected = match &settings.dead_letters {
                _ if offset >= part.end => Selected::No,
                None => Selected::Yes,
                Some(selection) => select(selection, headers),
            };
            if selected == Selected::Yes {
                pending.selected += 1;
                return true;
            }
            let passed = passed.entry(partition).or_default();
            passed.next = passed.next.max(next);
            passed.truncated += u64::from(selected == Selected::Truncated);
            false
        });
    }

    /// What the loop is to pass over.
    fn tell_passed(&mut self) -> Option<Event> {
        let mut all = Vec::new();
        for (partition, passed) in std::mem::take(&mut self.passed) {
            self.pending.truncated += passed.truncated;
            all.push((partition, passed.next));
        }
        (!all.is_empty()).then_some(Event::Passed(all))
    }

    /// Holds back what is read to its end, and everything while `all` is true.
    fn hold(&mut self, all: bool) {
        let read = |part: &Part| part.at >= part.end;
        let held = self.parts.iter().filter(|(_, part)| all || read(part));
        let held: Vec<Partition> = held.map(|(partition, _)| *partition).collect();
        if held != self.held {
            self.inner.hold_back(&held);
            self.held = held;
        }
    }

    /// What each partition's commit is to keep.
    fn notes(&self, positions: &[(Partition, Position)]) -> Vec<(Partition, String)> {
        let mut counts = Some(self.committed.plus(self.pending));
        let mut all = Vec::with_capacity(positions.len());
        for (partition, position) in positions {
            let part = self.parts.get(partition);
            let note = Note {
                id: self.settings.id.clone(),
                start: part.and_then(|part| part.start).unwrap_or(position.offset),
                end: part.map_or(0, |part| part.end),
                counts: counts.take().unwrap_or_default(),
            };
            all.push((*partition, note.write()));
        }
        all
    }

    /// Says how far it is.
    fn report(&self) {
        let (mut of, mut done) = (0, 0);
        for part in self.parts.values() {
            let (Some(start), Some(position)) = (part.start, part.position) else {
                continue;
            };
            of += part.end.saturating_sub(start).max(0).unsigned_abs();
            let to = position.min(part.end);
            done += to.saturating_sub(start).max(0).unsigned_abs();
        }
        let counts = self.committed;
        self.status.set_replay(ReplayFigures {
            id: self.settings.id.clone(),
            of,
            done,
            selected: counts.selected,
            replayed: counts.replayed,
            refused: counts.refused,
            truncated: counts.truncated,
            complete: !self.parts.is_empty() && self.parts.values().all(Part::is_done),
        });
    }
}

impl<L: Log> GroupConsumer for ReplayLog<L> {
    fn poll(
        &mut self,
        wait: Duration,
        limits: Limits,
        batch: &mut Batch,
    ) -> Result<Option<Event>, LogError> {
        let now = self.inner.now();
        let allowed = self.pace.as_mut().map(|pace| pace.at(now));
        let waits = allowed == Some(0);
        self.hold(waits);
        let rows = allowed.map_or(limits.rows, |allowed| limits.rows.min(allowed.max(1)));
        if self.settings.dead_letters.is_some() {
            batch.ask_for_headers();
        }
        let wait = if waits { wait.min(PACED_WAIT) } else { wait };
        let event = self.inner.poll(wait, Limits { rows, ..limits }, batch)?;
        let headers = batch.take_headers();
        self.select(batch, &headers);
        if let Some(pace) = &mut self.pace {
            pace.read(batch.len());
        }
        match event {
            None => Ok(self.tell_passed()),
            Some(Event::Passed(offsets)) => {
                for (partition, offset) in offsets {
                    let Some(part) = self.parts.get_mut(&partition) else {
                        continue;
                    };
                    let next = offset.min(part.end);
                    part.at = part.at.max(next);
                    let passed = self.passed.entry(partition).or_default();
                    passed.next = passed.next.max(next);
                }
                Ok(self.tell_passed())
            }
            event => Ok(event),
        }
    }

    fn committed(&mut self, partitions: &[Partition]) -> Result<Vec<Option<Position>>, LogError> {
        let positions = self.inner.committed(partitions)?;
        self.fix(partitions, &positions)?;
        self.report();
        Ok(positions)
    }

    fn peek(&mut self, partitions: &[Partition]) -> Result<Vec<Option<Position>>, LogError> {
        self.inner.peek(partitions)
    }

    fn siblings(&mut self, of: Partition) -> Result<Vec<Partition>, LogError> {
        self.inner.siblings(of)
    }

    /// Of a partition that is done nothing more is read, whatever it still holds.
    fn bounds(&mut self, partitions: &[Partition]) -> Result<Vec<Bounds>, LogError> {
        let mut all = self.inner.bounds(partitions)?;
        for (partition, bounds) in partitions.iter().zip(&mut all) {
            let part = self.parts.get(partition).filter(|part| part.is_done());
            if let Some(position) = part.and_then(|part| part.position) {
                bounds.earliest = bounds.earliest.min(position);
                bounds.end = bounds.end.max(position);
            }
        }
        Ok(all)
    }

    fn offsets_at(&mut self, partitions: &[Partition], time_ms: i64) -> Result<Vec<i64>, LogError> {
        self.inner.offsets_at(partitions, time_ms)
    }

    fn assign(&mut self, positions: &[(Partition, i64)]) -> Result<(), LogError> {
        self.forget();
        let mut left = Vec::with_capacity(positions.len());
        for (partition, offset) in positions {
            if let Some(part) = self.parts.get_mut(partition) {
                part.at = *offset;
                if *offset < part.end {
                    left.push((*partition, *offset));
                }
            }
        }
        self.held.clear();
        self.inner.assign(&left)
    }

    fn unassign(&mut self) -> Result<(), LogError> {
        self.forget();
        self.parts.clear();
        self.held.clear();
        self.inner.unassign()
    }

    /// What is held back here is decided here: a query without state holds nothing back.
    fn hold_back(&mut self, _: &[Partition]) {}

    fn end(&self, partition: Partition) -> Option<i64> {
        self.parts.get(&partition).map(|part| part.end)
    }

    fn reader(&self) -> Reader {
        Reader::Replay
    }

    fn passed_wait(&self) -> Option<Duration> {
        Some(PASSED_WAIT)
    }

    fn trouble(&self) -> Option<String> {
        self.inner.trouble()
    }

    fn now(&self) -> Duration {
        self.inner.now()
    }

    fn wall_ms(&self) -> i64 {
        self.inner.wall_ms()
    }
}

impl<L: Log> Transactions for ReplayLog<L> {
    fn begin(&mut self) -> Result<(), LogError> {
        self.inner.begin()
    }

    /// Only dead letters have headers.
    fn produce(&mut self, record: &Outgoing<'_>) -> Result<(), LogError> {
        self.inner.produce(record)?;
        if record.headers.is_empty() {
            self.pending.replayed += u64::from(!self.settings.gives);
        } else {
            self.pending.refused += 1;
        }
        Ok(())
    }

    fn commit(&mut self, positions: &[(Partition, Position)]) -> Result<(), LogError> {
        if self.settings.gives {
            let Counts {
                selected, refused, ..
            } = self.pending;
            self.pending.replayed = selected.saturating_sub(refused);
        }
        let notes = self.notes(positions);
        self.inner.set_commit_metadata(notes);
        self.inner.commit(positions)?;
        self.committed = self.committed.plus(self.pending);
        self.pending = Counts::default();
        for (partition, position) in positions {
            if let Some(part) = self.parts.get_mut(partition) {
                part.start = part.start.or(Some(position.offset));
                part.position = Some(position.offset);
            }
        }
        self.report();
        Ok(())
    }

    fn written(&self) -> u64 {
        self.inner.written()
    }

    fn abort(&mut self) -> Result<(), LogError> {
        self.forget();
        self.inner.abort()
    }

    /// A query without state keeps nothing here.
    fn set_commit_metadata(&mut self, _: Vec<(Partition, String)>) {}

    fn commit_metadata(
        &mut self,
        partitions: &[Partition],
    ) -> Result<Vec<Option<String>>, LogError> {
        self.inner.commit_metadata(partitions)
    }
}

impl<L: Log> Changelog for ReplayLog<L> {
    fn restore(&mut self, _: &str, _: i32, _: Take<'_>) -> Result<u64, LogError> {
        Err(has_no("changelog"))
    }

    /// What is read is everybody's.
    fn trim(&mut self, _: &[(Partition, i64)]) {}
}

impl<L: Log> Table for ReplayLog<L> {
    fn insert(&mut self, _: &TableRows, _: bool) -> Result<Vec<Refusal>, LogError> {
        Err(has_no("table"))
    }

    fn former(&self, _: Partition, _: i64) -> Former {
        Former::Nothing
    }

    fn mark_dead_lettered(&mut self, _: Partition, _: i64) {}
}
