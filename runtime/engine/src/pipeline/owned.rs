//! The partitions this member owns, and how far it has read each.

use std::time::Duration;

use headworks_plan::PartitionFigure;
use headworks_sql::keyed::Window;

use crate::keyed::exchange_writer::RowSource;
use crate::log::{Batch, Log, Partition, Position};

/// Owned partitions in order.
#[derive(Debug, Default)]
pub(super) struct Owned {
    slots: Vec<Slot>,
    last: usize,
}

/// An owned partition.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) partition: Partition,
    pub(super) position: Position,
    /// Since when nothing is left to be read, as far as is known.
    pub(super) at_end_since: Option<Duration>,
    /// It was idle, and its event time is still behind the others', who didn't wait for it.
    behind: bool,
}

/// True if the last window of a row of this time may end 1 ms after it.
fn may_end_after(window: Option<Window>, time: i64) -> bool {
    let (width, offset) = match window {
        None => return false,
        Some(Window::Session { gap }) => return gap <= 1,
        Some(Window::Tumble { size, offset }) => (size, offset),
        Some(Window::Hop { slide, offset, .. }) => (slide, offset),
        Some(Window::Cumulate { step, offset, .. }) => (step, offset),
    };
    let end = time.saturating_add(1).saturating_sub(offset);
    width > 0 && end.rem_euclid(width) == 0
}

impl Slot {
    /// The partition's watermark, if records come up to `disorder_ms` out of order.
    pub(super) fn watermark(&self, disorder_ms: i64) -> Option<i64> {
        self.position
            .clock
            .event_time_ms
            .map(|time| time.saturating_sub(disorder_ms))
    }
}

impl Owned {
    pub(super) fn new(positions: &[(Partition, Position)]) -> Owned {
        let mut slots: Vec<Slot> = positions
            .iter()
            .map(|(partition, position)| Slot {
                partition: *partition,
                position: *position,
                at_end_since: None,
                behind: false,
            })
            .collect();
        slots.sort_by_key(|slot| slot.partition);
        Owned { slots, last: 0 }
    }

    pub(super) fn partitions(&self) -> Vec<Partition> {
        self.slots.iter().map(|slot| slot.partition).collect()
    }

    /// The position of **every** owned partition, advanced or not: what each commit carries.
    pub(super) fn positions(&self) -> Vec<(Partition, Position)> {
        self.slots
            .iter()
            .map(|slot| (slot.partition, slot.position))
            .collect()
    }

    /// True for a record that is next or later in an owned partition.
    #[inline]
    pub(super) fn wants(&mut self, partition: Partition, offset: i64) -> bool {
        self.slot(partition)
            .is_some_and(|slot| offset >= slot.position.offset)
    }

    /// Owned partitions in order.
    pub(super) fn slots(&self) -> &[Slot] {
        &self.slots
    }

    pub(super) fn slots_mut(&mut self) -> &mut [Slot] {
        &mut self.slots
    }

    /// Moves a partition's clock by a record, and says what that means for the record's rows, which fall into such windows.
    pub(super) fn hear(
        &mut self,
        partition: Partition,
        time_ms: Option<i64>,
        disorder_ms: i64,
        window: Option<Window>,
    ) -> RowSource {
        let Some(slot) = self.slot(partition) else {
            return RowSource {
                source: 0,
                suspect: true,
            };
        };
        let before = slot.watermark(disorder_ms);
        let clock = &mut slot.position.clock;
        if std::mem::take(&mut clock.idle) {
            slot.behind = true;
        }
        slot.at_end_since = None;
        clock.event_time_ms = clock.event_time_ms.max(time_ms);
        let late = |(time, before): (i64, i64)| {
            // Of the rows at the watermark itself those are late whose window ends with it, which are few: not all of a
            // stream's without disorder.
            time < before || (time == before && may_end_after(window, time))
        };
        let suspect = slot.behind || time_ms.zip(before).is_some_and(late);
        RowSource {
            source: self.last as u32,
            suspect,
        }
    }

    /// Notices which partitions have caught up with the others.
    pub(super) fn catch_up(&mut self) {
        if self.slots.iter().any(|slot| slot.behind) {
            let times = self
                .slots
                .iter()
                .map(|slot| slot.position.clock.event_time_ms);
            let latest = times.max().flatten();
            for slot in &mut self.slots {
                slot.behind &= slot.position.clock.event_time_ms < latest;
            }
        }
    }

    /// Moves past what the batch's rows hold.
    pub(super) fn advance(&mut self, batch: &Batch) {
        for row in 0..batch.len() {
            let (partition, offset) = batch.place(row);
            self.pass(partition, offset + 1);
        }
    }

    /// Moves a partition to `offset`, if that is ahead. True if it was.
    #[inline]
    pub(super) fn pass(&mut self, partition: Partition, offset: i64) -> bool {
        match self.slot(partition) {
            Some(slot) if slot.position.offset < offset => {
                slot.position.offset = offset;
                true
            }
            _ => false,
        }
    }

    /// What `/status` says of the partitions.
    pub(super) fn figures(&self, log: &impl Log, topics: &[String]) -> Vec<PartitionFigure> {
        let figure = |slot: &Slot| PartitionFigure {
            topic: topics
                .get(usize::from(slot.partition.topic))
                .cloned()
                .unwrap_or_default(),
            partition: slot.partition.number,
            position: slot.position.offset,
            lag: log
                .end(slot.partition)
                .map(|end| (end - slot.position.offset).max(0)),
        };
        self.slots.iter().map(figure).collect()
    }

    #[inline]
    fn slot(&mut self, partition: Partition) -> Option<&mut Slot> {
        // Records come in runs of one partition.
        if self
            .slots
            .get(self.last)
            .is_none_or(|slot| slot.partition != partition)
        {
            self.last = self
                .slots
                .binary_search_by_key(&partition, |slot| slot.partition)
                .ok()?;
        }
        self.slots.get_mut(self.last)
    }
}
