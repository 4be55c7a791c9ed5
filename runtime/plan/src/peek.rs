//! What `headworks peek`, `dlq` and `profile` tell the pod that they make: what of a stream to print, and which fields to hide.
//!
//! It isn't a [`Plan`](crate::Plan): it comes from a person's command line and not from the operator, the pod ends by itself,
//! and nobody asks it for a report. What the pod prints are JSON lines: records, and lines with the member `peek`
//! ([`PeekLine`]).

use serde::{Deserialize, Serialize};

use crate::{KafkaConnection, RegistryConnection, ReplayPlan, Stream};

mod dead_letters;
mod preview;
mod profile;

pub use dead_letters::{DeadLetterCount, DeadLetterFilter, DeadLetterLine, DeadLetterOrigin};
pub use preview::{PreviewKind, PreviewRefusal, ReplayPreview};
pub use profile::{
    ColumnProfile, Frequent, PROFILE_INTERVALS, ProfileRequest, Quantile, Shape, StreamProfile,
    TextLengths,
};

/// The version of [`PeekPlan`]. A runtime refuses a plan of another version by name. 2: there are [tasks](PeekTask), which a
/// runtime that knows none of them would take for a look at records.
pub const PEEK_VERSION: u32 = 2;
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
    /// What is done with them.
    #[serde(default, skip_serializing_if = "PeekTask::is_records")]
    pub task: PeekTask,
    /// Which records.
    pub select: PeekSelection,
}

impl PeekPlan {
    /// The topic that is read.
    pub fn topic(&self) -> &str {
        if self.task.reads_letters() {
            &self.stream.dead_letter_topic
        } else {
            &self.stream.topic
        }
    }
}

/// What is done with what is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PeekTask {
    /// Records of the stream are printed.
    #[default]
    Records,
    /// What the newest dead letters of the stream say of themselves is printed, in the order of their time.
    List(DeadLetterFilter),
    /// Dead letters are printed with the first bytes of what can't be decoded, from an offset on.
    Show(DeadLetterFilter),
    /// Dead letters are printed with their whole values, from [`PeekSelection::positions`] on, in the order in which they are read.
    Export(DeadLetterFilter),
    /// Dead letters are counted; the last line is [`PeekLine::Counts`].
    Count(DeadLetterFilter),
    /// Statistics of the stream's columns; the last line is [`PeekLine::Profile`]. Over time: such a line for each interval, and
    /// [`PeekLine::End`].
    Profile(ProfileRequest),
    /// What this Replay would do is counted, and nothing is written; the last line is [`PeekLine::Replay`]. A runtime of before
    /// refuses it.
    Replay(Box<ReplayPlan>),
}

impl PeekTask {
    /// True: records of the stream are printed.
    pub fn is_records(&self) -> bool {
        *self == PeekTask::Records
    }

    /// True: it is dead letters that are read.
    pub fn reads_letters(&self) -> bool {
        match self {
            PeekTask::Records | PeekTask::Profile(_) => false,
            PeekTask::List(_) | PeekTask::Show(_) | PeekTask::Export(_) | PeekTask::Count(_) => {
                true
            }
            PeekTask::Replay(replay) => replay.dead_letters.is_some(),
        }
    }

    /// Which dead letters; none where records are read.
    pub fn filter(&self) -> Option<&DeadLetterFilter> {
        match self {
            PeekTask::Records | PeekTask::Profile(_) | PeekTask::Replay(_) => None,
            PeekTask::List(filter)
            | PeekTask::Show(filter)
            | PeekTask::Export(filter)
            | PeekTask::Count(filter) => Some(filter),
        }
    }
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
    /// Where an export goes on; partitions that aren't named are read from their beginning to their end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub positions: Vec<PeekPosition>,
    /// So many at most: the first ones after [`from`](Self::from), else the newest.
    pub limit: u64,
    /// True: goes on with what comes. The newest [`limit`](Self::limit) come first.
    #[serde(default)]
    pub follow: bool,
    /// For how long records are read at most, in seconds.
    pub seconds: u64,
}

