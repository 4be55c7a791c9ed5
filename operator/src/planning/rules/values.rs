//! Values that stand in a rule as texts, read by the type of the field that they are compared with.

use std::cmp::Ordering;

use headworks_sql::types::DataType;
use k8s_openapi::jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

/// Most digits of a number.
const DIGITS: usize = 38;

/// A value of a field's type. Values of one field compare as SQL compares them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `boolean`.
    Boolean(bool),
    /// `int`, `bigint`, `decimal`, `float`, `double`.
    Number(Number),
    /// `string`.
    Text(String),
    /// `date`.
    Date(Date),
    /// `time`.
    Time(Time),
    /// `timestamp`.
    Local(DateTime),
    /// `timestamp_ltz`.
    Instant(Timestamp),
}

/// A decimal number, exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    /// Less than nothing.
    negative: bool,
    /// Digits before the point, without zeros in front.
    whole: String,
    /// Digits behind the point, without zeros at the end.
    fraction: String,
}

/// Reads a text by the type of a field.
///
/// # Errors
/// What it is not, with how it is written.
pub fn read(text: &str, data_type: &DataType) -> Result<Value, String> {
    let wrong = |example: &str| format!("\"{text}\" is no {data_type}: write it as {example}");
    match data_type {
        DataType::Boolean => match text {
            "true" => Ok(Value::Boolean(true)),
            "false" => Ok(Value::Boolean(false)),
            _ => Err(wrong("true or false")),
        },
        DataType::Int
        | DataType::BigInt
        | DataType::Float
        | DataType::Double
        | DataType::Decimal { .. } => Number::read(text)
            .map(Value::Number)
            .ok_or_else(|| wrong("-12.5, with at most 38 digits and without an exponent")),
        DataType::String => Ok(Value::Text(text.to_owned())),
        DataType::Date => shaped(text, 10)
            .and_then(|text| text.parse().ok())
            .filter(|date: &Date| date.to_string() == text)
            .map(Value::Date)
            .ok_or_else(|| wrong("2026-01-31, a day that there is")),
        DataType::Time => time(text)
            .map(Value::Time)
            .ok_or_else(|| wrong("12:34:56.789")),
        DataType::Timestamp(_) => local(text)
            .map(Value::Local)
            .ok_or_else(|| wrong("2026-01-31 12:34:56.789, without a zone")),
        DataType::TimestampLtz(_) => text
            .parse::<Timestamp>()
            .ok()
            .filter(|at| at.subsec_nanosecond() % 1_000 == 0 && !text.starts_with(['-', '+']))
            .map(Value::Instant)
            .ok_or_else(|| wrong("2026-01-31T12:34:56.789Z, with its zone")),
        DataType::Bytes | DataType::Array(_) | DataType::Map(_) | DataType::Struct(_) => {
            Err(format!("{data_type} can't be compared with a text"))
        }
    }
}

/// A text of at least so many characters that begins with a digit.
fn shaped(text: &str, least: usize) -> Option<&str> {
    (text.len() >= least && text.starts_with(|c: char| c.is_ascii_digit())).then_some(text)
}

fn time(text: &str) -> Option<Time> {
    let plain = shaped(text, 8)?.bytes();
    let plain = plain
        .into_iter()
        .all(|b| b.is_ascii_digit() || b == b':' || b == b'.');
    let time: Time = plain.then(|| text.parse().ok())??;
    (time.subsec_nanosecond() % 1_000 == 0).then_some(time)
}

fn local(text: &str) -> Option<DateTime> {
    let (date, clock) = shaped(text, 19)?.split_once(['T', ' '])?;
    let day: Date = date.parse().ok()?;
    (day.to_string() == date).then(|| Some(day.to_datetime(time(clock)?)))?
}

impl Value {
    /// As a literal of the dialect.
    pub fn sql(&self) -> String {
        let local = |at: &DateTime| {
            let (date, clock) = (at.date(), at.time());
            format!("TIMESTAMP '{date} {}'", micros(clock))
        };
        match self {
            Value::Boolean(true) => "TRUE".to_owned(),
            Value::Boolean(false) => "FALSE".to_owned(),
            Value::Number(number) => number.to_string(),
            Value::Text(text) => super::expressions::text(text),
            Value::Date(date) => format!("DATE '{date}'"),
            Value::Time(clock) => format!("TIME '{}'", micros(*clock)),
            Value::Local(at) => local(at),
            // An instant has no literal; time stamps are read in UTC.
            Value::Instant(at) => {
                let utc = at.to_zoned(TimeZone::UTC).datetime();
                format!("CAST({} AS TIMESTAMP_LTZ(6))", local(&utc))
            }
        }
    }
}

