//! What the pod prints, for people: records as rows. Pure.

use headworks_operator::reports::is_hidden;
use headworks_plan::PeekLine;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::output::{self, visible};

/// A line of the pod's log.
#[derive(Debug)]
pub enum Line {
    /// A record.
    Record(Box<Record>),
    /// What else the reader says.
    Peek(PeekLine),
    /// A log line.
    Log,
}

/// A record.
#[derive(Debug, Deserialize)]
pub struct Record {
    partition: i32,
    offset: i64,
    #[serde(default)]
    timestamp: Option<String>,
    #[serde(default)]
    key: Option<Value>,
    /// As it was written, so that no digit is lost. Absent where the record isn't decoded, and where it deletes its key.
    #[serde(default)]
    value: Option<Box<RawValue>>,
    #[serde(default)]
    error: Option<Told>,
    #[serde(default)]
    raw: Option<String>,
    #[serde(default)]
    bytes: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Told {
    reason: String,
    message: String,
}

/// What a line is.
pub fn line(text: &str) -> Line {
    if let Ok(record) = serde_json::from_str(text) {
        return Line::Record(record);
    }
    serde_json::from_str(text).map_or(Line::Log, Line::Peek)
}

/// The columns' names.
pub fn head() -> String {
    columns("TIME", "PARTITION", "OFFSET", "KEY", "VALUE")
}

fn columns(time: &str, partition: &str, offset: &str, key: &str, value: &str) -> String {
    format!("{time:<24}  {partition:>9}  {offset:>8}  {key:<12}  {value}")
}

/// A record as a row.
pub fn row(record: &Record) -> String {
    let key = match &record.key {
        None => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let value = match (&record.error, &record.value) {
        (Some(told), _) => {
            let bytes = record.bytes.unwrap_or_default();
            let raw = record.raw.as_ref();
            let raw = raw.map_or_else(String::new, |raw| {
                format!(", in base64: {}", printable(raw))
            });
            let fault = printable(&format!("{}: {}", told.reason, told.message));
            format!("{} ({bytes} bytes{raw})", output::red(&fault))
        }
        (None, Some(value)) => printable(value.get()),
        (None, None) => "deleted".to_owned(),
    };
    columns(
        &printable(record.timestamp.as_deref().unwrap_or("-")),
        &record.partition.to_string(),
        &record.offset.to_string(),
        &printable(&key),
        &value,
    )
}

/// Text of others: no character of it means anything to a terminal, and none is hidden or turns what follows.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// A line of JSON for a terminal: what JSON leaves as it is, and a terminal obeys or hides (U+007F to U+009F, what turns the direction of
/// writing, what has no width), is escaped. It stands in strings only, so the line says the same.
pub fn json(text: &str) -> String {
    visible(text).into_owned()
}

/// Why it can't be done, as the pod says it.
pub fn failed(reason: &str, message: &str) -> String {
    printable(&format!("{reason}: {message}"))
}

/// How much it was, in words.
pub fn summary(records: u64, read: u64, more: bool) -> String {
    let shown = match records {
        1 => "1 record".to_owned(),
        n => format!("{n} records"),
    };
    let more = if more {
        "; there are more, or may be: --limit, --since, --offset and --partition choose others"
    } else {
        ""
    };
    format!("{shown} of {read} that were read{more}")
}

/// What is to be said where the pod has printed other than what came: a log is cut where it grows faster than it is read, and
/// a line of another kind may break one with a record.
pub fn lost(printed: u64, came: u64) -> Option<String> {
    (printed != came).then(|| {
        format!(
            "the pod has printed {printed} records, and {came} of them came: its log was cut or broken; ask for less with --limit, or from an offset on with --partition and --offset"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match line(text) {
            Line::Record(record) => row(&record),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn records_are_rows_with_every_digit() {
        let rows = [
            head(),
            shown(
                r#"{"partition":0,"offset":12,"timestamp":"2026-01-01T00:00:00.000Z","key":"o-1","value":{"id":"o-1","n":9007199254740993,"x":1.10}}"#,
            ),
            shown(
                r#"{"partition":11,"offset":123456,"timestamp":null,"key":{"base64":"/wA="},"value":null}"#,
            ),
            shown(
                r#"{"partition":0,"offset":13,"timestamp":"2026-01-01T00:00:00.000Z","key":null,"error":{"reason":"Contract","message":"field n: no number"},"raw":"e30=","bytes":2}"#,
            ),
            shown(
                r#"{"partition":0,"offset":13,"timestamp":"2026-01-01T00:00:00.000Z","key":"***","error":{"reason":"Decode","message":"hidden"},"bytes":2}"#,
            ),
        ];
        insta::assert_snapshot!(rows.join("\n"));
    }

    #[test]
    fn nothing_in_a_record_reaches_the_terminal_as_a_command() {
        let text = shown(
            "{\"partition\":0,\"offset\":1,\"key\":\"a\\u001b[2J\",\"value\":{\"id\":\"\u{9b}31m\u{202e}\u{200b}\"}}",
        );
        assert!(!text.contains(is_hidden), "{text:?}");
        assert!(
            text.contains("\\u{1b}[2J") && text.contains("\\u{9b}31m"),
            "{text}"
        );
    }

    #[test]
    fn json_has_no_character_that_a_terminal_obeys_and_says_the_same() {
        let text = "{\"partition\":0,\"offset\":1,\"key\":\"\u{7f}ü\u{9b}31m\u{202e}gnp.exe\u{e0041}\",\"value\":{\"id\":\"\\u001b[2J\"}}";
        let shown = json(text);
        assert!(!shown.contains(is_hidden), "{shown:?}");
        assert!(
            shown.contains(r#""\u007fü\u009b31m\u202egnp.exe\udb40\udc41""#),
            "{shown}"
        );
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(value(&shown), value(text));
    }

    #[test]
    fn words_of_a_failure_reach_the_terminal_as_words() {
        assert_eq!(
            failed("KafkaError", "\u{1b}]0;x\u{7}"),
            "KafkaError: \\u{1b}]0;x\\u{7}"
        );
    }

    #[test]
    fn what_is_no_record_is_told_apart() {
        assert!(matches!(
            line(r#"{"peek":"end","records":1,"read":2,"more":false}"#),
            Line::Peek(PeekLine::End { read: 2, .. })
        ));
        for log in [
            r#"{"timestamp":"2026-01-01T00:00:00Z","level":"ERROR","message":"x"}"#,
            "exec format error",
            "",
        ] {
            assert!(matches!(line(log), Line::Log), "{log}");
        }
    }

    #[test]
    fn the_end_says_how_much_it_was() {
        assert_eq!(summary(1, 7, false), "1 record of 7 that were read");
        assert!(
            summary(20, 20, true).starts_with("20 records of 20 that were read; there are more")
        );
    }

    #[test]
    fn a_record_that_did_not_come_is_told() {
        assert_eq!(lost(3, 3), None);
        let told = lost(3, 2).unwrap();
        assert!(told.contains("3 records, and 2 of them came"), "{told}");
    }
}
