//! Which records of the changelog a bucket stands in, and when they are replaced by a **base**: all there is of
//! the bucket, instead of what each epoch added. So restoring reads a few times the state at most.
//!
//! A large bucket has [`PARTS`] segments, by the keys' hashes, each with bases of its own: no epoch has to write all of
//! it.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;

use crate::epoch::Change;
use crate::error::StateError;
use crate::record::{BASE, Place, RESET_BUCKET, RESET_PART, Start, values};

/// Parts of a large bucket.
pub(crate) const PARTS: usize = 64;

/// A base is written when what was added since the last one is above twice its size and this.
const LEAST: usize = 256 * 1024;

/// A bucket is divided when its base is larger.
const DIVIDED: usize = 4 * 1024 * 1024;

/// Bytes of bases that an epoch writes; the others wait.
pub(crate) const BASES: usize = 16 * 1024 * 1024;

/// The part of a key with that hash.
pub(crate) fn part_of(hash: u32) -> usize {
    (hash >> 26) as usize
}

/// The records of one part of a bucket: sequence and bytes.
#[derive(Clone, Debug, Default)]
struct Segment {
    live: BTreeMap<u32, usize>,
    next: u32,
    /// Bytes of the last base, and of all records.
    base: usize,
    bytes: usize,
}

/// The records of a bucket.
#[derive(Clone, Debug)]
pub(crate) struct ChangelogSegments {
    parts: Vec<Segment>,
    /// See [`LEAST`].
    least: usize,
    divided: usize,
}

impl Default for ChangelogSegments {
    fn default() -> ChangelogSegments {
        ChangelogSegments {
            parts: vec![Segment::default()],
            least: LEAST,
            divided: DIVIDED,
        }
    }
}

/// Where a bucket's records go.
pub(crate) struct SegmentWriter<'a> {
    pub bucket: i64,
    /// The arrival number of the next row.
    pub next: i64,
    /// Up to which end windows were final before this epoch.
    pub floor: i64,
    /// How many bytes of bases may still be written.
    pub bases: &'a mut usize,
    pub out: &'a mut Vec<Change>,
}

impl SegmentWriter<'_> {
    fn start(&self, flags: (u8, u8)) -> Start {
        Start {
            flags,
            next: self.next,
            floor: self.floor,
        }
    }
}

/// What a bucket's records are made of; of one part, or of all.
pub(crate) trait Content {
    /// What the epoch adds; absent: nothing.
    fn added(&self, part: Option<usize>) -> Result<Option<RecordBatch>, StateError>;
    /// All there is, with what the epoch adds.
    fn all(&self, part: Option<usize>) -> Result<RecordBatch, StateError>;
}

impl Segment {
    fn put(&mut self, part: u8, values: Vec<Vec<u8>>, to: &mut SegmentWriter<'_>) {
        for value in values {
            let place = Place {
                bucket: to.bucket,
                part,
                sequence: self.next,
            };
            self.live.insert(self.next, value.len());
            self.bytes += value.len();
            self.next = self.next.wrapping_add(1);
            to.out.push(Change {
                key: place.key(),
                value: Some(value),
            });
        }
    }

    /// Tombstones for all there is.
    fn forget(&mut self, bucket: i64, part: u8, out: &mut Vec<Change>) {
        for &sequence in self.live.keys() {
            let place = Place {
                bucket,
                part,
                sequence,
            };
            out.push(Change {
                key: place.key(),
                value: None,
            });
        }
        self.live.clear();
        self.bytes = 0;
        self.base = 0;
    }

    fn put_base(
        &mut self,
        part: u8,
        flags: u8,
        batch: &RecordBatch,
        to: &mut SegmentWriter<'_>,
    ) -> Result<(), StateError> {
        let mut base = Vec::new();
        values(batch, to.start((flags, BASE)), &mut base)?;
        let mut old = std::mem::take(self);
        self.next = old.next;
        self.put(part, base, to);
        self.base = self.bytes;
        *to.bases = to.bases.saturating_sub(self.bytes);
        old.forget(to.bucket, part, to.out);
        Ok(())
    }
}