/// `12:34:56`, with as many digits of a second as are needed: none, three or six.
fn micros(clock: Time) -> String {
    let (hour, minute, second) = (clock.hour(), clock.minute(), clock.second());
    let whole = format!("{hour:02}:{minute:02}:{second:02}");
    match clock.subsec_nanosecond() / 1_000 {
        0 => whole,
        micros if micros % 1_000 == 0 => format!("{whole}.{:03}", micros / 1_000),
        micros => format!("{whole}.{micros:06}"),
    }
}

impl PartialOrd for Value {
    /// Values of one type alone have an order.
    fn partial_cmp(&self, other: &Value) -> Option<Ordering> {
        match (self, other) {
            (Value::Boolean(a), Value::Boolean(b)) => Some(a.cmp(b)),
            (Value::Number(a), Value::Number(b)) => Some(a.cmp(b)),
            (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
            (Value::Date(a), Value::Date(b)) => Some(a.cmp(b)),
            (Value::Time(a), Value::Time(b)) => Some(a.cmp(b)),
            (Value::Local(a), Value::Local(b)) => Some(a.cmp(b)),
            (Value::Instant(a), Value::Instant(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

impl Number {
    fn read(text: &str) -> Option<Number> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (digits, None),
        };
        let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !fraction.is_none_or(all_digits) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.unwrap_or_default().trim_end_matches('0');
        if whole.len() + fraction.len() > DIGITS {
            return None;
        }
        Some(Number {
            negative: negative && !(whole.is_empty() && fraction.is_empty()),
            whole: whole.to_owned(),
            fraction: fraction.to_owned(),
        })
    }

    fn magnitude(&self, other: &Number) -> Ordering {
        let whole = (self.whole.len(), &self.whole).cmp(&(other.whole.len(), &other.whole));
        whole.then_with(|| self.fraction.cmp(&other.fraction))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.magnitude(other),
            (true, true) => other.magnitude(self),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whole = if self.whole.is_empty() {
            "0"
        } else {
            &self.whole
        };
        let sign = if self.negative { "-" } else { "" };
        write!(f, "{sign}{whole}")?;
        if self.fraction.is_empty() {
            Ok(())
        } else {
            write!(f, ".{}", self.fraction)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sql(text: &str, data_type: &str) -> String {
        match read(text, &data_type.parse().unwrap()) {
            Ok(value) => value.sql(),
            Err(error) => error,
        }
    }

    #[test]
    fn texts_become_literals_by_the_type_of_their_field() {
        for (text, data_type, literal) in [
            ("007", "int", "7"),
            ("-0", "bigint", "0"),
            ("-12.50", "decimal(6,2)", "-12.5"),
            (
                ".5",
                "double",
                "\".5\" is no double: write it as -12.5, with at most 38 digits and without an exponent",
            ),
            ("true", "boolean", "TRUE"),
            ("it's", "string", "'it''s'"),
            ("2024-02-29", "date", "DATE '2024-02-29'"),
            (
                "2026-02-29",
                "date",
                "\"2026-02-29\" is no date: write it as 2026-01-31, a day that there is",
            ),
            ("12:34:56.5", "time", "TIME '12:34:56.500'"),
            (
                "2026-01-31T12:34:56.000001",
                "timestamp(6)",
                "TIMESTAMP '2026-01-31 12:34:56.000001'",
            ),
            (
                "2026-01-31 12:34:56",
                "timestamp(3)",
                "TIMESTAMP '2026-01-31 12:34:56'",
            ),
            (
                "2026-01-31T12:34:56+02:00",
                "timestamp_ltz(3)",
                "CAST(TIMESTAMP '2026-01-31 10:34:56' AS TIMESTAMP_LTZ(6))",
            ),
            (
                "2026-01-31T12:34:56",
                "timestamp_ltz(3)",
                "\"2026-01-31T12:34:56\" is no timestamp_ltz(3): write it as 2026-01-31T12:34:56.789Z, with its zone",
            ),
            (
                "x",
                "array<int>",
                "array<int> can't be compared with a text",
            ),
        ] {
            assert_eq!(sql(text, data_type), literal, "{text} as {data_type}");
        }
    }

    #[test]
    fn numbers_compare_by_what_they_are_worth() {
        let number = |text: &str| Number::read(text).unwrap();
        let ordered = [
            "-100", "-12.5", "-12.45", "0", "0.5", "9", "10", "10.01", "100",
        ];
        for pair in ordered.windows(2) {
            assert!(number(pair[0]) < number(pair[1]), "{pair:?}");
        }
        assert_eq!(number("1.50"), number("01.5"));
        assert_eq!(number("-0.0"), number("0"));
        assert_eq!(Number::read(&"9".repeat(39)), None);
    }
}
