//! The statements on `headworks_offsets`: how far the rows of each pipeline's table were read.
//!
//! A row is a partition of an input topic. `epoch` counts the claims: a commit names the epoch of its own
//! claim, so that it has no effect once somebody else has claimed the partition.
//!
//! `counts` is what was done of the partition ([`Counts`]), and `counted_epoch` the claim under which it was: a pod of an earlier
//! release claims and moves offsets and knows neither, and then the two epochs differ. Both columns were added later, and a table
//! whose owner doesn't let us add them goes without.

use std::collections::HashMap;

use headworks_engine::log::{Counts, Position};
use headworks_engine::store::Move;
use tokio_postgres::{Client, Error, Row};

use super::quoted;

/// The table's name; it is in the schema of the written table.
pub(super) const TABLE: &str = "headworks_offsets";

/// The statements, for one schema.
#[derive(Clone, Debug)]
pub(super) struct Statements {
    pub(super) create: String,
    /// Adds the columns of counts to a table of before.
    pub(super) add_counts: String,
    pub(super) claim: String,
    pub(super) read: String,
    pub(super) advance: String,
    pub(super) insert: String,
}

impl Statements {
    /// `counts`: the table has the columns of counts.
    pub(super) fn new(schema: &str, counts: bool) -> Statements {
        let table = format!("{}.{TABLE}", quoted(schema));
        let here = "o.pipeline = $1 AND o.topic = m.topic AND o.partition = m.partition";
        let (claimed, kept, set, column, value) = if counts {
            (
                ", counted_epoch = CASE WHEN o.counted_epoch = o.epoch THEN o.epoch + 1 ELSE o.counted_epoch END",
                "CASE WHEN o.counted_epoch = o.epoch THEN o.counts END",
                ", counts = m.counts, counted_epoch = o.epoch",
                ", counts, counted_epoch",
                ", m.counts, 0",
            )
        } else {
            ("", "NULL::text", "", "", "")
        };
        Statements {
            create: format!(
                "CREATE TABLE IF NOT EXISTS {table} (pipeline text NOT NULL, topic text NOT NULL, \
                 partition integer NOT NULL, next_offset bigint NOT NULL, first_start_ms bigint, \
                 epoch bigint NOT NULL, counts text, counted_epoch bigint, PRIMARY KEY (pipeline, topic, partition))"
            ),
            add_counts: format!(
                "BEGIN; SET LOCAL lock_timeout = 3000; \
                 ALTER TABLE {table} ADD COLUMN IF NOT EXISTS counts text, ADD COLUMN IF NOT EXISTS counted_epoch bigint; COMMIT"
            ),
            claim: format!(
                "UPDATE {table} AS o SET epoch = o.epoch + 1{claimed} \
                 FROM unnest($2::text[], $3::int4[]) AS m(topic, partition) WHERE {here} \
                 RETURNING o.topic, o.partition, o.next_offset, o.first_start_ms, o.epoch, {kept}"
            ),
            read: format!(
                "SELECT o.topic, o.partition, o.next_offset, o.first_start_ms, o.epoch, {kept} FROM {table} AS o \
                 JOIN unnest($2::text[], $3::int4[]) AS m(topic, partition) ON {here}"
            ),
            advance: format!(
                "UPDATE {table} AS o SET next_offset = m.next, first_start_ms = m.first_start{set} \
                 FROM unnest($2::text[], $3::int4[], $4::int8[], $5::int8[], $6::int8[], $7::int8[], $8::text[]) \
                 AS m(topic, partition, expected, epoch, next, first_start, counts) \
                 WHERE {here} AND o.next_offset = m.expected AND o.epoch = m.epoch"
            ),
            insert: format!(
                "INSERT INTO {table} (pipeline, topic, partition, next_offset, first_start_ms, epoch{column}) \
                 SELECT $1, m.topic, m.partition, m.next, m.first_start, 0{value} \
                 FROM unnest($2::text[], $3::int4[], $4::int8[], $5::int8[], $6::text[]) \
                 AS m(topic, partition, next, first_start, counts) ON CONFLICT DO NOTHING"
            ),
        }
    }
}

/// The rows of an answer of `headworks_offsets`.
pub(super) type Offsets = HashMap<(String, i32), (Position, i64)>;
/// One of them: partition, position and epoch.
pub(super) type Offset = ((String, i32), (Position, i64));

/// Reads a row of the answers.
pub(super) fn offset(row: &Row) -> Result<Offset, Error> {
    let position = Position {
        offset: row.try_get(2)?,
        first_start_ms: row.try_get(3)?,
        counts: row
            .try_get::<_, Option<String>>(5)?
            .as_deref()
            .and_then(Counts::of_text),
        ..Position::default()
    };
    Ok((
        (row.try_get(0)?, row.try_get(1)?),
        (position, row.try_get(4)?),
    ))
}

/// Moves as the statements take them: a list a column.
#[derive(Default)]
pub(super) struct Moves {
    advanced: Columns,
    expected: Vec<i64>,
    epochs: Vec<i64>,
    inserted: Columns,
}

#[derive(Default)]
struct Columns {
    topics: Vec<String>,
    partitions: Vec<i32>,
    next: Vec<i64>,
    first_start: Vec<Option<i64>>,
    counts: Vec<Option<String>>,
}

impl Columns {
    fn push(&mut self, one: &Move<'_>) {
        self.topics.push(one.topic.to_owned());
        self.partitions.push(one.partition);
        self.next.push(one.position.offset);
        self.first_start.push(one.position.first_start_ms);
        self.counts
            .push(one.position.counts.as_ref().map(Counts::text));
    }
}

impl Moves {
    pub(super) fn new(moves: &[Move<'_>], claims: &HashMap<(String, i32), i64>) -> Moves {
        let mut columns = Moves::default();
        for one in moves {
            if let Some(expected) = one.expected {
                let place = (one.topic.to_owned(), one.partition);
                columns.advanced.push(one);
                columns.expected.push(expected);
                // Without a claim nothing matches.
                columns
                    .epochs
                    .push(claims.get(&place).copied().unwrap_or(-1));
            } else {
                columns.inserted.push(one);
            }
        }
        columns
    }

    /// The partitions that had no offset.
    pub(super) fn inserted(&self) -> Vec<(String, i32)> {
        let topics = self.inserted.topics.iter().cloned();
        topics
            .zip(self.inserted.partitions.iter().copied())
            .collect()
    }

    /// False: an offset isn't what it was expected to be.
    pub(super) async fn apply(
        &self,
        client: &Client,
        statements: &Statements,
        group: &str,
    ) -> Result<bool, Error> {
        if !self.advanced.topics.is_empty() {
            let to = &self.advanced;
            let moved = client
                .execute(
                    &statements.advance,
                    &[
                        &group,
                        &to.topics,
                        &to.partitions,
                        &self.expected,
                        &self.epochs,
                        &to.next,
                        &to.first_start,
                        &to.counts,
                    ],
                )
                .await?;
            if moved != to.topics.len() as u64 {
                return Ok(false);
            }
        }
        if !self.inserted.topics.is_empty() {
            let to = &self.inserted;
            let made = client
                .execute(
                    &statements.insert,
                    &[
                        &group,
                        &to.topics,
                        &to.partitions,
                        &to.next,
                        &to.first_start,
                        &to.counts,
                    ],
                )
                .await?;
            if made != to.topics.len() as u64 {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
