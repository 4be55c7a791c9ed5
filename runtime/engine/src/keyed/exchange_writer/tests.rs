//! What comes out of the repartition topic is what went in, in the order of the records.

use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};

use super::*;
use crate::keyed::wire;
use crate::log::{Partition, Record};
use crate::memory::Chance;
use crate::stateless::StagedRows;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("n", DataType::Int64, false),
    ]))
}

/// What a branch of a union makes of records: rows `(key, n, record)`.
fn piece(rows: &[(String, i64, u32)]) -> StagedRows {
    let keys = StringArray::from_iter_values(rows.iter().map(|(key, ..)| key));
    let numbers = Int64Array::from_iter_values(rows.iter().map(|(_, n, _)| *n));
    StagedRows {
        rows: RecordBatch::try_new(schema(), vec![Arc::new(keys), Arc::new(numbers)]).unwrap(),
        from: rows.iter().map(|(.., from)| *from).collect(),
    }
}

/// Records of one input's two partitions, by turns.
fn batch(records: u32, first_offset: i64) -> Batch {
    let mut batch = Batch::default();
    for at in 0..i64::from(records) {
        batch.push(&Record {
            partition: Partition {
                topic: 0,
                number: (at % 2) as i32,
            },
            offset: first_offset + at,
            timestamp_ms: None,
            key: None,
            value: Some(format!("record {}", first_offset + at).as_bytes()),
        });
    }
    batch
}

/// A row as it is read: partition of the inputs, offset, number; and the original where the row may be late.
type Read = (u32, i64, i64, Option<String>);

/// Writes batches of pieces in one transaction and reads each partition of the topic.
fn through(partitions: i32, batches: &[Vec<StagedRows>], suspects: bool) -> Vec<Vec<Read>> {
    let topic = InternalTopic {
        topic: "re".into(),
        partitions,
        max_message_bytes: 1_000_000,
    };
    let mut writer = ExchangeWriter::new(&topic, &schema(), 1);
    let mut offset = 100;
    for pieces in batches {
        let mut staged = Staged::default();
        let from = pieces.iter().flat_map(|piece| &piece.from);
        let records = from.max().map_or(0, |last| last + 1);
        staged.rows.extend(pieces.iter().map(|piece| StagedRows {
            rows: piece.rows.clone(),
            from: piece.from.clone(),
        }));
        let sources: Vec<RowSource> = (0..records)
            .map(|record| RowSource {
                source: record % 2,
                suspect: suspects && record % 3 == 0,
            })
            .collect();
        let batch = batch(records, offset);
        writer.append(&staged, &batch, &sources).unwrap();
        offset += i64::from(records);
    }
    let mut read: Vec<Vec<Read>> = vec![Vec::new(); partitions as usize];
    let mut produce = |partition: i32, bytes: &[u8]| {
        let rows = wire::read(bytes, &schema()).unwrap().rows.unwrap();
        let numbers = rows.batch.column(1).as_primitive::<Int64Type>();
        let all: Vec<u32> = (0..rows.batch.num_rows() as u32).collect();
        for (row, (origin, original)) in rows.records_of(&all).unwrap().into_iter().enumerate() {
            let text = |value: Arc<[u8]>| String::from_utf8(value.to_vec()).unwrap();
            read[partition as usize].push((
                origin.source,
                origin.offset,
                numbers.value(row),
                original.and_then(|one| one.value).map(text),
            ));
        }
        Ok(())
    };
    writer
        .flush(Vec::new(), Duration::ZERO, &mut produce)
        .unwrap();
    read
}

#[test]
fn a_row_does_not_come_before_one_of_an_earlier_record_that_another_branch_gave() {
    // The first branch of a union gives the later record, which opens the session that the earlier one, late by itself, would
    // join.
    let later = piece(&[("k".into(), 2, 1)]);
    let earlier = piece(&[("k".into(), 1, 0)]);
    let read = through(1, &[vec![later, earlier]], false);
    let numbers: Vec<i64> = read[0].iter().map(|(_, _, n, _)| *n).collect();
    assert_eq!(numbers, [1, 2]);
}

#[test]
fn whatever_branches_give_each_row_keeps_its_origin_and_the_records_their_order() {
    let mut chance = Chance::new(5);
    for round in 0..400 {
        let partitions = 1 + chance.below(4) as i32;
        let (mut batches, mut expected, mut offset, mut n) = (Vec::new(), Vec::new(), 100_i64, 0);
        for _ in 0..=chance.below(3) {
            let records = 1 + chance.below(20) as u32;
            let mut pieces = Vec::new();
            let mut last = 0;
            for _ in 0..chance.below(4) {
                let mut rows = Vec::new();
                for record in 0..records {
                    if chance.once_in(400) {
                        continue;
                    }
                    for _ in 0..=chance.below(2) {
                        n += 1;
                        rows.push((format!("k{}", chance.below(6)), n, record));
                        let suspect = record % 3 == 0;
                        let at = offset + i64::from(record);
                        let original = suspect.then(|| format!("record {at}"));
                        expected.push((record % 2, at, n, original));
                        last = last.max(record + 1);
                    }
                }
                pieces.push(piece(&rows));
            }
            batches.push(pieces);
            offset += i64::from(last);
        }
        let read = through(partitions, &batches, true);
        for rows in &read {
            // Of one record, in the order of the branches: that of the numbers.
            let places: Vec<(i64, i64)> = rows.iter().map(|(_, at, n, _)| (*at, *n)).collect();
            assert!(places.is_sorted(), "{round}: {places:?}");
        }
        let mut all: Vec<Read> = read.into_iter().flatten().collect();
        all.sort();
        expected.sort();
        assert_eq!(all, expected, "{round}");
    }
}

#[test]
fn a_record_goes_along_once_however_many_rows_it_gives() {
    let topic = InternalTopic {
        topic: "re".into(),
        partitions: 2,
        max_message_bytes: 1_000_000,
    };
    let mut writer = ExchangeWriter::new(&topic, &schema(), 1);
    let rows: Vec<(String, i64, u32)> = (0..1_000).map(|n| (format!("k{n}"), n, 0)).collect();
    let mut staged = Staged::default();
    staged.rows.push(piece(&rows));
    let mut batch = Batch::default();
    batch.push(&Record {
        partition: Partition {
            topic: 0,
            number: 0,
        },
        offset: 7,
        timestamp_ms: None,
        key: None,
        value: Some(&vec![b'x'; 100_000]),
    });
    let source = RowSource {
        source: 0,
        suspect: true,
    };
    writer.append(&staged, &batch, &[source]).unwrap();
    assert!(!writer.is_full());
    let mut written = Vec::new();
    let mut produce = |_: i32, bytes: &[u8]| {
        written.push(bytes.len());
        Ok(())
    };
    writer
        .flush(Vec::new(), Duration::ZERO, &mut produce)
        .unwrap();
    assert_eq!(written.len(), 2);
    assert!(
        written
            .iter()
            .all(|bytes| (100_000..130_000).contains(bytes)),
        "{written:?}"
    );
}
