//! What is committed and what the epoch adds, together: for results and for the changelog.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;

use super::Windows;
use crate::bucket::{Bucket, parts};
use crate::changelog_segments::{Content, PARTS};
use crate::error::StateError;
use crate::table::{Bounds, Table};

impl Windows {
    /// The groups of slices together, committed and not; of one part, or of all.
    pub(super) fn merged(
        &self,
        slices: &[Touched<'_>],
        part: Option<usize>,
    ) -> Result<Table, StateError> {
        let mut merged = Table::new(&self.layout, false);
        for (i, touched) in slices.iter().enumerate() {
            if let Some(bucket) = self.committed.get(&touched.slice) {
                if i == 0 && part.is_none() && !bucket.is_spilled() {
                    merged = bucket.table.copy();
                } else {
                    bucket.load(
                        touched.slice,
                        part,
                        &self.layout,
                        self.store.as_ref(),
                        &mut merged,
                    )?;
                    match part {
                        Some(part) => {
                            merged.absorb(&bucket.table, &touched.committed(self)[part])?;
                        }
                        None => merged.absorb(&bucket.table, &bucket.table.keys.groups())?,
                    }
                }
            }
            match part {
                Some(part) => merged.absorb(&self.overlay, &touched.added(self)[part])?,
                None => merged.absorb(&self.overlay, touched.groups)?,
            }
        }
        Ok(merged)
    }

    /// The results of a window. Gives the part to go on with in the next epoch, if they are too many.
    pub(super) fn results(
        &self,
        (start, end): (i64, i64),
        touched: &BTreeMap<i64, Vec<u32>>,
        out: &mut Vec<RecordBatch>,
    ) -> Result<Option<usize>, StateError> {
        let numbers: BTreeSet<i64> = self
            .committed
            .range(start..end)
            .map(|(s, _)| *s)
            .chain(touched.range(start..end).map(|(s, _)| *s))
            .collect();
        let slices: Vec<Touched<'_>> = numbers
            .iter()
            .map(|slice| Touched::new(*slice, touched.get(slice)))
            .collect();
        let bounds = Bounds::One(start, end);
        let begun = self.progress.filter(|p| p.0 == end).map(|p| p.1);
        let spilled = |slice| self.committed.get(slice).is_some_and(Bucket::is_spilled);
        if begun.is_some() || numbers.iter().any(spilled) {
            for part in begun.unwrap_or(0)..PARTS {
                if rows(out) >= self.most {
                    return Ok(Some(part));
                }
                let merged = self.merged(&slices, Some(part))?;
                merged.results(&merged.keys.groups(), &bounds, out)?;
            }
            return Ok(None);
        }
        if let [one] = &slices[..] {
            let committed = self.committed.get(&one.slice);
            if let Some(bucket) = committed.filter(|_| one.groups.is_empty()) {
                let groups = bucket.table.keys.groups();
                return bucket.table.results(&groups, &bounds, out).map(|()| None);
            }
            if committed.is_none() {
                return self
                    .overlay
                    .results(one.groups, &bounds, out)
                    .map(|()| None);
            }
        }
        let merged = self.merged(&slices, None)?;
        merged.results(&merged.keys.groups(), &bounds, out)?;
        Ok(None)
    }
}

/// A slice, what the epoch adds to it, and both by part.
pub(super) struct Touched<'a> {
    slice: i64,
    groups: &'a [u32],
    added: OnceCell<Vec<Vec<u32>>>,
    committed: OnceCell<Vec<Vec<u32>>>,
}

impl<'a> Touched<'a> {
    pub(super) fn new(slice: i64, groups: Option<&'a Vec<u32>>) -> Touched<'a> {
        Touched {
            slice,
            groups: groups.map_or(&[], |groups| groups),
            added: OnceCell::new(),
            committed: OnceCell::new(),
        }
    }

    fn added(&self, windows: &Windows) -> &[Vec<u32>] {
        let all = || parts(&windows.overlay, self.groups.iter().copied());
        self.added.get_or_init(all)
    }

    fn committed(&self, windows: &Windows) -> &[Vec<u32>] {
        self.committed.get_or_init(|| {
            let bucket = windows.committed.get(&self.slice);
            bucket.map_or_else(
                || vec![Vec::new(); PARTS],
                |b| parts(&b.table, b.table.keys.groups().into_iter()),
            )
        })
    }
}

/// What an epoch writes of a slice.
pub(super) struct Epoch<'a> {
    pub windows: &'a Windows,
    pub touched: Touched<'a>,
}

impl Content for Epoch<'_> {
    fn added(&self, part: Option<usize>) -> Result<Option<RecordBatch>, StateError> {
        let groups = part.map_or(self.touched.groups, |part| {
            &self.touched.added(self.windows)[part]
        });
        if groups.is_empty() {
            return Ok(None);
        }
        self.windows.overlay.state(groups).map(Some)
    }

    fn all(&self, part: Option<usize>) -> Result<RecordBatch, StateError> {
        let all = self
            .windows
            .merged(std::slice::from_ref(&self.touched), part)?;
        all.state(&all.keys.groups())
    }
}

pub(super) fn rows(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}
