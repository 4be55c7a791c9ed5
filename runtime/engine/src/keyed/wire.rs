//! A record of the repartition topic: watermarks of the writer's input partitions, then rows.
//!
//! ```text
//! version 1 · schema (8 bytes) · whether more rows follow that the watermarks speak of · watermarks
//! · length and origins: runs of (watermark, rows), then each row's offset less the one before
//! · length and originals: rows that may be late, with timestamp, key and value of their input record
//! · length and Arrow IPC message · length and Arrow IPC body
//! ```
//!
//! All after the watermarks is absent where there are only watermarks. Numbers are those of [`super::bytes`]. The
//! Arrow schema isn't there: both parts know it from the query, and `schema` tells whether they mean the
//! same. Origins are apart from the rows, and aren't looked at unless a row is late.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions};
use arrow::ipc::{MetadataVersion, root_as_message};

use super::bytes::{Reader, put, put_bytes, put_optional, put_optional_bytes, put_signed};
use super::hash;
use super::watermarks::PartitionWatermark;

const VERSION: u8 = 1;

/// Where a row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Index of its partition among the record's watermarks.
    pub(crate) source: u32,
    pub(crate) offset: i64,
}

/// The input record of rows that may turn out to be late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Original {
    /// The first of its rows: a record may give several.
    pub(crate) row: u32,
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) key: Option<Arc<[u8]>>,
    pub(crate) value: Option<Arc<[u8]>>,
}

/// Rows to be written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outgoing<'a> {
    pub(crate) rows: &'a RecordBatch,
    /// One a row.
    pub(crate) origins: &'a [Origin],
    /// Ascending; their rows count from `first`.
    pub(crate) originals: &'a [Original],
    pub(crate) first: u32,
    /// True: more rows follow in the next record that the watermarks speak of, so they aren't heeded yet.
    pub(crate) more: bool,
}

/// Tells the types of rows apart. Names don't count: a query may call its columns otherwise and go on with the
/// same state, and then meets records that were written under the old names.
pub(crate) fn schema_id(schema: &SchemaRef) -> u64 {
    let mut words = Vec::new();
    for field in schema.fields() {
        describe(field.data_type(), &mut words);
    }
    hash::bytes(0, &words)
}

/// A type in bytes of our own, which no other version of Arrow can change.
fn describe(data_type: &DataType, out: &mut Vec<u8>) {
    match data_type {
        DataType::Boolean => out.push(1),
        DataType::Int32 => out.push(2),
        DataType::Int64 => out.push(3),
        DataType::Float32 => out.push(4),
        DataType::Float64 => out.push(5),
        DataType::Decimal128(precision, scale) => out.extend([6, *precision, *scale as u8]),
        DataType::Utf8 => out.push(7),
        DataType::Binary => out.push(8),
        DataType::Date32 => out.push(9),
        DataType::Time64(unit) => out.extend([10, *unit as u8]),
        DataType::Timestamp(unit, zone) => {
            out.extend([11, *unit as u8, u8::from(zone.is_some())]);
        }
        DataType::List(element) => {
            out.push(12);
            describe(element.data_type(), out);
        }
        DataType::Map(entries, _) => {
            out.push(13);
            describe(entries.data_type(), out);
        }
        DataType::Struct(fields) => {
            out.extend([14, fields.len() as u8]);
            fields
                .iter()
                .for_each(|field| describe(field.data_type(), out));
        }
        other => {
            out.push(255);
            out.extend(other.to_string().bytes());
        }
    }
}

/// Writes records; keeps what can be used again.
pub(crate) struct Writer {
    schema: u64,
    generator: IpcDataGenerator,
    options: IpcWriteOptions,
    context: IpcWriteContext,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    pub(crate) fn new(schema: &SchemaRef) -> Writer {
        Writer {
            schema: schema_id(schema),
            generator: IpcDataGenerator::default(),
            // 64, the default, would cost more than the values of a small batch.
            options: IpcWriteOptions::try_new(8, false, MetadataVersion::V5).unwrap_or_default(),
            context: IpcWriteContext::default(),
        }
    }

    /// Makes a record.
    ///
    /// # Errors
    /// Arrow refused the columns: a bug.
    pub(crate) fn write(
        &mut self,
        watermarks: &[PartitionWatermark],
        rows: Option<Outgoing<'_>>,
    ) -> Result<Vec<u8>, String> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.schema.to_le_bytes());
        out.push(u8::from(rows.is_some_and(|rows| rows.more)));
        put(&mut out, watermarks.len() as u64);
        for watermark in watermarks {
            watermark.write(&mut out);
        }
        let Some(outgoing) = rows else {
            return Ok(out);
        };
        put_bytes(&mut out, &origins(outgoing.origins));
        put_bytes(&mut out, &originals(outgoing.originals, outgoing.first));
        let (_, encoded) = self
            .generator
            .encode(
                outgoing.rows,
                &mut DictionaryTracker::new(false),
                &self.options,
                &mut self.context,
            )
            .map_err(|error| error.to_string())?;
        out.reserve(encoded.ipc_message.len() + encoded.arrow_data.len() + 16);
        put_bytes(&mut out, &encoded.ipc_message);
        put_bytes(&mut out, &encoded.arrow_data);
        Ok(out)
    }
}

