//! JSON to Avro to Protobuf and back, through the schema registry. What is in the Avro and Protobuf topics is decoded here, by hand.

use std::collections::BTreeMap;

use headworks_e2e::Verdict;

use super::{Contestant, Runs, Seen, number, query, stream, text};

/// Three Pipelines in a row.
pub struct Chain;

impl Contestant for Chain {
    fn name(&self) -> &'static str {
        "Avro and Protobuf"
    }

    fn yaml(&self) -> String {
        let fields = ["id string", "n bigint"];
        stream("avro", &fields, "id", "  format: Avro\n")
            + &stream("proto", &fields, "id", "  format: Protobuf\n")
            + &stream("back", &fields, "id", "")
            + &query("to-avro", "SELECT id, n FROM a", &["{stream: avro}"], "")
            + &query(
                "to-proto",
                "SELECT id, n FROM avro",
                &["{stream: proto}"],
                "",
            )
            + &query(
                "to-json",
                "SELECT id, n FROM proto",
                &["{stream: back}"],
                "",
            )
    }

    fn runs(&self) -> Vec<Runs> {
        vec![
            Runs::over_a("to-avro"),
            Runs::other("to-proto"),
            Runs::other("to-json"),
        ]
    }

    fn verify(&self, seen: &Seen<'_>) -> Vec<Verdict> {
        let events = &seen.input.events;
        let expected: BTreeMap<String, i64> = events.iter().map(|e| (e.id.clone(), e.n)).collect();
        let raw = |stream: &str, decode: fn(&[u8]) -> Option<(String, i64)>| -> Vec<_> {
            let records = seen.c.kafka.read(&seen.c.topic(stream));
            let decoded = records.iter().map(|record| {
                decode(&record.value)
                    .unwrap_or_else(|| panic!("{stream} can't be read: {:?}", record.value))
            });
            decoded.filter(|(id, _)| id != "end").collect()
        };
        let json = seen.json("back");
        let back: Vec<_> = json
            .iter()
            .map(|json| (text(json, "id"), number(json, "n")))
            .collect();
        vec![
            Verdict::of("Avro", &expected, &raw("avro", avro)).at_least(1_000),
            Verdict::of("Protobuf", &expected, &raw("proto", protobuf)),
            Verdict::of("JSON again", &expected, &back),
        ]
    }
}

/// A number of variable length, and what is behind it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

fn zigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// The text of so many bytes, and what is behind it.
fn string(length: u64, bytes: &[u8]) -> Option<(String, &[u8])> {
    let (text, rest) = bytes.split_at_checked(length as usize)?;
    Some((String::from_utf8(text.to_vec()).ok()?, rest))
}

/// Confluent's frame (a zero and four bytes of id) around an Avro record `{id: string, n: long}`.
fn avro(value: &[u8]) -> Option<(String, i64)> {
    let (frame, body) = value.split_at_checked(5)?;
    let (length, rest) = varint(body)?;
    let (id, rest) = string(u64::try_from(zigzag(length)).ok()?, rest)?;
    let (n, rest) = varint(rest)?;
    (frame[0] == 0 && rest.is_empty()).then(|| (id, zigzag(n)))
}

/// The same frame, a zero that says "the file's first message", and a message `{id = 1, n = 2}`; a field of 0 isn't written.
fn protobuf(value: &[u8]) -> Option<(String, i64)> {
    let (frame, mut rest) = value.split_at_checked(6)?;
    let (mut id, mut n) = (String::new(), 0);
    while !rest.is_empty() {
        let (tag, behind) = varint(rest)?;
        let (value, behind) = varint(behind)?;
        rest = behind;
        match tag {
            0x0a => (id, rest) = string(value, behind)?,
            0x10 => n = value as i64,
            _ => return None,
        }
    }
    (frame[0] == 0 && frame[5] == 0).then_some((id, n))
}

#[test]
fn both_are_decoded_as_their_specifications_say() {
    let frame = [0_u8, 0, 0, 0, 7];
    let record = [&frame[..], &[4], b"12", &[0xd8, 0x04]].concat();
    assert_eq!(avro(&record), Some(("12".into(), 300)));
    let minus = [&frame[..], &[4], b"12", &[0x01]].concat();
    assert_eq!(avro(&minus), Some(("12".into(), -1)));
    let message = [&frame[..], &[0, 0x0a, 2], b"12", &[0x10, 0xac, 0x02]].concat();
    assert_eq!(protobuf(&message), Some(("12".into(), 300)));
    let zero = [&frame[..], &[0, 0x0a, 2], b"12"].concat();
    assert_eq!(protobuf(&zero), Some(("12".into(), 0)));
    assert_eq!(avro(&record[..6]), None);
}
