//! The statements on `headworks_offsets`: how far the rows of each pipeline's table were read.
//!
//! A row is a partition of an input topic. `epoch` counts the claims: a commit names the epoch of its own
//! claim, so that it has no effect once somebody else has claimed the partition.

use super::quoted;

/// The table's name; it is in the schema of the written table.
pub(super) const TABLE: &str = "headworks_offsets";

/// The statements, for one schema.
#[derive(Clone, Debug)]
pub(super) struct Statements {
    pub(super) create: String,
    pub(super) claim: String,
    pub(super) read: String,
    pub(super) advance: String,
    pub(super) insert: String,
}

impl Statements {
    pub(super) fn new(schema: &str) -> Statements {
        let table = format!("{}.{TABLE}", quoted(schema));
        let here = "o.pipeline = $1 AND o.topic = m.topic AND o.partition = m.partition";
        Statements {
            create: format!(
                "CREATE TABLE IF NOT EXISTS {table} (pipeline text NOT NULL, topic text NOT NULL, \
                 partition integer NOT NULL, next_offset bigint NOT NULL, first_start_ms bigint, \
                 epoch bigint NOT NULL, PRIMARY KEY (pipeline, topic, partition))"
            ),
            claim: format!(
                "UPDATE {table} AS o SET epoch = o.epoch + 1 \
                 FROM unnest($2::text[], $3::int4[]) AS m(topic, partition) WHERE {here} \
                 RETURNING o.topic, o.partition, o.next_offset, o.first_start_ms, o.epoch"
            ),
            read: format!(
                "SELECT o.topic, o.partition, o.next_offset, o.first_start_ms, o.epoch FROM {table} AS o \
                 JOIN unnest($2::text[], $3::int4[]) AS m(topic, partition) ON {here}"
            ),
            advance: format!(
                "UPDATE {table} AS o SET next_offset = m.next, first_start_ms = m.first_start \
                 FROM unnest($2::text[], $3::int4[], $4::int8[], $5::int8[], $6::int8[], $7::int8[]) \
                 AS m(topic, partition, expected, epoch, next, first_start) \
                 WHERE {here} AND o.next_offset = m.expected AND o.epoch = m.epoch"
            ),
            insert: format!(
                "INSERT INTO {table} (pipeline, topic, partition, next_offset, first_start_ms, epoch) \
                 SELECT $1, m.topic, m.partition, m.next, m.first_start, 0 \
                 FROM unnest($2::text[], $3::int4[], $4::int8[], $5::int8[]) \
                 AS m(topic, partition, next, first_start) ON CONFLICT DO NOTHING"
            ),
        }
    }
}
