//! The dead letter of a bad record: its own bytes, and headers that say what, why and where.

use jiff::Timestamp;

use super::{InputTopic, Settings};
use crate::dead_letter;
use crate::log::{Log, LogError, Outgoing, RECORD_OVERHEAD, Record};
use crate::stateless::Bad;

/// Headers and value of a dead letter.
#[derive(Debug)]
struct DeadLetter<'a> {
    headers: Vec<(&'static str, Vec<u8>)>,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
}

/// Where a bad record came from.
#[derive(Clone, Copy, Debug)]
struct Origin<'a> {
    /// Topic it was read from.
    topic: &'a str,
    /// `namespace/name` of the pipeline.
    pipeline: &'a str,
    /// Now, milliseconds since 1970 UTC.
    now_ms: i64,
    /// What the dead-letter topic takes, in bytes.
    max_message_bytes: u64,
}

/// Makes the dead letter. A record that would not fit with its headers loses the end of its value and
/// says so in `headworks.truncated` (the bytes it had); the origin headers still lead to the whole one.
fn of<'a>(record: &Record<'a>, bad: &Bad, origin: Origin<'_>) -> DeadLetter<'a> {
    let now = Timestamp::from_millisecond(origin.now_ms).unwrap_or_default();
    let from = dead_letter::Origin::Pipeline {
        pipeline: origin.pipeline,
        topic: origin.topic,
        partition: record.partition.number,
        offset: record.offset,
    };
    let mut headers = dead_letter::headers(bad.reason, &bad.message, from, now);
    let (mut key, mut value) = (record.key, record.value);
    let size = |part: Option<&[u8]>| part.map_or(0, <[u8]>::len);
    let limit = usize::try_from(origin.max_message_bytes.saturating_sub(RECORD_OVERHEAD))
        .unwrap_or(usize::MAX);
    if dead_letter::size(&headers) + size(key) + size(value) > limit {
        headers.push((dead_letter::TRUNCATED, size(value).to_string()));
        let room = limit.saturating_sub(dead_letter::size(&headers));
        if size(key) > room {
            key = None;
        }
        let room = room - size(key);
        value = value.map(|value| &value[..value.len().min(room)]);
    }
    let headers = headers.into_iter();
    DeadLetter {
        headers: headers
            .map(|(name, text)| (name, text.into_bytes()))
            .collect(),
        key,
        value,
    }
}

/// Writes the dead letter of a bad record of `input`.
pub(super) fn produce(
    log: &mut impl Log,
    settings: &Settings,
    input: &InputTopic,
    record: &Record<'_>,
    bad: &Bad,
    now_ms: i64,
) -> Result<(), LogError> {
    let origin = Origin {
        topic: &input.topic,
        pipeline: &settings.pipeline,
        now_ms,
        max_message_bytes: input.max_message_bytes,
    };
    let dead_letter = of(record, bad, origin);
    log.produce(&Outgoing {
        topic: &input.dead_letter_topic,
        partition: None,
        key: dead_letter.key,
        value: dead_letter.value,
        timestamp_ms: record.timestamp_ms,
        headers: &dead_letter.headers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letter::ERROR_BYTES;
    use crate::log::Partition;

    fn dead_letter(value: &[u8], max_message_bytes: u64) -> DeadLetter<'_> {
        let record = Record {
            partition: Partition {
                topic: 0,
                number: 3,
            },
            offset: 42,
            timestamp_ms: Some(1),
            key: Some(b"k"),
            value: Some(value),
        };
        let bad = Bad {
            row: 0,
            reason: "Decode",
            message: "é".repeat(3_000),
        };
        of(
            &record,
            &bad,
            Origin {
                topic: "shop.orders",
                pipeline: "shop/p",
                now_ms: 0,
                max_message_bytes,
            },
        )
    }

    fn header(dead_letter: &DeadLetter<'_>, name: &str) -> Option<String> {
        dead_letter
            .headers
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| String::from_utf8(value.clone()).unwrap())
    }

    #[test]
    fn a_dead_letter_keeps_the_bytes_and_says_where_they_came_from() {
        let dead_letter = dead_letter(b"{broken", 1_000_000);
        assert_eq!(
            (dead_letter.key, dead_letter.value),
            (Some(&b"k"[..]), Some(&b"{broken"[..]))
        );
        assert_eq!(
            header(&dead_letter, "headworks.reason").as_deref(),
            Some("Decode")
        );
        assert_eq!(
            header(&dead_letter, "headworks.origin.topic").as_deref(),
            Some("shop.orders")
        );
        assert_eq!(
            header(&dead_letter, "headworks.origin.partition").as_deref(),
            Some("3")
        );
        assert_eq!(
            header(&dead_letter, "headworks.origin.offset").as_deref(),
            Some("42")
        );
        assert_eq!(
            header(&dead_letter, "headworks.pipeline").as_deref(),
            Some("shop/p")
        );
        assert_eq!(
            header(&dead_letter, "headworks.time").as_deref(),
            Some("1970-01-01T00:00:00Z")
        );
        assert_eq!(header(&dead_letter, "headworks.truncated"), None);
        assert!(header(&dead_letter, "headworks.error").unwrap().len() <= ERROR_BYTES);
    }

    #[test]
    fn a_dead_letter_fits_its_topic_even_when_the_record_was_as_large_as_a_record_may_be() {
        let value = vec![b'x'; 10_000];
        let dead_letter = dead_letter(&value, 10_000);
        let headers: usize = dead_letter
            .headers
            .iter()
            .map(|(name, text)| name.len() + text.len() + 10)
            .sum();
        assert!(
            headers + 1 + dead_letter.value.unwrap().len() + RECORD_OVERHEAD as usize <= 10_000
        );
        assert!(
            dead_letter.value.unwrap().len() > 5_000,
            "it keeps as much as it can"
        );
        assert_eq!(
            header(&dead_letter, "headworks.truncated").as_deref(),
            Some("10000")
        );
    }
}
