//! How a batch of rows gets into the table.
//!
//! Without a key by one `COPY`. With one, `COPY` fills a temporary table of the session's own, and two
//! statements go from there to the target: of each key the last row counts, and first those that are
//! deletes take theirs away (so that what they held of another unique index is free), then the others are
//! upserted.

use arrow::array::AsArray;
use bytes::Bytes;
use futures::SinkExt;
use headworks_engine::store::{StoreError, TableRows, TableSchema};
use headworks_plan::DELETED_COLUMN;
use headworks_sql::schema::Schema;
use tokio_postgres::{Client, Error, Statement};

use super::quoted;
use super::row::RowEncoder;
use super::table::list;

/// Of the waiting rows the last one of each key.
const LAST: &str = "ORDER BY KEYS, headworks_n DESC";

/// Rows as `COPY` takes them, in one message.
#[derive(Debug)]
pub(super) struct Rows {
    data: Bytes,
    /// One of them at least is a delete.
    delete: bool,
}

/// Makes rows of columns: the only copy of them on their way from the query to the connection.
pub(super) struct RowWriter {
    encoder: RowEncoder,
    /// Index of the mark of deletes.
    deleted: Option<usize>,
    /// How many bytes a row took the last time.
    row_bytes: usize,
}

/// Most that is reserved before rows are encoded, in bytes.
const MOST_RESERVED: usize = 16 << 20;

impl RowWriter {
    pub(super) fn new(schema: &TableSchema) -> RowWriter {
        RowWriter {
            encoder: RowEncoder::new(schema),
            deleted: schema.deleted,
            row_bytes: 0,
        }
    }

    pub(super) fn write(&mut self, rows: &TableRows) -> Result<Rows, StoreError> {
        let columns = rows.columns();
        // As much as before and an eighth, so that it seldom grows; but many small rows may come after a few large ones.
        let bytes = rows.len() * (self.row_bytes + self.row_bytes / 8);
        let bytes = bytes.min(MOST_RESERVED);
        let mut data = Vec::with_capacity(bytes);
        self.encoder.encode(columns, &mut data)?;
        self.row_bytes = data.len() / rows.len().max(1) + 1;
        let marks = self.deleted.and_then(|mark| columns.columns().get(mark));
        let marks = marks.and_then(|marks| marks.as_boolean_opt());
        Ok(Rows {
            data: Bytes::from(data),
            delete: marks.is_some_and(|marks| marks.true_count() > 0),
        })
    }
}

/// The statements of one session.
pub(super) struct Writing {
    copy: Statement,
    by_key: Option<ByKey>,
}

struct ByKey {
    /// Where rows are marked. Planned at each use: which way is best depends on how large the target has
    /// become.
    delete: Option<String>,
    upsert: Statement,
}

impl Writing {
    /// Makes the session's own table, if there is a key, and the statements. Rows of `columns` are
    /// followed by the mark where they may be deletes.
    pub(super) async fn prepare(
        client: &Client,
        target: &str,
        columns: &Schema,
        key: &[String],
        deletes: bool,
    ) -> Result<Writing, Error> {
        let all = list(columns.columns.iter().map(|column| &column.name));
        if key.is_empty() {
            let copy = format!("COPY {target} ({all}) FROM STDIN");
            return Ok(Writing {
                copy: client.prepare(&copy).await?,
                by_key: None,
            });
        }
        client
            .batch_execute(&staging(target, &all, deletes))
            .await?;
        let mark = if deletes {
            format!(", {DELETED_COLUMN}")
        } else {
            String::new()
        };
        let copy = format!("COPY pg_temp.headworks_rows ({all}{mark}) FROM STDIN");
        Ok(Writing {
            copy: client.prepare(&copy).await?,
            by_key: Some(ByKey {
                delete: deletes.then(|| delete(target, key)),
                upsert: client
                    .prepare(&upsert(target, columns, key, deletes))
                    .await?,
            }),
        })
    }

    pub(super) async fn write(&self, client: &Client, rows: Rows) -> Result<(), Error> {
        let sink = client.copy_in(&self.copy).await?;
        let mut sink = std::pin::pin!(sink);
        sink.send(rows.data).await?;
        sink.finish().await?;
        let Some(by_key) = &self.by_key else {
            return Ok(());
        };
        if let Some(delete) = by_key.delete.as_ref().filter(|_| rows.delete) {
            client.batch_execute(delete).await?;
        }
        client.execute(&by_key.upsert, &[]).await?;
        Ok(())
    }
}

