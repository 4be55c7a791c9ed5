//! Profiles over time for people: of each column a row an interval. Pure.

use headworks_plan::{ColumnProfile, StreamProfile};

use super::super::peek::show::printable;
use super::show::{distinct, median, share, time, value};
use crate::output;

/// All of it.
pub(super) fn text(stream: &str, intervals: &[StreamProfile]) -> String {
    let sum = |of: fn(&StreamProfile) -> u64| intervals.iter().map(of).sum::<u64>();
    let mut text = format!(
        "{stream}: {} rows of {} records that were read, in {} intervals",
        sum(|p| p.rows),
        sum(|p| p.read),
        intervals.len()
    );
    if sum(|p| p.undecoded) > 0 {
        text.push_str(&format!("; {} can't be decoded", sum(|p| p.undecoded)));
    }
    text.push('\n');
    let names = intervals.first().map(|first| &first.columns[..]);
    for (at, column) in names.unwrap_or_default().iter().enumerate() {
        let (name, type_) = (printable(&column.name), printable(&column.type_));
        text.push_str(&format!("\n{name} ({type_})\n"));
        text.push_str(&table(intervals, at));
    }
    text
}

/// A column's rows.
fn table(intervals: &[StreamProfile], at: usize) -> String {
    let head = [
        "FROM", "ROWS", "NULLS", "DISTINCT", "MIN", "MEDIAN", "MAX", "MEAN",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    let none = ColumnProfile::default();
    rows.extend(intervals.iter().map(|interval| {
        let column = interval.columns.get(at).unwrap_or(&none);
        let value = |text| value(column, text);
        [
            time(interval.interval.map(|(begin, _)| begin)).unwrap_or_default(),
            interval.rows.to_string(),
            share(column.nulls, column.nulls + column.count),
            distinct(column),
            value(column.min.as_ref()),
            value(median(column)),
            value(column.max.as_ref()),
            value(column.mean.as_ref()),
        ]
    }));
    output::columns(&rows, "")
}

#[cfg(test)]
mod tests {
    use headworks_plan::Quantile;

    use super::*;

    fn interval(begin: i64, rows: u64, columns: Vec<ColumnProfile>) -> StreamProfile {
        StreamProfile {
            read: rows + 1,
            rows,
            undecoded: 1,
            interval: Some((begin, begin + 3_600_000)),
            columns,
            ..StreamProfile::default()
        }
    }

    fn amount(count: u64, nulls: u64, median: Option<&str>) -> ColumnProfile {
        let quantile = median.map(|median| Quantile {
            at: "0.5".into(),
            value: median.into(),
        });
        ColumnProfile {
            name: "amount".into(),
            type_: "decimal(12,2)".into(),
            count,
            nulls,
            distinct: count / 2,
            min: median.map(|_| "0.01".into()),
            max: median.map(|_| "99.50".into()),
            mean: median.map(|_| "49.2".into()),
            quantiles: quantile.into_iter().collect(),
            ..ColumnProfile::default()
        }
    }

    fn mail(count: u64) -> ColumnProfile {
        ColumnProfile {
            name: "mail\u{1b}[2J".into(),
            type_: "string".into(),
            masked: true,
            count,
            distinct: count,
            ..ColumnProfile::default()
        }
    }

    #[test]
    fn a_profile_over_time_is_a_table_for_each_column_with_a_row_for_each_interval() {
        let begin = 1_767_225_600_000;
        let intervals = [
            interval(begin, 990, vec![amount(980, 10, Some("48.9")), mail(990)]),
            interval(begin + 3_600_000, 0, vec![amount(0, 0, None), mail(0)]),
            // What another pod leaves out isn't there.
            interval(begin + 7_200_000, 5, Vec::new()),
        ];
        insta::assert_snapshot!("over_time", text("orders", &intervals));
    }
}
