//! The partitions this member owns, and how far it has read each.

use std::time::Duration;

use headworks_plan::PartitionFigure;
use headworks_sql::keyed::Window;

use crate::keyed::exchange_writer::RowSource;
use crate::log::{Batch, Counts, Log, Partition, Position};

/// Owned partitions in order.
#[derive(Debug, Default)]
pub(super) struct Owned {
    assigned: Vec<AssignedPartition>,
    last: usize,
}

/// An owned partition.
#[derive(Debug)]
pub(super) struct AssignedPartition {
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

impl AssignedPartition {
    /// Moves to `offset`, which isn't behind.
    #[inline]
    fn skip(&mut self, offset: i64) {
        if let Some(counts) = &mut self.position.counts {
            counts.gaps += offset.abs_diff(self.position.offset);
        }
        self.position.offset = offset;
    }

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
        let mut assigned: Vec<AssignedPartition> = positions
            .iter()
            .map(|(partition, position)| AssignedPartition {
                partition: *partition,
                position: *position,
                at_end_since: None,
                behind: false,
            })
            .collect();
        assigned.sort_by_key(|assigned| assigned.partition);
        Owned { assigned, last: 0 }
    }

    pub(super) fn partitions(&self) -> Vec<Partition> {
        self.assigned
            .iter()
            .map(|assigned| assigned.partition)
            .collect()
    }

    /// The position of **every** owned partition, advanced or not: what each commit carries.
    pub(super) fn positions(&self) -> Vec<(Partition, Position)> {
        self.assigned
            .iter()
            .map(|assigned| (assigned.partition, assigned.position))
            .collect()
    }

    /// True for a record that is next or later in an owned partition.
    #[inline]
    pub(super) fn wants(&mut self, partition: Partition, offset: i64) -> bool {
        self.find(partition)
            .is_some_and(|assigned| offset >= assigned.position.offset)
    }

    /// Owned partitions in order.
    pub(super) fn assigned(&self) -> &[AssignedPartition] {
        &self.assigned
    }

    pub(super) fn assigned_mut(&mut self) -> &mut [AssignedPartition] {
        &mut self.assigned
    }

    /// Moves a partition's clock by a record, and says what that means for the record's rows, which fall into such windows.
    pub(super) fn hear(
        &mut self,
        partition: Partition,
        time_ms: Option<i64>,
        disorder_ms: i64,
        window: Option<Window>,
    ) -> RowSource {
        let Some(assigned) = self.find(partition) else {
            return RowSource {
                source: 0,
                suspect: true,
            };
        };
        let before = assigned.watermark(disorder_ms);
        let clock = &mut assigned.position.clock;
        if std::mem::take(&mut clock.idle) {
            assigned.behind = true;
        }
        assigned.at_end_since = None;
        clock.event_time_ms = clock.event_time_ms.max(time_ms);
        let late = |(time, before): (i64, i64)| {
            // Of the rows at the watermark itself those are late whose window ends with it, which are few: not all of a
            // stream's without disorder.
            time < before || (time == before && may_end_after(window, time))
        };
        let suspect = assigned.behind || time_ms.zip(before).is_some_and(late);
        RowSource {
            source: self.last as u32,
            suspect,
        }
    }

    /// Notices which partitions have caught up with the others.
    pub(super) fn catch_up(&mut self) {
        if self.assigned.iter().any(|assigned| assigned.behind) {
            let times = self
                .assigned
                .iter()
                .map(|assigned| assigned.position.clock.event_time_ms);
            let latest = times.max().flatten();
            for assigned in &mut self.assigned {
                assigned.behind &= assigned.position.clock.event_time_ms < latest;
            }
        }
    }

    /// Moves past what the batch's rows hold.
    pub(super) fn advance(&mut self, batch: &Batch) {
        for row in 0..batch.len() {
            let (partition, offset) = batch.place(row);
            if let Some(assigned) = self.find(partition)
                && offset >= assigned.position.offset
            {
                assigned.skip(offset);
                assigned.position.offset = offset + 1;
            }
        }
    }

    /// What was done of a partition.
    #[inline]
    pub(super) fn counts(&mut self, partition: Partition) -> Option<&mut Counts> {
        self.find(partition)?.position.counts.as_mut()
    }

    /// Moves a partition to `offset`, if that is ahead: what lies between held nothing for a reader. True if it was.
    #[inline]
    pub(super) fn pass(&mut self, partition: Partition, offset: i64) -> bool {
        match self.find(partition) {
            Some(assigned) if assigned.position.offset < offset => {
                assigned.skip(offset);
                true
            }
            _ => false,
        }
    }

    /// What `/status` says of the partitions.
    pub(super) fn figures(&self, log: &impl Log, topics: &[String]) -> Vec<PartitionFigure> {
        let figure = |assigned: &AssignedPartition| PartitionFigure {
            topic: topics
                .get(usize::from(assigned.partition.topic))
                .cloned()
                .unwrap_or_default(),
            partition: assigned.partition.number,
            position: assigned.position.offset,
            lag: log
                .end(assigned.partition)
                .map(|end| (end - assigned.position.offset).max(0)),
        };
        self.assigned.iter().map(figure).collect()
    }

    #[inline]
    fn find(&mut self, partition: Partition) -> Option<&mut AssignedPartition> {
        // Records come in runs of one partition.
        if self
            .assigned
            .get(self.last)
            .is_none_or(|assigned| assigned.partition != partition)
        {
            self.last = self
                .assigned
                .binary_search_by_key(&partition, |assigned| assigned.partition)
                .ok()?;
        }
        self.assigned.get_mut(self.last)
    }
}
