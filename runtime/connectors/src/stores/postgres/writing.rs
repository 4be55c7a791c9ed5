//! How a batch of rows gets into the table.
//!
//! Without a key by one `COPY`. With one, `COPY` fills a temporary table of the session's own, and two
//! statements go from there to the target: of each key the last row counts, and first those that are
//! deletes take theirs away (so that what they held of another unique index is free), then the others are
//! upserted.

use bytes::Bytes;
use futures::SinkExt;
use headworks_plan::DELETED_COLUMN;
use headworks_sql::schema::Schema;
use headworks_sql::types::DataType;
use tokio_postgres::{Client, Error, Statement};

use super::quoted;
use super::table::list;

/// Of the waiting rows the last one of each key.
const LAST: &str = "ORDER BY KEYS, headworks_n DESC";

/// Encoded rows, as one message.
pub(super) struct Rows {
    data: Bytes,
    /// One of them at least may be a delete.
    delete: bool,
}

impl Rows {
    pub(super) fn new(rows: &[&[u8]]) -> Rows {
        Rows {
            data: Bytes::from(rows.concat()),
            // The mark is the last column and never the only one. (Without the mark: any boolean.)
            delete: rows.iter().any(|row| row.ends_with(b"\tt\n")),
        }
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

/// Takes the mark of deletes off the columns; false where they don't end with one.
pub(super) fn without_mark(mut columns: Schema, key: &[String]) -> (Schema, bool) {
    let marked = !key.is_empty()
        && columns.columns.last().is_some_and(|column| {
            column.name == DELETED_COLUMN && column.data_type == DataType::Boolean
        });
    if marked {
        columns.columns.pop();
    }
    (columns, marked)
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
    use headworks_sql::schema::Column;

    use super::*;

    fn schema(columns: &[(&str, DataType)]) -> Schema {
        let column = |(name, data_type): &(&str, DataType)| Column {
            name: (*name).into(),
            data_type: data_type.clone(),
            nullable: true,
            labels: Vec::new(),
        };
        Schema {
            columns: columns.iter().map(column).collect(),
        }
    }

    #[test]
    fn the_mark_of_deletes_is_a_boolean_at_the_end_of_a_keyed_tables_rows() {
        let marked = |columns: &[(&str, DataType)], key: &[&str]| {
            let key: Vec<String> = key.iter().map(|name| (*name).to_owned()).collect();
            let (left, marked) = without_mark(schema(columns), &key);
            (left.columns.len(), marked)
        };
        let (id, mark) = (("id", DataType::Int), (DELETED_COLUMN, DataType::Boolean));
        assert_eq!(marked(&[id.clone(), mark.clone()], &["id"]), (1, true));
        assert_eq!(marked(&[id.clone(), mark.clone()], &[]), (2, false));
        assert_eq!(marked(&[mark, id.clone()], &["id"]), (2, false));
        let number = (DELETED_COLUMN, DataType::Int);
        assert_eq!(marked(&[id.clone(), number], &["id"]), (2, false));
        assert_eq!(marked(&[id], &["id"]), (1, false));
    }

    #[test]
    fn a_delete_is_seen_by_the_end_of_its_line() {
        assert!(Rows::new(&[b"1\ta\tf\n", b"1\t\\N\tt\n"]).delete);
        assert!(!Rows::new(&[b"1\ta\tf\n", b"1\tcat\n", b"1\t\\N\n"]).delete);
    }
}
