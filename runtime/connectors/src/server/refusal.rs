//! Why a request is refused, as its client hears it: JSON that says what is wrong and what to do.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::{RawValue, to_raw_value};

/// Why a request was refused: a status code, `{"error": "…"}`, and what a listener adds to that.
#[derive(Clone, Debug)]
pub struct Refusal {
    status: StatusCode,
    // Boxed: it is on its way through many a `Result` whose good side is small.
    detail: Box<Detail>,
}

#[derive(Clone, Debug)]
struct Detail {
    retry_after: Option<u64>,
    header: Option<(HeaderName, &'static str)>,
    error: String,
    more: Vec<(&'static str, Box<RawValue>)>,
}

impl Refusal {
    /// The answer has this status, and `error` says what is wrong and what to do.
    pub fn new(status: StatusCode, error: impl Into<String>) -> Refusal {
        let detail = Detail {
            retry_after: None,
            header: None,
            error: error.into(),
            more: Vec::new(),
        };
        Refusal {
            status,
            detail: Box::new(detail),
        }
    }

    /// 400.
    pub fn bad_request(error: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, error)
    }

    /// 413.
    pub fn too_large(error: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, error)
    }

    /// 503 with `Retry-After`, in seconds.
    pub fn unavailable(error: impl Into<String>, retry_after: u64) -> Refusal {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error).with_retry_after(retry_after)
    }

    /// The status code.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.detail.error
    }

    /// `Retry-After`, in seconds.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u64) -> Refusal {
        self.detail.retry_after = Some(seconds);
        self
    }

    /// With this header, too; the last one counts.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: &'static str) -> Refusal {
        self.detail.header = Some((name, value));
        self
    }

    /// With this field of the answer's JSON, behind `error` and those that were added before.
    #[must_use]
    pub fn with(mut self, field: &'static str, value: impl Serialize) -> Refusal {
        let more = &mut self.detail.more;
        more.retain(|(name, _)| *name != field);
        // What can't be JSON isn't there; a number, a text or a list of structs can.
        if let Ok(value) = to_raw_value(&value) {
            more.push((field, value));
        }
        self
    }

    /// `Retry-After`, in seconds.
    #[cfg(test)]
    pub(crate) fn retry_after(&self) -> Option<u64> {
        self.detail.retry_after
    }
}

impl Serialize for Detail {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + self.more.len()))?;
        map.serialize_entry("error", &self.error)?;
        for (name, value) in &self.more {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = json(self.status, &*self.detail);
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

/// An answer of JSON, with a line's end behind it.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let mut text = serde_json::to_vec(body).unwrap_or_default();
    text.push(b'\n');
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refusal_is_json_with_the_error_first_and_its_headers() {
        let refusal = Refusal::unavailable("not now", 7)
            .with_header(header::ALLOW, "POST")
            .with("records", [1, 2])
            .with("acknowledged", 1)
            .with("acknowledged", 0);
        let response = refusal.into_response();
        assert_eq!(response.status(), 503);
        let said = |name| response.headers()[&name].to_str().unwrap().to_owned();
        assert_eq!(said(header::RETRY_AFTER), "7");
        assert_eq!(said(header::ALLOW), "POST");
        assert_eq!(said(header::CONTENT_TYPE), "application/json");
        let body = axum::body::to_bytes(response.into_body(), 1_000).await;
        assert_eq!(
            body.unwrap(),
            "{\"error\":\"not now\",\"records\":[1,2],\"acknowledged\":0}\n"
        );
    }
}