fn origins(origins: &[Origin]) -> Vec<u8> {
    let mut out = Vec::with_capacity(origins.len() * 2 + 16);
    for run in origins.chunk_by(|a, b| a.source == b.source) {
        put(&mut out, u64::from(run[0].source));
        put(&mut out, run.len() as u64);
        let mut before = 0;
        for origin in run {
            put_signed(&mut out, origin.offset.wrapping_sub(before));
            before = origin.offset;
        }
    }
    out
}

fn originals(originals: &[Original], first: u32) -> Vec<u8> {
    let mut out = Vec::new();
    for original in originals {
        put(&mut out, u64::from(original.row - first));
        put_optional(&mut out, original.timestamp_ms);
        put_optional_bytes(&mut out, original.key.as_deref());
        put_optional_bytes(&mut out, original.value.as_deref());
    }
    out
}

/// A record that was read.
#[derive(Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) watermarks: Vec<PartitionWatermark>,
    /// True: the watermarks aren't to be heeded before the next record.
    pub(crate) more: bool,
    pub(crate) rows: Option<Rows<'a>>,
}

/// The rows of a record.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    pub(crate) batch: RecordBatch,
    origins: &'a [u8],
    originals: &'a [u8],
}

/// Reads a record whose rows have this schema.
///
/// # Errors
/// It isn't one: the topic holds something that isn't this pipeline's.
pub(crate) fn read<'a>(bytes: &'a [u8], schema: &SchemaRef) -> Result<Incoming<'a>, String> {
    let mut reader = Reader::new(bytes);
    if reader.byte()? != VERSION {
        return Err("it is of another version".to_owned());
    }
    let mut id = [0; 8];
    for byte in &mut id {
        *byte = reader.byte()?;
    }
    if u64::from_le_bytes(id) != schema_id(schema) {
        return Err("its rows have other columns".to_owned());
    }
    let more = reader.byte()? != 0;
    let watermarks = (0..reader.count()?)
        .map(|_| PartitionWatermark::read(&mut reader))
        .collect::<Result<Vec<_>, _>>()?;
    if reader.is_empty() {
        return Ok(Incoming {
            watermarks,
            more,
            rows: None,
        });
    }
    let (origins, originals) = (reader.bytes()?, reader.bytes()?);
    let (message, body) = (reader.bytes()?, reader.bytes()?);
    let message = root_as_message(message).map_err(|error| error.to_string())?;
    let header = message
        .header_as_record_batch()
        .ok_or("its message holds no rows")?;
    // Copied to where Arrow's values are aligned.
    let batch = arrow::ipc::reader::read_record_batch(
        &Buffer::from(body),
        header,
        schema.clone(),
        &HashMap::new(),
        None,
        &message.version(),
    )
    .map_err(|error| error.to_string())?;
    Ok(Incoming {
        watermarks,
        more,
        rows: Some(Rows {
            batch,
            origins,
            originals,
        }),
    })
}

