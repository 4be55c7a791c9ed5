//! Records between reading and printing: bounded in number and in bytes.

use std::collections::BTreeMap;

use headworks_plan::PeekSelection;

use super::{Found, is_forward};

/// Records that are kept until they are printed, in bytes.
pub(super) const KEPT_BYTES: usize = 64 << 20;

/// Records that are kept until they are printed, in the order of their time.
pub(super) struct Kept {
    pub(super) records: BTreeMap<(i64, i32, i64), Found>,
    limit: usize,
    /// True: the newest stay, and not the oldest.
    newest: bool,
    pub(super) bytes: usize,
    pub(super) evicted: bool,
    pub(super) too_large: bool,
}

impl Kept {
    pub(super) fn new(selection: &PeekSelection) -> Kept {
        Kept {
            records: BTreeMap::new(),
            limit: usize::try_from(selection.limit).unwrap_or(usize::MAX),
            newest: !is_forward(selection),
            bytes: 0,
            evicted: false,
            too_large: false,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.records.len() >= self.limit || self.too_large
    }

    pub(super) fn add(&mut self, found: Found) {
        self.bytes += size(&found);
        let at = found.time().unwrap_or(i64::MIN);
        self.records
            .insert((at, found.partition, found.offset), found);
        // One that is larger than all of it alone is shown nevertheless.
        while self.records.len() > self.limit || (self.bytes > KEPT_BYTES && self.records.len() > 1)
        {
            self.too_large |= self.records.len() <= self.limit;
            let gone = if self.newest {
                self.records.pop_first()
            } else {
                self.records.pop_last()
            };
            self.bytes -= gone.map_or(0, |(_, found)| size(&found));
            self.evicted = true;
        }
    }
}

fn size(found: &Found) -> usize {
    let part = |part: &Option<Vec<u8>>| part.as_ref().map_or(0, Vec::len);
    let headers = found.headers.iter();
    let headers: usize = headers
        .map(|(name, value)| name.len() + value.len() + size_of::<(String, Vec<u8>)>())
        .sum();
    part(&found.key) + part(&found.value) + headers + size_of::<Found>()
}
