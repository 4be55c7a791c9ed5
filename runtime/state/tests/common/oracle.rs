//! The same answers, computed row by row and without any art: every row is kept, and a result is computed of all
//! rows it belongs to.

use std::collections::{BTreeMap, BTreeSet};

use headworks_sql::keyed::{Aggregate, Function, Operator, Rank, Window};

use super::{Key, Row};

#[derive(Clone)]
pub struct Oracle {
    pub window: Option<Window>,
    pub operator: Operator,
    pub lateness: i64,
    pub ttl: Option<i64>,
    pub watermark: Option<i64>,
    /// Rows with the wall time and the watermark at which they came.
    rows: Vec<(Row, i64, Option<i64>)>,
    fired: BTreeSet<(i64, i64)>,
    /// Keys with rows since the last commit.
    touched: Vec<Key>,
    kept: BTreeMap<Key, String>,
}

/// What an epoch gives: lines of results, sorted for each window end; keys that are gone.
#[derive(Debug, Default, PartialEq)]
pub struct Expected {
    pub results: Vec<String>,
}

impl Oracle {
    pub fn new(
        window: Option<Window>,
        operator: Operator,
        lateness: i64,
        ttl: Option<i64>,
    ) -> Oracle {
        Oracle {
            window,
            operator,
            lateness,
            ttl,
            watermark: None,
            rows: Vec::new(),
            fired: BTreeSet::new(),
            touched: Vec::new(),
            kept: BTreeMap::new(),
        }
    }

    fn is_final(&self, end: i64, watermark: Option<i64>) -> bool {
        watermark.is_some_and(|w| end - 1 + self.lateness <= w)
    }

    fn windows(&self, time: i64) -> Vec<(i64, i64)> {
        let starts = |every: i64, offset: i64, back: i64| {
            let last = time - (time - offset).rem_euclid(every);
            (0..=back / every).map(move |i| last - i * every)
        };
        match self.window {
            Some(Window::Tumble { size, offset }) => {
                starts(size, offset, 0).map(|s| (s, s + size)).collect()
            }
            Some(Window::Hop {
                size,
                slide,
                offset,
            }) => starts(slide, offset, size)
                .map(|s| (s, s + size))
                .filter(|w| time < w.1)
                .collect(),
            Some(Window::Cumulate { max, step, offset }) => starts(max, offset, 0)
                .flat_map(|s| (1..=max / step).map(move |i| (s, s + i * step)))
                .filter(|w| time < w.1)
                .collect(),
            _ => Vec::new(),
        }
    }

    /// The sessions of a key: start, end.
    fn sessions(&self, key: &Key, gap: i64) -> Vec<(i64, i64)> {
        let mut times: Vec<i64> = self
            .rows
            .iter()
            .filter(|r| r.0.key() == *key)
            .map(|r| r.0.time)
            .collect();
        times.sort_unstable();
        let mut sessions: Vec<(i64, i64)> = Vec::new();
        for time in times {
            match sessions.last_mut() {
                Some(last) if time <= last.1 => last.1 = time + gap,
                _ => sessions.push((time, time + gap)),
            }
        }
        sessions
    }

    /// True: the row is late.
    pub fn add(&mut self, row: &Row, now: i64) -> bool {
        let late = match self.window {
            None => false,
            Some(Window::Session { gap }) => {
                self.rows.push((row.clone(), now, self.watermark));
                let sessions = self.sessions(&row.key(), gap);
                self.rows.pop();
                let mine = sessions
                    .iter()
                    .find(|s| s.0 <= row.time && row.time < s.1)
                    .unwrap();
                self.is_final(mine.1, self.watermark)
            }
            Some(_) => self
                .windows(row.time)
                .iter()
                .all(|w| self.is_final(w.1, self.watermark)),
        };
        if !late {
            self.rows.push((row.clone(), now, self.watermark));
            if !self.touched.contains(&row.key()) {
                self.touched.push(row.key());
            }
        }
        late
    }

