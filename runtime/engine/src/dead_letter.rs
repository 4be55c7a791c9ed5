//! The headers of a dead letter: what is wrong with a record, and where it came from. Sources and pipelines write the same ones.

use jiff::Timestamp;

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

/// The headers of a record that can't be used for `reason`. The end of a long `error` is left out.
pub fn headers(reason: &str, error: &str, origin: Origin<'_>, time: Timestamp) -> Headers {
    let mut headers = vec![
        (ERROR, shorten(error).to_owned()),
        (REASON, reason.to_owned()),
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
pub fn size(headers: &Headers) -> usize {
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
        let read = headers("Decode", "no JSON", origin, Timestamp::UNIX_EPOCH);
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
            "Decode",
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
    fn a_long_error_is_cut_off_between_two_characters() {
        let long = "é".repeat(3_000);
        let made = headers("Decode", &long, Origin::Source("s"), Timestamp::UNIX_EPOCH);
        assert_eq!(made[0].1.len(), ERROR_BYTES);
        let odd = format!("x{long}");
        let made = headers("Decode", &odd, Origin::Source("s"), Timestamp::UNIX_EPOCH);
        assert_eq!(made[0].1.len(), ERROR_BYTES - 1);
    }
}
