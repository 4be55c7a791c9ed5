//! Dead letters: a record that can't be used, its own bytes, and headers that say what is wrong with it and where it came from.
//! Sources and pipelines make them here, so that they are alike.

use headworks_plan::DeadLetterReason;
use jiff::Timestamp;

use crate::judge::RECORD_OVERHEAD;
use crate::judge::rules::Broken;

/// Why it can't be used, in words.
pub const ERROR: &str = "headworks.error";
/// Why it can't be used, as a kind.
pub const REASON: &str = "headworks.reason";
/// The topic it was read from.
pub const ORIGIN_TOPIC: &str = "headworks.origin.topic";
/// The partition it was read from.
pub const ORIGIN_PARTITION: &str = "headworks.origin.partition";
/// The offset it was read at.
pub const ORIGIN_OFFSET: &str = "headworks.origin.offset";
/// `namespace/name` of the pipeline that couldn't use it.
pub const PIPELINE: &str = "headworks.pipeline";
/// `namespace/name` of the source that couldn't take it.
pub const SOURCE: &str = "headworks.source";
/// When it was made a dead letter (RFC 3339).
pub const TIME: &str = "headworks.time";
/// The quality rule that it breaks.
pub const RULE: &str = "headworks.rule";
/// The version of that rule that judged: its `metadata.generation`.
pub const RULE_GENERATION: &str = "headworks.rule.generation";
/// The check of that rule that it fails.
pub const CHECK: &str = "headworks.check";
/// The field that the check is about.
pub const FIELD: &str = "headworks.field";
/// How many bytes its value had, if the end of it is cut off.
pub const TRUNCATED: &str = "headworks.truncated";

/// Longest error text in a header, in bytes.
pub const ERROR_BYTES: usize = 2_000;
/// A header's two lengths at their longest.
const HEADER_OVERHEAD: usize = 10;

/// Headers in order.
pub type Headers = Vec<(&'static str, String)>;

/// Who couldn't use a record, and where it was read.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// A pipeline read it.
    Pipeline {
        /// `namespace/name`.
        pipeline: &'a str,
        /// The topic.
        topic: &'a str,
        /// The partition.
        partition: i32,
        /// The offset.
        offset: i64,
    },
    /// A source was given it.
    Source(&'a str),
}

/// A record that can't be used, as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter<'a> {
    /// What is wrong, and where it came from.
    pub headers: Headers,
    /// The record's key, where it is known.
    pub key: Option<&'a [u8]>,
    /// The record's value. Absent: it had none.
    pub value: Option<&'a [u8]>,
}

impl<'a> DeadLetter<'a> {
    /// The dead letter of a record with this key and value. The end of a long `error` is left out.
    pub fn new(
        reason: DeadLetterReason,
        error: &str,
        origin: Origin<'_>,
        time: Timestamp,
        (key, value): (Option<&'a [u8]>, Option<&'a [u8]>),
    ) -> DeadLetter<'a> {
        DeadLetter {
            headers: headers(reason, error, origin, time),
            key,
            value,
        }
    }

    /// The same, with the rule that the record breaks.
    #[must_use]
    pub fn by_rule(mut self, broken: Option<&Broken>) -> Self {
        if let Some(broken) = broken {
            self.headers.extend([
                (RULE, broken.rule.clone()),
                (RULE_GENERATION, broken.generation.to_string()),
                (CHECK, broken.check.clone()),
            ]);
            let field = broken.field.clone().map(|field| (FIELD, field));
            self.headers.extend(field);
        }
        self
    }

    /// Whether a topic that takes records of `max_message_bytes` can hold it.
    pub fn fits(&self, max_message_bytes: u64) -> bool {
        headers_size(&self.headers) + size(self.key) + size(self.value) <= room(max_message_bytes)
    }

    /// The same, so that a topic that takes records of `max_message_bytes` can hold it: where it can't, the end of the value is
    /// cut off and [`TRUNCATED`] says how many bytes it had. The origin headers still lead to the whole record.
    #[must_use]
    pub fn cut(mut self, max_message_bytes: u64) -> Self {
        if self.fits(max_message_bytes) {
            return self;
        }
        self.headers.push((TRUNCATED, size(self.value).to_string()));
        let room = room(max_message_bytes).saturating_sub(headers_size(&self.headers));
        if size(self.key) > room {
            self.key = None;
        }
        let room = room - size(self.key);
        self.value = self.value.map(|value| &value[..value.len().min(room)]);
        self
    }
}

fn size(part: Option<&[u8]>) -> usize {
    part.map_or(0, <[u8]>::len)
}

/// Bytes for headers, key and value.
fn room(max_message_bytes: u64) -> usize {
    usize::try_from(max_message_bytes.saturating_sub(RECORD_OVERHEAD)).unwrap_or(usize::MAX)
}

fn headers(reason: DeadLetterReason, error: &str, origin: Origin<'_>, time: Timestamp) -> Headers {
    let mut headers = vec![
        (ERROR, shorten(error).to_owned()),
        (REASON, reason.as_str().to_owned()),
    ];
    match origin {
        Origin::Pipeline {
            pipeline,
            topic,
            partition,
            offset,
        } => headers.extend([
            (ORIGIN_TOPIC, topic.to_owned()),
            (ORIGIN_PARTITION, partition.to_string()),
            (ORIGIN_OFFSET, offset.to_string()),
            (PIPELINE, pipeline.to_owned()),
        ]),
        Origin::Source(source) => headers.push((SOURCE, source.to_owned())),
    }
    headers.push((TIME, time.to_string()));
    headers
}

