//! The one judge of records. Sources and every stage of a pipeline ask here, so that a record that one of them takes is taken by
//! the others, and one that can't be used is refused for the same reason wherever it is met.
//!
//! Three questions, in this order. *Can it be read?* ([`read`]): its format, then the stream's contract. *Can it be written?*
//! ([`write`]): in the form of the topic that it goes to, within what that topic takes, with a key where each row needs one. What
//! is refused is a [dead letter](crate::dead_letter), and the last question is whether the topic of those
//! [can hold it](crate::dead_letter::DeadLetter::fits).
//!
//! Between the first two stands *does it hold what it should?* ([`rules`]): quality rules look at the decoded columns of a whole
//! batch.

pub mod rules;

use std::ops::Range;

use arrow::array::RecordBatch;
use headworks_plan::DeadLetterReason;

use crate::format::{DecodeError, Decoder, Encoder, FormatError, RowError};

/// What a record costs in Kafka beyond its key, value and headers when it travels alone: the batch's header (61 bytes,
/// KIP-98), and the record's own lengths, deltas and attributes at their longest (36 bytes), rounded up.
pub const RECORD_OVERHEAD: u64 = 100;

/// Adds a record to the decoder's batch, if it can be read.
///
/// # Errors
/// It can't: it isn't of the format, breaks the contract, or has to wait for a schema.
pub fn read<D: Decoder + ?Sized>(
    decoder: &mut D,
    payload: Option<&[u8]>,
) -> Result<(), DecodeError> {
    let Some(payload) = payload else {
        let why =
            "the record has no value (a tombstone), which only a compacted stream gives a meaning";
        return Err(refused(DeadLetterReason::Contract, why.to_owned()).into());
    };
    decoder.decode(payload)
}

/// What a row is, which is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    /// A record that somebody sent: where the stream can't hold it, it breaks the contract.
    Record,
    /// What a query made of records: where a target can't hold it, the query doesn't fit these records.
    Result,
}

/// A topic that rows are written to.
#[derive(Clone, Copy, Debug)]
pub struct Topic<'a> {
    /// Its name, for messages.
    pub name: &'a str,
    /// Its `max.message.bytes`.
    pub max_message_bytes: u64,
    /// True: the broker refuses a record without a key.
    pub compacted: bool,
    /// What the rows are.
    pub row: Row,
}

/// Where a written row stands in the buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// False: it has no key.
    pub keyed: bool,
    start: usize,
    middle: usize,
    end: usize,
}

impl Written {
    /// The key's bytes.
    pub fn key(&self) -> Option<Range<usize>> {
        self.keyed.then_some(self.start..self.middle)
    }

    /// The value's bytes.
    pub fn value(&self) -> Range<usize> {
        self.middle..self.end
    }
}

/// Appends key and value of row `row` of `batch` to `out`. A row that is refused (the inner error) leaves nothing there.
///
/// # Errors
/// The encoder failed on a record, and not for what it holds: a bug.
#[inline]
pub fn write<E: Encoder + ?Sized>(
    encoder: &mut E,
    topic: Topic<'_>,
    batch: &RecordBatch,
    row: usize,
    out: &mut Vec<u8>,
) -> Result<Result<Written, RowError>, FormatError> {
    let start = out.len();
    let (keyed, middle) = match parts(encoder, batch, row, out) {
        Ok(parts) => parts,
        Err(error) => {
            out.truncate(start);
            return topic.unwritable(error).map(Err);
        }
    };
    let end = out.len();
    let value = encoder.wire_len().unwrap_or(end - middle);
    let size = (middle - start + value) as u64;
    let fault = if !keyed && topic.compacted {
        Some(topic.keyless())
    } else {
        topic.too_large(size)
    };
    Ok(match fault {
        Some(fault) => {
            out.truncate(start);
            Err(fault)
        }
        None => Ok(Written {
            keyed,
            start,
            middle,
            end,
        }),
    })
}

/// Whether there is a key, and where it ends.
#[inline]
fn parts<E: Encoder + ?Sized>(
    encoder: &mut E,
    batch: &RecordBatch,
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(bool, usize), FormatError> {
    let keyed = encoder.key(batch, row, out)?;
    let middle = out.len();
    encoder.encode(batch, row, out)?;
    Ok((keyed, middle))
}

impl Topic<'_> {
    /// A row that the topic's format can't say: null in a list, text that is no symbol of an enum, a year beyond 9999.
    fn unwritable(&self, error: FormatError) -> Result<RowError, FormatError> {
        match (self.row, error) {
            (Row::Record, FormatError::Value { field, message }) => Ok(RowError {
                reason: DeadLetterReason::Contract,
                path: field,
                message,
            }),
            (Row::Record, error) => Err(error),
            (Row::Result, error) => Ok(refused(
                DeadLetterReason::Evaluation,
                format!("output {}: {error}", self.name),
            )),
        }
    }

    fn keyless(&self) -> RowError {
        let why = "the key is null, and a compacted stream has a row for each key";
        match self.row {
            Row::Record => refused(DeadLetterReason::Contract, why.to_owned()),
            Row::Result => refused(
                DeadLetterReason::Evaluation,
                format!("output {}: {why}", self.name),
            ),
        }
    }

    /// `size`: of key and value.
    #[inline]
    fn too_large(&self, size: u64) -> Option<RowError> {
        let (bytes, limit) = (size.saturating_add(RECORD_OVERHEAD), self.max_message_bytes);
        let message = match self.row {
            _ if bytes <= limit => return None,
            Row::Record => format!(
                "the record takes {bytes} bytes in Kafka, and the stream's limit (max.message.bytes) is {limit}"
            ),
            Row::Result => format!(
                "the result takes {bytes} bytes in Kafka, and the limit of topic {} (max.message.bytes) is {limit}",
                self.name
            ),
        };
        Some(refused(DeadLetterReason::TooLarge, message))
    }
}

