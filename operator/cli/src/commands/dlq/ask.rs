//! Which dead letters are asked for: from the command line's words to a filter. Pure but for the present time.

use std::str::FromStr;

use headworks_crds::Duration;
use headworks_plan::{DeadLetterFilter, DeadLetterReason, PeekFrom, PeekPosition, PeekSelection};
use k8s_openapi::jiff::Timestamp;

use super::super::peek::select::{When, between, seconds};
use crate::finding::hint;

/// For how long dead letters are read at most, in seconds: all of them may have to be.
const SECONDS: u64 = 600;
/// The same for one.
const ONE_SECONDS: u64 = 60;

/// Which dead letters.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Filter {
    /// Only with this reason, such as Decode or Quality; several with commas between them.
    #[arg(long, value_name = "REASON", value_delimiter = ',')]
    reason: Vec<String>,
    /// Only what this `QualityRule` refused; several with commas between them.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    rule: Vec<String>,
    /// Only what became a dead letter at this time or later: a duration ago, such as 15m, or a time, such as
    /// 2026-01-01T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Only what became one before this time, given as with --since.
    #[arg(long, value_name = "TIME")]
    until: Option<When>,
    /// Only of these partitions of the dead-letter topic.
    #[arg(short, long = "partition", value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(i32).range(0..))]
    partitions: Vec<i32>,
    /// For how long dead letters are read at most, such as 30m. Absent: 10m.
    #[arg(long, value_name = "DURATION")]
    timeout: Option<Duration>,
}

impl Filter {
    /// True: some are left out.
    pub(super) fn is_any(&self) -> bool {
        !(self.reason.is_empty() && self.rule.is_empty() && self.partitions.is_empty())
            || self.since.is_some()
            || self.until.is_some()
    }

    /// As the pod is told.
    ///
    /// # Errors
    /// A reason that there isn't; a time span that is none.
    pub(super) fn told(&self) -> Result<DeadLetterFilter, String> {
        self.told_at(Timestamp::now())
    }

    fn told_at(&self, now: Timestamp) -> Result<DeadLetterFilter, String> {
        let (since_ms, until_ms) = between(self.since.as_ref(), self.until.as_ref(), now)?;
        let reasons = self.reason.iter().map(|word| reason(word));
        Ok(DeadLetterFilter {
            reasons: reasons.collect::<Result<_, _>>()?,
            rules: self.rule.clone(),
            since_ms,
            until_ms,
        })
    }

    /// As the pod is told.
    pub(super) fn select(&self, limit: u64) -> PeekSelection {
        PeekSelection {
            partitions: self.partitions.clone(),
            limit,
            seconds: seconds(self.timeout.as_ref(), SECONDS),
            ..PeekSelection::default()
        }
    }
}

/// A reason as the headers have it, in whatever case it was typed.
fn reason(word: &str) -> Result<String, String> {
    let known = || DeadLetterReason::ALL.iter().map(|reason| reason.as_str());
    let found = known().find(|known| known.eq_ignore_ascii_case(word));
    found.map(str::to_owned).ok_or_else(|| {
        let all: Vec<&str> = known().collect();
        format!(
            "--reason: there is no reason {word:?}{}: a dead letter's is one of {}",
            hint(word, known()).trim_end_matches('?'),
            all.join(", ")
        )
    })
}

/// A place in the dead-letter topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) partition: i32,
    pub(super) offset: i64,
}

impl FromStr for At {
    type Err = String;

    fn from_str(text: &str) -> Result<At, String> {
        let parsed = text.split_once(':').and_then(|(partition, offset)| {
            let at = At {
                partition: partition.trim().parse().ok()?,
                offset: offset.trim().parse().ok()?,
            };
            (at.partition >= 0 && at.offset >= 0).then_some(at)
        });
        parsed.ok_or_else(|| {
            format!("{text:?} is no place: it is PARTITION:OFFSET, such as 0:12, as the column AT of headworks dlq ls has it")
        })
    }
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

impl At {
    /// One record, from here on.
    pub(super) fn select(self, timeout: Option<&Duration>) -> PeekSelection {
        PeekSelection {
            partitions: vec![self.partition],
            from: Some(PeekFrom::Offset(self.offset)),
            limit: 1,
            seconds: seconds(timeout, ONE_SECONDS),
            ..PeekSelection::default()
        }
    }

    pub(super) fn position(self) -> PeekPosition {
        PeekPosition {
            partition: self.partition,
            offset: self.offset,
            end: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_partition_and_an_offset() {
        let at: At = "3:120".parse().unwrap();
        assert_eq!(
            (at.partition, at.offset, at.to_string().as_str()),
            (3, 120, "3:120")
        );
        for wrong in ["", "3", "3:", ":4", "-1:4", "1:-4", "a:b", "1:2:3"] {
            let error = wrong.parse::<At>().unwrap_err();
            assert!(error.contains("PARTITION:OFFSET"), "{error}");
        }
    }

    #[test]
    fn a_reason_may_be_typed_in_any_case_and_a_misspelt_one_is_told() {
        let told = |reason: &str| {
            let filter = Filter {
                reason: vec![reason.into()],
                ..Filter::default()
            };
            filter.told_at(Timestamp::UNIX_EPOCH)
        };
        assert_eq!(told("toolarge").unwrap().reasons, ["TooLarge"]);
        let error = told("Decod").unwrap_err();
        assert!(
            error.contains("did you mean \"Decode\"") && error.contains("StoreRefused"),
            "{error}"
        );
    }

    #[test]
    fn times_are_a_filter_since_kafka_s_are_those_of_the_records() {
        let filter = Filter {
            since: Some("1h".parse().unwrap()),
            until: Some("2026-01-02T00:00:00Z".parse().unwrap()),
            ..Filter::default()
        };
        let now: Timestamp = "2026-01-02T00:30:00Z".parse().unwrap();
        let told = filter.told_at(now).unwrap();
        assert_eq!(told.until_ms.unwrap() - told.since_ms.unwrap(), 30 * 60_000);
        let select = filter.select(20);
        assert_eq!(
            (select.from, select.until_ms, select.seconds),
            (None, None, 600)
        );
        let empty = Filter {
            since: Some("1m".parse().unwrap()),
            until: Some("1h".parse().unwrap()),
            ..Filter::default()
        };
        assert!(empty.told_at(now).unwrap_err().contains("--until"));
    }
}
