//! A profile for people. Pure.

use headworks_plan::{ColumnProfile, StreamProfile};
use k8s_openapi::jiff::Timestamp;

use super::super::peek::show::printable;
use crate::output;

/// Longest value in the table, in characters.
const VALUE: usize = 24;

/// All of it.
pub(super) fn text(stream: &str, profile: &StreamProfile, wide: bool) -> String {
    let mut text = head(stream, profile);
    if profile.rows == 0 {
        return text;
    }
    text.push('\n');
    text.push_str(&table(&profile.columns));
    for column in &profile.columns {
        let details = details(column, wide);
        if !details.is_empty() {
            text.push_str(&format!("\n{}\n", printable(&column.name)));
            text.push_str(&output::columns(&details, "  "));
        }
    }
    text
}

fn head(stream: &str, profile: &StreamProfile) -> String {
    let mut text = format!(
        "{stream}: {} rows of {} records that were read",
        profile.rows, profile.read
    );
    if let (Some(first), Some(last)) = (time(profile.first_ms), time(profile.last_ms)) {
        text.push_str(&format!(", from {first} to {last}"));
    }
    if profile.undecoded > 0 {
        text.push_str(&format!("; {} can't be decoded", profile.undecoded));
    }
    if profile.deletions > 0 {
        text.push_str(&format!("; {} are deletions", profile.deletions));
    }
    text.push('\n');
    text
}

pub(super) fn time(ms: Option<i64>) -> Option<String> {
    let at = Timestamp::from_millisecond(ms?).ok()?;
    Some(format!("{at:.3}"))
}

fn table(columns: &[ColumnProfile]) -> String {
    let head = [
        "COLUMN", "TYPE", "NULLS", "DISTINCT", "MIN", "MEDIAN", "MAX", "LENGTH",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(columns.iter().map(|column| {
        let value = |text| value(column, text);
        let length = column.length.as_ref().map_or_else(
            || "-".to_owned(),
            |length| format!("{}-{}", length.min, length.max),
        );
        [
            printable(&column.name),
            printable(&column.type_),
            share(column.nulls, column.nulls + column.count),
            distinct(column),
            value(column.min.as_ref()),
            value(median(column)),
            value(column.max.as_ref()),
            length,
        ]
    }));
    output::columns(&rows, "")
}

pub(super) fn distinct(column: &ColumnProfile) -> String {
    match column.distinct_between {
        None => column.distinct.to_string(),
        Some(_) => format!("~{}", column.distinct),
    }
}

/// `12 (1.2%)`.
pub(super) fn share(part: u64, whole: u64) -> String {
    if part == 0 {
        return "0".to_owned();
    }
    let thousandths = u128::from(part) * 1_000 / u128::from(whole.max(1));
    format!("{part} ({}.{}%)", thousandths / 10, thousandths % 10)
}

fn details(column: &ColumnProfile, wide: bool) -> Vec<[String; 2]> {
    let mut rows: Vec<[String; 2]> = Vec::new();
    let mut row = |name: &str, text: String| rows.push([name.to_owned(), text]);
    if let Some((low, high)) = column.distinct_between {
        row(
            "distinct",
            format!("an estimate: between {low} and {high} with 95 % confidence"),
        );
    }
    if wide {
        if let Some(mean) = &column.mean {
            row("mean", printable(mean));
        }
        let quantiles = column.quantiles.iter();
        let quantiles: Vec<String> = quantiles
            .map(|q| printable(&format!("{}={}", q.at, q.value)))
            .collect();
        if !quantiles.is_empty() {
            let error = column.quantile_rank_error.as_ref();
            let error = error.map_or_else(String::new, |error| {
                printable(&format!(" (ranks are within {error} %)"))
            });
            row("quantiles", format!("{}{error}", quantiles.join(" ")));
        }
        if let Some(length) = &column.length {
            row("mean length", printable(&length.mean));
        }
    }
    let all = column.count;
    let list = |values: &mut dyn Iterator<Item = (&String, u64)>| {
        let values =
            values.map(|(value, count)| printable(&format!("{value:?} {}", share(count, all))));
        values.collect::<Vec<_>>().join(", ")
    };
    let top = list(&mut column.top.iter().map(|top| (&top.value, top.count)));
    if !top.is_empty() {
        row("most frequent", top);
    }
    let shapes = list(
        &mut column
            .shapes
            .iter()
            .map(|shape| (&shape.shape, shape.count)),
    );
    if !shapes.is_empty() {
        row("shapes", shapes);
    }
    rows
}

/// A value of a column for a table; `***` where it is masked, `-` where there is none.
pub(super) fn value(column: &ColumnProfile, text: Option<&String>) -> String {
    match text {
        Some(text) => cut(&printable(text)),
        None if column.masked => "***".to_owned(),
        None => "-".to_owned(),
    }
}

/// The median, of numbers.
pub(super) fn median(column: &ColumnProfile) -> Option<&String> {
    let mut quantiles = column.quantiles.iter();
    quantiles.find(|q| q.at == "0.5").map(|q| &q.value)
}

fn cut(text: &str) -> String {
    if text.chars().nth(VALUE).is_none() {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(VALUE - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use headworks_plan::{Frequent, Quantile, Shape, TextLengths};

    use super::*;

    fn profile() -> StreamProfile {
        let quantile = |at: &str, value: &str| Quantile {
            at: at.into(),
            value: value.into(),
        };
        StreamProfile {
            read: 1_003,
            rows: 1_000,
            undecoded: 3,
            first_ms: Some(1_767_225_600_000),
            last_ms: Some(1_767_229_200_000),
            complete: true,
            columns: vec![
                ColumnProfile {
                    name: "amount".into(),
                    type_: "decimal(12,2)".into(),
                    count: 990,
                    nulls: 10,
                    distinct: 712,
                    min: Some("0.01".into()),
                    max: Some("99.50".into()),
                    mean: Some("49.2".into()),
                    quantiles: vec![quantile("0.5", "48.9"), quantile("0.99", "98.1")],
                    quantile_rank_error: Some("1.33".into()),
                    top: vec![Frequent {
                        value: "9.99".into(),
                        count: 120,
                    }],
                    ..ColumnProfile::default()
                },
                ColumnProfile {
                    name: "code".into(),
                    type_: "string".into(),
                    count: 1_000,
                    distinct: 50_123,
                    distinct_between: Some((49_000, 51_200)),
                    min: Some("a\u{1b}[2J".into()),
                    max: Some("z".repeat(40)),
                    shapes: vec![Shape {
                        shape: "A9-a".into(),
                        count: 1_000,
                    }],
                    length: Some(TextLengths {
                        min: 1,
                        max: 64,
                        mean: "3.2".into(),
                    }),
                    ..ColumnProfile::default()
                },
                ColumnProfile {
                    name: "email".into(),
                    type_: "string".into(),
                    masked: true,
                    count: 1_000,
                    distinct: 998,
                    length: Some(TextLengths {
                        min: 7,
                        max: 30,
                        mean: "14.0".into(),
                    }),
                    ..ColumnProfile::default()
                },
            ],
            ..StreamProfile::default()
        }
    }

    #[test]
    fn a_profile_is_a_table_and_what_else_is_known_of_each_column() {
        insta::assert_snapshot!("short", text("orders", &profile(), false));
        insta::assert_snapshot!("wide", text("orders", &profile(), true));
    }

    #[test]
    fn a_stream_without_rows_says_so() {
        let none = StreamProfile::default();
        assert_eq!(
            text("orders", &none, false),
            "orders: 0 rows of 0 records that were read\n"
        );
    }
}