impl Rows<'_> {
    /// One a row.
    ///
    /// # Errors
    /// They can't be read.
    pub(crate) fn origins(&self) -> Result<Vec<Origin>, String> {
        let mut reader = Reader::new(self.origins);
        let mut origins = Vec::with_capacity(self.batch.num_rows());
        while !reader.is_empty() {
            let source = u32::try_from(reader.number()?).map_err(|_| "a number is too large")?;
            let mut offset = 0_i64;
            for _ in 0..reader.count()? {
                offset = offset.wrapping_add(reader.signed()?);
                origins.push(Origin { source, offset });
            }
        }
        if origins.len() != self.batch.num_rows() {
            return Err("its rows have too few origins".to_owned());
        }
        Ok(origins)
    }

    /// Ascending by row.
    ///
    /// # Errors
    /// They can't be read.
    fn originals(&self) -> Result<Vec<Original>, String> {
        let mut reader = Reader::new(self.originals);
        let mut originals = Vec::new();
        while !reader.is_empty() {
            originals.push(Original {
                row: u32::try_from(reader.number()?).map_err(|_| "a number is too large")?,
                timestamp_ms: reader.optional()?,
                key: reader.optional_bytes()?.map(Arc::from),
                value: reader.optional_bytes()?.map(Arc::from),
            });
        }
        Ok(originals)
    }

    /// Where these rows, in ascending order, come from, and the records, where they were sent along.
    ///
    /// # Errors
    /// They can't be read.
    pub(crate) fn records_of(
        &self,
        rows: &[u32],
    ) -> Result<Vec<(Origin, Option<Original>)>, String> {
        let origins = self.origins()?;
        let mut originals = self.originals()?.into_iter().peekable();
        let mut last = None;
        let record = |row: &u32| {
            let origin = origins.get(*row as usize).ok_or("a row has no origin")?;
            while let Some(next) = originals.next_if(|one| one.row <= *row) {
                last = Some(next);
            }
            let same = |one: &&Original| origins.get(one.row as usize) == Some(origin);
            Ok((*origin, last.as_ref().filter(same).cloned()))
        };
        rows.iter().map(record).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    #[test]
    fn rows_are_told_apart_by_their_types_and_not_by_their_names() {
        let id = |columns: &[(&str, DataType)]| {
            let fields = columns
                .iter()
                .map(|(name, t)| Field::new(*name, t.clone(), false));
            schema_id(&Arc::new(Schema::new(fields.collect::<Vec<_>>())))
        };
        let named = id(&[("user_id", DataType::Int64), ("qty", DataType::Int32)]);
        assert_eq!(named, id(&[("u", DataType::Int64), ("q", DataType::Int32)]));
        assert_ne!(named, id(&[("u", DataType::Int32), ("q", DataType::Int64)]));
        assert_ne!(
            id(&[("d", DataType::Decimal128(12, 2))]),
            id(&[("d", DataType::Decimal128(12, 3))])
        );
    }

    fn batch() -> RecordBatch {
        let schema = Schema::new(vec![
            Field::new("id", DataType::Utf8, true),
            Field::new("n", DataType::Int64, false),
        ]);
        RecordBatch::try_new(
            Arc::new(schema),
            vec![
                Arc::new(StringArray::from(vec![
                    Some("x"),
                    Some("a"),
                    None,
                    Some("long enough"),
                ])),
                Arc::new(Int64Array::from(vec![0, 1, 2, 3])),
            ],
        )
        .unwrap()
    }

    const WATERMARK: PartitionWatermark = PartitionWatermark {
        topic: 0,
        partition: 2,
        of: 3,
        watermark_ms: Some(17),
        idle: false,
    };

    fn written() -> Vec<u8> {
        // A slice, whose offsets don't begin at 0.
        let rows = batch().slice(1, 3);
        let origin = |source, offset| Origin { source, offset };
        let late = Original {
            row: 12,
            timestamp_ms: None,
            key: None,
            value: Some(Arc::from(&b"raw"[..])),
        };
        let outgoing = Outgoing {
            rows: &rows,
            origins: &[origin(0, 100), origin(0, 103), origin(1, 7)],
            originals: &[late],
            first: 11,
            more: true,
        };
        Writer::new(&rows.schema())
            .write(&[WATERMARK, WATERMARK], Some(outgoing))
            .unwrap()
    }

    #[test]
    fn rows_marks_origins_and_originals_survive_the_way() {
        let bytes = written();
        let incoming = read(&bytes, &batch().schema()).unwrap();
        assert_eq!(
            (incoming.watermarks.as_slice(), incoming.more),
            (&[WATERMARK, WATERMARK][..], true)
        );
        let rows = incoming.rows.unwrap();
        assert_eq!(rows.batch, batch().slice(1, 3));
        let origins: Vec<(u32, i64)> = rows
            .origins()
            .unwrap()
            .iter()
            .map(|o| (o.source, o.offset))
            .collect();
        assert_eq!(origins, [(0, 100), (0, 103), (1, 7)]);
        let originals = rows.originals().unwrap();
        assert_eq!((originals.len(), originals[0].row), (1, 1));
        assert_eq!(originals[0].value.as_deref(), Some(&b"raw"[..]));
    }

    #[test]
    fn a_record_without_rows_has_its_marks() {
        let schema = batch().schema();
        let bytes = Writer::new(&schema).write(&[WATERMARK], None).unwrap();
        let incoming = read(&bytes, &schema).unwrap();
        assert_eq!(incoming.watermarks, [WATERMARK]);
        assert!(incoming.rows.is_none());
    }

    #[test]
    fn what_is_cut_off_or_anothers_is_refused() {
        let bytes = written();
        let schema = batch().schema();
        for end in 0..bytes.len() {
            // Cut right behind the watermarks, it is a record of watermarks.
            let refused = read(&bytes[..end], &schema);
            assert!(refused.is_err() || refused.unwrap().rows.is_none(), "{end}");
        }
        let other = batch().project(&[0]).unwrap().schema();
        assert!(read(&bytes, &other).unwrap_err().contains("other columns"));
        assert!(
            read(b"{\"id\":1}", &schema)
                .unwrap_err()
                .contains("another version")
        );
    }
}
