//! What one poll brought: records in one growing buffer, so that a record costs no allocation.

use super::Partition;

/// Bounds of one poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most records.
    pub rows: usize,
    /// Bytes of keys and values after which no further record is taken. Records that are much larger than
    /// those before may pass it by what a client has fetched ahead.
    pub bytes: usize,
}

/// Records in the order they were delivered. Clearing keeps the memory.
#[derive(Debug, Default)]
pub struct Batch {
    rows: Vec<Row>,
    bytes: Vec<u8>,
    /// Present: headers are asked for. In the order of `rows`.
    headers: Option<Vec<RecordHeaders>>,
}

/// Headers of a record that are ours, in order.
pub type RecordHeaders = Vec<(String, Vec<u8>)>;

#[derive(Clone, Copy, Debug)]
struct Row {
    partition: Partition,
    offset: i64,
    timestamp_ms: Option<i64>,
    key: Option<(usize, usize)>,
    value: Option<(usize, usize)>,
}

/// One record of a [`Batch`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it was read.
    pub partition: Partition,
    /// Its offset.
    pub offset: i64,
    /// Kafka timestamp, milliseconds since 1970 UTC.
    pub timestamp_ms: Option<i64>,
    /// Key, if it has one.
    pub key: Option<&'a [u8]>,
    /// Value; absent: a tombstone.
    pub value: Option<&'a [u8]>,
}

impl Batch {
    /// Appends a record.
    #[inline]
    pub fn push(&mut self, record: &Record<'_>) {
        let mut keep = |part: Option<&[u8]>| {
            part.map(|part| {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(part);
                (start, self.bytes.len())
            })
        };
        let (key, value) = (keep(record.key), keep(record.value));
        self.rows.push(Row {
            partition: record.partition,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            key,
            value,
        });
    }

    /// Forgets the records, keeps the memory.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.bytes.clear();
        self.headers = None;
    }

    /// Until the batch is cleared, or they are [taken](Batch::take_headers), headers are kept of the records that are added.
    pub fn ask_for_headers(&mut self) {
        self.headers = Some(vec![RecordHeaders::new(); self.rows.len()]);
    }

    /// True: who adds a record is to add its headers, too.
    #[inline]
    pub fn asks_for_headers(&self) -> bool {
        self.headers.is_some()
    }

    /// Adds the headers of the record that was added last.
    pub fn push_headers(&mut self, headers: RecordHeaders) {
        if let Some(all) = &mut self.headers {
            all.resize(self.rows.len().saturating_sub(1), RecordHeaders::new());
            all.push(headers);
        }
    }

    /// The headers of each record; empty, where none were asked for.
    pub fn take_headers(&mut self) -> Vec<RecordHeaders> {
        self.headers.take().unwrap_or_default()
    }

    /// Number of records.
    #[inline]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Bytes of their keys and values.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// True without records.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// True once `limits` are reached.
    #[inline]
    pub fn is_full(&self, limits: Limits) -> bool {
        self.rows.len() >= limits.rows || self.bytes.len() >= limits.bytes
    }

    /// Record `row`, which must be below [`Batch::len`].
    pub fn record(&self, row: usize) -> Record<'_> {
        let kept = self.rows[row];
        let part = |range: Option<(usize, usize)>| range.map(|(from, to)| &self.bytes[from..to]);
        Record {
            partition: kept.partition,
            offset: kept.offset,
            timestamp_ms: kept.timestamp_ms,
            key: part(kept.key),
            value: part(kept.value),
        }
    }

    /// Where record `row` was read: partition and offset.
    #[inline]
    pub fn place(&self, row: usize) -> (Partition, i64) {
        let kept = &self.rows[row];
        (kept.partition, kept.offset)
    }

    /// The value of record `row`.
    #[inline]
    pub fn value(&self, row: usize) -> Option<&[u8]> {
        self.rows[row].value.map(|(from, to)| &self.bytes[from..to])
    }

    /// The Kafka timestamp of record `row`, milliseconds since 1970 UTC.
    #[inline]
    pub fn timestamp_ms(&self, row: usize) -> Option<i64> {
        self.rows[row].timestamp_ms
    }

    /// Keeps the first `rows` records.
    pub fn truncate(&mut self, rows: usize) {
        self.rows.truncate(rows);
    }

    /// Keeps the records for which `keep` says so, given partition and offset.
    pub fn retain(&mut self, mut keep: impl FnMut(Partition, i64) -> bool) {
        self.rows.retain(|row| keep(row.partition, row.offset));
    }
}
