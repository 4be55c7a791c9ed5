//! Values that stand in a rule as texts, read by the type of the field that they are compared with.

use std::cmp::Ordering;

use headworks_sql::types::DataType;
use k8s_openapi::jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

use super::number::Number;

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
    /// A field of this type can have the value. (A bound of a range needn't be one: `n >= 1.5` says something of whole numbers.)
    ///
    /// # Errors
    /// Why no field of the type ever has it.
    pub fn held_by(&self, data_type: &DataType) -> Result<(), String> {
        let never = |why: &str| Err(format!("no {data_type} is ever {self}: {why}"));
        let seconds = |nanos: i32, precision: u8| {
            let unit = 10_i32.pow(9 - u32::from(precision.min(9)));
            if nanos % unit == 0 {
                return Ok(());
            }
            never(&format!(
                "it has at most {precision} digits behind the second"
            ))
        };
        match (self, data_type) {
            (Value::Number(number), DataType::Int | DataType::BigInt) => {
                if !number.fraction.is_empty() {
                    return never("it is a whole number");
                }
                let (least, most) = match data_type {
                    DataType::Int => (i64::from(i32::MIN), i64::from(i32::MAX)),
                    _ => (i64::MIN, i64::MAX),
                };
                match number.to_string().parse::<i64>() {
                    Ok(number) if (least..=most).contains(&number) => Ok(()),
                    _ => never(&format!("it lies between {least} and {most}")),
                }
            }
            (Value::Number(number), DataType::Decimal { precision, scale }) => {
                let (precision, scale) = (usize::from(*precision), usize::from(*scale));
                if number.fraction.len() > scale {
                    return never(&format!("it has at most {scale} digits behind the point"));
                }
                let before = precision.saturating_sub(scale);
                if number.whole.len() > before {
                    return never(&format!("it has at most {before} digits before the point"));
                }
                Ok(())
            }
            (Value::Local(at), DataType::Timestamp(precision)) => {
                seconds(at.subsec_nanosecond(), *precision)
            }
            (Value::Instant(at), DataType::TimestampLtz(precision)) => {
                seconds(at.subsec_nanosecond(), *precision)
            }
            _ => Ok(()),
        }
    }

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

impl std::fmt::Display for Value {
    /// As it is written in a rule.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Boolean(value) => value.fmt(f),
            Value::Number(number) => number.fmt(f),
            Value::Text(text) => write!(f, "\"{text}\""),
            Value::Date(date) => date.fmt(f),
            Value::Time(time) => time.fmt(f),
            Value::Local(at) => at.fmt(f),
            Value::Instant(at) => at.fmt(f),
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
    fn a_value_that_no_field_of_the_type_has_is_told() {
        let told = |text: &str, data_type: &str| {
            let data_type = data_type.parse().unwrap();
            let held = read(text, &data_type).unwrap().held_by(&data_type);
            held.err().unwrap_or_default()
        };
        for (text, data_type, wanted) in [
            ("2147483647", "int", ""),
            ("-2147483648", "int", ""),
            (
                "2147483648",
                "int",
                "no int is ever 2147483648: it lies between -2147483648 and 2147483647",
            ),
            ("1.0", "int", ""),
            (
                "1.5",
                "bigint",
                "no bigint is ever 1.5: it is a whole number",
            ),
            ("9223372036854775807", "bigint", ""),
            (
                "9223372036854775808",
                "bigint",
                "no bigint is ever 9223372036854775808: it lies between -9223372036854775808 and 9223372036854775807",
            ),
            ("9999999999.99", "decimal(12,2)", ""),
            (
                "1.005",
                "decimal(12,2)",
                "no decimal(12,2) is ever 1.005: it has at most 2 digits behind the point",
            ),
            (
                "10000000000",
                "decimal(12,2)",
                "no decimal(12,2) is ever 10000000000: it has at most 10 digits before the point",
            ),
            ("0.1", "double", ""),
            ("2026-01-31 12:34:56.789", "timestamp(3)", ""),
            (
                "2026-01-31T12:34:56.7891Z",
                "timestamp_ltz(3)",
                "no timestamp_ltz(3) is ever 2026-01-31T12:34:56.7891Z: it has at most 3 digits behind the second",
            ),
            ("anything", "string", ""),
        ] {
            assert_eq!(told(text, data_type), wanted, "{text} as {data_type}");
        }
    }
}
