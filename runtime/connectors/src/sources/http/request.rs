//! A request's body as records: slices of what came, untouched, so that a dead letter is the original.

use std::fmt;

use axum::http::{HeaderMap, StatusCode, header};
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::answer::Refusal;

/// How records are laid out in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// One JSON text: a record, an array, or an envelope.
    Json,
    /// A JSON text a line.
    Lines,
}

const TAKEN: &str = "this source takes application/json (an object or an array) and application/x-ndjson (an object a line), in UTF-8";

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Not at all.
    Identity,
    /// RFC 1952; several members may follow each other.
    Gzip,
}

/// The body's encoding, from the request's headers.
pub(super) fn encoding(headers: &HeaderMap) -> Result<Encoding, Refusal> {
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
                "Content-Encoding isn't taken: this source takes gzip, and bodies that aren't compressed (identity)",
            );
            // RFC 7694 §3.
            return Err(refusal.with_header(header::ACCEPT_ENCODING, "gzip"));
        }
    }
    Ok(found)
}

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

/// The records of `body`, at most `most`.
pub(super) fn records<'a>(
    body: &'a [u8],
    layout: Layout,
    items_path: Option<&str>,
    most: usize,
) -> Result<Vec<&'a [u8]>, Refusal> {
    match layout {
        Layout::Lines => lines(body, most),
        Layout::Json => json(body, items_path, most),
    }
}

fn lines(body: &[u8], most: usize) -> Result<Vec<&[u8]>, Refusal> {
    let mut records = Vec::new();
    for line in body
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
    {
        if records.len() == most {
            return Err(too_many(most));
        }
        records.push(line);
    }
    Ok(records)
}

fn json<'a>(
    body: &'a [u8],
    items_path: Option<&str>,
    most: usize,
) -> Result<Vec<&'a [u8]>, Refusal> {
    let text = std::str::from_utf8(body).map_err(|error| {
        Refusal::bad_request(format!(
            "the body isn't UTF-8 at byte {}",
            error.valid_up_to()
        ))
    })?;
    if text.trim_ascii().is_empty() {
        return Err(Refusal::bad_request(
            "the body is empty; JSON is expected (an empty array is no records)",
        ));
    }
    // Whole first: what follows walks valid JSON, and the place of an error is told from the body's start.
    let whole: &RawValue = serde_json::from_str(text)
        .map_err(|error| Refusal::bad_request(format!("the body isn't JSON: {error}")))?;
    let mut found = whole.get();
    for step in items_path.iter().flat_map(|path| path.split('.')) {
        found = member(found, step).map_err(|what| {
            let path = items_path.unwrap_or_default();
            Refusal::bad_request(format!(
                "the body has no array at itemsPath \"{path}\": {what}"
            ))
        })?;
    }
    match (found.as_bytes().first(), items_path) {
        (Some(b'['), _) => serde_json::Deserializer::from_str(found)
            .deserialize_seq(Elements { most })
            .map_err(|_| too_many(most)),
        // Go writes an empty list as null.
        (Some(b'n'), Some(_)) => Ok(Vec::new()),
        (_, Some(path)) => Err(Refusal::bad_request(format!(
            "the body has no array at itemsPath \"{path}\": something else is there"
        ))),
        (_, None) => Ok(vec![found.as_bytes()]),
    }
}

fn too_many(most: usize) -> Refusal {
    Refusal::too_large(format!(
        "more than {most} records in one request; send them in several"
    ))
}

/// The text of member `name` of an object's text.
fn member<'a>(object: &'a str, name: &str) -> Result<&'a str, String> {
    if !object.starts_with('{') {
        return Err(format!(
            "\"{name}\" is looked for in something that isn't an object"
        ));
    }
    match serde_json::Deserializer::from_str(object).deserialize_map(Member { name }) {
        Ok(Some(raw)) => Ok(raw.get()),
        Ok(None) => Err(format!("\"{name}\" is missing")),
        Err(_) => Err(format!("\"{name}\" comes twice")),
    }
}

