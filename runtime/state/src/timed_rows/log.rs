//! The changelog of rows by event time: for each side and bucket of event time the rows that epochs added, as Arrow batches,
//! and which rows have made a pair since. Tombstones go by the bucket, once none of its rows is left.
//!
//! | key | value |
//! |---|---|
//! | `0x13`, side (1 byte), bucket (8), sequence (4) | rows, or, flagged, the places of rows that made a pair |
//! | `0x12` | up to where rows are over |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{AsArray, BinaryArray, BooleanArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};

use super::buffer::{Buffer, Entry, Place};
use crate::codec::{take, take_i64, take_u32};
use crate::epoch::Change;
use crate::error::{StateError, columns};
use crate::record::{self, Start};

/// The first byte of a key.
pub(crate) const ROWS: u8 = 0x13;
/// The value holds places of rows that made a pair, not rows.
const MATCHED: u8 = 8;

/// The records of a bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bucket {
    /// How many rows of it are kept.
    pub rows: usize,
    /// Sequences of the records that stand for it.
    live: BTreeSet<u32>,
    next: u32,
}

/// A side, false for the left, and the number of a bucket.
pub(crate) type BucketId = (bool, i64);

/// The bucket of a row, where a bucket has so much event time.
pub(crate) fn bucket_of(width: i64, right: bool, (time, _): Place) -> BucketId {
    (right, time.div_euclid(width))
}

/// The first and the last event time of a bucket.
fn times_of(width: i64, (_, bucket): BucketId) -> (i64, i64) {
    let first = bucket.saturating_mul(width);
    (first, first.saturating_add(width - 1))
}

/// A record's key, read back.
pub(crate) struct Key {
    pub bucket: BucketId,
    sequence: u32,
}

/// What the beginning of every value says.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub next: i64,
    pub cut: i64,
}

/// A row of an epoch.
pub(crate) type Added<'a> = (Place, &'a Arc<[u8]>, &'a Entry);

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("time", DataType::Int64, false),
        Field::new("arrival", DataType::Int64, false),
        Field::new("marked", DataType::Boolean, false),
        Field::new("key", DataType::Binary, false),
        Field::new("row", DataType::Binary, false),
    ]))
}

impl Key {
    fn write((right, bucket): BucketId, sequence: u32) -> Vec<u8> {
        let mut key = vec![ROWS, u8::from(right)];
        key.extend_from_slice(&bucket.to_be_bytes());
        key.extend_from_slice(&sequence.to_be_bytes());
        key
    }

    /// Of a key behind its first byte.
    fn read(key: &[u8]) -> Result<Key, StateError> {
        let mut rest = key;
        let right = take(&mut rest, 1)?[0] != 0;
        let bucket = take_i64(&mut rest)?.swap_bytes();
        let sequence = take_u32(&mut rest)?.swap_bytes();
        Ok(Key {
            bucket: (right, bucket),
            sequence,
        })
    }
}

impl Bucket {
    fn put(&mut self, id: BucketId, value: Vec<u8>, out: &mut Vec<Change>) {
        out.push(Change {
            key: Key::write(id, self.next),
            value: Some(value),
        });
        self.live.insert(self.next);
        self.next = self.next.wrapping_add(1);
    }

