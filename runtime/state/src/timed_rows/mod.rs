//! Rows that wait for event time, or are waited for: in memory by key and time, in the changelog by buckets of time.

pub(crate) mod buffer;
pub(crate) mod log;
