//! Which records are asked for: from the command line's words to a selection. Pure but for the present time, which is given.

use std::str::FromStr;

use headworks_crds::Duration;
use headworks_plan::{PeekFrom, PeekSelection};
use k8s_openapi::jiff::{SignedDuration, Timestamp};

/// For how long records are read at most, in seconds.
const SECONDS: u64 = 60;
/// The same with `--follow`.
const FOLLOW_SECONDS: u64 = 3_600;

/// Which records.
#[derive(Debug, Default, clap::Args)]
pub struct Selection {
    /// Only of these partitions.
    #[arg(short, long = "partition", value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(i32).range(0..))]
    partitions: Vec<i32>,
    /// The first records from this time on, by Kafka's timestamps: a duration ago, such as 15m, or a time, such as
    /// 2026-01-01T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Only records before this time, given as with --since.
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    until: Option<When>,
    /// The first records from this offset on, in each partition.
    #[arg(long, value_name = "N", conflicts_with = "since", value_parser = clap::value_parser!(i64).range(0..))]
    offset: Option<i64>,
    /// Only records with this Kafka key, as it is shown. Without --since or --offset the whole topic is read for it.
    #[arg(short, long, value_name = "KEY")]
    key: Option<String>,
    /// So many records at most: the first ones after --since or --offset, else the newest.
    #[arg(short, long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    limit: u64,
    /// Goes on with what comes, after the newest --limit records.
    #[arg(long)]
    pub follow: bool,
    /// For how long records are read at most, such as 5m. Absent: 1m, with --follow 1h.
    #[arg(long, value_name = "DURATION")]
    timeout: Option<Duration>,
}

/// A time, or so long ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    Ago(Duration),
    At(Timestamp),
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<When, String> {
        if let Ok(ago) = text.parse() {
            return Ok(When::Ago(ago));
        }
        text.parse().map(When::At).map_err(|_| {
            format!("{text:?} is neither a duration, such as 15m or 1d12h, nor a time with a zone, such as 2026-01-01T12:00:00Z")
        })
    }
}

impl When {
    /// Milliseconds since 1970 UTC.
    pub fn millis(&self, now: Timestamp) -> i64 {
        match self {
            When::At(at) => at.as_millisecond(),
            When::Ago(ago) => {
                let ago = i64::try_from(ago.millis()).unwrap_or(i64::MAX);
                let at = now.checked_sub(SignedDuration::from_millis(ago));
                at.unwrap_or(Timestamp::UNIX_EPOCH).as_millisecond()
            }
        }
    }
}

/// `--since` and `--until` in milliseconds since 1970 UTC.
///
/// # Errors
/// No time is between them.
pub fn between(
    since: Option<&When>,
    until: Option<&When>,
    now: Timestamp,
) -> Result<(Option<i64>, Option<i64>), String> {
    let (since, until) = (since.map(|w| w.millis(now)), until.map(|w| w.millis(now)));
    if since
        .zip(until)
        .is_some_and(|(since, until)| since >= until)
    {
        return Err("--until is not after --since: there is no time between them".to_owned());
    }
    Ok((since, until))
}

/// So long at most: as it is given, or else so many seconds.
pub fn seconds(timeout: Option<&Duration>, usual: u64) -> u64 {
    timeout.map_or(usual, |timeout| timeout.millis().div_ceil(1_000).max(1))
}

impl Selection {
    /// As the pod is told.
    ///
    /// # Errors
    /// A time span that is none.
    pub fn told(&self, now: Timestamp) -> Result<PeekSelection, String> {
        let (since, until_ms) = between(self.since.as_ref(), self.until.as_ref(), now)?;
        let usual = if self.follow { FOLLOW_SECONDS } else { SECONDS };
        Ok(PeekSelection {
            partitions: self.partitions.clone(),
            from: self
                .offset
                .map(PeekFrom::Offset)
                .or(since.map(PeekFrom::Time)),
            until_ms,
            key: self.key.clone(),
            limit: self.limit,
            follow: self.follow,
            positions: Vec::new(),
            seconds: seconds(self.timeout.as_ref(), usual),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-01-02T00:00:00Z".parse().unwrap()
    }

    #[test]
    fn a_time_is_an_instant_or_so_long_ago() {
        let millis = |text: &str| text.parse::<When>().map(|when| when.millis(now()));
        assert_eq!(millis("1d"), Ok(1_767_225_600_000));
        assert_eq!(millis("2026-01-01T00:00:00Z"), Ok(1_767_225_600_000));
        assert_eq!(millis("2026-01-01T01:00:00.5+01:00"), Ok(1_767_225_600_500));
        // Before there was Kafka, all the same.
        assert_eq!(millis("9999999999w"), Ok(0));
        for wrong in ["", "yesterday", "2026-01-01T00:00:00", "-5m"] {
            let error = millis(wrong).unwrap_err();
            assert!(error.contains("15m"), "{error}");
        }
    }

    #[test]
    fn an_offset_and_a_time_are_beginnings_and_time_outs_are_usual() {
        let of = |selection: Selection| selection.told(now());
        let plain = of(Selection::default()).unwrap();
        assert_eq!((plain.from, plain.seconds), (None, 60));
        let offset = of(Selection {
            offset: Some(5),
            follow: true,
            ..Selection::default()
        });
        let offset = offset.unwrap();
        assert_eq!(offset.from, Some(PeekFrom::Offset(5)));
        assert_eq!(offset.seconds, 3_600);
        let span = |since: &str, until: &str| Selection {
            since: Some(since.parse().unwrap()),
            until: Some(until.parse().unwrap()),
            timeout: Some("1500ms".parse().unwrap()),
            ..Selection::default()
        };
        let fine = of(span("2h", "1h")).unwrap();
        assert_eq!(fine.from, Some(PeekFrom::Time(1_767_304_800_000)));
        assert_eq!(fine.until_ms, Some(1_767_308_400_000));
        assert_eq!(fine.seconds, 2);
        assert!(of(span("1h", "2h")).unwrap_err().contains("--until"));
    }
}