    /// Writes the rows that an epoch adds.
    pub(crate) fn add(
        &mut self,
        id: BucketId,
        rows: &[Added<'_>],
        head: Head,
        out: &mut Vec<Change>,
    ) -> Result<(), StateError> {
        let batch = batch(rows)?;
        let start = Start {
            flags: (0, 0),
            next: head.next,
            floor: head.cut,
        };
        let mut values = Vec::new();
        record::values(&batch, start, &mut values)?;
        for value in values {
            self.put(id, value, out);
        }
        self.rows += rows.len();
        Ok(())
    }

    /// Writes which rows have made a pair in an epoch.
    pub(crate) fn mark(
        &mut self,
        id: BucketId,
        places: &[Place],
        head: Head,
        out: &mut Vec<Change>,
    ) {
        for places in places.chunks(record::RECORD_BYTES / 16) {
            let mut value = record::head(MATCHED, head.next, head.cut);
            for (time, arrival) in places {
                value.extend_from_slice(&time.to_le_bytes());
                value.extend_from_slice(&arrival.to_le_bytes());
            }
            self.put(id, value, out);
        }
    }

    /// Writes tombstones for all its records.
    pub(crate) fn forget(&mut self, id: BucketId, out: &mut Vec<Change>) {
        let live = std::mem::take(&mut self.live);
        out.extend(live.into_iter().map(|sequence| Change {
            key: Key::write(id, sequence),
            value: None,
        }));
    }

    /// A record was read back.
    pub(crate) fn restore(&mut self, key: &Key) {
        self.live.insert(key.sequence);
        self.next = self.next.max(key.sequence.wrapping_add(1));
    }

    /// A tombstone was read back. Gives true if no record is left.
    fn restore_tombstone(&mut self, key: &Key) -> bool {
        self.live.remove(&key.sequence);
        self.live.is_empty()
    }
}

/// The buckets.
pub(crate) type Buckets = BTreeMap<BucketId, Bucket>;

/// Takes over the buckets that a commit has changed; those without rows go.
pub(crate) fn replace(buckets: &mut Buckets, changed: Buckets) {
    for (id, bucket) in changed {
        if bucket.rows == 0 {
            buckets.remove(&id);
        } else {
            buckets.insert(id, bucket);
        }
    }
}

/// A tombstone was read back: of a bucket of which no record is left, the rows go. They are those of `times`, both included.
fn forget(buckets: &mut Buckets, key: &Key, (rows, times): (&mut Buffer, (i64, i64))) {
    let known = buckets.get_mut(&key.bucket);
    if known.is_some_and(|bucket| bucket.restore_tombstone(key)) {
        buckets.remove(&key.bucket);
        for place in rows.within(times) {
            rows.remove(place);
        }
    }
}

/// A record of rows was read back, of the side that its key says; gives the next arrival number, if it knows one. `width`: how
/// much event time a bucket has.
pub(crate) fn restore(
    buckets: &mut Buckets,
    sides: &mut [Buffer],
    (key, value): (&[u8], Option<&[u8]>),
    width: i64,
) -> Result<Option<i64>, StateError> {
    let key = read_key(key)?;
    let side = sides.get_mut(usize::from(key.bucket.0));
    let rows = side.ok_or_else(|| record::unreadable("rows of a side that there isn't"))?;
    let Some(value) = value else {
        let times = times_of(width, key.bucket);
        forget(buckets, &key, (rows, times));
        return Ok(None);
    };
    let head = record::read_head(value)?;
    buckets.entry(key.bucket).or_default().restore(&key);
    if head.flags & MATCHED != 0 {
        for place in read_places(head.body)? {
            rows.mark(place);
        }
    } else {
        for (place, key, entry) in read_rows(head.body)? {
            rows.insert(place, &key, entry);
        }
    }
    Ok(Some(head.next))
}

/// How many rows each bucket has, counted anew.
pub(crate) fn recount(buckets: &mut Buckets, sides: &[Buffer], width: i64) {
    for known in buckets.values_mut() {
        known.rows = 0;
    }
    for (right, rows) in [false, true].into_iter().zip(sides) {
        for (place, _) in rows.all() {
            let id = bucket_of(width, right, place);
            buckets.entry(id).or_default().rows += 1;
        }
    }
}

/// A record's key, with its first byte.
fn read_key(key: &[u8]) -> Result<Key, StateError> {
    Key::read(key.get(1..).unwrap_or_default())
}

fn batch(rows: &[Added<'_>]) -> Result<RecordBatch, StateError> {
    let times = Int64Array::from_iter_values(rows.iter().map(|((time, _), ..)| *time));
    let arrivals = Int64Array::from_iter_values(rows.iter().map(|((_, arrival), ..)| *arrival));
    let marked: BooleanArray = rows.iter().map(|(.., entry)| Some(entry.marked)).collect();
    let keys = BinaryArray::from_iter_values(rows.iter().map(|(_, key, _)| key));
    let values = BinaryArray::from_iter_values(rows.iter().map(|(.., entry)| &entry.row));
    RecordBatch::try_new(
        schema(),
        vec![
            Arc::new(times),
            Arc::new(arrivals),
            Arc::new(marked),
            Arc::new(keys),
            Arc::new(values),
        ],
    )
    .map_err(columns)
}

/// The rows of a value: place, key and entry.
fn read_rows(body: &[u8]) -> Result<Vec<(Place, Vec<u8>, Entry)>, StateError> {
    let batch = record::read_batch(body, &schema())?;
    let times = batch.column(0).as_primitive::<Int64Type>();
    let arrivals = batch.column(1).as_primitive::<Int64Type>();
    let (marked, keys) = (batch.column(2).as_boolean(), batch.column(3));
    let (keys, rows) = (keys.as_binary::<i32>(), batch.column(4).as_binary::<i32>());
    let row = |at: usize| {
        let entry = Entry {
            row: rows.value(at).into(),
            marked: marked.value(at),
        };
        let place = (times.value(at), arrivals.value(at));
        (place, keys.value(at).to_vec(), entry)
    };
    Ok((0..times.len()).map(row).collect())
}

/// The places of a value that is flagged.
fn read_places(body: &[u8]) -> Result<Vec<Place>, StateError> {
    let mut rest = body;
    let mut places = Vec::with_capacity(body.len() / 16);
    while !rest.is_empty() {
        places.push((take_i64(&mut rest)?, take_i64(&mut rest)?));
    }
    Ok(places)
}
