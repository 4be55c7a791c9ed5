//! A dead letter as the pod prints it, and as rows and texts for people. Pure.

use headworks_plan::{DeadLetterLine, PeekLine};
use k8s_openapi::jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::peek::show::printable;

/// A line of the pod's log.
#[derive(Debug)]
pub(super) enum Line {
    /// A dead letter.
    Letter(Box<Letter>),
    /// What else the reader says.
    Peek(PeekLine),
    /// A log line.
    Log,
}

/// What a line is.
pub(super) fn line(text: &str) -> Line {
    if let Ok(letter) = serde_json::from_str(text) {
        return Line::Letter(letter);
    }
    serde_json::from_str(text).map_or(Line::Log, Line::Peek)
}

/// A dead letter.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Letter {
    pub(super) partition: i32,
    pub(super) offset: i64,
    #[serde(default)]
    timestamp: Option<String>,
    #[serde(rename = "deadLetter")]
    said: DeadLetterLine,
    #[serde(default)]
    key: Option<Value>,
    /// As it was written, so that no digit is lost. Absent where the record isn't decoded.
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

/// Widths of a row's columns; the last has none.
const WIDTHS: [usize; 5] = [8, 24, 12, 24, 28];
/// Width of the column that wide rows have besides.
const BY: usize = 28;
/// Longest words of an error in a row that isn't wide, in characters.
const ERROR: usize = 80;

/// The columns' names.
pub(super) fn head(wide: bool) -> String {
    let cells = ["AT", "TIME", "REASON", "RULE/CHECK", "FROM"].map(str::to_owned);
    let last = if wide {
        format!("{:<BY$}  ERROR", "BY")
    } else {
        "ERROR".to_owned()
    };
    columns(&cells, &last)
}

fn columns(cells: &[String; 5], last: &str) -> String {
    let cells = cells.iter().zip(WIDTHS);
    let cells: Vec<String> = cells.map(|(cell, w)| format!("{cell:<w$}")).collect();
    format!("{}  {last}", cells.join("  "))
}

impl Letter {
    /// Its place in the dead-letter topic.
    pub(super) fn at(&self) -> String {
        format!("{}:{}", self.partition, self.offset)
    }

    /// As a row.
    pub(super) fn row(&self, wide: bool) -> String {
        let said = &self.said;
        let error = printable(said.error.as_deref().unwrap_or("-"));
        let last = if wide {
            format!("{:<BY$}  {error}", self.by())
        } else {
            cut(&error, ERROR)
        };
        let cells = [
            self.at(),
            self.time(),
            printable(said.reason.as_deref().unwrap_or("-")),
            self.rule().unwrap_or_else(|| "-".to_owned()),
            self.from(),
        ];
        columns(&cells, &last)
    }

    fn time(&self) -> String {
        let time = self.said.time.as_ref().or(self.timestamp.as_ref());
        printable(&time.map_or_else(|| "-".to_owned(), |at| in_millis(at)))
    }

    fn rule(&self) -> Option<String> {
        let said = &self.said;
        let rule = said.rule.as_deref()?;
        Some(match &said.check {
            Some(check) => printable(&format!("{rule}/{check}")),
            None => printable(rule),
        })
    }

    /// Where the record was read, or who was given it.
    fn from(&self) -> String {
        let said = &self.said;
        match (&said.origin, &said.source) {
            (Some(origin), _) => printable(&format!(
                "{}[{}]@{}",
                origin.topic, origin.partition, origin.offset
            )),
            (None, Some(source)) => printable(&format!("Source {source}")),
            (None, None) => "-".to_owned(),
        }
    }

    /// Who couldn't use it.
    fn by(&self) -> String {
        let said = &self.said;
        let writers = [
            ("Pipeline", &said.pipeline),
            ("Source", &said.source),
            ("Replay", &said.replay),
        ];
        let mut named = writers.into_iter();
        let by = named.find_map(|(kind, name)| Some(format!("{kind} {}", name.as_ref()?)));
        by.map_or_else(|| "-".to_owned(), |by| printable(&by))
    }