/// Collects an array's elements; an error means that there are more than `most`.
struct Elements {
    most: usize,
}

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de [u8]>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut records = Vec::new();
        while let Some(record) = seq.next_element::<&'de RawValue>()? {
            if records.len() == self.most {
                return Err(A::Error::custom("too many"));
            }
            records.push(record.get().as_bytes());
        }
        Ok(records)
    }
}

/// Finds one member; an error means that it comes twice.
struct Member<'a> {
    name: &'a str,
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(named) = map.next_key_seed(Is(self.name))? {
            if !named {
                map.next_value::<IgnoredAny>()?;
            } else if found.replace(map.next_value::<&'de RawValue>()?).is_some() {
                return Err(A::Error::custom("twice"));
            }
        }
        Ok(found)
    }
}

/// Whether a key is the one looked for.
struct Is<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    fn split(body: &str, path: Option<&str>) -> Result<Vec<String>, String> {
        let found = records(body.as_bytes(), Layout::Json, path, 3)
            .map_err(|refusal| refusal.message().to_owned())?;
        Ok(found
            .into_iter()
            .map(|r| String::from_utf8(r.to_vec()).unwrap())
            .collect())
    }

    fn taken(body: &str, path: Option<&str>) -> Vec<String> {
        split(body, path).unwrap()
    }

    #[test]
    fn records_keep_the_bytes_that_came() {
        assert_eq!(
            taken(r#" {"a": 1.0 , "a":2} "#, None),
            [r#"{"a": 1.0 , "a":2}"#]
        );
        assert_eq!(
            taken(r#"[ {"a":1e0}, 7 ,null]"#, None),
            [r#"{"a":1e0}"#, "7", "null"]
        );
        assert_eq!(taken("[]", None), Vec::<String>::new());
        assert_eq!(taken("null", None), ["null"]);
        let lines = records(
            b"{\"a\":1}\r\n\n  \n not json\n",
            Layout::Lines,
            Some("items"),
            3,
        )
        .unwrap();
        assert_eq!(lines, [b"{\"a\":1}".as_slice(), b"not json"]);
        assert!(records(b"", Layout::Lines, None, 3).unwrap().is_empty());
    }

    #[test]
    fn an_envelope_is_opened_at_its_path() {
        let list = r#"{"kind":"EventList","it\u0065ms":[{"n":1},{"n":2}],"apiVersion":"v1"}"#;
        assert_eq!(taken(list, Some("items")), [r#"{"n":1}"#, r#"{"n":2}"#]);
        assert_eq!(taken(r#"{"a":{"b":[1]},"b":[2]}"#, Some("a.b")), ["1"]);
        assert_eq!(
            taken(r#"{"items":null}"#, Some("items")),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_body_without_records_is_refused_by_place() {
        let mut report = String::new();
        for (body, path) in [
            ("", None),
            (" \n", None),
            ("{\"a\":1}}", None),
            ("[1,2", None),
            ("[1,\n2,x]", None),
            ("[1,2,3,4]", None),
            ("{}", Some("items")),
            ("[]", Some("items")),
            (r#"{"items":{}}"#, Some("items")),
            (r#"{"items":"[]"}"#, Some("items")),
            (r#"{"items":[],"items":[1]}"#, Some("items")),
            (r#"{"a":null}"#, Some("a.b")),
            (r#"{"a":{"c":[]}}"#, Some("a.b")),
        ] {
            let refusal = split(body, path).unwrap_err();
            writeln!(report, "{body:?} at {path:?}: {refusal}").unwrap();
        }
        insta::assert_snapshot!(report);
        assert_eq!(
            records(b"1\n2\n3\n4", Layout::Lines, None, 3)
                .unwrap_err()
                .status,
            StatusCode::PAYLOAD_TOO_LARGE
        );
        assert!(
            records(b"[\"\xff\"]", Layout::Json, None, 3)
                .unwrap_err()
                .message()
                .contains("byte 2")
        );
    }
}