    pub fn prepare_commit(&mut self, watermark: Option<i64>) -> Expected {
        self.watermark = self.watermark.max(watermark);
        let mut results: Vec<(i64, String)> = Vec::new();
        match self.window {
            None => {
                for key in std::mem::take(&mut self.touched) {
                    let rows = self.living(&key);
                    let lines = self.compute(&key, None, &rows);
                    let before = self.kept.insert(key, lines[0].clone());
                    let changed = before.as_ref() != Some(&lines[0]);
                    if changed || matches!(self.operator, Operator::Aggregate(_)) {
                        results.extend(lines.into_iter().map(|l| (0, l)));
                    }
                }
            }
            Some(Window::Session { gap }) => {
                let keys: BTreeSet<Key> = self.rows.iter().map(|r| r.0.key()).collect();
                for key in keys {
                    for (start, end) in self.sessions(&key, gap) {
                        if self.is_final(end, self.watermark) {
                            let inside =
                                |r: &Row| r.key() == key && r.time >= start && r.time < end;
                            let rows: Vec<&Row> = self
                                .rows
                                .iter()
                                .map(|r| &r.0)
                                .filter(|r| inside(r))
                                .collect();
                            let lines = self.compute(&key, Some((start, end)), &rows);
                            results.extend(lines.into_iter().map(|l| (end, l)));
                            self.rows.retain(|r| !inside(&r.0));
                        }
                    }
                }
            }
            Some(_) => {
                let mut groups: BTreeMap<((i64, i64), Key), Vec<&Row>> = BTreeMap::new();
                for (row, _, then) in &self.rows {
                    for window in self.windows(row.time) {
                        if self.is_final(window.1, self.watermark)
                            && !self.is_final(window.1, *then)
                            && !self.fired.contains(&window)
                        {
                            groups.entry((window, row.key())).or_default().push(row);
                        }
                    }
                }
                for ((window, key), rows) in &groups {
                    let lines = self.compute(key, Some(*window), rows);
                    results.extend(lines.into_iter().map(|l| (window.1, l)));
                }
                let fired: Vec<(i64, i64)> = groups.into_keys().map(|g| g.0).collect();
                self.fired.extend(fired);
            }
        }
        results.sort();
        Expected {
            results: results.into_iter().map(|r| r.1).collect(),
        }
    }

    /// Rows of a key since it was last forgotten.
    fn living(&self, key: &Key) -> Vec<&Row> {
        let mut rows = Vec::new();
        let mut last = i64::MIN;
        for (row, at, _) in self.rows.iter().filter(|r| r.0.key() == *key) {
            if let Some(ttl) = self.ttl
                && last != i64::MIN
                && last + ttl <= *at
            {
                rows.clear();
            }
            last = *at;
            rows.push(row);
        }
        rows
    }

    fn compute(&self, key: &Key, window: Option<(i64, i64)>, rows: &[&Row]) -> Vec<String> {
        let text = |t: &Option<String>| t.as_ref().map_or("-".into(), |t| format!("'{t}'"));
        let key = format!("{},{}", text(&key.0), key.1);
        let head = window.map_or(key.clone(), |(start, end)| {
            format!("{key},{start},{end},{}", end - 1)
        });
        match &self.operator {
            Operator::Aggregate(all) => {
                let cells: Vec<String> = all.iter().map(|a| aggregate(a, rows)).collect();
                vec![
                    std::iter::once(head)
                        .chain(cells)
                        .collect::<Vec<_>>()
                        .join(","),
                ]
            }
            // They have oracles of their own.
            Operator::IntervalJoin(_)
            | Operator::WindowJoin(_)
            | Operator::TemporalJoin(_)
            | Operator::Over(_) => Vec::new(),
            Operator::Rank(rank) => first(rank, rows)
                .iter()
                .enumerate()
                .map(|(i, r)| format!("{head},{},{}", cells(r)[2..].join(","), i + 1))
                .collect(),
        }
    }
}

fn show<T: ToString>(value: Option<T>) -> String {
    value.map_or("-".into(), |v| v.to_string())
}

