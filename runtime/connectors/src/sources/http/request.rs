//! What a request's head says of the records in its body.

use axum::http::{HeaderMap, StatusCode, header};

use crate::server::Refusal;
use crate::sources::cut::{Layout, Uncut};

const TAKEN: &str = "this source takes application/json (an object or an array) and application/x-ndjson (an object a line), in UTF-8";

/// The body's layout, from the request's headers.
pub(super) fn layout(headers: &HeaderMap) -> Result<Layout, Refusal> {
    let refuse = |error: String| Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return refuse(format!("Content-Type is missing: {TAKEN}"));
    };
    let value = value.to_str().unwrap_or_default().to_ascii_lowercase();
    let mut parts = value.split(';').map(str::trim);
    let layout = match parts.next() {
        Some("application/json") => Layout::Json,
        Some("application/x-ndjson") => Layout::Lines,
        _ => return refuse(format!("Content-Type isn't taken: {TAKEN}")),
    };
    for parameter in parts {
        if let Some(charset) = parameter.strip_prefix("charset=")
            && charset.trim_matches('"') != "utf-8"
        {
            return refuse(format!("the charset isn't taken: {TAKEN}"));
        }
    }
    Ok(layout)
}

impl From<Uncut<Refusal>> for Refusal {
    fn from(uncut: Uncut<Refusal>) -> Refusal {
        match uncut {
            Uncut::Malformed(what) => Refusal::bad_request(what),
            Uncut::TooMany(_) => Refusal::too_large(uncut.to_string()),
            Uncut::NoRoom(refusal) => refusal,
        }
    }
}
