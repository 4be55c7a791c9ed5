//! The keyed half of a pipeline: what lies between rows and results.
//!
//! A query with GROUP BY or ROW_NUMBER runs in two parts. The first reads the inputs, and its branches
//! give rows; [`exchange_writer`] brings rows with equal keys into one partition of the repartition topic, as
//! [`wire`] records that also say how far event time has come ([`watermarks`]). The second part reads that
//! topic; [`shards`] keeps the state of each of its partitions and the changelog of it, and [`results`]
//! makes output records of what the state gives.
//!
//! Nothing here polls or commits: that is the loop's ([`crate::pipeline`]), which is the same for both
//! parts and for pipelines without state. Why each part has transactions of its own: docs/decisions/0007.

pub(crate) mod bytes;
pub(crate) mod exchange_writer;
pub(crate) mod hash;
pub(crate) mod meta;
pub(crate) mod results;
pub(crate) mod shards;
pub(crate) mod standstill;
pub(crate) mod verdicts;
pub(crate) mod watermarks;
pub(crate) mod wire;

use headworks_state::Mutant;
use jiff::Timestamp;

/// What the dead letter of a row says whose windows are all over by this watermark.
pub(crate) fn too_late(watermark_ms: Option<i64>) -> String {
    let watermark = watermark_ms
        .and_then(|at| Timestamp::from_millisecond(at).ok())
        .map_or_else(String::new, |at| format!(" ({at})"));
    format!("every window of the row was final already: the watermark{watermark} had passed it")
}

/// Rules that the simulation breaks, to see whether it notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(test), allow(dead_code))]
pub(crate) enum Rule {
    /// What an aborted epoch took stays.
    OverlayKept,
    /// The watermarks aren't restored.
    WatermarkForgotten,
    /// The state isn't restored.
    StateForgotten,
    /// A partition of which nothing was heard counts as idle.
    SilenceIsIdle,
    /// The first part takes a row for late that is behind its own partition's watermark.
    LateInFirst,
    /// The watermark is that of the partition that is furthest.
    FastestSide,
    /// One of a join's own.
    Join(Mutant),
}
