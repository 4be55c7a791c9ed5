//! What `headworks peek` tells the pod that it makes: which records of a stream to print, and which fields to hide.
//!
//! It isn't a [`Plan`](crate::Plan): it comes from a person's command line and not from the operator, the pod ends by itself,
//! and nobody asks it for a report. What the pod prints are JSON lines: records, and lines with the member `peek`
//! ([`PeekLine`]).

use serde::{Deserialize, Serialize};

use crate::{KafkaConnection, RegistryConnection, Stream};

/// The version of [`PeekPlan`]. A runtime refuses a plan of another version by name.
pub const PEEK_VERSION: u32 = 1;
/// Where the plan is mounted in a pod.
pub const PEEK_PATH: &str = "/etc/headworks/peek/plan.json";
/// Where Kafka's CA is mounted, where it comes with the plan and not with the credentials.
pub const PEEK_CA_PATH: &str = "/etc/headworks/peek/ca.crt";

/// Which records of which stream are printed, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeekPlan {
    /// [`PEEK_VERSION`] of the writer.
    pub version: u32,
    /// How to reach Kafka.
    pub kafka: KafkaConnection,
    /// How to reach the schema registry, if the stream's records carry its ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<RegistryConnection>,
    /// The stream, as the pods of a Pipeline see it.
    pub stream: Stream,
    /// A consumer group that the user may name. Nobody joins it, and nothing is committed.
    pub group: String,
    /// Top-level fields whose values aren't shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub masked: Vec<String>,
    /// Which records.
    pub select: PeekSelection,
}

/// Which records are printed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeekSelection {
    /// Only of these partitions; empty: of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partitions: Vec<i32>,
    /// Where reading begins. Absent: as near to the end as the newest [`limit`](Self::limit) records are; with a key at the
    /// oldest record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<PeekFrom>,
    /// Only records with a Kafka timestamp before this one (milliseconds since 1970 UTC).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<i64>,
    /// Only records with this Kafka key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// So many at most: the first ones after [`from`](Self::from), else the newest.
    pub limit: u64,
    /// True: goes on with what comes. The newest [`limit`](Self::limit) come first.
    #[serde(default)]
    pub follow: bool,
    /// For how long records are read at most, in seconds.
    pub seconds: u64,
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PeekFrom {
    /// At this offset of each partition.
    Offset(i64),
    /// At the first record with this Kafka timestamp or a later one (milliseconds since 1970 UTC).
    Time(i64),
}

/// A line of the pod that is no record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "peek", rename_all = "camelCase")]
pub enum PeekLine {
    /// Something that the reader ought to know.
    Note {
        /// In words.
        message: String,
    },
    /// The last line: all that was asked for was printed.
    End {
        /// Records that were printed.
        records: u64,
        /// Records that were read.
        read: u64,
        /// True: the selection has more than were printed.
        more: bool,
    },
    /// The last line: it can't be done.
    Failed {
        /// In one word, as conditions have it.
        reason: String,
        /// What, and what to do.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_survives_json_and_says_only_what_is_asked_for() {
        let json = r#"{"version":1,"kafka":{"bootstrapServers":"k:9092"},"stream":{"name":"a","topic":"t","deadLetterTopic":"t.dlq",
          "contract":{"fields":[],"format":"Json"},"maxMessageBytes":1},"group":"g","select":{"limit":20,"seconds":60,"from":{"time":5}}}"#;
        let plan: PeekPlan = serde_json::from_str(json).unwrap();
        assert_eq!(plan.select.from, Some(PeekFrom::Time(5)));
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<PeekPlan>(&text).unwrap(), plan);
        assert!(!text.contains("masked") && !text.contains("untilMs"));
    }

    #[test]
    fn a_line_that_is_no_record_is_told_by_its_member_peek() {
        let end = PeekLine::End {
            records: 1,
            read: 2,
            more: false,
        };
        let text = serde_json::to_string(&end).unwrap();
        assert_eq!(text, r#"{"peek":"end","records":1,"read":2,"more":false}"#);
        assert!(serde_json::from_str::<PeekLine>(r#"{"partition":0}"#).is_err());
    }
}
