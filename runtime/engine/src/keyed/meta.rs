//! The engine's own record in the changelog: up to where a shard's state counts what was read.
//!
//! It is written in the transaction that moves the group's offset, so the two can't differ unless
//! somebody sets one of them back. Then nothing would be right any more, and the shard says so instead.

use super::bytes::{Broken, Reader, put, put_optional, put_signed};
use super::watermarks::PartitionWatermarks;

/// Key of the record. Keys of state begin with 0x10 or more.
pub(crate) const KEY: &[u8] = &[0x01];
/// The lowest first byte of a key of state.
pub(crate) const STATE_KEYS: u8 = 0x10;
const VERSION: u8 = 1;

/// How far a shard is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    /// The next offset of the repartition topic to be read.
    pub(crate) offset: i64,
    /// How many commits made it what it is. Also in the group's commit, so that a member can tell whether
    /// the state it still has in memory is the one of the changelog.
    pub(crate) epoch: u64,
    /// The watermark of the last commit.
    pub(crate) watermark_ms: Option<i64>,
    pub(crate) watermarks: PartitionWatermarks,
}

impl Meta {
    /// What the group's commit notes.
    pub(crate) fn commit_metadata(&self) -> String {
        format!("state {}", self.epoch)
    }

    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        put_signed(&mut out, self.offset);
        put(&mut out, self.epoch);
        put_optional(&mut out, self.watermark_ms);
        self.watermarks.write(&mut out);
        out
    }

    pub(crate) fn read(bytes: &[u8]) -> Result<Meta, Broken> {
        let mut reader = Reader::new(bytes);
        if reader.byte()? != VERSION {
            return Err("it is of another version");
        }
        Ok(Meta {
            offset: reader.signed()?,
            epoch: reader.number()?,
            watermark_ms: reader.optional()?,
            watermarks: PartitionWatermarks::read(&mut reader)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meta_record_survives_being_written() {
        let meta = Meta {
            offset: 12,
            epoch: 3,
            watermark_ms: Some(-7),
            watermarks: PartitionWatermarks::new(2),
        };
        assert_eq!(Meta::read(&meta.write()), Ok(meta.clone()));
        assert!(Meta::read(&[9]).is_err() && Meta::read(&[]).is_err());
        assert_eq!(meta.commit_metadata(), "state 3");
    }
}
