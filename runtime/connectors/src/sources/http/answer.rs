//! What a client hears. Every answer is JSON; every refusal says what is wrong and what to do.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use headworks_engine::format::RowError;
use serde::Serialize;

/// Most bad records that an answer lists.
pub(super) const LISTED: usize = 20;

/// Everything posted is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
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

/// Why a request was refused.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    detail: Box<Detail>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    #[serde(skip)]
    retry_after: Option<u64>,
    #[serde(skip)]
    header: Option<(HeaderName, &'static str)>,
    error: String,
    /// How many records are bad; `records` lists the first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    invalid: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    records: Vec<BadRecord>,
    /// How many records are in Kafka all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    acknowledged: Option<usize>,
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

impl Refusal {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> Refusal {
        let detail = Detail {
            retry_after: None,
            header: None,
            error: error.into(),
            invalid: None,
            records: Vec::new(),
            acknowledged: None,
        };
        Refusal {
            status,
            detail: Box::new(detail),
        }
    }

    pub(super) fn bad_request(error: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, error)
    }

    pub(super) fn too_large(error: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error)
    }

    /// 503 with `Retry-After`.
    pub(super) fn unavailable(error: impl Into<String>, retry_after: u64) -> Refusal {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error).with_retry_after(retry_after)
    }

    pub(super) fn message(&self) -> &str {
        &self.detail.error
    }

    /// Seconds.
    pub(super) fn with_retry_after(mut self, seconds: u64) -> Refusal {
        self.detail.retry_after = Some(seconds);
        self
    }

    pub(super) fn with_header(mut self, name: HeaderName, value: &'static str) -> Refusal {
        self.detail.header = Some((name, value));
        self
    }

    pub(super) fn with_acknowledged(mut self, acknowledged: usize) -> Refusal {
        self.detail.acknowledged = Some(acknowledged);
        self
    }

    /// Says how many records are bad, and names the first [`LISTED`] of them.
    pub(super) fn with_records(mut self, bad: usize, listed: Vec<BadRecord>) -> Refusal {
        self.detail.invalid = Some(bad);
        self.detail.records = listed;
        self
    }

    #[cfg(test)]
    pub(super) fn retry_after(&self) -> Option<u64> {
        self.detail.retry_after
    }
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

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = json(self.status, &self.detail);
        if let Some(seconds) = self.detail.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some((name, value)) = self.detail.header {
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let mut text = serde_json::to_vec(body).unwrap_or_default();
    text.push(b'\n');
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}
