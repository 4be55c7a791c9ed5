//! What a request's head says of its body, whatever is in it.

use axum::http::{HeaderMap, StatusCode, header};

use super::reading::BodyBounds;
use super::refusal::Refusal;

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// RFC 1952; several members may follow each other.
    Gzip,
}

/// A body as its head announces it.
#[derive(Clone, Copy, Debug)]
pub struct Announced {
    encoding: Encoding,
    length: Option<u64>,
}

impl Announced {
    /// What the headers say.
    ///
    /// # Errors
    /// 415: it is packed in a way that isn't taken.
    pub fn read(headers: &HeaderMap, bounds: &BodyBounds) -> Result<Announced, Refusal> {
        let length = headers.get(header::CONTENT_LENGTH);
        Ok(Announced {
            encoding: encoding(headers, bounds.called.this)?,
            length: length.and_then(|v| v.to_str().ok()?.parse().ok()),
        })
    }

    /// How it is packed.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Its length on the way, in bytes, where the head says it.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether it can be within bounds, before any of it is read.
    ///
    /// # Errors
    /// 413: it is longer than any body may be.
    pub fn fits(&self, bounds: &BodyBounds) -> Result<(), Refusal> {
        let most = bounds.on_its_way(self.encoding);
        if self.length.is_some_and(|length| length > most) {
            return Err(bounds.too_large());
        }
        Ok(())
    }
}

fn encoding(headers: &HeaderMap, this: &str) -> Result<Encoding, Refusal> {
    let mut found = Encoding::Identity;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let value = value.as_bytes().trim_ascii();
        // Two are one (RFC 9110 §8.4.1.3). Twice packed isn't taken.
        let gzip = [&b"gzip"[..], b"x-gzip"]
            .iter()
            .any(|name| value.eq_ignore_ascii_case(name));
        if gzip && found == Encoding::Identity {
            found = Encoding::Gzip;
        } else if !value.eq_ignore_ascii_case(b"identity") {
            let refusal = Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                format!(
                    "Content-Encoding isn't taken: {this} takes gzip, and bodies that aren't compressed (identity)"
                ),
            );
            // RFC 7694 §3.
            return Err(refusal.with_header(header::ACCEPT_ENCODING, "gzip"));
        }
    }
    Ok(found)
}