    /// All of it, a line for each thing that is known.
    pub(super) fn text(&self) -> String {
        let said = &self.said;
        let mut rows: Vec<[String; 2]> = Vec::new();
        let mut row = |name: &str, text: String| rows.push([name.to_owned(), text]);
        row("at", self.at());
        row("time", self.time());
        row("reason", printable(said.reason.as_deref().unwrap_or("-")));
        row("error", printable(said.error.as_deref().unwrap_or("-")));
        if let Some(rule) = &said.rule {
            let generation = said.rule_generation.as_deref().unwrap_or("?");
            row(
                "rule",
                printable(&format!("{rule}, generation {generation}")),
            );
        }
        for (name, text) in [("check", &said.check), ("field", &said.field)] {
            if let Some(text) = text {
                row(name, printable(text));
            }
        }
        row("from", self.from());
        row("by", self.by());
        if let Some(bytes) = &said.truncated {
            row(
                "cut off",
                format!(
                    "the record had {} bytes; the whole of it is where it came from",
                    printable(bytes)
                ),
            );
        }
        row("key", self.key());
        for [name, text] in self.value() {
            row(&name, text);
        }
        crate::output::columns(&rows, "")
    }

    fn key(&self) -> String {
        match &self.key {
            None => "-".to_owned(),
            Some(Value::String(text)) => printable(text),
            Some(other) => printable(&other.to_string()),
        }
    }

    /// The value decoded; else why not, and its first bytes.
    fn value(&self) -> Vec<[String; 2]> {
        let row = |name: &str, text: String| [name.to_owned(), text];
        let Some(told) = &self.error else {
            let value = self.value.as_ref().map(|value| printable(value.get()));
            return vec![row("value", value.unwrap_or_else(|| "none".to_owned()))];
        };
        let bytes = self.bytes.unwrap_or_default();
        let mut rows = vec![row(
            "value",
            printable(&format!(
                "{bytes} bytes, which can't be decoded: {}: {}",
                told.reason, told.message
            )),
        )];
        match self.raw.as_deref().map(shown) {
            Some((form, text, shown)) => {
                let is_cut = u64::try_from(shown).is_ok_and(|shown| shown < bytes);
                let more = if is_cut { " …" } else { "" };
                rows.push(row(form, format!("{text}{more}")));
            }
            None => rows.push(row("", HIDDEN.to_owned())),
        }
        rows
    }
}

/// Bytes as text where they are one, else in hexadecimal digits; and how many of them that is.
fn shown(base64: &str) -> (&'static str, String, usize) {
    let bytes = decoded(base64);
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        // What was cut off in the middle of a character is a text all the same.
        Err(end) if end.error_len().is_none() => {
            std::str::from_utf8(&bytes[..end.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => "",
    };
    if !text.is_empty() || bytes.is_empty() {
        return ("text", printable(text), text.len());
    }
    let first = &bytes[..bytes.len().min(HEX)];
    let digits: Vec<String> = first.iter().map(|b| format!("{b:02x}")).collect();
    ("hex", digits.join(" "), first.len())
}

/// What stands in place of bytes where something is masked.
const HIDDEN: &str =
    "not shown, since nobody knows where in it a masked field stands; --unmask shows it";
/// So many bytes are shown in hexadecimal digits.
const HEX: usize = 256;

fn decoded(base64: &str) -> Vec<u8> {
    use base64::Engine as _;
    let bytes = base64::engine::general_purpose::STANDARD.decode(base64);
    bytes.unwrap_or_default()
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().nth(most).is_none() {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most - 1).collect();
    short.push('…');
    short
}

/// A time without the digits behind milliseconds, which a Source's clock has and a column of times has no room for.
fn in_millis(at: &str) -> String {
    let time = at.parse::<Timestamp>().ok();
    let time = time.filter(|time| time.subsec_nanosecond() % 1_000_000 != 0);
    time.map_or_else(|| at.to_owned(), |time| format!("{time:.3}"))
}

#[cfg(test)]
mod tests;
