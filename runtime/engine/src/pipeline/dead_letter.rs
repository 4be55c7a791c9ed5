//! Writes the dead letters of a pipeline.

use jiff::Timestamp;

use super::{InputTopic, Settings};
use crate::dead_letter::{DeadLetter, Origin};
use crate::log::{Log, LogError, Outgoing, Record};
use crate::stateless::Bad;
use crate::status::ReasonTally;

/// The dead letter of a bad record of `input`, as its topic can hold it.
fn of<'a>(
    record: &Record<'a>,
    bad: &Bad,
    input: &InputTopic,
    pipeline: &str,
    now_ms: i64,
) -> DeadLetter<'a> {
    let origin = Origin::Pipeline {
        pipeline,
        topic: &input.topic,
        partition: record.partition.number,
        offset: record.offset,
    };
    let now = Timestamp::from_millisecond(now_ms).unwrap_or_default();
    let parts = (record.key, record.value);
    DeadLetter::new(bad.reason, &bad.message, origin, now, parts)
        .by_rule(bad.broken.as_deref())
        .cut(input.max_message_bytes)
}

/// Writes the dead letter of a bad record of `input`, and counts it.
pub(super) fn produce(
    log: &mut impl Log,
    settings: &Settings,
    input: &InputTopic,
    record: &Record<'_>,
    bad: &Bad,
    now_ms: i64,
    tally: &mut ReasonTally,
) -> Result<(), LogError> {
    let (partition, offset) = (record.partition.number, record.offset);
    let place = format!("{}[{partition}]@{offset}", input.topic);
    tally.add(bad.reason, now_ms, Some(place));
    let dead_letter = of(record, bad, input, &settings.pipeline, now_ms);
    let headers = dead_letter.headers.into_iter();
    let headers: Vec<_> = headers
        .map(|(name, text)| (name, text.into_bytes()))
        .collect();
    log.produce(&Outgoing {
        topic: &input.dead_letter_topic,
        partition: None,
        key: dead_letter.key,
        value: dead_letter.value,
        timestamp_ms: record.timestamp_ms,
        headers: &headers,
    })
}

#[cfg(test)]
mod tests {
    use headworks_plan::DeadLetterReason;

    use super::*;
    use crate::dead_letter::ERROR_BYTES;
    use crate::judge::RECORD_OVERHEAD;
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
        let bad = Bad::new(0, DeadLetterReason::Decode, "é".repeat(3_000));
        let input = InputTopic {
            topic: "shop.orders".to_owned(),
            dead_letter_topic: "shop.orders.dlq".to_owned(),
            max_message_bytes,
        };
        of(&record, &bad, &input, "shop/p", 0)
    }

    fn header(dead_letter: &DeadLetter<'_>, name: &str) -> Option<String> {
        dead_letter
            .headers
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.clone())
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
