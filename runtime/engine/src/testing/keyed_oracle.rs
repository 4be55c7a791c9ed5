//! What queries with state over the tiny wire format should come to, a row at a time.

use std::collections::BTreeMap;

use headworks_sql::keyed::Window;

use super::keyed_fixture_format::{Query, parse};
use super::over_fixture;

/// A row as the oracle sees it.
pub(crate) type Row = (String, i64, i64);

/// What becomes of a record: a row, nothing, or a dead letter.
pub(crate) fn row(value: Option<&str>) -> Result<Option<Row>, &'static str> {
    let (key, time, n) = parse(value.ok_or("Contract")?).ok_or("Decode")?;
    let time = time.ok_or("Contract")?;
    match n {
        13 => Err("Evaluation"),
        n if n % 7 == 0 => Ok(None),
        n => Ok(Some((key, time, n))),
    }
}

/// The windows that a moment falls into.
pub(crate) fn windows(window: Window, at: i64) -> Vec<(i64, i64)> {
    match window {
        Window::Tumble { size, offset } => {
            let start = (at - offset).div_euclid(size) * size + offset;
            vec![(start, start + size)]
        }
        Window::Hop {
            size,
            slide,
            offset,
        } => {
            let last = (at - offset).div_euclid(slide) * slide + offset;
            (0..size / slide)
                .map(|back| (last - back * slide, last - back * slide + size))
                .collect()
        }
        Window::Cumulate { max, step, offset } => {
            let start = (at - offset).div_euclid(max) * max + offset;
            (1..=max / step)
                .map(|steps| (start, start + steps * step))
                .filter(|(_, end)| at < *end)
                .collect()
        }
        Window::Session { gap } => vec![(at, at + gap)],
    }
}

/// The output lines of a query over rows, each row at a time; of an upsert those that are left at the end.
/// Windows that end after `until` aren't written.
pub(crate) fn oracle(query: Query, rows: &[Row], until: i64) -> Vec<String> {
    let mut lines = Vec::new();
    match query {
        // Their rows have sides: `join_fixture::oracle`, `temporal_fixture::oracle`.
        Query::Join(_) | Query::Temporal(_) => {}
        Query::Over(looks) => lines.extend(over_fixture::oracle(looks, rows, until)),
        Query::First => {
            let mut best: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
            for (key, time, n) in rows {
                let first = best.entry(key).or_insert((*time, *n));
                if *time < first.0 {
                    *first = (*time, *n);
                }
            }
            lines.extend(
                best.iter()
                    .map(|(key, (time, n))| format!("{key}|{time}|{n}|1")),
            );
        }
        Query::Upserts => {
            let mut sums: BTreeMap<&str, (i64, i64)> = BTreeMap::new();
            for (key, _, n) in rows {
                let sum = sums.entry(key).or_default();
                *sum = (sum.0 + 1, sum.1 + n);
            }
            let kept = sums.iter().filter(|(_, (count, _))| count % 3 != 0);
            lines.extend(kept.map(|(key, (count, sum))| format!("{key}|{count}|{sum}")));
        }
        Query::Windowed(window) => {
            let mut sums: BTreeMap<(&str, i64, i64), (i64, i64)> = BTreeMap::new();
            let mut sorted: Vec<&Row> = rows.iter().collect();
            sorted.sort();
            for (key, time, n) in sorted {
                for (start, end) in windows(window, *time) {
                    // Sorted, so that only the key's last session can be the one it belongs to.
                    let session = matches!(window, Window::Session { .. })
                        .then(|| {
                            sums.range((key.as_str(), i64::MIN, 0)..=(key, i64::MAX, 0))
                                .next_back()
                        })
                        .flatten()
                        .map(|(session, sum)| (*session, *sum))
                        .filter(|((.., ends), _)| start <= *ends);
                    if let Some((open, (count, sum))) = session {
                        sums.remove(&open);
                        sums.insert((key, open.1, end.max(open.2)), (count + 1, sum + n));
                    } else {
                        let sum = sums.entry((key, start, end)).or_default();
                        *sum = (sum.0 + 1, sum.1 + n);
                    }
                }
            }
            let kept = sums.iter().filter(|((.., end), _)| *end <= until);
            lines.extend(kept.map(|((key, start, end), (count, sum))| {
                format!("{key}|{start}|{end}|{}|{count}|{sum}", end - 1)
            }));
        }
    }
    lines
}
