//! What an epoch gives, and what state holds.

use arrow::array::RecordBatch;

/// What an epoch gives, if it is committed.
#[derive(Debug, Default)]
pub struct EpochOutput {
    /// Results, with the columns of [`headworks_sql::keyed::Keyed::results`]: final ones of windows, by window and
    /// then in the order in which keys first came; or the new ones of keys that changed.
    pub results: Vec<RecordBatch>,
    /// Keys (their columns alone) whose state is gone by its TTL, where results are upserts.
    pub gone: Vec<RecordBatch>,
    /// Records for the changelog, in order.
    pub changelog: Vec<Change>,
    /// True: there are more final results than an epoch should give at once (at most half a million, and less
    /// with little memory). They come with the next [`crate::StatePartition::prepare_commit`] after the commit, with any watermark. Never
    /// with a [`crate::Pool`] without a folder.
    pub more: bool,
}

/// A record of the changelog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Key. The first byte is at least 0x10; smaller ones are the engine's.
    pub key: Vec<u8>,
    /// Value; absent: a tombstone.
    pub value: Option<Vec<u8>>,
}

/// What a state partition holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Estimate of the memory it takes, in bytes.
    pub memory_bytes: u64,
    /// Estimate of the disk it takes, in bytes.
    pub disk_bytes: u64,
    /// Keys, each counted in every window.
    pub keys: u64,
}
