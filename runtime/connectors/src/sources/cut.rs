//! What came, cut into records: slices of it, untouched, so that a dead letter is the original.

use std::fmt;

use bytes::Bytes;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use super::records::Records;

/// How records are laid out in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// One JSON text: a record, an array, or an envelope.
    Json,
    /// A JSON text a line.
    Lines,
}

/// Why a body can't be cut.
#[derive(Debug)]
pub(super) enum Uncut<R> {
    /// It isn't what it should be, in words.
    Malformed(String),
    /// It has more records than may come at once.
    TooMany(usize),
    /// There is no room for their places.
    NoRoom(R),
}

impl<R> fmt::Display for Uncut<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Uncut::Malformed(what) => f.write_str(what),
            Uncut::TooMany(most) => write!(
                f,
                "more than {most} records in one request; send them in several"
            ),
            Uncut::NoRoom(_) => f.write_str("there is no room for the records"),
        }
    }
}

/// What an editor may put before a text in UTF-8. A parser may ignore it (RFC 8259 §8.1), and so do we.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
/// The same in UTF-16 and UTF-32, which JSON on a network isn't.
const OTHER_MARKS: [&[u8]; 3] = [b"\xFF\xFE", b"\xFE\xFF", b"\0\0\xFE\xFF"];

/// The records of `body`, at most `most`. `grow` is asked for the memory of their places, in bytes.
///
/// # Errors
/// See [`Uncut`].
pub(super) fn records<R>(
    body: &Bytes,
    layout: Layout,
    items_path: Option<&str>,
    most: usize,
    grow: &mut dyn FnMut(usize) -> Result<(), R>,
) -> Result<Records, Uncut<R>> {
    if OTHER_MARKS.iter().any(|mark| body.starts_with(mark)) {
        return Err(Uncut::Malformed(
            "the body begins with the byte-order mark of UTF-16 or UTF-32; JSON is sent in UTF-8 (RFC 8259 §8.1)".to_owned(),
        ));
    }
    let mut found = Found {
        records: Records::of(body.clone()),
        start: body.as_ptr() as usize,
        most,
        grow,
    };
    let text = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    match layout {
        Layout::Lines => found.lines(text)?,
        Layout::Json => found.json(text, items_path)?,
    }
    Ok(found.records)
}

/// The records found so far.
struct Found<'a, R> {
    records: Records,
    /// Where the body is, to tell a record's place from its slice.
    start: usize,
    most: usize,
    grow: &'a mut dyn FnMut(usize) -> Result<(), R>,
}

impl<R> Found<'_, R> {
    /// One more, a slice of the body.
    fn push(&mut self, record: &[u8]) -> Result<(), Uncut<R>> {
        if self.records.len() == self.most {
            return Err(Uncut::TooMany(self.most));
        }
        let (now, then) = self.records.memory();
        if then > now {
            (self.grow)(then).map_err(Uncut::NoRoom)?;
        }
        let start = record.as_ptr() as usize - self.start;
        self.records.push(start..start + record.len());
        Ok(())
    }

    fn lines(&mut self, text: &[u8]) -> Result<(), Uncut<R>> {
        text.split(|byte| *byte == b'\n')
            .map(<[u8]>::trim_ascii)
            .filter(|line| !line.is_empty())
            .try_for_each(|line| self.push(line))
    }

    fn json(&mut self, text: &[u8], items_path: Option<&str>) -> Result<(), Uncut<R>> {
        let text = std::str::from_utf8(text).map_err(|error| {
            Uncut::Malformed(format!(
                "the body isn't UTF-8 at byte {}",
                error.valid_up_to()
            ))
        })?;
        if text.trim_ascii().is_empty() {
            return Err(Uncut::Malformed(
                "the body is empty; JSON is expected (an empty array is no records)".to_owned(),
            ));
        }
        // Whole first: what follows walks valid JSON, and the place of an error is told from the body's start.
        let whole: &RawValue = serde_json::from_str(text)
            .map_err(|error| Uncut::Malformed(format!("the body isn't JSON: {error}")))?;
        let mut found = whole.get();
        for step in items_path.iter().flat_map(|path| path.split('.')) {
            found = member(found, step).map_err(|what| {
                let path = items_path.unwrap_or_default();
                Uncut::Malformed(format!(
                    "the body has no array at itemsPath \"{path}\": {what}"
                ))
            })?;
        }
        match (found.as_bytes().first(), items_path) {
            (Some(b'['), _) => {
                let mut refused = None;
                let elements = Elements {
                    found: self,
                    refused: &mut refused,
                };
                let walked = serde_json::Deserializer::from_str(found).deserialize_seq(elements);
                match (refused, walked) {
                    (Some(refusal), _) => Err(refusal),
                    (None, Ok(())) => Ok(()),
                    (None, Err(error)) => {
                        Err(Uncut::Malformed(format!("the body isn't JSON: {error}")))
                    }
                }
            }
            // Go writes an empty list as null.
            (Some(b'n'), Some(_)) => Ok(()),
            (_, Some(path)) => Err(Uncut::Malformed(format!(
                "the body has no array at itemsPath \"{path}\": something else is there"
            ))),
            (_, None) => self.push(found.as_bytes()),
        }
    }
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