fn cells(row: &Row) -> Vec<String> {
    let text = |t: &Option<String>| t.as_ref().map_or("-".into(), |t| format!("'{t}'"));
    vec![
        text(&row.name),
        row.id.to_string(),
        row.time.to_string(),
        show(row.int),
        show(row.big),
        show(row.double),
        show(row.decimal),
        text(&row.text),
        show(row.passes),
    ]
}

/// Column 3 (int, may be null) and column 7 (text) are what tests order by.
fn first<'a>(rank: &Rank, rows: &[&'a Row]) -> Vec<&'a Row> {
    let mut rows = rows.to_vec();
    // The last by event time: of equal ones that is the one that came last. The sort is stable.
    if rank.limit == 1 && matches!(rank.order[..], [by] if by.column == 2 && by.descending) {
        rows.reverse();
    }
    rows.sort_by(|a, b| {
        for by in &rank.order {
            let order = match by.column {
                2 => a.time.cmp(&b.time),
                3 => nullable(a.int, b.int, by.descending, by.nulls_first),
                _ => nullable(
                    a.text.as_ref(),
                    b.text.as_ref(),
                    by.descending,
                    by.nulls_first,
                ),
            };
            let order = if by.column == 2 && by.descending {
                order.reverse()
            } else {
                order
            };
            if order.is_ne() {
                return order;
            }
        }
        std::cmp::Ordering::Equal
    });
    rows.truncate(rank.limit as usize);
    rows
}

fn nullable<T: Ord>(
    a: Option<T>,
    b: Option<T>,
    descending: bool,
    nulls_first: bool,
) -> std::cmp::Ordering {
    match (a, b) {
        (Some(a), Some(b)) if descending => b.cmp(&a),
        (Some(a), Some(b)) => a.cmp(&b),
        (a, b) => {
            let order = b.is_none().cmp(&a.is_none());
            if nulls_first { order } else { order.reverse() }
        }
    }
}

fn aggregate(aggregate: &Aggregate, rows: &[&Row]) -> String {
    let mut rows: Vec<&Row> = rows
        .iter()
        .copied()
        .filter(|r| aggregate.filter.is_none() || r.passes == Some(true))
        .collect();
    let Some(argument) = aggregate.argument else {
        return rows.len().to_string();
    };
    let nulls = aggregate.function == (Function::ArrayAgg { nulls: true });
    rows.retain(|r| nulls || cells(r)[argument] != "-");
    if aggregate.distinct {
        let mut seen = BTreeSet::new();
        rows.retain(|r| seen.insert(cells(r)[argument].clone()));
    }
    let values: Vec<String> = rows.iter().map(|r| cells(r)[argument].clone()).collect();
    let whole: Vec<i128> = match argument {
        3 => rows.iter().filter_map(|r| r.int).map(i128::from).collect(),
        4 => rows.iter().filter_map(|r| r.big).map(i128::from).collect(),
        6 => rows.iter().filter_map(|r| r.decimal).collect(),
        _ => Vec::new(),
    };
    let sum: i128 = whole.iter().sum();
    match &aggregate.function {
        Function::Count => rows.len().to_string(),
        _ if rows.is_empty() => "-".into(),
        Function::Sum => sum.to_string(),
        Function::Avg if argument == 3 => (sum / whole.len() as i128).to_string(),
        Function::Avg => {
            let (scaled, count) = (sum * 10_000, whole.len() as i128);
            let half = if scaled < 0 { -count } else { count };
            ((scaled * 2 + half) / (count * 2)).to_string()
        }
        Function::Min => {
            let values = rows.iter().filter_map(|r| r.double);
            values.reduce(f64::min).unwrap().to_string()
        }
        Function::Max => values.iter().max().unwrap().clone(),
        Function::FirstValue => values[0].clone(),
        Function::LastValue => values.last().unwrap().clone(),
        Function::ListAgg(separator) => {
            let texts: Vec<&str> = values.iter().map(|v| v.trim_matches('\'')).collect();
            format!("'{}'", texts.join(separator))
        }
        Function::ArrayAgg { .. } => format!("[{}]", values.join(" ")),
        other => panic!("the oracle has no {other:?}"),
    }
}