/// The session's own table, where rows wait for the upsert. It has the target's types and none of its
/// constraints, and forgets the rows at each commit.
fn staging(target: &str, all: &str, deletes: bool) -> String {
    let mark = if deletes {
        format!(", ADD COLUMN {DELETED_COLUMN} boolean")
    } else {
        String::new()
    };
    format!(
        "CREATE TEMPORARY TABLE headworks_rows ON COMMIT DELETE ROWS AS SELECT {all} FROM {target} WITH NO DATA; \
         ALTER TABLE pg_temp.headworks_rows ADD COLUMN headworks_n bigint GENERATED ALWAYS AS IDENTITY{mark}"
    )
}

/// Takes the rows away whose key's last waiting row is a delete.
fn delete(target: &str, key: &[String]) -> String {
    let keys = list(key);
    let last = LAST.replace("KEYS", &keys);
    let equal: Vec<String> = key
        .iter()
        .map(|column| format!("target.{0} = waiting.{0}", quoted(column)))
        .collect();
    format!(
        "DELETE FROM {target} AS target USING \
         (SELECT DISTINCT ON ({keys}) {keys}, {DELETED_COLUMN} FROM pg_temp.headworks_rows {last}) AS waiting \
         WHERE waiting.{DELETED_COLUMN} AND {}",
        equal.join(" AND ")
    )
}

/// Puts the last waiting row of each key into the table, unless it is a delete, and empties the waiting
/// table.
fn upsert(target: &str, columns: &Schema, key: &[String], deletes: bool) -> String {
    let all = list(columns.columns.iter().map(|column| &column.name));
    let keys = list(key);
    let last = LAST.replace("KEYS", &keys);
    let others: Vec<String> = columns
        .columns
        .iter()
        .filter(|column| !key.contains(&column.name))
        .map(|column| format!("{0} = EXCLUDED.{0}", quoted(&column.name)))
        .collect();
    let then = if others.is_empty() {
        "NOTHING".to_owned()
    } else {
        format!("UPDATE SET {}", others.join(", "))
    };
    let rows = if deletes {
        format!(
            "SELECT {all} FROM (SELECT DISTINCT ON ({keys}) * FROM waiting {last}) AS last \
             WHERE {DELETED_COLUMN} IS NOT TRUE"
        )
    } else {
        format!("SELECT DISTINCT ON ({keys}) {all} FROM waiting {last}")
    };
    format!(
        "WITH waiting AS (DELETE FROM pg_temp.headworks_rows RETURNING *) \
         INSERT INTO {target} ({all}) {rows} ON CONFLICT ({keys}) DO {then}"
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BooleanArray, Int32Array, RecordBatch};
    use headworks_sql::schema::Column;
    use headworks_sql::types::DataType;

    use super::*;

    fn rows(marks: &[bool]) -> TableRows {
        let ids = Int32Array::from_iter_values(0..marks.len() as i32);
        let marks: ArrayRef = Arc::new(BooleanArray::from(marks.to_vec()));
        let columns = [("id", Arc::new(ids) as ArrayRef), (DELETED_COLUMN, marks)];
        let records = 0..columns[0].1.len() as u32;
        let columns = RecordBatch::try_from_iter(columns).unwrap();
        TableRows::new(columns, records.collect()).unwrap()
    }

    fn writer(key: &[&str]) -> RowWriter {
        let column = |(name, data_type): (&str, DataType)| Column {
            name: name.into(),
            data_type,
            nullable: true,
            labels: Vec::new(),
        };
        let columns = [("id", DataType::Int), (DELETED_COLUMN, DataType::Boolean)];
        let columns = Schema {
            columns: columns.into_iter().map(column).collect(),
        };
        let key: Vec<String> = key.iter().map(|name| (*name).to_owned()).collect();
        RowWriter::new(&TableSchema::new(columns, &key))
    }

    #[test]
    fn a_delete_is_known_by_its_mark_and_only_where_there_is_a_key() {
        let mut keyed = writer(&["id"]);
        let with = keyed.write(&rows(&[false, true])).unwrap();
        assert!(with.delete, "{with:?}");
        assert_eq!(&with.data[..], b"0\tf\n1\tt\n");
        // A part of a batch, as a search for refused rows gives it.
        let without = keyed.write(&rows(&[true, false]).slice(1, 1)).unwrap();
        assert!(!without.delete, "{without:?}");
        assert_eq!(&without.data[..], b"1\tf\n");
        // Without a key such a column is one like others.
        let column = writer(&[]).write(&rows(&[true])).unwrap();
        assert!(!column.delete, "{column:?}");
    }
}
