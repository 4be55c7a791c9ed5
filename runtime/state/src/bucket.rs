//! The committed state of a slice, and which records of the changelog it stands in.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Change;
use crate::record::Place;
use crate::table::{Layout, Table};

/// The committed groups of a slice.
#[derive(Debug)]
pub(crate) struct Bucket {
    pub table: Table,
    pub log: Log,
}

impl Bucket {
    pub(crate) fn new(layout: &Arc<Layout>) -> Bucket {
        Bucket {
            table: Table::new(layout, false),
            log: Log::default(),
        }
    }
}

/// The records of the changelog that hold a bucket: sequence and bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    live: BTreeMap<u32, usize>,
    next: u32,
}

impl Log {
    /// Writes values behind the others.
    pub(crate) fn append(
        &mut self,
        bucket: i64,
        part: u8,
        values: Vec<Vec<u8>>,
        out: &mut Vec<Change>,
    ) {
        for value in values {
            let place = Place {
                bucket,
                part,
                sequence: self.next,
            };
            self.live.insert(self.next, value.len());
            self.next = self.next.wrapping_add(1);
            out.push(Change {
                key: place.key(),
                value: Some(value),
            });
        }
    }

    /// Tombstones for all of it.
    pub(crate) fn forget(&self, bucket: i64, part: u8, out: &mut Vec<Change>) {
        out.extend(self.live.keys().map(|&sequence| {
            Change {
                key: Place {
                    bucket,
                    part,
                    sequence,
                }
                .key(),
                value: None,
            }
        }));
    }

    /// A record that was read back.
    pub(crate) fn restore(&mut self, sequence: u32, bytes: usize) {
        self.live.insert(sequence, bytes);
        self.next = self.next.max(sequence.wrapping_add(1));
    }

    /// A tombstone that was read back: true if nothing is left.
    pub(crate) fn drop(&mut self, sequence: u32) -> bool {
        self.live.remove(&sequence);
        self.live.is_empty()
    }
}