/// What headers add to a record, in bytes.
fn headers_size(headers: &Headers) -> usize {
    headers
        .iter()
        .map(|(name, text)| name.len() + text.len() + HEADER_OVERHEAD)
        .sum()
}

fn shorten(text: &str) -> &str {
    let mut end = text.len().min(ERROR_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(headers: &Headers) -> Vec<&str> {
        headers.iter().map(|(name, _)| *name).collect()
    }

    #[test]
    fn a_source_and_a_pipeline_say_the_same_but_for_the_origin() {
        let origin = Origin::Pipeline {
            pipeline: "shop/p",
            topic: "shop.orders",
            partition: 3,
            offset: 42,
        };
        let read = headers(
            DeadLetterReason::Decode,
            "no JSON",
            origin,
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(
            read,
            [
                ("headworks.error", "no JSON".to_owned()),
                ("headworks.reason", "Decode".to_owned()),
                ("headworks.origin.topic", "shop.orders".to_owned()),
                ("headworks.origin.partition", "3".to_owned()),
                ("headworks.origin.offset", "42".to_owned()),
                ("headworks.pipeline", "shop/p".to_owned()),
                ("headworks.time", "1970-01-01T00:00:00Z".to_owned()),
            ]
        );
        let given = headers(
            DeadLetterReason::Decode,
            "no JSON",
            Origin::Source("shop/s"),
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(
            names(&given),
            [
                "headworks.error",
                "headworks.reason",
                "headworks.source",
                "headworks.time"
            ]
        );
        assert_eq!(given[2].1, "shop/s");
    }

    #[test]
    fn the_rule_that_a_record_breaks_stands_in_headers_of_its_own() {
        let mut broken = Broken {
            rule: "orders-sane".to_owned(),
            generation: 3,
            check: "positive".to_owned(),
            field: Some("amount".to_owned()),
            message: "rule orders-sane, check positive: amount > 0 is false".to_owned(),
        };
        let letter = |broken: &Broken| {
            let reason = DeadLetterReason::Quality;
            let (origin, time) = (Origin::Source("shop/s"), Timestamp::UNIX_EPOCH);
            let parts = (None, Some(&b"{}"[..]));
            DeadLetter::new(reason, &broken.message, origin, time, parts).by_rule(Some(broken))
        };
        assert_eq!(
            letter(&broken).headers,
            [
                ("headworks.error", broken.message.clone()),
                ("headworks.reason", "Quality".to_owned()),
                ("headworks.source", "shop/s".to_owned()),
                ("headworks.time", "1970-01-01T00:00:00Z".to_owned()),
                ("headworks.rule", "orders-sane".to_owned()),
                ("headworks.rule.generation", "3".to_owned()),
                ("headworks.check", "positive".to_owned()),
                ("headworks.field", "amount".to_owned()),
            ]
        );
        broken.field = None;
        assert!(!names(&letter(&broken).headers).contains(&FIELD));
        let plain = letter(&broken).headers.len();
        assert_eq!(letter(&broken).by_rule(None).headers.len(), plain);
    }

    #[test]
    fn a_long_error_is_cut_off_between_two_characters() {
        let long = "é".repeat(3_000);
        let made = headers(
            DeadLetterReason::Decode,
            &long,
            Origin::Source("s"),
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(made[0].1.len(), ERROR_BYTES);
        let odd = format!("x{long}");
        let made = headers(
            DeadLetterReason::Decode,
            &odd,
            Origin::Source("s"),
            Timestamp::UNIX_EPOCH,
        );
        assert_eq!(made[0].1.len(), ERROR_BYTES - 1);
    }

    #[test]
    fn what_the_topic_cannot_hold_is_cut_and_nothing_else_is() {
        let value = vec![b'x'; 2_000];
        let letter = |key| {
            let time = Timestamp::UNIX_EPOCH;
            let parts = (key, Some(&value[..]));
            DeadLetter::new(
                DeadLetterReason::Decode,
                "no JSON",
                Origin::Source("s"),
                time,
                parts,
            )
        };
        let whole = letter(Some(b"k"));
        let exactly = (headers_size(&whole.headers) + 1 + 2_000) as u64 + RECORD_OVERHEAD;
        assert!(whole.fits(exactly) && !whole.fits(exactly - 1));
        assert_eq!(whole.clone().cut(exactly), whole);
        let cut = whole.cut(exactly - 1);
        assert_eq!(cut.headers.last(), Some(&(TRUNCATED, "2000".to_owned())));
        let left = cut.value.unwrap().len();
        assert!(cut.key.is_some() && left < 2_000);
        let size = headers_size(&cut.headers) + 1 + left;
        assert_eq!(
            size as u64 + RECORD_OVERHEAD,
            exactly - 1,
            "as much is kept as can be"
        );
        // Half a key would be another one.
        assert_eq!(letter(Some(&value)).cut(1_000).key, None);
    }
}