/// How far a partition was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PeekPosition {
    /// The partition.
    pub partition: i32,
    /// The next offset to be read.
    pub offset: i64,
    /// Where it ends: the topic's end when reading began. Absent: where it ends now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<i64>,
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
        /// Of an export: how far each partition was read.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        positions: Vec<PeekPosition>,
    },
    /// The last line of a count.
    Counts {
        /// By reason, rule and check, the most frequent first.
        counts: Vec<DeadLetterCount>,
        /// Dead letters with yet other reasons, rules and checks.
        others: u64,
        /// Dead letters that were read.
        read: u64,
        /// False: time was over before all were read.
        complete: bool,
    },
    /// A profile: the last line, but where it is one of those over time.
    Profile(Box<StreamProfile>),
    /// The last line of what a Replay would do.
    Replay(Box<ReplayPreview>),
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
        let json = r#"{"version":2,"kafka":{"bootstrapServers":"k:9092"},"stream":{"name":"a","topic":"t","deadLetterTopic":"t.dlq",
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
            positions: Vec::new(),
        };
        let text = serde_json::to_string(&end).unwrap();
        assert_eq!(text, r#"{"peek":"end","records":1,"read":2,"more":false}"#);
        assert!(serde_json::from_str::<PeekLine>(r#"{"partition":0}"#).is_err());
    }

    #[test]
    fn every_line_is_read_as_it_was_written() {
        let position = PeekPosition {
            partition: 3,
            offset: 12,
            end: Some(40),
        };
        let lines = [
            PeekLine::End {
                records: 1,
                read: 2,
                more: true,
                positions: vec![position],
            },
            PeekLine::Counts {
                counts: vec![DeadLetterCount {
                    reason: "Quality".into(),
                    rule: Some("orders-sane".into()),
                    check: Some("positive".into()),
                    count: 3,
                    first_ms: Some(-1),
                    last_ms: Some(5),
                }],
                others: 1,
                read: 4,
                complete: true,
            },
            PeekLine::Profile(Box::new(StreamProfile {
                columns: vec![ColumnProfile {
                    name: "id".into(),
                    ..ColumnProfile::default()
                }],
                ..StreamProfile::default()
            })),
        ];
        for line in lines {
            let text = serde_json::to_string(&line).unwrap();
            assert_eq!(serde_json::from_str::<PeekLine>(&text).unwrap(), line);
        }
    }

    #[test]
    fn dead_letters_are_read_where_they_are_and_records_where_they_are() {
        let json = r#"{"version":2,"kafka":{"bootstrapServers":"k:9092"},"stream":{"name":"a","topic":"t","deadLetterTopic":"t.dlq",
          "contract":{"fields":[],"format":"Json"},"maxMessageBytes":1},"group":"g","select":{"limit":20,"seconds":60}}"#;
        let mut plan: PeekPlan = serde_json::from_str(json).unwrap();
        assert_eq!((plan.topic(), plan.task.filter()), ("t", None));
        for (task, topic) in [
            (PeekTask::Count(DeadLetterFilter::default()), "t.dlq"),
            (PeekTask::Export(DeadLetterFilter::default()), "t.dlq"),
            (PeekTask::List(DeadLetterFilter::default()), "t.dlq"),
            (PeekTask::Show(DeadLetterFilter::default()), "t.dlq"),
            (
                PeekTask::Profile(ProfileRequest {
                    records: 5,
                    every_ms: None,
                }),
                "t",
            ),
        ] {
            plan.task = task;
            let text = serde_json::to_string(&plan).unwrap();
            assert_eq!(serde_json::from_str::<PeekPlan>(&text).unwrap(), plan);
            assert_eq!(plan.topic(), topic);
        }
    }
}
