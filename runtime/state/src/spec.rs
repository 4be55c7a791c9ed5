//! What kind of state it is: what a stage of a query does with its rows, and the pipeline's bounds.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use headworks_sql::keyed::{Keyed, KeyedRows, Operator, Window};

/// What all state partitions of a pipeline have in common.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Columns of the rows.
    pub rows: SchemaRef,
    /// How many of them are the key.
    pub keys: usize,
    /// Which is the event time.
    pub time: Option<usize>,
    /// The windows.
    pub window: Option<Window>,
    /// What is computed.
    pub operator: Operator,
    /// Columns of the results.
    pub results: SchemaRef,
    /// A window is final so long after it is over, in milliseconds.
    pub allowed_lateness_ms: i64,
    /// A key without a window is forgotten after so long without a row, in milliseconds.
    pub ttl_ms: Option<i64>,
}

impl Spec {
    /// From a stage of a query and the rows that it reads.
    pub fn new(
        rows: &KeyedRows,
        keyed: &Keyed,
        allowed_lateness_ms: i64,
        ttl_ms: Option<i64>,
    ) -> Spec {
        Spec {
            rows: nullable(&rows.schema.to_arrow()),
            keys: rows.keys,
            time: rows.time,
            window: keyed.window,
            operator: keyed.operator.clone(),
            results: nullable(&keyed.results.to_arrow()),
            allowed_lateness_ms,
            ttl_ms,
        }
    }

    /// Up to which end windows are final by a watermark. As in Flink, a watermark says that no row of its own time comes any
    /// more, and the last moment of a window is its end less 1 ms (`TimeWindow.maxTimestamp`).
    pub(crate) fn final_until(&self, watermark_ms: Option<i64>) -> i64 {
        watermark_ms.map_or(i64::MIN, |watermark| {
            watermark
                .saturating_sub(self.allowed_lateness_ms)
                .saturating_add(1)
        })
    }
}

/// Rows that travel, and state, may be of a version that took a column for nullable which this one knows never to be.
fn nullable(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter();
    let fields = fields.map(|field| field.as_ref().clone().with_nullable(true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