impl ChangelogSegments {
    /// With limits that may be lower than usual, where there is little memory.
    pub(crate) fn with_limits(least: usize, divided: usize) -> ChangelogSegments {
        ChangelogSegments {
            least: least.min(LEAST),
            divided: divided.min(DIVIDED),
            ..ChangelogSegments::default()
        }
    }

    /// Writes what an epoch adds, as it is or in a base.
    pub(crate) fn write(
        &mut self,
        content: &impl Content,
        to: &mut SegmentWriter<'_>,
    ) -> Result<(), StateError> {
        let whole = self.parts.len() == 1;
        for part in 0..self.parts.len() {
            let which = (!whole).then_some(part);
            let Some(added) = content.added(which)? else {
                continue;
            };
            let mut delta = Vec::new();
            values(&added, to.start((0, 0)), &mut delta)?;
            let more: usize = delta.iter().map(Vec::len).sum();
            let segment = &mut self.parts[part];
            let byte = if whole { 0 } else { part as u8 + 1 };
            if *to.bases == 0
                || segment.bytes + more - segment.base <= 2 * segment.base + self.least
            {
                segment.put(byte, delta, to);
                continue;
            }
            let base = content.all(which)?;
            if !whole {
                segment.put_base(byte, RESET_PART | BASE, &base, to)?;
            } else if base.get_array_memory_size() <= self.divided {
                segment.put_base(byte, RESET_BUCKET | BASE, &base, to)?;
            } else {
                self.divide(content, to)?;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Writes all there is in parts.
    fn divide(
        &mut self,
        content: &impl Content,
        to: &mut SegmentWriter<'_>,
    ) -> Result<(), StateError> {
        let mut parts = vec![Segment::default(); PARTS];
        let mut flags = RESET_BUCKET | BASE;
        for (part, segment) in parts.iter_mut().enumerate() {
            let base = content.all(Some(part))?;
            if base.num_rows() > 0 {
                segment.put_base(part as u8 + 1, flags, &base, to)?;
                flags = RESET_PART | BASE;
            }
        }
        for old in &mut self.parts {
            old.forget(to.bucket, 0, to.out);
        }
        self.parts = parts;
        Ok(())
    }

    /// Tombstones for everything.
    pub(crate) fn forget(&mut self, bucket: i64, out: &mut Vec<Change>) {
        let whole = self.parts.len() == 1;
        for (part, segment) in self.parts.iter_mut().enumerate() {
            segment.forget(bucket, if whole { 0 } else { part as u8 + 1 }, out);
        }
    }

    /// A record that was read back.
    pub(crate) fn restore(&mut self, place: Place, flags: u8, bytes: usize) {
        if flags & RESET_BUCKET != 0 {
            let parts = if place.part == 0 { 1 } else { PARTS };
            // Sequences go on, as tombstones of the old ones are still to come.
            let next = self.segment(0).map_or(0, |segment| segment.next);
            self.parts = vec![Segment::default(); parts];
            if parts == 1 {
                self.parts[0].next = next;
            }
        } else if place.part > 0 && self.parts.len() == 1 {
            self.parts = vec![Segment::default(); PARTS];
        }
        let Some(segment) = self.segment(place.part) else {
            return;
        };
        if flags & RESET_PART != 0 {
            *segment = Segment {
                next: segment.next,
                ..Segment::default()
            };
        }
        segment.live.insert(place.sequence, bytes);
        segment.next = segment.next.max(place.sequence.wrapping_add(1));
        segment.bytes += bytes;
        if flags & BASE != 0 {
            segment.base += bytes;
        }
    }

    /// A tombstone that was read back.
    pub(crate) fn restore_tombstone(&mut self, place: Place) {
        if let Some(segment) = self.segment(place.part)
            && let Some(bytes) = segment.live.remove(&place.sequence)
        {
            segment.bytes = segment.bytes.saturating_sub(bytes);
            segment.base = segment.base.min(segment.bytes);
        }
    }

    /// True: no record is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.iter().all(|segment| segment.live.is_empty())
    }

    fn segment(&mut self, part: u8) -> Option<&mut Segment> {
        match (part, self.parts.len()) {
            (0, 1) => self.parts.first_mut(),
            (0, _) | (_, 1) => None,
            (part, _) => self.parts.get_mut(part as usize - 1),
        }
    }
}
