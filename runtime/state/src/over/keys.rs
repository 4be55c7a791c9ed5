//! What is kept of a key's rows that are given. Its record of the changelog: `0x14` and the encoded key; the value has, behind
//! its beginning, the counts, what the aggregates remember, and the last rows.

use std::sync::Arc;

use crate::codec::{put_sized, take_i64, take_sized, take_u32};
use crate::epoch::Change;
use crate::error::StateError;
use crate::record;
use crate::timed_rows::buffer::Place;

/// The first byte of a key.
pub(super) const OVER: u8 = 0x14;
/// What an entry, and a row of one, cost beside their bytes, about.
const OVERHEAD: usize = 160;
const ROW: usize = 56;

/// Of one key.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    /// How many rows were given.
    pub rows: i64,
    /// How many times they had.
    pub times: i64,
    /// The highest number under which the aggregates have seen a row.
    pub seen: i64,
    /// What the aggregates remember of all rows, encoded; empty where frames begin later.
    pub state: Vec<u8>,
    /// The last rows, in order, with the columns that functions read.
    pub last: Vec<(Place, Arc<[u8]>)>,
}

impl Kept {
    /// Estimate of the memory in bytes.
    pub(super) fn size(&self) -> usize {
        let rows = self.last.iter().map(|(_, row)| row.len() + ROW);
        OVERHEAD + self.state.len() + rows.sum::<usize>()
    }

    /// Its record.
    pub(super) fn change(&self, key: &[u8], next: i64, cut: i64) -> Change {
        let mut of_key = vec![OVER];
        of_key.extend_from_slice(key);
        let mut value = record::head(0, next, cut);
        for number in [self.rows, self.times, self.seen] {
            value.extend_from_slice(&number.to_le_bytes());
        }
        put_sized(&mut value, &self.state);
        value.extend_from_slice(&(self.last.len() as u32).to_le_bytes());
        for ((time, arrival), row) in &self.last {
            value.extend_from_slice(&time.to_le_bytes());
            value.extend_from_slice(&arrival.to_le_bytes());
            put_sized(&mut value, row);
        }
        Change {
            key: of_key,
            value: Some(value),
        }
    }
}

/// What a record holds, and the arrival number of the next row.
pub(super) fn read_kept(value: &[u8]) -> Result<(Kept, i64), StateError> {
    let head = record::read_head(value)?;
    let mut body = head.body;
    let mut kept = Kept {
        rows: take_i64(&mut body)?,
        times: take_i64(&mut body)?,
        seen: take_i64(&mut body)?,
        state: take_sized(&mut body)?.to_vec(),
        last: Vec::new(),
    };
    for _ in 0..take_u32(&mut body)? {
        let place = (take_i64(&mut body)?, take_i64(&mut body)?);
        kept.last.push((place, take_sized(&mut body)?.into()));
    }
    Ok((kept, head.next))
}
