//! Statistics of a stream's columns over a bounded sample, as a pod prints them. Values are text, so that no digit is lost.

use serde::{Deserialize, Serialize};

/// What is profiled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfileRequest {
    /// So many records at most: the first ones of a time span, else the newest, the same share of each partition.
    pub records: u64,
    /// Present: a profile of each interval of so many milliseconds, of so many records each, from a time to a time that the selection
    /// names. There are [`PROFILE_INTERVALS`] at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_ms: Option<u64>,
}

/// So many intervals at most has a profile over time: each is looked for in every partition.
pub const PROFILE_INTERVALS: u64 = 1_000;

impl ProfileRequest {
    /// The intervals from a time to a time, both in milliseconds since 1970 UTC: `[begin, end)` each, the last one as long as is left.
    ///
    /// # Errors
    /// There are more than [`PROFILE_INTERVALS`], or none.
    pub fn intervals(
        since_ms: i64,
        until_ms: i64,
        every_ms: u64,
    ) -> Result<Vec<(i64, i64)>, String> {
        let whole = u64::try_from(until_ms.saturating_sub(since_ms)).unwrap_or(0);
        let (Some(count), Ok(step)) = (
            Some(whole.div_ceil(every_ms.max(1))).filter(|count| *count > 0),
            i64::try_from(every_ms.max(1)),
        ) else {
            return Err("there is no interval between the two times".to_owned());
        };
        if count > PROFILE_INTERVALS {
            return Err(format!(
                "there are {count} intervals between the two times, and {PROFILE_INTERVALS} at most are profiled"
            ));
        }
        let mut begin = since_ms;
        let mut all = Vec::new();
        while begin < until_ms {
            let end = begin.saturating_add(step).min(until_ms);
            all.push((begin, end));
            begin = end;
        }
        Ok(all)
    }
}

/// A stream's sample.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StreamProfile {
    /// Records that were read.
    pub read: u64,
    /// Rows that the columns' figures are of.
    pub rows: u64,
    /// Records that can't be decoded.
    pub undecoded: u64,
    /// Records without a value: deletions of a compacted stream.
    pub deletions: u64,
    /// Kafka's timestamp of the oldest row, milliseconds since 1970 UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_ms: Option<i64>,
    /// That of the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_ms: Option<i64>,
    /// False: time was over before all of the sample was read.
    pub complete: bool,
    /// Present: the interval of a profile over time that this one is of, in milliseconds since 1970 UTC: from the first to before the
    /// second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<(i64, i64)>,
    /// The contract's top-level fields, in its order.
    pub columns: Vec<ColumnProfile>,
}

/// A column. Of a masked one no value is told, nor anything that a value could be guessed from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ColumnProfile {
    /// The field's name.
    pub name: String,
    /// Its type, as the contract has it.
    #[serde(rename = "type")]
    pub type_: String,
    /// True: it has a label, and no value of it is told.
    #[serde(skip_serializing_if = "is_false")]
    pub masked: bool,
    /// Rows with a value.
    pub count: u64,
    /// Rows without.
    pub nulls: u64,
    /// Different values.
    pub distinct: u64,
    /// Present: `distinct` is an estimate, and within two standard deviations it lies between these two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distinct_between: Option<(u64, u64)>,
    /// Least value, of types that have an order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// Greatest value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
    /// Arithmetic mean, of numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<String>,
    /// Quantiles, of numbers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quantiles: Vec<Quantile>,
    /// Present: the quantiles are estimates, whose ranks are off by so much at most with 99 % confidence, in per cent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantile_rank_error: Option<String>,
    /// The most frequent values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub top: Vec<Frequent>,
    /// Lengths of texts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<TextLengths>,
    /// The most frequent shapes of texts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shapes: Vec<Shape>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_false(value: &bool) -> bool {
    !value
}

/// A quantile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quantile {
    /// Which one, such as `0.5`, the median.
    pub at: String,
    /// A value of the sample that as great a part of the rows isn't above.
    pub value: String,
}

/// How often a value is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frequent {
    /// The value; of a long one the beginning.
    pub value: String,
    /// How many rows have it.
    pub count: u64,
}

/// How often texts have a shape: letters are `A` and `a`, digits `9`, runs of one class stand once, all else stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// The shape, such as `A9-a`.
    pub shape: String,
    /// How many rows have it.
    pub count: u64,
}

/// Lengths in characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextLengths {
    /// The shortest.
    pub min: u64,
    /// The longest.
    pub max: u64,
    /// The mean, to a tenth.
    pub mean: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_side_by_side_and_bounded() {
        let of = ProfileRequest::intervals;
        assert_eq!(of(-5, 20, 10).unwrap(), [(-5, 5), (5, 15), (15, 20)]);
        assert!(of(0, 10, u64::MAX).is_err(), "no span of time");
        assert_eq!(of(0, 10, 100).unwrap(), [(0, 10)]);
        assert!(of(10, 10, 1).is_err() && of(11, 10, 1).is_err());
        assert_eq!(of(0, 1_000, 0).unwrap().len(), 1_000);
        let error = of(i64::MIN, i64::MAX, 1).unwrap_err();
        assert!(error.contains("1000 at most"), "{error}");
    }
}