/// What is said of a row as a whole.
fn refused(reason: DeadLetterReason, message: String) -> RowError {
    RowError {
        reason,
        path: String::new(),
        message,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, AsArray, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    /// The first column is the key, the second the value; `!` can't be written.
    struct Two;

    fn text(batch: &RecordBatch, column: usize, row: usize) -> Result<Option<&str>, FormatError> {
        let column = batch.column(column).as_string::<i32>();
        let text = column.is_valid(row).then(|| column.value(row));
        if text.is_some_and(|text| text.contains('!')) {
            return Err(FormatError::Value {
                field: "f".to_owned(),
                message: "no".to_owned(),
            });
        }
        Ok(text)
    }

    impl Encoder for Two {
        fn encode(
            &mut self,
            batch: &RecordBatch,
            row: usize,
            out: &mut Vec<u8>,
        ) -> Result<(), FormatError> {
            out.extend_from_slice(text(batch, 1, row)?.unwrap_or_default().as_bytes());
            Ok(())
        }

        fn key(
            &mut self,
            batch: &RecordBatch,
            row: usize,
            out: &mut Vec<u8>,
        ) -> Result<bool, FormatError> {
            let key = text(batch, 0, row)?;
            out.extend_from_slice(key.unwrap_or_default().as_bytes());
            Ok(key.is_some())
        }
    }

    fn topic(row: Row) -> Topic<'static> {
        Topic {
            name: "t",
            max_message_bytes: RECORD_OVERHEAD + 4,
            compacted: true,
            row,
        }
    }

    /// What becomes of each row, and what is in the buffer in the end.
    fn judged(row: Row) -> (Vec<Result<String, String>>, String) {
        let keys = StringArray::from(vec![Some("k"), None, Some("k"), Some("!"), Some("k")]);
        let values = StringArray::from(vec!["abc", "abc", "abcd", "abc", "a!"]);
        let field = |name, nullable| Field::new(name, DataType::Utf8, nullable);
        let schema = Schema::new(vec![field("k", true), field("v", false)]);
        let batch =
            RecordBatch::try_new(Arc::new(schema), vec![Arc::new(keys), Arc::new(values)]).unwrap();
        let mut out = Vec::new();
        let judged = (0..batch.num_rows())
            .map(|at| {
                let written = write(&mut Two, topic(row), &batch, at, &mut out).unwrap();
                match written {
                    Ok(written) => Ok(String::from_utf8(out[written.value()].to_vec()).unwrap()),
                    Err(error) => Err(format!("{}: {error}", error.reason)),
                }
            })
            .collect();
        (judged, String::from_utf8(out).unwrap())
    }

    #[test]
    fn what_a_stream_cannot_hold_of_a_record_breaks_its_contract() {
        let (judged, out) = judged(Row::Record);
        let refused = |why: &str| Err(why.to_owned());
        let large = "TooLarge: the record takes 105 bytes in Kafka, and the stream's limit (max.message.bytes) is 104";
        assert_eq!(
            judged,
            [
                Ok("abc".to_owned()),
                refused("Contract: the key is null, and a compacted stream has a row for each key"),
                refused(large),
                refused("Contract: field f: no"),
                refused("Contract: field f: no"),
            ]
        );
        assert_eq!(out, "kabc", "what is refused leaves nothing");
    }

    #[test]
    fn what_a_target_cannot_hold_of_a_result_is_the_querys_fault() {
        let (judged, out) = judged(Row::Result);
        let refused = |why: &str| Err(why.to_owned());
        let large = "TooLarge: the result takes 105 bytes in Kafka, and the limit of topic t (max.message.bytes) is 104";
        let unwritable = "Evaluation: output t: cannot write field f: no";
        assert_eq!(
            judged,
            [
                Ok("abc".to_owned()),
                refused(
                    "Evaluation: output t: the key is null, and a compacted stream has a row for each key"
                ),
                refused(large),
                refused(unwritable),
                refused(unwritable),
            ]
        );
        assert_eq!(out, "kabc");
    }

    #[test]
    fn a_record_costs_no_more_than_it_is_counted_for() {
        // KIP-98: base offset, length, leader epoch, magic, CRC, attributes, last offset delta, two timestamps, producer id
        // and epoch, sequence, count.
        let batch: u64 = 8 + 4 + 4 + 1 + 4 + 2 + 4 + 8 + 8 + 8 + 2 + 4 + 4;
        // Length, attributes, timestamp delta, offset delta, lengths of key and value, number of headers.
        let record: u64 = 5 + 1 + 10 + 5 + 5 + 5 + 5;
        assert_eq!(batch, 61);
        assert!(batch + record <= RECORD_OVERHEAD);
    }
}
