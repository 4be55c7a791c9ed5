//! The records of the changelog.
//!
//! | key | value |
//! |---|---|
//! | `0x10`, bucket (8 bytes), part (1), sequence (4) | groups of a bucket as an Arrow batch: what an epoch added to them, or, flagged, all there is of them, replacing what came before |
//! | `0x11`, an encoded key | the state of one key without a window |
//! | `0x12` | to where windows have given their results, or rows of a join are over, or those of OVER or a temporal join given |
//! | `0x13`, … | rows that a join or OVER keeps: `timed_rows/log.rs` |
//! | `0x14`, an encoded key | what OVER keeps of a key's rows that are given: `over/keys.rs` |
//! | `0x15`, an encoded key | the row of a key that is valid: `temporal_join/versions.rs` |
//!
//! Numbers in keys are big-endian, others little-endian. A value begins with the version of the encoding, a byte
//! of flags, the arrival number of the next row, and up to which end windows were final before.

use std::collections::HashMap;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::read_record_batch;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow::ipc::{MetadataVersion, root_as_message};

use crate::codec::{take, take_i64, take_sized};
use crate::epoch::Change;
use crate::error::{StateError, columns};

pub(crate) const BATCH: u8 = 0x10;
pub(crate) const KEY: u8 = 0x11;
pub(crate) const FIRED: u8 = 0x12;

/// The encoding that is written.
const VERSION: u8 = 1;

/// The part begins anew with this record.
pub(crate) const RESET_PART: u8 = 1;
/// The bucket begins anew with this record.
pub(crate) const RESET_BUCKET: u8 = 2;
/// It belongs to a base.
pub(crate) const BASE: u8 = 4;

/// A record is split above so many bytes.
pub(crate) const RECORD_BYTES: usize = 512 * 1024;

/// The key of a record of kind [`BATCH`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub bucket: i64,
    /// 0: the whole bucket; else one more than the part's number.
    pub part: u8,
    pub sequence: u32,
}

impl Place {
    pub(crate) fn key(self) -> Vec<u8> {
        let mut key = vec![BATCH];
        key.extend_from_slice(&self.bucket.to_be_bytes());
        key.push(self.part);
        key.extend_from_slice(&self.sequence.to_be_bytes());
        key
    }

    /// Of a key behind its first byte.
    pub(crate) fn read(key: &[u8]) -> Result<Place, StateError> {
        let mut rest = key;
        let bucket = take_i64(&mut rest)?.swap_bytes();
        let part = take(&mut rest, 1)?[0];
        let sequence = crate::codec::take_u32(&mut rest)?.swap_bytes();
        Ok(Place {
            bucket,
            part,
            sequence,
        })
    }
}

/// The beginning of a value: version, flags, next arrival number, and up to where windows were final before.
pub(crate) fn head(flags: u8, next: i64, floor: i64) -> Vec<u8> {
    let mut value = vec![VERSION, flags];
    value.extend_from_slice(&next.to_le_bytes());
    value.extend_from_slice(&floor.to_le_bytes());
    value
}

/// A value that was read back.
pub(crate) struct Head<'a> {
    pub flags: u8,
    pub next: i64,
    pub floor: i64,
    pub body: &'a [u8],
}

/// A value's beginning, and the rest.
pub(crate) fn read_head(value: &[u8]) -> Result<Head<'_>, StateError> {
    let mut body = value;
    let head = take(&mut body, 2)?;
    if head[0] != VERSION {
        return Err(StateError::Unreadable {
            message: format!(
                "it was written by another version (encoding {}, this one reads {VERSION})",
                head[0]
            ),
        });
    }
    Ok(Head {
        flags: head[1],
        next: take_i64(&mut body)?,
        floor: take_i64(&mut body)?,
        body,
    })
}

/// Appends a batch: length of the message, message, body.
pub(crate) fn put_batch(batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), StateError> {
    let (_, data) = IpcDataGenerator::default()
        .encode(
            batch,
            &mut DictionaryTracker::new(false),
            &IpcWriteOptions::default(),
            &mut IpcWriteContext::default(),
        )
        .map_err(columns)?;
    crate::codec::put_sized(out, &data.ipc_message);
    out.extend_from_slice(&data.arrow_data);
    Ok(())
}

/// The batch of [`put_batch`].
pub(crate) fn read_batch(bytes: &[u8], schema: &SchemaRef) -> Result<RecordBatch, StateError> {
    let mut rest = bytes;
    let message = take_sized(&mut rest)?;
    let message = root_as_message(message).map_err(unreadable)?;
    let batch = message
        .header_as_record_batch()
        .ok_or_else(|| unreadable("not a batch"))?;
    if usize::try_from(message.bodyLength()) != Ok(rest.len()) {
        return Err(unreadable("a batch is cut off"));
    }
    read_record_batch(
        &Buffer::from(rest),
        batch,
        schema.clone(),
        &HashMap::new(),
        None,
        &MetadataVersion::V5,
    )
    .map_err(unreadable)
}

/// What the values of a batch begin with.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    /// Flags of the first value, and of the others.
    pub flags: (u8, u8),
    pub next: i64,
    pub floor: i64,
}

/// Cuts a batch into values of at most about [`RECORD_BYTES`].
pub(crate) fn values(
    batch: &RecordBatch,
    start: Start,
    out: &mut Vec<Vec<u8>>,
) -> Result<(), StateError> {
    let mut value = head(start.flags.0, start.next, start.floor);
    put_batch(batch, &mut value)?;
    let rows = batch.num_rows();
    if value.len() <= RECORD_BYTES || rows < 2 {
        out.push(value);
        return Ok(());
    }
    let pieces = (value.len() / RECORD_BYTES + 1).min(rows);
    let each = rows.div_ceil(pieces);
    let mut start = start;
    for first in (0..rows).step_by(each) {
        let piece = batch.slice(first, each.min(rows - first));
        values(&piece, start, out)?;
        start.flags.0 = start.flags.1;
    }
    Ok(())
}

/// The record that windows have given their results up to `until`, and of the window that ends at
/// `progress.0` those of the parts below `progress.1`.
pub(crate) fn fired(until: i64, progress: Option<(i64, usize)>, next: i64) -> Change {
    let mut value = head(0, next, until);
    if let Some((end, part)) = progress {
        value.extend_from_slice(&end.to_le_bytes());
        value.push(part as u8);
    }
    Change {
        key: vec![FIRED],
        value: Some(value),
    }
}

/// What [`fired`] wrote.
pub(crate) struct Fired {
    pub until: i64,
    pub progress: Option<(i64, usize)>,
    pub next: i64,
}

pub(crate) fn read_fired(value: &[u8]) -> Result<Fired, StateError> {
    let head = read_head(value)?;
    let mut body = head.body;
    let progress = if body.is_empty() {
        None
    } else {
        Some((take_i64(&mut body)?, usize::from(take(&mut body, 1)?[0])))
    };
    Ok(Fired {
        until: head.floor,
        progress,
        next: head.next,
    })
}

pub(crate) fn unreadable(error: impl ToString) -> StateError {
    StateError::Unreadable {
        message: error.to_string(),
    }
}
