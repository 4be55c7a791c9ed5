//! The partitions this member owns, and how far it has read each.

use headworks_plan::PartitionFigure;

use crate::log::{Batch, Log, Partition, Position};

/// Owned partitions in order.
#[derive(Debug, Default)]
pub(super) struct Owned {
    slots: Vec<Slot>,
    last: usize,
}

#[derive(Debug)]
struct Slot {
    partition: Partition,
    position: Position,
}

impl Owned {
    pub(super) fn new(positions: &[(Partition, Position)]) -> Owned {
        let mut slots: Vec<Slot> = positions
            .iter()
            .map(|(partition, position)| Slot {
                partition: *partition,
                position: *position,
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