/// Collects an array's elements, until one is refused.
struct Elements<'a, 'b, R> {
    found: &'a mut Found<'b, R>,
    refused: &'a mut Option<Uncut<R>>,
}

impl<'de, R> Visitor<'de> for Elements<'_, '_, R> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(record) = seq.next_element::<&'de RawValue>()? {
            if let Err(refusal) = self.found.push(record.get().as_bytes()) {
                *self.refused = Some(refusal);
                return Err(A::Error::custom("refused"));
            }
        }
        Ok(())
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

    type Refusal = Uncut<&'static str>;

    fn of(body: &[u8], layout: Layout, path: Option<&str>) -> Result<Vec<String>, Refusal> {
        let body = Bytes::copy_from_slice(body);
        let found = records(&body, layout, path, 3, &mut |_| Ok(()))?;
        Ok((0..found.len())
            .map(|i| String::from_utf8(found.get(i).to_vec()).unwrap())
            .collect())
    }

    fn split(body: &str, path: Option<&str>) -> Result<Vec<String>, String> {
        of(body.as_bytes(), Layout::Json, path).map_err(|refusal| refusal.to_string())
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
        let lines = b"{\"a\":1}\r\n\n  \n not json\n";
        let lines = of(lines, Layout::Lines, Some("items")).unwrap();
        assert_eq!(lines, ["{\"a\":1}", "not json"]);
        assert!(of(b"", Layout::Lines, None).unwrap().is_empty());
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
        let many = of(b"1\n2\n3\n4", Layout::Lines, None).unwrap_err();
        assert!(matches!(many, Uncut::TooMany(3)));
        let odd = of(b"[\"\xff\"]", Layout::Json, None).unwrap_err();
        assert!(odd.to_string().contains("byte 2"));
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_and_one_of_another_encoding_is_named() {
        let marked = |text: &str| [BYTE_ORDER_MARK, text.as_bytes()].concat();
        for (layout, text) in [
            (Layout::Json, r#"[{"a":1},{"a":2}]"#),
            (Layout::Lines, "{\"a\":1}\n{\"a\":2}\n"),
        ] {
            let found = of(&marked(text), layout, None).unwrap();
            assert_eq!(found, [r#"{"a":1}"#, r#"{"a":2}"#]);
        }
        assert!(of(&marked(""), Layout::Lines, None).unwrap().is_empty());
        let empty = of(&marked(" "), Layout::Json, None).unwrap_err();
        assert!(empty.to_string().contains("the body is empty"));
        for utf_16 in [b"\xff\xfe{\0}\0".as_slice(), b"\xfe\xff\0{\0}"] {
            for layout in [Layout::Json, Layout::Lines] {
                let refusal = of(utf_16, layout, None).unwrap_err();
                assert!(matches!(refusal, Uncut::Malformed(_)));
                let said = refusal.to_string();
                assert!(said.contains("byte-order mark of UTF-16") && said.contains("UTF-8"));
            }
        }
    }

    #[test]
    fn the_memory_of_places_is_asked_for_before_it_is_taken() {
        let body = Bytes::from("1\n".repeat(5_000));
        let mut asked = 0;
        let mut grow = |bytes| {
            asked = bytes;
            Ok::<_, ()>(())
        };
        let found = records(&body, Layout::Lines, None, 5_000, &mut grow).unwrap();
        assert_eq!(found.len(), 5_000);
        assert!((found.memory().0..=40_000 * 4).contains(&asked), "{asked}");
        for (layout, body) in [
            (Layout::Lines, "1\n".repeat(50)),
            (Layout::Json, format!("[1{}]", ",1".repeat(50))),
        ] {
            let mut none = |_| Err("none");
            let refused = records(&body.into(), layout, None, 5_000, &mut none).unwrap_err();
            assert!(matches!(refused, Uncut::NoRoom("none")));
        }
    }

    #[test]
    fn however_deep_a_body_is_it_takes_no_stack() {
        let deep = format!("{}{}", "[".repeat(1 << 20), "]".repeat(1 << 20));
        let within = format!(r#"{{"x":{deep},"items":[{{"a":{deep}}}]}}"#);
        let found = split(&within, Some("items")).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(split(&deep, None).unwrap().len(), 1);
        assert!(split(&"[".repeat(1 << 20), None).is_err());
        assert!(split(&"{\"a\":".repeat(1 << 20), None).is_err());
    }
}
