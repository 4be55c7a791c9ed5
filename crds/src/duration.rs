//! Durations as users write them: `100ms`, `5s`, `7d`, `1d12h`. A day is 24 hours.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The longest text of a duration.
const MAX_CHARACTERS: usize = 16;
/// The most digits of one number in it: ten digits of weeks still fit 64 bits of milliseconds, so what the
/// schema accepts always parses.
const MAX_DIGITS: usize = 10;
const PATTERN: &str = "^([0-9]{1,10}(ms|s|m|h|d|w))+$";

/// A duration. Keeps the text the user wrote, so that it is shown again as written.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Duration {
    text: String,
    millis: u64,
}

/// Why a text isn't a duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurationError {
    text: String,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a duration: write whole numbers with the units ms, s, m, h, d or w, such as 100ms, 7d or 1d12h \
             (at most {MAX_CHARACTERS} characters)",
            self.text
        )
    }
}

impl std::error::Error for DurationError {}

impl Duration {
    /// The duration in milliseconds.
    pub fn millis(&self) -> u64 {
        self.millis
    }

    /// As the standard library's type.
    pub fn to_std(&self) -> std::time::Duration {
        std::time::Duration::from_millis(self.millis)
    }

    /// A duration of so many milliseconds, written in the largest unit that loses nothing.
    pub fn from_millis(millis: u64) -> Self {
        const UNITS: [(u64, &str); 5] = [
            (86_400_000, "d"),
            (3_600_000, "h"),
            (60_000, "m"),
            (1_000, "s"),
            (1, "ms"),
        ];
        let (size, unit) = UNITS
            .into_iter()
            .find(|(size, _)| millis > 0 && millis.is_multiple_of(*size))
            .unwrap_or((1, "ms"));
        Self {
            text: format!("{}{unit}", millis / size),
            millis,
        }
    }

    /// The text as the user wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || DurationError {
            text: text.chars().take(32).collect(),
        };
        if text.is_empty() || text.len() > MAX_CHARACTERS {
            return Err(refused());
        }
        let mut rest = text;
        let mut millis: u64 = 0;
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            if digits == 0 || digits > MAX_DIGITS {
                return Err(refused());
            }
            let (number, tail) = rest.split_at(digits);
            let number: u64 = number.parse().map_err(|_| refused())?;
            let unit = tail
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit);
            let size = match unit {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                "w" => 604_800_000,
                _ => return Err(refused()),
            };
            millis = number
                .checked_mul(size)
                .and_then(|n| millis.checked_add(n))
                .ok_or_else(refused)?;
            rest = tail;
        }
        Ok(Self {
            text: text.to_owned(),
            millis,
        })
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Duration({})", self.text)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "duration",
            "pattern": PATTERN,
            "maxLength": MAX_CHARACTERS,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Option<u64> {
        text.parse::<Duration>().ok().map(|d| d.millis())
    }

    #[test]
    fn units_add_up_and_a_day_is_24_hours() {
        assert_eq!(millis("100ms"), Some(100));
        assert_eq!(millis("1m"), Some(60_000));
        assert_eq!(millis("1d12h"), Some(36 * 3_600_000));
        assert_eq!(millis("2w"), Some(14 * 86_400_000));
        assert_eq!(millis("0s"), Some(0));
    }

    #[test]
    fn what_the_pattern_refuses_the_parser_refuses() {
        for text in [
            "",
            "5",
            "s",
            "5 s",
            "-5s",
            "1.5h",
            "5S",
            "5us",
            "5s5",
            "12345678901s",
            "1s2s3s4s5s6s7s8s9s",
            "５s",
        ] {
            assert_eq!(millis(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_longest_text_the_pattern_accepts_fits() {
        assert_eq!(
            millis("9999999999w9999w"),
            Some((9_999_999_999 + 9_999) * 604_800_000)
        );
    }

    #[test]
    fn milliseconds_are_written_in_the_largest_unit_that_loses_nothing() {
        for (ms, text) in [
            (0, "0ms"),
            (1, "1ms"),
            (1_500, "1500ms"),
            (90_000, "90s"),
            (604_800_000, "7d"),
        ] {
            assert_eq!(Duration::from_millis(ms).as_str(), text);
        }
    }

    #[test]
    fn the_text_is_kept_as_written() {
        let d: Duration = serde_json::from_str("\"168h\"").unwrap();
        assert_eq!(serde_json::to_string(&d).unwrap(), "\"168h\"");
    }
}
