//! What a client hears of its records: how many are kept, or which are bad.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use headworks_engine::format::RowError;
use serde::Serialize;

use crate::server::{Refusal, json};

/// Most bad records that an answer lists.
pub(super) const LISTED: usize = 20;

/// Everything posted is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_field_names, reason = "they are the answer's")]
pub(super) struct Accepted {
    pub(super) accepted: usize,
    pub(super) dead_lettered: usize,
    /// Records that a quality rule dropped.
    #[serde(skip_serializing_if = "is_none")]
    pub(super) dropped: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_none(number: &usize) -> bool {
    *number == 0
}

/// One bad record: its place in the request (from 0), the field, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct BadRecord {
    pub(super) index: usize,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) field: String,
    pub(super) message: String,
}

impl BadRecord {
    pub(super) fn new(index: usize, error: &RowError) -> BadRecord {
        BadRecord {
            index,
            field: error.path.clone(),
            message: error.message.clone(),
        }
    }
}

/// The refusal, with how many records are in Kafka all the same.
pub(super) fn acknowledged(refusal: Refusal, acknowledged: usize) -> Refusal {
    refusal.with("acknowledged", acknowledged)
}

/// The refusal, with how many records are bad, and the first [`LISTED`] of them.
pub(super) fn bad_records(refusal: Refusal, bad: usize, listed: &[BadRecord]) -> Refusal {
    let refusal = refusal.with("invalid", bad);
    if listed.is_empty() {
        return refusal;
    }
    refusal.with("records", listed)
}

impl Accepted {
    /// All records of the request.
    pub(super) fn received(&self) -> usize {
        self.accepted + self.dead_lettered + self.dropped
    }
}

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        json(StatusCode::ACCEPTED, &self)
    }
}
